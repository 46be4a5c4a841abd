"""Scores SEM frames with the network in `model.onnx`, without semtune and without torch.

    python score_frame.py frame.tif --controls brightness=50,contrast=45
    python score_frame.py --check

Scoring needs numpy and ONNX Runtime alone (for a model exported in bfloat16: OpenVINO). Image files are read
by Pillow; whoever has the frame as an array does not need it:

    from score_frame import Scorer
    Scorer().score(frame, {"brightness": 50.0})
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from semtune.errors import DatasetError
from semtune.images.geometry import Frame, crop_data_bar, tiles, to_uint8

HERE = Path(__file__).parent
ScoreCrops: TypeAlias = Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.float32]]
"""Crops, shape (batch, 1, crop, crop), and control parameters, shape (batch, controls) -> scores (batch,)."""


class Scorer:
    """The network with what it must be told.

    Args:
        folder: Of `model.onnx` and `model.json`.
    """

    def __init__(self, folder: Path = HERE) -> None:
        self.facts: dict[str, Any] = json.loads((folder / "model.json").read_text("utf-8"))
        self.names: list[str] = [each["name"] for each in self.facts["control_parameters"]]
        load = {"onnxruntime": _in_onnxruntime, "openvino": _in_openvino}[self.facts["engine"]]
        self._score = load(folder / "model.onnx")

    def score(self, frame: Frame, controls: Mapping[str, float] | None = None) -> float:
        """Score one frame.

        Args:
            frame: Grey levels without data bar, uint8 or uint16, shape (height, width).
            controls: Known control parameters by name, in the units of the training data.

        Returns:
            Score points; higher is better.

        Raises:
            DatasetError: If the frame is too small or a control parameter is unknown.
        """
        grey, side = to_uint8(frame), self.facts["crop"]
        places = tiles(grey.shape[0], grey.shape[1], side, self.facts["tiles"])
        crops = np.stack([grey[top : top + side, left : left + side] for top, left in places])[:, None]
        mean = float(np.mean(self.score_crops(crops, self._known(controls or {})), dtype=np.float64))
        low, high = self.facts["score_range"]
        return float(np.clip(mean if math.isfinite(mean) else math.nan, low, high))

    def score_crops(self, crops: NDArray[np.uint8], controls: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score crops as the network does, not clipped, shape (batch,).

        Args:
            crops: Grey levels, shape (batch, 1, crop, crop).
            controls: Control parameters, NaN where missing, shape (controls,) or (batch, controls).
        """
        rows = np.broadcast_to(controls, (len(crops), len(self.names)))
        return self._score(np.ascontiguousarray(crops), np.ascontiguousarray(rows))

    def _known(self, controls: Mapping[str, float]) -> NDArray[np.float32]:
        for name in controls:
            if name not in self.names:
                raise DatasetError(f"no control parameter named {name!r}; known: {', '.join(self.names)}")
        return np.array([controls.get(name, np.nan) for name in self.names], np.float32)


def read_frame(path: Path) -> Frame:
    """Read the grey levels of an image file with Pillow; colour becomes luma, as in semtune.

    Raises:
        DatasetError: If it is no image of 8 or 16 bits.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            if picture.mode in ("1", "L"):
                return np.asarray(picture.convert("L"), np.uint8)
            if picture.mode == "I" or picture.mode.startswith("I;16"):
                return np.asarray(picture, np.uint16)
            if picture.mode in ("P", "LA", "RGB", "RGBA"):
                red, green, blue = np.moveaxis(np.array(picture.convert("RGB"), np.uint32), 2, 0)
                return np.asarray((299 * red + 587 * green + 114 * blue + 500) // 1000, np.uint8)
    except OSError as error:
        raise DatasetError(f"{path}: no readable image ({error}); copy it anew") from error
    raise DatasetError(f"{path}: pixels of kind {picture.mode}; save it again as a grey PNG or TIFF")


def check_frame(side: int) -> NDArray[np.uint8]:
    """A made-up frame, whose score the export recorded, shape (side, side)."""
    return (np.add.outer(np.arange(side) ** 2, 7 * np.arange(side)) % 256).astype(np.uint8)


def check(folder: Path = HERE) -> list[str]:
    """Tell what differs here from what was exported: a file, or the score of the made-up frame."""
    faults = []
    for line in (folder / "SHA256SUMS").read_text("utf-8").splitlines():
        digest, name = line.split(" *")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            faults.append(f"{name} is not the file that was exported; copy the folder anew")
    scorer = Scorer(folder)
    recorded, allowed = scorer.facts["check"]["score"], scorer.facts["check"]["allowed_difference"]
    score = scorer.score(check_frame(scorer.facts["crop"]))
    if not abs(score - recorded) <= allowed:
        faults.append(f"the made-up frame scores {score:.6f} here, {recorded:.6f} where it was exported")
    return faults


def _in_onnxruntime(model: Path) -> ScoreCrops:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])

    def score(crops: NDArray[np.uint8], controls: NDArray[np.float32]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = session.run(None, {"crops": crops, "controls": controls})[0]
        return scores

    return score


def _in_openvino(model: Path) -> ScoreCrops:
    """OpenVINO in bfloat16; a processor that has no bfloat16 computes in float32."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would report the import
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(core.read_model(str(model)), "CPU", settings).create_infer_request()

    def score(crops: NDArray[np.uint8], controls: NDArray[np.float32]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = request.infer({"crops": crops, "controls": controls})[0]
        return scores.copy()  # the request's own buffer is used again

    return score


def _parse_controls(text: str) -> dict[str, float]:
    parts = [part.partition("=") for part in text.split(",") if part]
    return {name.strip(): float(value) for name, _, value in parts}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Score SEM frames with an exported network.")
    parser.add_argument("frames", nargs="*", type=Path, help="image files")
    parser.add_argument("--controls", default={}, type=_parse_controls, help="brightness=50,contrast=45")
    parser.add_argument("--data-bar", type=int, help="rows of the data bar; by default it is looked for")
    parser.add_argument("--json", action="store_true", help="print a line of JSON a frame")
    parser.add_argument("--check", action="store_true", help="check the files and the arithmetic")
    asked = parser.parse_args()
    if not asked.frames and not asked.check:
        parser.error("give image files, or --check")
    return asked


def _score_files(asked: argparse.Namespace) -> list[str]:
    """Print the score of each file; returns what is wrong with others."""
    scorer, faults = Scorer(), []
    for path in asked.frames:
        try:
            score = scorer.score(crop_data_bar(read_frame(path), asked.data_bar), asked.controls)
        except DatasetError as error:
            faults.append(f"{path}: {str(error).removeprefix(f'{path}: ')}")
            continue
        missing = [name for name in scorer.names if name not in asked.controls]
        told = {"frame": str(path), "score": round(score, 3), "missing": missing}
        note = f"  (missing: {', '.join(missing)})" if missing else ""
        print(json.dumps(told) if asked.json else f"{score:6.2f}  {path}{note}")
    return faults


def main() -> int:
    """Do what the command line asks; returns the exit code."""
    asked = _arguments()
    faults = check() if asked.check else []
    if asked.check and not faults:
        print("all files, and the score of the made-up frame, are as they were exported")
    faults += _score_files(asked) if asked.frames else []
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
