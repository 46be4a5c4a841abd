"""What this machine is, for whoever wants to know whether a search would fare well on it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from semtune.dataset.paging import host_memory
from semtune.engines import ENGINES
from semtune.engines.choice import describe_device
from semtune.environment import cores, node_cache
from semtune.nodes import Gpu, NodeFacts
from semtune.provenance import source_here, versions_here
from semtune.training.data import training_device
from semtune.training.fit import uses_bfloat16

_QUESTION = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")
_SHARED = Path("/dev/shm")


def examine(cache: Path) -> NodeFacts:
    """Look at this machine.

    Args:
        cache: Folder of decoded frames; it need not be there.
    """
    device, (gpus, driver) = training_device(), _gpus()
    cpus = cores()
    return NodeFacts(
        versions={**versions_here(), "source": source_here()},
        cpus=cpus,
        memory=host_memory(),
        shared_memory=shutil.disk_usage(_SHARED).total if _SHARED.is_dir() else None,
        gpus=gpus,
        driver=driver,
        device=describe_device(device, cpus),
        cuda=device.type == "cuda",
        bfloat16=uses_bfloat16("auto", device),
        engines={engine.name: engine.hindrance(device.type) for engine in ENGINES},
        cache=str(cache),
        cache_free=shutil.disk_usage(_existing(cache)).free,
    )


def examine_node(cache: str | None) -> dict[str, Any]:
    """Look at the machine of a Ray worker: names and numbers, to travel.

    Args:
        cache: Folder of decoded frames; None for the node's own, which it fills from a storage.
    """
    facts = examine(Path(cache) if cache else node_cache()[0])
    return facts.model_copy(update={"token": _asks_for_token()}).model_dump()


def _gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """The GPUs and the version of their driver, as the driver's own tool tells them."""
    try:
        told = subprocess.run(_QUESTION, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (), None
    rows = [[cell.strip() for cell in line.split(",")] for line in told.splitlines() if line.count(",") == 2]
    gpus = tuple(Gpu(name=name, memory=int(mib) * 2**20) for name, mib, _ in rows if mib.isdigit())
    return gpus, rows[0][2] if rows else None


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _asks_for_token() -> bool:
    """Whether Ray was started with its token on this node: the raylet, this worker's parent, knows."""
    try:
        began = Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0")
    except OSError:
        began = [f"{name}={value}".encode() for name, value in os.environ.items()]
    return any(each.lower() == b"ray_auth_mode=token" for each in began)
