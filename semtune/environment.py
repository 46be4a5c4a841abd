"""What the libraries are told before they are imported: be quiet, be private, load no pickle."""

from __future__ import annotations

import os
from pathlib import Path

from semtune.errors import ConfigError


def quiet_environment() -> None:
    """Switch off telemetry, chatter and unsafe loading of the libraries, for this process and its children.

    Must run before ray, mlflow or torch are imported; a value that the user has set stays.
    """
    for name, value in {
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "RAY_USAGE_STATS_ENABLED": "0",
        # What speaks for a Ray port can run code: no cluster without its token.
        "RAY_AUTH_MODE": "token",
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
        # Trials write their own records; Tune's snapshots and loggers would be a second, slower copy.
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "3600",
        # Tune would ask for the cluster's resources, for its logs alone, and with a dead head wait for ever.
        "TUNE_STATE_REFRESH_PERIOD": "1e9",
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
        # Worker processes of a cluster that starts here import what trials need while the driver is still
        # busy; a process a core, which is too many where trials wait for a GPU.
        "RAY_prestart_worker_first_driver": str(not _has_gpu()).lower(),
        "RAY_preload_python_modules": "semtune.search.trainable,semtune.search.worker",
        "RAY_idle_worker_killing_time_threshold_ms": "10000",
        # Ray gives its workers the lowest priority but one; training is what the machine is here for.
        "RAY_worker_niceness": "0",
        # Trial workers keep the memory of a training step for the next one: returned to the system and
        # fetched again, it costs 3 to 20 % of the step in page faults; large pages spare another 3 to 5 %.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "MALLOC_MMAP_THRESHOLD_": str(64 * 2**20),
        "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
    }.items():
        os.environ.setdefault(name, value)


def node_cache() -> tuple[Path, int]:
    """Where a node of a cluster keeps frames that it fetched, and how many bytes of them at most.

    `SEMTUNE_CACHE` and `SEMTUNE_CACHE_LIMIT` (in GB) of the node's own environment say so, because nodes have
    unlike disks; by default the user's cache folder and 100 GB.

    Raises:
        ConfigError: If the limit is no number.
    """
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "semtune"
    limit = os.environ.get("SEMTUNE_CACHE_LIMIT", "100")
    try:
        return Path(os.environ.get("SEMTUNE_CACHE", usual)).absolute(), int(float(limit) * 1e9)
    except (ValueError, OverflowError):
        raise ConfigError(f"SEMTUNE_CACHE_LIMIT: {limit!r} is no number of GB; write e.g. 50") from None


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _has_gpu() -> bool:
    return Path("/dev/nvidia0").exists()
