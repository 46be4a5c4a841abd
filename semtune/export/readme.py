"""The README of an export: for a person at the microscope's computer, who has never heard of semtune."""

from __future__ import annotations

from typing import Any

_README = """\
A scorer of SEM frames
======================

It gives a frame of a scanning electron microscope a score from {low:g} to {high:g}: the quality that a
specialist would see in it. Higher is better. It is {source} of
semtune {semtune}: {architecture}, trained on {origin} frames and scores.{warning}

It needs neither semtune nor a GPU nor a network connection; Windows, Linux and macOS will do.


Install
-------

1. Python 3.11 or later, 64 bits (python.org; on Windows choose "Add python.exe to PATH").
2. In this folder, in a terminal (Windows: "cmd" in the address bar of the Explorer):

       python -m pip install -r requirements.txt

   Without internet: on a computer that has it, with the Python version of the microscope's computer
   (one line),

       python -m pip download -r requirements.txt -d wheels --only-binary :all:
           --platform win_amd64 --python-version 3.12

   then copy the folder wheels into this one, and here

       python -m pip install -r requirements.txt --no-index -f wheels

3. See whether all is as it was exported:

       python score_frame.py --check

numpy and {engine} are all that scoring needs. Pillow opens image files; leave it out if your own
program hands over the frames as numpy arrays.


Score frames
------------

    python score_frame.py frame.tif{example}
    python score_frame.py one.png two.png --json

From Python:

    from score_frame import Scorer, crop_data_bar, read_frame
    scorer = Scorer()
    scorer.score(crop_data_bar(read_frame("frame.tif")))

Control parameters are what the operator sets. Give those that you know, in the units of the training
data; others count as missing, which costs accuracy. Mean and standard deviation in training, beyond thrice of
which the network has seen nothing:

{controls}

Give them by --controls: this program does not read them from the vendor's metadata, as `semtune score`
does.

Frames: grey, 8 or 16 bits (16 bits are divided by 257), at least {crop} x {crop} pixels, neither rescaled nor
sharpened. A burned-in data bar is looked for and left out; --data-bar 64 leaves out 64 rows whatever is
found, --data-bar 0 none (`semtune score` believes the vendor's metadata first, where they tell its height).
Colours of 16 bits lose their lower 8 bits when Pillow reads them: save such frames as grey.


From another language (C#, C++, LabVIEW)
----------------------------------------

model.onnx, opset {opset}, runs in {runtime}.
  crops     uint8    (batch, 1, {crop}, {crop})   grey levels 0..255 as they are; the model scales them
  controls  float32  (batch, {count})   in the order above, in their own units, NaN where missing; the
                     model scales them by mean and standard deviation, and knows that one is missing
  scores    float32  (batch)

Cut at most {tiles} crops as the function `tiles` of score_frame.py does, score them, average, clip to
{low:g}..{high:g}.


What is in the folder
---------------------

  model.onnx        the network
  model.json        everything above as data
  score_frame.py    the program, one file
  requirements.txt  what it needs
  LICENSE.txt       of score_frame.py and the network's definition (Apache-2.0)
  SHA256SUMS        of all these files; `python score_frame.py --check` compares, or
                    `sha256sum --check SHA256SUMS`, or `certutil -hashfile model.onnx SHA256`

The weights are yours: semtune's licence makes no claim on what you trained.
{licences} and Pillow (MIT-CMU) are not in the folder;
pip brings them with their licences.


How it was checked
------------------

{parity}
"""
_RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO, here in bfloat16"}
_LICENCES = {
    "onnxruntime": "onnxruntime (MIT), numpy (BSD-3-Clause)",
    "openvino": "OpenVINO (Apache-2.0), numpy (BSD-3-Clause)",
}


def readme(facts: dict[str, Any]) -> str:
    """The text for the facts of `model.json`."""
    parameters = facts["control_parameters"]
    engine = facts["engine"]
    simulated = facts["dataset"]["origin"] == "simulated"
    values = ",".join(f"{each['name']}={each['mean']:.3g}" for each in parameters)
    return _README.format(
        low=facts["score_range"][0],
        high=facts["score_range"][1],
        source=facts["source"],
        semtune=facts["semtune"],
        architecture=facts["architecture"],
        origin=facts["dataset"]["origin"],
        warning=" No specialist ever scored them: a starting\npoint at best." if simulated else "",
        engine=engine,
        runtime=_RUNTIMES[engine],
        licences=_LICENCES[engine],
        example=f" --controls {values}" if values else "",
        controls="\n".join(f"  {each['name']}: {each['mean']:.4g} +- {each['sd']:.3g}" for each in parameters)
        or "  none",
        count=len(parameters),
        crop=facts["crop"],
        tiles=facts["tiles"],
        opset=facts["onnx_opset"],
        parity=_parity(facts),
    )


def _parity(facts: dict[str, Any]) -> str:
    parity, loss = facts["parity"], facts["loss"]
    lines = [
        f"On {parity['crops']} crops of test frames, some without control parameters, score_frame.py",
        f"differed from torch in float32 by at most {parity['largest_difference']:.1e} points "
        f"({parity['allowed']:g} were allowed).",
    ]
    if loss:
        lines.append(
            f"On {loss['frames']} test frames the error (RMSE) is {loss['rmse']:.4f} points; "
            f"with torch in float32 it is {loss['rmse_float32']:.4f}."
        )
    return "\n".join(lines)
