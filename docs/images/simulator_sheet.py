"""Draws simulator.png beside this file: frames of the simulated microscope with their simulated scores.

python docs/images/simulator_sheet.py
"""

from io import BytesIO
from itertools import chain
from pathlib import Path

from matplotlib import pyplot as plt
from PIL import Image

from semtune.simulator import STANDARD, Setup, Variation, simulate_field

SEED, SETTINGS, COLUMNS = 0, 12, 5
STANDARD_FIELDS = (0, 2, 6, 10)
VARIED_FIELDS = (0, 16, 18, 22, 24)
"""Their best frames make one row; the third and the last of them have a row each."""
GREY_LEVELS = 16
"""Of the picture: noise in all 256 would make it four times as large."""


def main() -> None:
    """Rows of standard fields, best frame first, then varied fields: each frame under its score."""
    rows = [spread(simulate_field(field, SETTINGS, SEED, STANDARD)) for field in STANDARD_FIELDS]
    varied = Setup(variation=Variation())
    one_each = [spread(simulate_field(field, SETTINGS, SEED, varied)) for field in VARIED_FIELDS]
    rows += [[frames[0] for frames in one_each], one_each[2], one_each[4]]
    figure, axes = plt.subplots(len(rows), COLUMNS, figsize=(9.6, 1.62 * len(rows)), layout="constrained")
    figure.suptitle(
        "simulated frames under their simulated scores; from the fifth row on: --varied", fontsize=9
    )
    for frame, axis in zip(chain(*rows), axes.flat, strict=True):
        axis.imshow(frame.frame, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
        axis.set_title(f"{frame.score:.1f}  {frame.specimen}, {frame.magnification}x", fontsize=7, pad=2)
        axis.set_axis_off()
    drawn = BytesIO()
    figure.savefig(drawn, dpi=100)
    picture = Image.open(drawn).convert("L").quantize(GREY_LEVELS, dither=Image.Dither.NONE)
    picture.save(Path(__file__).with_name("simulator.png"), optimize=True)


def spread(frames: list) -> list:
    """Frames from the best score to the worst, evenly spread."""
    ranked = sorted(frames, key=lambda frame: -frame.score)
    return [ranked[i * (len(ranked) - 1) // (COLUMNS - 1)] for i in range(COLUMNS)]


if __name__ == "__main__":
    main()
