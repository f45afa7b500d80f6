"""What a gate takes, and z that may follow what is asked for now.

    gate, velocity, classes, ... ------------+-> note, held until the next gate --+-> what is told
    z -+- + what is drawn for each stroke ---+                                    |
       +- z now, less z at the gate, which another note holds; times 1 - hold ----+

With `hold` 1 exactly 0 is added to each number: what is told is what was held, bit for bit. Below,
z moves from where it was taken, its drawn part with it, by a share of what was moved since then: at
0 by all of it. At the gate itself both are one row, so no stroke begins elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.layers import (
    Channels,
    Control,
    Fixed,
    LatentSample,
    Note,
    Parallel,
    Sequence,
    Streaming,
)
from engine.scores.strokes import HOLD

if TYPE_CHECKING:
    from engine.models.spectrogram_gan_config import SpectrogramGANConfig


def latched(config: SpectrogramGANConfig, inputs: int, seeds: int = 0) -> Streaming:
    """Gate, what is asked for, z, and perhaps more [inputs] -> all but the gate as `Note` holds
    them, with what is drawn for z, and age [inputs]. `seeds`: how far its draws' seed is from a
    model's own."""
    first = 1 + len(config.asked)
    last = first + config.z
    mean = torch.cat((torch.eye(config.z), torch.zeros(config.z, config.z)))  # and log_std 0
    drawn = Sequence(Channels(inputs, first, last), Fixed(mean[:, :, None]),
                     LatentSample(config.z, LatentSample(1).seed + seeds))
    more = (Channels(inputs, last, inputs),) if inputs > last else ()
    held = Sequence(Parallel(Channels(inputs, 0, first), drawn, *more, combine="concat"),
                    Note(inputs - 1))
    with torch.random.fork_rng(devices=[]):  # a seed gives the weights that it gave without it
        moved = _moved(inputs, first, last)
    return Parallel(held, moved)


def _moved(inputs: int, first: int, last: int) -> Streaming:
    """The same inputs, z from `first` to `last` -> what is added to what is held [inputs].

    `Fixed` stands at both ends: no number format rounds it, nor the rows of the sum."""
    size = last - first
    now = Channels(inputs, first, last)
    at_gate = Sequence(Parallel(Channels(inputs, 0, 1), now, combine="concat"), Note(size),
                       Fixed(-torch.eye(size, size + 1)[:, :, None]))
    share = Sequence(Control(inputs, HOLD), Fixed(-torch.ones(size, 1, 1), torch.ones(size)))
    place = torch.zeros(inputs, size, 1)
    place[first - 1 : last - 1, :, 0] = torch.eye(size)  # behind a gate, which is not told
    return Sequence(Parallel(Parallel(now, at_gate), share, combine="product"), Fixed(place))
