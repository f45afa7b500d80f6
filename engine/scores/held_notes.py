"""Notes as the conditions of one voice that holds them: a gate, a velocity, a pitch in octaves from
middle C, weights of instruments, z.

A new note always opens the gate anew: it falls for a row first.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.scores.conditions import GATE, PITCH, Roll
from engine.scores.strokes import DECAY, VELOCITY, Z, plays_strokes
from engine.scores.timed import Note, length_s

if TYPE_CHECKING:
    from engine.description import Description

FloatArray = NDArray[np.float32]
# What knobs mix on an instrument, of what the model knows; then others in their order.
MIXED = ("strings", "flute", "trumpet", "choir", "piano", "clarinet", "cello")
MIXERS = (2, 3, 5, 6)  # knobs


def holds_notes(description: Description) -> bool:
    """Whether a model is a voice of held notes, a pitch each."""
    return bool(description.config.get("harmonics")) and plays_strokes(
        description.main.input_labels)


def note_rows(labels: Sequence[str], notes: Sequence[Note], ratio: int, rate: int,
              seconds: float | None = None) -> FloatArray:
    """Rows for `seconds` (until the last note has ended), a row for `ratio` samples at `rate`
    [labels, rows]. One note at a time: a later one takes over. Weights and z are 0."""
    count = ceil((length_s(notes) if seconds is None else seconds) * rate / ratio)
    roll = Roll.of(notes, ratio, rate, 1)
    x = np.zeros((len(labels), count), np.float32)
    x[labels.index(PITCH)], x[labels.index(GATE)] = roll.rows(0, count)
    order = np.argsort(roll.starts, kind="stable")
    for place in order:
        start = int(roll.starts[place])
        x[labels.index(VELOCITY), start:] = roll.velocities[place]
        if 0 < start <= count:
            x[labels.index(GATE), start - 1] = 0
    return x


def notes_mapping(labels: Sequence[str], classes: Sequence[str]) -> str:
    """How an instrument plays it, as docs/mapping.md has it: gate and keys, 1 V/oct, knobs that mix
    four instruments, all instruments by controllers."""
    place = {label: number + 1 for number, label in enumerate(labels)}
    chosen = [*(name for name in MIXED if name in classes),
              *(name for name in classes if name not in MIXED)][: len(MIXERS)]
    lines = ["way source", f"knob1 latent {place[VELOCITY]} 0.3 1  # velocity",
             "knob1 walk 0 0",  # else weights wander by themselves
             *(f"knob{knob} latent {place[name]} 0 1  # {name}"
               for knob, name in zip(MIXERS, chosen, strict=False)),
             f"knob4 latent {place[f'{Z} 1']} -2 2",
             *([f"knob7 latent {place[f'{Z} 2']} -2 2"] if f"{Z} 2" in place else []),
             f"knob8 attribute {DECAY} 0.25 4",
             "cv1 pitch smooth=2", "note pitch", "bender pitch",
             *(f"cv{number} latent {place[name]} 0 1" for number, name in enumerate(chosen[:2], 2)),
             f"cv4 latent {place[f'{Z} 1']} -2 2",
             f"key latent {place[GATE]} smooth=0", f"gate1 latent {place[GATE]} smooth=0",
             f"velocity latent {place[VELOCITY]} 0.1 1 smooth=0",
             *(f"cc{20 + number} latent {place[name]} 0 1"
               for number, name in enumerate(classes[:32])),
             "gate3 reset", "gate4 next"]
    return "\n".join(lines) + "\n"
