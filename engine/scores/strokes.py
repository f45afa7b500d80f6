"""What a voice that a gate triggers is told (`engine/models/spectrogram_gan.py` says what each
condition means): rows in which it is asked for one stroke after another.

    gate   ^...............^...............^....
    kick   1               0               0         classes in turn
    snare  0               1               0
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.scores.conditions import GATE, PITCH, voices_of

FloatArray = NDArray[np.float32]
VELOCITY = "velocity"
Z = "z"
EVERY_S = 0.5  # a stroke, where nobody says when
GATE_ROWS = 2
SOFT = 0.6  # velocity of every second stroke of a class
MIXED, NOT_SAID = 0.2, 0.15  # how often made-up strokes are of two classes, or of none
SHORTEST, LONGEST = 6, 160  # rows from one made-up stroke to the next


def plays_strokes(labels: Sequence[str]) -> bool:
    """Whether a method with such conditions is one that a gate triggers."""
    return GATE in labels and VELOCITY in labels and not voices_of(labels)


def in_turn(labels: Sequence[str], classes: Sequence[str], rows: int, every: int) -> FloatArray:
    """Strokes of the classes in turn, one in `every` rows [labels, rows]; of none where there are
    no `classes`. Everything else is 0: any subclass."""
    x = np.zeros((len(labels), rows), np.float32)
    for number, start in enumerate(range(0, rows, every)):
        end = start + every
        x[labels.index(GATE), start : start + GATE_ROWS] = 1
        turn = number // max(1, len(classes))
        x[labels.index(VELOCITY), start:end] = SOFT if turn % 2 else 1.0
        if classes:
            x[labels.index(classes[number % len(classes)]), start:end] = 1
    return x


def made_up(labels: Sequence[str], groups: Sequence[Sequence[str]], rows: int, seed: int
            ) -> FloatArray:
    """Strokes as a player might ask for them [labels, rows]: of one name of each group, mixed or
    not said now and then, in all velocities, of any z."""
    rng = np.random.default_rng(seed)
    x = np.zeros((len(labels), rows), np.float32)
    z = [index for index, label in enumerate(labels) if label.startswith(f"{Z} ")]
    at = int(rng.integers(LONGEST // 4))
    while at < rows:
        end = at + int(rng.integers(SHORTEST, LONGEST))
        x[labels.index(GATE), at : at + 1 + int(rng.integers(SHORTEST - 2))] = 1
        x[labels.index(VELOCITY), at:end] = rng.uniform(0.15, 1)
        x[labels.index(PITCH), at:end] = rng.uniform(-0.5, 0.5) if rng.random() < 0.5 else 0
        for names in groups:
            if not names or rng.random() < NOT_SAID:
                continue
            share = rng.random() if rng.random() < MIXED else 1.0
            for weight in (share, 1 - share):
                x[labels.index(names[int(rng.integers(len(names)))]), at:end] += weight
        x[z, at:end] = rng.standard_normal((len(z), 1))
        at = end
    return x
