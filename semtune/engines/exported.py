"""Engines that run the network as an ONNX graph on a CPU: ONNX Runtime and OpenVINO, both optional."""

from __future__ import annotations

import copy
import sys
import warnings
from io import BytesIO
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from semtune.engines.native import CropScorer, ScoreCrops
from semtune.networks.head import ScoreNetwork

OPSET = 17
"""Of the ONNX models."""
_INPUTS = ("crops", "controls")


class _FixedAveragePool(nn.Module):
    """Adaptive average pooling as two products with constant matrices: ONNX knows no adaptive pooling."""

    def __init__(self, parts: tuple[int, int]) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, features: Tensor) -> Tensor:
        rows, columns = (
            averaging_matrix(int(size), parts)
            for size, parts in zip(features.shape[-2:], self.parts, strict=True)
        )
        return rows @ features @ columns.T


def averaging_matrix(size: int, parts: int) -> Tensor:
    """The matrix (parts, size) that averages a row of values over its parts, as adaptive pooling does."""
    matrix = np.zeros((parts, size), np.float32)
    for part in range(parts):
        start, end = part * size // parts, -(-(part + 1) * size // parts)
        matrix[part, start:end] = 1 / (end - start)
    return torch.from_numpy(matrix)


def as_onnx(network: ScoreNetwork, crops: Tensor) -> bytes:
    """The network as ONNX, for any batch of crops of this size; the same bytes each time.

    By the exporter of TorchScript: that of torch.export takes 5 to 25 s where this takes 0.1 to 2.
    """
    scorer = CropScorer(_without_adaptive_pools(network))
    controls = torch.zeros(2, len(network.control_mean))
    file = BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # it is deprecated, and says of every constant that it is one
        torch.onnx.export(
            scorer,
            (torch.zeros(2, *crops.shape[1:], dtype=torch.uint8), controls),
            file,  # type: ignore[arg-type]  # this exporter takes what can be written to
            dynamo=False,
            opset_version=OPSET,
            input_names=list(_INPUTS),
            output_names=["scores"],
            dynamic_axes={name: {0: "batch"} for name in (*_INPUTS, "scores")},
        )
    return file.getvalue()


def in_onnxruntime(network: ScoreNetwork, crops: Tensor, bfloat16: bool) -> ScoreCrops:
    """ONNX Runtime in float32, on as many threads as torch has; its CPU kernels know no bfloat16."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        as_onnx(network, crops), options, providers=["CPUExecutionProvider"]
    )

    def score(crops: Tensor, controls: Tensor) -> Tensor:
        (scores,) = session.run(None, dict(zip(_INPUTS, (crops.numpy(), controls.numpy()), strict=True)))
        return torch.from_numpy(scores)

    return score


def in_openvino(network: ScoreNetwork, crops: Tensor, bfloat16: bool) -> ScoreCrops:
    """OpenVINO, on as many threads as torch has."""
    # Importing it would report the import to its makers; without this module it uses a stub of its own.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # other workers share the cores
    }
    request = core.compile_model(
        core.read_model(as_onnx(network, crops)), "CPU", settings
    ).create_infer_request()

    def score(crops: Tensor, controls: Tensor) -> Tensor:
        answer = request.infer(dict(zip(_INPUTS, (crops.numpy(), controls.numpy()), strict=True)))
        return torch.from_numpy(answer[0].copy())  # the request's own buffer is used again

    return score


def _without_adaptive_pools(network: ScoreNetwork) -> ScoreNetwork:
    """The network with adaptive pools replaced but for global ones; a copy where there are such pools."""
    pools = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size not in (1, (1, 1))
    ]
    if not pools:
        return network
    network = copy.deepcopy(network)
    for name in pools:
        parts: Any = network.get_submodule(name).output_size
        rows, columns = parts if isinstance(parts, tuple) else (parts, parts)
        network.set_submodule(name, _FixedAveragePool((rows, columns)))
    return network
