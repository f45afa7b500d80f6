"""How a model is asked for a class, and a classifier that hears which one it made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.description import GENERATE
from engine.players.base import Player
from training.evaluation.descriptors import Units

if TYPE_CHECKING:
    from training.evaluation.judges.case import Case

FloatArray = NDArray[np.float32]
Points = NDArray[np.float64]
CLASS = "class"  # name of an attribute, or label of an input channel, that says which
LEAST = 0.01  # variance within a class, of that over all: what few sounds cannot rule out
NUMBERED = re.compile(r"class[ _]\d+")


@dataclass(frozen=True)
class ClassInput:
    """Where a class is asked for: `channels` of the input (one: its number, several: 1 in its
    own), or else the attribute "class"."""

    channels: tuple[int, ...]
    count: int | None  # None: as many as there are

    def ask(self, player: Player, x: FloatArray, number: int) -> None:
        """Ask for class `number` in the input `x` [..., channels, frames], or of the player."""
        if not self.channels:
            size = player.attributes[CLASS].size
            least = player.attributes[CLASS].minimum
            player.set(CLASS, np.eye(size)[number] if size > 1 else least + number)
        elif len(self.channels) == 1:
            x[..., self.channels[0], :] = number
        else:
            x[..., self.channels, :] = 0
            x[..., self.channels[number], :] = 1


def class_input(case: Case) -> ClassInput | None:
    """How the main method is asked for a class; None where it cannot be. Channels are called
    "class 0", "class 1", ..., or as the folders of the data are; or there is one called "class"."""
    if not case.description.methods:
        return None
    spec = case.description.main
    if spec.role == GENERATE:
        folders = class_folders(case)
        for known in (NUMBERED.fullmatch, lambda label: label in folders):
            found = tuple(i for i, label in enumerate(spec.input_labels) if known(label))
            if len(found) > 1:
                return ClassInput(found, len(found))
        if CLASS in spec.input_labels:
            return ClassInput((spec.input_labels.index(CLASS),), None)
    if CLASS in case.player.attributes:
        attribute = case.player.attributes[CLASS]
        counted = attribute.size if attribute.size > 1 else None
        return ClassInput((), counted or round(attribute.maximum - attribute.minimum) + 1)
    return None


def class_folders(case: Case) -> list[str]:
    """Names of the folders in the data, in their order."""
    if not case.folder.is_dir():
        return []
    return sorted(entry.name for entry in case.folder.iterdir()
                  if entry.is_dir() and not entry.name.startswith("."))


class Classifier:
    """Linear discriminant analysis: classes are Gaussian clouds of one shape, equally likely. The
    fewer sounds there are, the less do axes count as going together."""

    def __init__(self, examples: list[list[Points]]) -> None:
        """`examples`: of each class its sounds, of each sound its points [count, numbers]."""
        classes = [np.concatenate(sounds) for sounds in examples]
        self.units = Units(np.concatenate(classes))
        means = np.stack([self.units.scaled(part).mean(axis=0) for part in classes])
        inner = np.concatenate([self.units.scaled(part) - mean
                                for part, mean in zip(classes, means, strict=True)])
        shape, size = inner.T @ inner / len(inner), inner.shape[1]
        # Points of one sound are alike: it is sounds that tell how classes vary.
        share = size / (size + max(0, sum(map(len, examples)) - len(examples)))
        self.weights = np.linalg.solve(
            (1 - share) * shape + share * np.diag(np.diag(shape)) + LEAST * np.eye(size), means.T)
        self.bias = -0.5 * np.einsum("ck,kc->c", means, self.weights)

    def hear(self, points: Points) -> int:
        """The class of a sound, from its points [count, numbers]."""
        return int((self.units.scaled(points) @ self.weights + self.bias).mean(axis=0).argmax())
