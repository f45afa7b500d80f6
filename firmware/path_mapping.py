"""A path as a mapping: one knob, controller or CV is the place on it.

Connections of one input to one target add up (docs/mapping.md), and each is held at its ends
outside its part of the input. So a curve of straight pieces is one line for each piece:

    knob1 latent 3 0.2 0.5 in=0:0.25         from the first knot's number to the next one's
    knob1 latent 3 0 -0.4 in=0.25:0.5        what the second piece adds

A mapping has 96 lines, so a number has as many pieces as it needs and there is room for: the next
one is always cut in two where its line is the farthest from the path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.players.path_file import LOOPS, STROKES, Moved
from engine.scores.conditions import GATE
from engine.scores.paths import LatentPath
from engine.scores.strokes import VELOCITY

Array = NDArray[np.float64]
MOST_LINES = 96  # CONNECTIONS of firmware/common/mapping.h
MOST_LATENTS = 64  # MODULE_LATENTS of firmware/common/module.h
CLOSE = 0.01  # of a number: what lies so near its line is on it
# Input: how many there are, from which on, and the part that covers the path.
INPUTS = {"knob": (1, 16, (0.0, 1.0), ""), "cc": (0, 127, (0.0, 1.0), ""),
          "cv": (1, 16, (0.0, 5.0), " mode=set")}
# What stands beside the path: its movement can be recorded and goes round with the bars.
GATES = ("gate4 reset", "gate7 record at=bar", "gate8 loop at=bar")


@dataclass(frozen=True)
class PathMapping:
    """The text, how many of a mapping's lines it has, and the largest distance of a number from the
    path."""

    text: str
    lines: int
    error: float


def mapping_of(path: LatentPath, moved: Moved, attributes: Mapping[str, object], source: str
               ) -> PathMapping:
    """`source`: knob1, cc0, cv1 and so on. `attributes`: of the model, by name."""
    part, option = _checked(source)
    if moved.spec.in_channels > MOST_LATENTS:
        raise ConfigError(f"the instrument plays models of at most {MOST_LATENTS} inputs, not "
                          f"{moved.spec.in_channels}")
    labels = moved.spec.input_labels
    fixed = [] if moved.kind == LOOPS else [f"{source} walk 0 0{option}"]  # else it wanders
    for name, value in path.held.items():
        if name in labels:
            channel = labels.index(name) + 1
            fixed.append(f"{source} latent {channel} {value:.6g} {value:.6g}{option}")
        elif name in attributes:
            fixed.append(f"{source} attribute {name} {value:.6g} {value:.6g}{option}")
    if moved.kind == STROKES:
        if VELOCITY not in path.held:
            fixed.append(f"{source} latent {labels.index(VELOCITY) + 1} 1 1{option}")
        fixed += [f"gate1 latent {labels.index(GATE) + 1} 0 1 smooth=0",
                  f"key latent {labels.index(GATE) + 1} 0 1 smooth=0"]
    if moved.kind == LOOPS:
        fixed.append("gate2 clock 4")
    fixed += GATES
    room = MOST_LINES - len(fixed)
    count = path.knots.shape[1]
    if room < count:
        raise ConfigError(f"a mapping has {MOST_LINES} lines: {count} numbers and {len(fixed)} "
                          "others do not fit in")
    corners, error = _corners(path, room)
    low, high = part
    text = [f"# {path.kind} of {path.model}: {source} is the place on it", "way source", *fixed]
    for index, at in enumerate(corners):
        channel = moved.places[index] + 1
        values = path.knots[at, index].astype(np.float64)
        ends = low + (high - low) * path.places[at]
        for piece in range(len(at) - 1):
            first = values[0] if piece == 0 else 0.0
            last = values[1] if piece == 0 else values[piece + 1] - values[piece]
            text.append(f"{source} latent {channel} {first:.6g} {last:.6g} "
                        f"in={ends[piece]:.6g}:{ends[piece + 1]:.6g}{option}")
    lines = len(fixed) + sum(len(at) - 1 for at in corners)
    return PathMapping("\n".join(text) + "\n", lines, error)


def _checked(source: str) -> tuple[tuple[float, float], str]:
    """The part of an input that covers the path, and what its lines end with."""
    name = source.rstrip("0123456789")
    number = source[len(name) :]
    if name in INPUTS and number:
        first, last, part, option = INPUTS[name]
        if first <= int(number) <= last and number == str(int(number)):
            return part, option
    raise ConfigError(f"--input wants knob1 to knob16, cc0 to cc127 or cv1 to cv16, not {source!r}")


def _corners(path: LatentPath, room: int) -> tuple[list[list[int]], float]:
    """For each number, which knots are corners; and the largest distance that is left."""
    count, knots = path.knots.shape[1], path.knots.astype(np.float64)
    corners = [[0, len(knots) - 1] for _ in range(count)]
    worst = [_worst(path.places, knots[:, i], corners[i]) for i in range(count)]
    for _ in range(room - count):
        index = int(np.argmax([error for error, _ in worst]))
        if worst[index][0] <= CLOSE:
            break
        corners[index] = sorted([*corners[index], worst[index][1]])
        worst[index] = _worst(path.places, knots[:, index], corners[index])
    return corners, max(error for error, _ in worst)


def _worst(places: Array, values: Array, at: list[int]) -> tuple[float, int]:
    """The knot that is the farthest from the lines between corners, and how far."""
    far = np.abs(np.interp(places, places[at], values[at]) - values)
    return float(far.max()), int(far.argmax())
