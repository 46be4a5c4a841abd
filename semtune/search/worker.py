"""A warm trial worker: one process serves many trials; imports, frames and the captured step stay.

Knows nothing of Ray: it takes tasks and answers with reports, both plain names and numbers.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from semtune.config import TrialTask
from semtune.dataset.frames import open_frames
from semtune.engines.choice import describe_device
from semtune.errors import DivergedError
from semtune.files import disk_trouble
from semtune.predictions import write_predictions
from semtune.results import EpochResult, judge, rmse
from semtune.training.checkpoint import (
    read_checkpoint,
    read_facts,
    read_weights,
    write_checkpoint,
    write_weights,
)
from semtune.training.data import TrainingData, place, training_device, whereabouts
from semtune.training.fit import fit, prepare_step, score_with_and_without_controls, step_key
from semtune.training.kept import KeptSteps
from semtune.training.measure import measure_scorer
from semtune.training.samples import SampleTable, read_samples
from semtune.training.step import TrainingStep
from semtune.workspace import CHECKPOINT, PREDICTIONS, WEIGHTS

_CHECKPOINT_SHARE = 0.02  # of the training time that may go into checkpoints
_KEPT_BYTES = 512 * 2**20  # of steps kept for later trials on a CPU: PACF and ResNets, not a VGG
_KEPT_SHARE = 0.25  # of the worker's memory on a GPU, for the same
_DISK_BYTES_PER_SECOND = 3e8  # first guess, until a checkpoint has been timed
Report = dict[str, Any]
"""`placed` (where it trains), `epoch` (an EpochResult as a dict), `tested`, `timed`, `reason`, `message`,
`notes` (what a user should know), `done`: those that apply."""


class WarmWorker:
    """Trains, tests and times trials, one after the other."""

    def __init__(self) -> None:
        self._samples_file = ""
        self._table: SampleTable | None = None
        self._data: TrainingData | None = None
        self._step: TrainingStep | None = None
        self._kept = KeptSteps(_KEPT_BYTES)
        self._notes: list[str] = []
        self._placed: Report | None = None  # until it is told
        self._reports: Iterator[Report] = iter(())
        self._task: TrialTask | None = None
        self._unsaved: EpochResult | None = None  # the last epoch, while no checkpoint holds it

    def start(self, task: TrialTask) -> None:
        """Take up a task; what the one before left unsaved is saved first."""
        self.stop()
        self._task = task
        self._reports = self._work(task)

    def advance(self) -> Report:
        """Do the next piece of the task: an epoch, the test, the timing. A failure becomes a report."""
        report = self._next_report()
        told, self._notes = [*self._notes, *(self._step.notes if self._step else ())], []
        if self._step:
            self._step.notes.clear()
        if self._placed:
            report, self._placed = {"placed": self._placed, **report}, None
        return {**report, "notes": told} if told else report

    def _next_report(self) -> Report:
        try:
            return next(self._reports)
        except DivergedError as error:
            return self._failure("diverged", str(error))
        except Exception as error:
            message = traceback.format_exc()
            self._step = None
            if trouble := disk_trouble(error):
                return self._failure("interrupted", trouble)
            if not _is_out_of_memory(error):
                return self._failure("error", message)
        self._free_memory()  # out of the handler: its traceback holds the step
        return self._failure("out_of_memory", message)

    def _free_memory(self) -> None:
        """Leave the device to others: their trials must not fail for want of what nobody uses here."""
        self._step = None
        self._kept.clear()
        self._reports = iter(())  # its frame holds the step
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def stop(self) -> None:
        """Leave the task; its last epochs are written to the checkpoint, unless nobody wants its folder."""
        folder = Path(self._task.trial_folder) if self._task else None
        if self._step is not None and self._unsaved and folder and folder.exists():
            # What a full disk does not take is trained again.
            with suppress(OSError, SafetensorError):
                self._save(self._step, self._unsaved, folder)
        self._unsaved = None
        self._task = None

    @staticmethod
    def _save(step: TrainingStep, last: EpochResult, folder: Path) -> None:
        write_checkpoint(step, last.epoch, folder / CHECKPOINT, asdict(last))

    def _failure(self, reason: str, message: str) -> Report:
        self._unsaved = None
        return {"reason": reason, "message": message, "done": True}

    def _work(self, task: TrialTask) -> Iterator[Report]:
        torch.set_num_threads(task.threads)
        Path(task.trial_folder).mkdir(parents=True, exist_ok=True)
        table, data = self._load(task)
        if task.role == "measure":
            yield {**self._measure(task, data), "done": True}
            return
        last = None
        for last in self._train(task, table, data):
            if last.epoch < task.hyperparameters.epochs:
                yield {"epoch": asdict(last), "done": False}
        ending: Report = {"epoch": asdict(last)} if last else {}
        if task.role == "final":
            ending["tested"] = self._test(task, table, data)
        yield {**ending, "reason": "epochs", "done": True}

    def _load(self, task: TrialTask) -> tuple[SampleTable, TrainingData]:
        """Samples and frames, read once for all trials of a search."""
        if self._table is None or self._data is None or self._samples_file != task.samples_file:
            table = read_samples(Path(task.samples_file))
            store = open_frames(Path(table.cache_folder), table.digest)
            self._step = None
            self._kept.clear()
            parts = (table.train, table.validation, table.test)
            where, scale = training_device(), table.score_range
            self._data = place(store, table.controls, table.scores, parts, scale, where, task.gpu_share)
            self._table, self._samples_file = table, task.samples_file
            if note := whereabouts(self._data):
                self._notes.append(note)
        if self._data.device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(task.gpu_share)
            memory = torch.cuda.get_device_properties(self._data.device).total_memory
            self._kept.most = int(_KEPT_SHARE * task.gpu_share * memory)
        return self._table, self._data

    def _train(self, task: TrialTask, table: SampleTable, data: TrainingData) -> Iterator[EpochResult]:
        """Train from the trial's checkpoint on, or from the start; a trained trial only loads its weights.

        Checkpoints take a bounded share of the training time; a trial that dies repeats the epochs behind
        its last one, with the same values.
        """
        folder, settings = Path(task.trial_folder), task.hyperparameters
        step = self._step_for(task, data)
        if _is_trained(task):
            weights, facts = read_weights(folder / WEIGHTS)
            step.network.load_state_dict(weights)
            if facts["last_epoch"]:  # told again: a process can die between the weights and the report
                yield EpochResult(**facts["last_epoch"])
            return
        self._placed = _placement(task, step)
        done = read_checkpoint(step, folder / CHECKPOINT)
        told = read_facts(folder / CHECKPOINT)["last_epoch"] if done else None
        last = EpochResult(**told) if told else None
        if last:  # told again: a process can die between the checkpoint and the report
            yield last
        writing = sum(tensor.nbytes for tensor in step.state().values()) / _DISK_BYTES_PER_SECOND
        trained = 0.0
        for result in fit(settings, data, step, task.seed, done, task.compilation):
            self._unsaved = result
            trained += result.seconds
            if writing < _CHECKPOINT_SHARE * trained and result.epoch < settings.epochs:
                start = time.perf_counter()
                self._save(step, result, folder)
                trained, writing, self._unsaved = 0.0, time.perf_counter() - start, None
            last = result
            yield result
        write_weights(step.network, _facts(task, table, step, last), folder / WEIGHTS)
        self._unsaved = None

    def _step_for(self, task: TrialTask, data: TrainingData) -> TrainingStep:
        """Return the step of a trial: one of its shape that is at hand, else a new one.

        What is not kept is freed before, down to the system: a large network leaves holes of half a gigabyte.
        """
        given, self._step = self._step, None
        key = step_key(task.hyperparameters, data, task.precision)
        earlier = self._kept.exchange(given, key)
        del given
        if earlier is None:
            _return_memory()
        start = read_weights(Path(task.start))[0] if task.start else None
        self._step = prepare_step(task.hyperparameters, data, task.seed, task.precision, earlier, start)
        return self._step

    def _test(self, task: TrialTask, table: SampleTable, data: TrainingData) -> Report:
        """Meet the test frames, with and without control parameters; write the predictions."""
        if self._step is None:
            raise RuntimeError("a trial must be trained before it is tested")
        step, settings, folder = self._step, task.hyperparameters, Path(task.trial_folder)
        known, bare = score_with_and_without_controls(step, data, data.test, settings)
        predicted = table.predictions(data.test, known)
        write_predictions(predicted, bare, folder / PREDICTIONS)
        return {**judge(predicted), "test_rmse_without_controls": rmse(bare, table.scores[data.test])}

    def _measure(self, task: TrialTask, data: TrainingData) -> Report:
        """Time whole frames, from grey levels in memory to the score, one and 32 at once."""
        step = self._step_for(task, data)
        weights, _ = read_weights(Path(task.trial_folder) / WEIGHTS)
        step.network.load_state_dict(weights)
        figures, device = measure_scorer(step.network, data, task.hyperparameters, step.key.bfloat16)
        return {"timed": {"figures": figures, "device": device}}


def _is_out_of_memory(error: Exception) -> bool:
    """Tell whether memory of the host or of a device ran out; torch says so of the host only in words."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _return_memory() -> None:
    """Give the C library's free memory back to the system, where it is glibc; some hundredths of a second."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim:
        trim(0)


def _is_trained(task: TrialTask) -> bool:
    """Tell whether the trial's weights are those after its last epoch."""
    weights = Path(task.trial_folder) / WEIGHTS
    return (
        weights.exists() and read_facts(weights).get("hyperparameters") == task.hyperparameters.model_dump()
    )


def _facts(
    task: TrialTask, table: SampleTable, step: TrainingStep, last: EpochResult | None
) -> dict[str, Any]:
    """What is needed to rebuild and use the scorer."""
    return {
        "hyperparameters": task.hyperparameters.model_dump(),
        "control_parameters": table.control_parameters.tolist(),
        "score_range": list(table.score_range),
        "dataset_digest": table.digest,
        "dataset_origin": table.origin,
        "precision": "bfloat16" if step.key.bfloat16 else "float32",
        "trial": task.trial,
        "last_epoch": asdict(last) if last else None,
        **_shown(table),
    }


def _shown(table: SampleTable) -> dict[str, list[int]]:
    """Checksums of the frames that train and that choose: a search that starts here must not test on them."""
    parts = {"trained": table.train, "validated": table.validation}
    known = (table.checksums >= 0).all()
    return {part: sorted(table.checksums[rows].tolist()) for part, rows in parts.items()} if known else {}


def _placement(task: TrialTask, step: TrainingStep) -> Report:
    """What decides, beside settings, seed and data, which numbers come out."""
    start = None
    if task.start:
        with Path(task.start).open("rb") as file:
            start = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "threads": task.threads,
        "device": describe_device(step.device, task.threads),
        "precision": "bfloat16" if step.key.bfloat16 else "float32",
        "started_from": start,
    }
