"""Run the benchmarks (all `bench_*.py` beside this file, or those named) and keep their figures.

    python tests/benchmarks/run.py [autofocus] [search] ...

Each module's `run()` returns its figures; they are printed as tables and kept as one JSON file under
benchmark-results/, with what is needed to compare it with another: hardware, load, versions, commit.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from semtune.environment import quiet_environment
from semtune.timing import describe_processor

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGES = ("semtune", "torch", "ray", "optuna", "mlflow", "numpy", "opencv-python-headless", "scikit-learn")
COLUMN = 22


def main(names: list[str]) -> None:
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    unknown = set(names) - set(known)
    if unknown:
        raise SystemExit(f"no benchmark named {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    kept = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **surroundings(), "figures": {}}
    file = ROOT / "benchmark-results" / f"{kept['date'].replace(':', '')}.json"
    file.parent.mkdir(exist_ok=True)
    for name in names or known:
        before = os.getloadavg()[0]
        figures = import_module(f"bench_{name}").run()
        kept["figures"][name] = figures
        kept["load_before"][name] = before
        print(f"\n{name} (load before: {before:.1f} on {os.cpu_count()} cores)")
        print("\n".join(lines(figures)), flush=True)
        file.write_text(json.dumps(kept, indent=1), "utf-8")
    print(f"\n-> {file.relative_to(ROOT)}")


def surroundings() -> dict[str, Any]:
    """Hardware, versions and commit of a run."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "hardware": f"{describe_processor(os.cpu_count() or 1)}, {memory:.0f} GiB",
        "python": sys.version.split()[0],
        "versions": {package: version(package) for package in PACKAGES},
        "commit": commit or None,
        "load_before": {},
    }


def lines(figures: Mapping[str, Any]) -> Iterable[str]:
    """Figures as text: a line for each plain one, a table for those that have columns."""
    rows = {name: value for name, value in figures.items() if isinstance(value, Mapping)}
    yield from (f"  {name:{COLUMN}} {cell(value)}" for name, value in figures.items() if name not in rows)
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    widths = [max(len(column), 9) for column in columns]
    if rows:
        yield "  ".join([" " * (COLUMN + 2), *(f"{c:>{w}}" for c, w in zip(columns, widths, strict=True))])
    for name, row in rows.items():
        cells = [f"{cell(row.get(c)):>{w}}" for c, w in zip(columns, widths, strict=True)]
        yield "  ".join([f"  {name:{COLUMN}}", *cells])


def cell(value: object) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    quiet_environment()
    main(sys.argv[1:])
