"""The network as a CUDA graph: one launch a batch instead of one a kernel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from semtune.engines.native import ScoreCrops, folded
from semtune.networks.head import ScoreNetwork

_MOST_SHAPES = 8  # graphs kept; each holds the activations of its batch
_LOG = logging.getLogger("semtune")

Record: TypeAlias = Callable[[Callable[[], Tensor]], tuple[Callable[[], object], Tensor]]
"""What computes into a tensor -> a way to do it again, and that tensor."""


def as_cuda_graph(network: ScoreNetwork, crops: Tensor, bfloat16: bool) -> ScoreCrops:
    """The folded network, captured once for each batch that it meets."""
    return replayed(folded(network, crops, bfloat16), captured)


def replayed(score: ScoreCrops, record: Record) -> ScoreCrops:
    """Record the work on each batch size and do it again from buffers; what cannot be recorded runs as it is.

    Args:
        score: What to record.
        record: Captures work on the buffers; `captured` on a GPU.
    """
    recordings: dict[torch.Size, ScoreCrops] = {}

    def run(crops: Tensor, controls: Tensor) -> Tensor:
        with torch.inference_mode():
            known = recordings.get(crops.shape)
            if known is None and len(recordings) < _MOST_SHAPES:
                known = recordings[crops.shape] = _recorded(score, crops, controls, record)
            return (known or score)(crops, controls)

    return run


def captured(work: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
    """Capture work as a CUDA graph, after the warm-up in which cuDNN and cuBLAS choose their kernels."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer = work()
    return graph.replay, answer


def _recorded(score: ScoreCrops, crops: Tensor, controls: Tensor, record: Record) -> ScoreCrops:
    held_crops, held_controls = crops.clone(), controls.clone()
    try:
        again, answer = record(lambda: score(held_crops, held_controls))
    except RuntimeError as error:
        _LOG.warning("scoring without a CUDA graph: %s", str(error).partition("\n")[0])
        return score

    def run(crops: Tensor, controls: Tensor) -> Tensor:
        held_crops.copy_(crops, non_blocking=True)
        held_controls.copy_(controls, non_blocking=True)
        again()
        return answer.clone()

    return run
