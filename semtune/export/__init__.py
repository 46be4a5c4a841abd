"""A scorer for a computer without semtune: an ONNX model, what it must be told, and a program of one file.

What is written is used to check it: the program in the folder scores crops of the dataset, and must agree
with torch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from semtune.engines import ENGINES
from semtune.engines.choice import TOLERANCE
from semtune.engines.exported import OPSET
from semtune.errors import ConfigError, SearchError
from semtune.export import score_frame
from semtune.export.evidence import Loss, Model, Parity, loss_of, parity_of
from semtune.export.papers import example_program, licence, sums, zipped
from semtune.export.readme import readme
from semtune.files import write_asked

Precision = Literal["float32", "bfloat16"]
_ENGINES = {"float32": "onnxruntime", "bfloat16": "openvino"}
_REQUIREMENTS = {"onnxruntime": "onnxruntime>=1.20", "openvino": "openvino>=2025.0"}


@dataclass(frozen=True)
class Exported:
    """What was written."""

    out: Path
    files: tuple[str, ...]
    precision: Precision
    engine: str
    parity: Parity
    loss: Loss | None
    """Of the test RMSE, where the arithmetic is not that of the training."""


def export(model: Model, out: Path, precision: Precision, version: str) -> Exported:
    """Write a folder, or a zip file if the name ends so, from which frames can be scored without semtune.

    The same model gives the same bytes on the same machine.

    Args:
        model: What to export.
        out: Where to; a folder must not exist, a file is replaced.
        precision: `float32` for ONNX Runtime, `bfloat16` for OpenVINO.
        version: Of semtune.

    Raises:
        ConfigError: If a package is missing.
        SearchError: If the exported model disagrees with torch, or `out` cannot be written.
    """
    engine = _ENGINES[precision]
    if hindrance := ENGINES[engine].hindrance("cpu"):
        raise ConfigError(f"export in {precision} is not possible: {hindrance}")
    with _draft(out) as folder:
        (folder / "model.onnx").write_bytes(model.scorer.as_onnx())
        facts = {**_facts(model, version), "engine": engine, "precision": precision}
        _write_json(folder / "model.json", facts)
        low, high = model.scorer.score_range
        exported = score_frame.Scorer(folder)
        parity = parity_of(model, exported, allowed=TOLERANCE[precision] * (high - low))
        loss = loss_of(model, exported) if precision != "float32" else None
        made_up = exported.score(score_frame.check_frame(model.scorer.settings.crop))
        facts |= {
            "parity": asdict(parity),
            "loss": asdict(loss) if loss else None,
            "check": {"score": round(made_up, 6), "allowed_difference": parity.allowed},
        }
        _write_json(folder / "model.json", facts)
        _write_papers(folder, facts)
        files = tuple(sorted(path.name for path in folder.iterdir()))
        _put_in_place(folder, out)
    return Exported(out, files, precision, engine, parity, loss)


def _facts(model: Model, version: str) -> dict[str, Any]:
    scorer = model.scorer
    means, deviations = scorer.network.control_mean.tolist(), scorer.network.control_sd.tolist()
    return {
        "semtune": version,
        "source": model.source,
        "architecture": scorer.settings.architecture,
        "dataset": {"digest": model.samples.digest, "origin": model.samples.origin},
        "onnx_opset": OPSET,
        "inputs": {
            "crops": ["uint8", "batch", 1, scorer.settings.crop, scorer.settings.crop],
            "controls": ["float32", "batch", len(scorer.control_parameters)],
        },
        "outputs": {"scores": ["float32", "batch"]},
        "crop": scorer.settings.crop,
        "tiles": scorer.settings.tiles,
        "score_range": list(scorer.score_range),
        "control_parameters": [
            {"name": name, "mean": mean, "sd": sd}
            for name, mean, sd in zip(scorer.control_parameters, means, deviations, strict=True)
        ],
    }


def _write_papers(folder: Path, facts: dict[str, Any]) -> None:
    (folder / "score_frame.py").write_text(example_program(), "utf-8", newline="\n")
    needs = [_REQUIREMENTS[facts["engine"]], "numpy>=1.26", "pillow>=10.4"]
    (folder / "requirements.txt").write_text("\n".join(needs) + "\n", "utf-8", newline="\n")
    (folder / "README.txt").write_text(readme(facts), "utf-8", newline="\n")
    (folder / "LICENSE.txt").write_text(licence(), "utf-8", newline="\n")
    (folder / "SHA256SUMS").write_text(sums(folder), "utf-8", newline="\n")


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=2) + "\n", "utf-8", newline="\n")


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """Yield a new folder beside `out`, which is removed in the end if it is still there."""
    if out.is_dir():
        raise SearchError(f"{out}: exists already; remove it or name another place")
    folder = out.with_name(f".{out.stem}.{uuid4().hex}.part")
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise SearchError(f"{out}: cannot be written ({error.strerror}); name another place") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(folder: Path, out: Path) -> None:
    if out.suffix.lower() == ".zip":
        write_asked(out, zipped(folder, out.stem))
    else:
        folder.rename(out)
