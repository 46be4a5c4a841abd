"""Single ratings on their way from the folder where they were given into a dataset."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from semtune.dataset import Sample
from semtune.dataset.faults import NAMED_FAULTS
from semtune.dataset.raters import FEWEST_REPEATS, judge_raters
from semtune.dataset.ratings import RATINGS_FILE, Rating, counted, disagreeing, read_ratings
from semtune.errors import DatasetError


class Carried(NamedTuple):
    """The ratings that a dataset takes along."""

    ratings: tuple[Rating, ...] = ()
    """By the images of the dataset."""
    noise: float | None = None
    """Standard deviation of the noise in the reference scores, score points; None if unknown."""
    notes: tuple[str, ...] = ()


def carry_ratings(folder: Path, samples: Mapping[str, Sample]) -> Carried:
    """Take along the ratings that the scores are the means of; none where the scores say something else.

    Args:
        folder: Of the table of scores, where `ratings.csv` may lie.
        samples: By the image as the table names it.

    Raises:
        DatasetError: If `ratings.csv` is damaged.
    """
    read = read_ratings(folder)
    if read.faults:
        raise DatasetError("\n".join(f"{folder}/{fault}" for fault in read.faults[:NAMED_FAULTS]))
    found = [each for each in read.ratings if each.image in samples]
    if not found:
        return Carried()
    scores = {image: sample.reference_score for image, sample in samples.items()}
    if other := disagreeing(found, scores):
        said = (
            f"the score of {other[0]} is not the mean of its ratings ({counted(len(other), 'frame')} in all)"
        )
        return Carried(notes=(f"{RATINGS_FILE} was left out: {said}.",))
    judged = judge_raters(found)
    noise = judged.reference_noise if judged else None
    unknown = f"unknown, {FEWEST_REPEATS} repeats are needed"
    known = f"{noise:.2f}, the floor of any RMSE" if noise is not None else unknown
    renamed = (dataclasses.replace(each, image=samples[each.image].image) for each in found)
    return Carried(
        tuple(renamed), noise, (f"{counted(len(found), 'single rating')}; noise of the scores: {known}.",)
    )
