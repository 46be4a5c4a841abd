"""What a dry run says, as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def foretold(facts: dict[str, Any]) -> str:
    """What a search would do and take."""
    lines = [f"{facts['frames']} frames of {facts['fields']} fields, digest {facts['digest'][:12]}"]
    if origin := facts.get("started_from"):
        moved = f"; {origin['fields_moved']} fields that it has seen train" if origin["fields_moved"] else ""
        lines.append(f"{origin['architecture']} starts from {origin['source']}, others from scratch{moved}")
    lines += [_stratum(each) for each in facts["strata"]]
    lines += [f"warning: {leak}" for leak in facts["leaks"]]
    lines += _cost(facts["forecast"]) if facts["forecast"] else []
    lines.append(f"at most {facts['most_epochs']} epochs; nothing was started")
    return "\n".join(lines)


def _stratum(facts: dict[str, Any]) -> str:
    rungs = ", ".join(map(str, facts["rungs"])) or "none"
    trials = f"{facts['trials']} trials of up to {facts['epochs']} epochs"
    fresh = f", {facts['fresh_seeds']} more with fresh seeds" if facts["fresh_seeds"] else ""
    ends = [*facts["rungs"][1:], facts["epochs"]] if facts["rungs"] else []
    counts = ", ".join(f"{n:.0f} reach {end}" for n, end in zip(facts["survivors"], ends, strict=False))
    return f"{facts['name']}: {trials}, rungs at {rungs}{f' (about {counts})' if counts else ''}{fresh}"


def _cost(facts: dict[str, Any]) -> Iterator[str]:
    from semtune.display import duration

    for each in facts["costs"]:
        yield (
            f"{each['architecture']}: {each['epochs']:.0f} epochs of {each['seconds_per_epoch']:.2g} s, "
            f"{duration(each['seconds'])} in all; {each['peak_bytes'] / 1e9:.1f} GB a trial"
        )
    yield (
        f"expected: {duration(facts['seconds'])} with {facts['concurrent']} trials at a time, "
        f"{facts['device_hours']:.2g} {facts['device']}-hours, up to {facts['peak_bytes'] / 1e9:.1f} GB; "
        f"by a batch of each architecture ({facts['probe_seconds']:.0f} s) on this machine, as busy as it is "
        "now: a guide, not a promise"
    )
    if facts["peak_bytes"] > facts["memory_bytes"]:
        yield (
            f"warning: there are {facts['memory_bytes'] / 1e9:.1f} GB of memory; lower --concurrent, "
            "--crop or the batch size"
        )
