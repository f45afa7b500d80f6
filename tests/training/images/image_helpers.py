"""A set of pictures that tests always have, and short trainings on it."""

from __future__ import annotations

from functools import cache

import torch
from rich.console import Console

from training.images.measures import Standard
from training.images.networks import PictureJudge
from training.images.printed import printed
from training.images.recipes import prepared, run
from training.images.runs import Trained
from training.images.sets import DIGITS, PictureSet
from training.objectives.base import Objective

SIDE, CLASSES = 8, 5


@cache
def small_set(side: int = SIDE) -> PictureSet:
    """Printed digits 0 to 4, 1,200 to learn from and 400 held out."""
    x, labels = printed(1600 * 10 // CLASSES, side, 0)
    x, labels = x[labels < CLASSES], labels[labels < CLASSES]
    return PictureSet("printed", "tests", DIGITS[:CLASSES], x[:1200], labels[:1200], x[1200:],
                      labels[1200:])


def trained(
    name: str, steps: int, *assignments: str, seed: int = 0, side: int = SIDE
) -> tuple[Trained, Objective]:
    """A row of `RECIPES` after so many steps on one thread."""
    torch.set_num_threads(1)
    objective = prepared(name, small_set(side), seed, None, steps, list(assignments))
    return run(name, objective, small_set(side), Console(quiet=True)), objective


@cache
def standard(side: int = SIDE, steps: int = 150) -> Standard:
    """What samples are held against."""
    judge = trained("classifier", steps, side=side)[0].model
    assert isinstance(judge, PictureJudge)
    return Standard.of(judge, small_set(side))
