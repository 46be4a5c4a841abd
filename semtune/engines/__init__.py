"""The engines that can score crops: one trained network, several ways to compute it.

Each gives the scores of the network in float32 within a stated tolerance; `semtune.engines.choice` races
them and takes the fastest. Those that need a package beyond torch are left out where it is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from torch import Tensor

from semtune.engines.exported import in_onnxruntime, in_openvino
from semtune.engines.graph import as_cuda_graph
from semtune.engines.native import ScoreCrops, as_trained, compiled, folded
from semtune.networks.head import ScoreNetwork
from semtune.registry import Registry


@dataclass(frozen=True)
class Engine:
    """A way to compute a network's scores, with the facts that decide where it can be used."""

    name: str
    prepare: Callable[[ScoreNetwork, Tensor, bool], ScoreCrops]
    """Network in evaluation mode, example crops, whether in bfloat16 -> what scores crops.

    The crops are uint8, shape (batch, 1, size, size), on the network's device; later ones may differ in
    number, not in size. The network is left as it was.
    """
    devices: tuple[str, ...] = ("cpu", "cuda")
    bfloat16: bool = True
    """Whether it can compute in bfloat16; if not, it computes in float32 whatever is asked."""
    packages: tuple[str, ...] = ()
    """What must be installed beside semtune's own dependencies (`pip install semtune[fast]`)."""
    programs: tuple[str, ...] = ()
    """Of which one must be on the path."""
    automatic: bool = True
    """Whether a race includes it; False where preparing takes longer than it can save."""

    def hindrance(self, device: str) -> str:
        """Tell why it cannot be used on a device (`cpu` or `cuda`); empty where it can."""
        if device not in self.devices:
            return f"it does not run on {device}"
        missing = [package for package in self.packages if find_spec(package) is None]
        if missing:
            return f"{', '.join(missing)} not installed; `pip install semtune[fast]` brings it"
        if self.programs and not any(map(shutil.which, self.programs)):
            return f"it needs a C++ compiler ({', '.join(self.programs)})"
        return ""


ENGINES = Registry(
    "engine",
    [
        Engine("eager", as_trained),
        Engine("folded", folded),
        Engine("compiled", compiled, programs=("c++", "g++", "clang++"), automatic=False),
        Engine("onnxruntime", in_onnxruntime, ("cpu",), bfloat16=False, packages=("onnx", "onnxruntime")),
        Engine("openvino", in_openvino, ("cpu",), packages=("onnx", "openvino")),
        Engine("cuda_graph", as_cuda_graph, ("cuda",)),
    ],
)
