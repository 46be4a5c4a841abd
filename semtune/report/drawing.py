"""What all figures share: style, colours, captions, and the ways to write a figure down.

Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; shapes and labels say
the same once more. A figure of simulated scores says so within itself, so that it stays said when copied.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure

from semtune.report.table import ComparisonTable

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
NETWORK, CLASSICAL = COLOURS[0], "#B34700"
GREY, PALE, INK = "#767676", "#C8C8C8", "#222222"
MANY = 3000
"""More points or lines than this become pixels within the SVG, which would grow unwieldy."""
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "semtune",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": "#444444",
    "legend.frameon": False,
}
FORMATS = ("svg", "pdf", "png")


@dataclass(frozen=True)
class Plot:
    """A figure with what a reader is told about it."""

    name: str
    """For file names and identifiers."""
    title: str
    caption: str
    """What is shown, of how many fields and frames, and whether they are simulated."""
    alt: str
    """What a sighted reader takes from it, with its main numbers, for those who do not see it."""
    figure: Figure


@dataclass(frozen=True)
class Missing:
    """A figure that cannot be drawn."""

    name: str
    title: str
    reason: str


@contextmanager
def styled() -> Iterator[None]:
    """Draw and write figures in the style of the report."""
    with mpl.rc_context(_STYLE):
        yield


def caption(table: ComparisonTable, text: str, of: str = "test") -> str:
    """Complete a caption by the fields and frames that were looked at, and by their origin.

    Args:
        table: Of the report.
        text: What is shown.
        of: Part of the split that it was computed on.
    """
    facts = table.dataset
    frames = facts.frames_by_part.get(of)
    counted = f"{len(facts.split.get(of, ()))} {of} fields" + (f", {frames} frames" if frames else "")
    doubts = (
        " Frames and scores are simulated." if table.simulated else "",
        " The split is random and leaks." if table.leaks else "",
    )
    return f"{text} n = {counted}.{''.join(doubts)}"


def say_doubts(figure: Figure, table: ComparisonTable) -> None:
    """Write into the figure itself that its scores are simulated, or its split leaks, if so."""
    doubts = ["simulated frames and scores"] * table.simulated + ["random split: leaks"] * table.leaks
    if doubts:
        figure.suptitle(", ".join(doubts), fontsize=8, color="#9A3B00", x=0.005, ha="left")


def as_svg(plot: Plot) -> str:
    """The figure as an SVG element to stand within a page; equal figures give equal text.

    Identifiers get the plot's name, because those of several figures of a page would collide.
    """
    whole = as_file(plot, "svg").decode()
    element = whole[whole.index("<svg") :]
    for reference in ('id="', "url(#", 'href="#'):
        element = element.replace(reference, f"{reference}{plot.name}-")
    return element.rstrip("\n")


def as_file(plot: Plot, suffix: str, dots_per_inch: int = 200) -> bytes:
    """The figure as a whole file of one of `FORMATS`; equal figures give equal bytes."""
    nothing = {
        "svg": dict.fromkeys(("Creator", "Date", "Format", "Type")),
        "pdf": dict.fromkeys(("Creator", "CreationDate", "Producer")),
        "png": {"Software": None},
    }
    file = io.BytesIO()
    with styled():
        plot.figure.savefig(file, format=suffix, metadata=nothing[suffix], dpi=dots_per_inch)
    return file.getvalue()
