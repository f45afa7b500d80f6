"""Networks that hear attributes: as rows beside sound, at lower rates, late, and from nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch

from engine.description import Attribute
from engine.layers import (
    Affine,
    Control,
    Conv1d,
    ConvTranspose1d,
    Embed,
    Film,
    Guard,
    Identity,
    LeakyReLU,
    Parallel,
    Sequence,
    Streaming,
    Tanh,
)

ATTRIBUTES = {a.name: a for a in (
    Attribute("weights", 3, 0.25, 0.0, 1.0, "of classes"),
    Attribute("tone", 2, 0.5, -2.0, 2.0, "two knobs"),
    Attribute("class", 1, 2.0, 0.0, 3.0, "a number"),
    Attribute("scale", 1, 0.75, -4.0, 4.0, "factor"),
    Attribute("bias", 1, -0.25, -8.0, 8.0, "offset"),
)}


def beside_sound() -> Streaming:
    """Rows that are added, multiplied, stacked, looked up, and late."""
    mixed = Sequence(Control(24, "weights", 3), Conv1d(3, 24, 1, bias=False))
    return Sequence(
        Conv1d(2, 24, 3), Parallel(LeakyReLU(24), mixed), Film(24, "tone", 2, 9), LeakyReLU(24),
        Parallel(Identity(24), Control(24, "tone", 2), combine="concat"),
        Conv1d(26, 8, 4, stride=2),
        Film(8, "tone", 2), Parallel(Conv1d(8, 3, 5, lookahead=2), Control(8, "weights", 3)),
        Conv1d(3, 1, 1), Affine(1))


def from_nothing() -> Streaming:
    """The first channel says how long to go on; the sound is that of mixed classes."""
    return Sequence(Guard(1), Control(1, "weights", 3), Conv1d(3, 16, 1, bias=False), Tanh(16),
                    ConvTranspose1d(16, 1, 8, 4))


def looked_up() -> Streaming:
    """The number of a class: its row of a table, beside sound."""
    chosen = Sequence(Control(2, "class"), Embed(4, 5))
    return Sequence(Parallel(Identity(2), chosen, combine="concat"), Conv1d(7, 9, 3), Tanh(9),
                    Conv1d(9, 1, 1))


CONTROLLED: dict[str, Callable[[], Streaming]] = {
    "controls": beside_sound, "controls_only": from_nothing, "controls_looked_up": looked_up,
}


def attributes_of(net: Streaming) -> dict[str, Attribute]:
    """Those that a network reads."""
    return {name: ATTRIBUTES[name] for name in net.uses}


def different(net: Streaming, streams: int) -> dict[str, torch.Tensor]:
    """Other values for each stream: [streams, size], whole numbers where they count something."""
    generator = torch.Generator().manual_seed(4)
    values = {}
    for a in attributes_of(net).values():
        drawn = torch.rand(streams, a.size, generator=generator)
        values[a.name] = a.minimum + (a.maximum - a.minimum) * drawn
        if a.name == "class":
            values[a.name] = torch.arange(streams)[:, None] % 4.0
    return values
