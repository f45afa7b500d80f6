"""What a file is played with when it is verified: test signals, attribute values, block sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.description import Method
from engine.errors import TudorError
from engine.models.base import Model
from engine.players.base import FloatArray, Player

SAMPLES = 16384  # audio samples per pass, at least
UNITS = 64  # and at least so many smallest blocks
IRREGULAR = (1, 17, 2, 5, 1, 31, 3, 8)  # units per block, repeated until the end
REGULAR = ((1,), (2,), (8,))
REGULAR_BLOCKS = 256  # of each; at one sample a block, the whole signal would take minutes
Settings = dict[str, FloatArray]
Sizes = tuple[int, ...]


def passes(model: Model) -> Iterator[tuple[Settings, tuple[Sizes, ...]]]:
    """Attribute values, and the block sizes (in units) to play with them."""
    default = {a.name: np.full(a.size, a.default, np.float32) for a in model.attributes.values()}
    rng = np.random.default_rng(3)
    drawn = {}
    for a in model.attributes.values():
        # A seed is a whole number of a wide range: a fraction of one would change nothing.
        unit = max(1.0, (a.maximum - a.minimum) / 4096)
        step = unit * rng.uniform(0.1, 0.5, a.size) * rng.choice((-1, 1), a.size)
        inside = (a.default + step >= a.minimum) & (a.default + step <= a.maximum)
        near = np.clip(a.default + np.where(inside, step, -step), a.minimum, a.maximum)
        drawn[a.name] = near.astype(np.float32)
    yield default, (IRREGULAR, *REGULAR)
    yield drawn, (IRREGULAR,)


def passages(spec: Method, samples: int = SAMPLES) -> FloatArray:
    """Test input [in_channels, frames]: a quarter loud, quiet, silent, and then with the numbers
    that must never pass: NaN, both infinities, 1e30, and what a clamp of 8 lets through."""
    rng = np.random.default_rng(7)
    units = max(samples // spec.ratio, UNITS)
    frames = -(-units // 4) * spec.in_frames  # of each quarter
    # Coloured noise over a square wave: all frequencies, and edges.
    noise = rng.standard_normal((spec.in_channels, 4 * frames))
    square = np.sign(np.sin(np.arange(4 * frames) * 0.1))
    x = (0.3 * noise + 0.2 * square).astype(np.float32)
    if spec.in_ratio > 1:
        x *= 3  # latents: about the spread of a trained posterior's means
    x[:, frames : 2 * frames] *= 1e-3
    x[:, 2 * frames : 3 * frames] = 0
    bad = x[:, 3 * frames :]
    for value in (np.nan, np.inf, -np.inf, 1e30, -1e30, 20.0):
        bad[:, rng.integers(0, frames, max(1, frames // 64))] = value
    return x


def offline(model: Model, method: str, x: FloatArray, settings: Settings) -> NDArray[Any]:
    dtype = next(model.parameters()).dtype
    values = {k: torch.from_numpy(v).to(dtype) for k, v in settings.items()}
    return model.offline(method, torch.from_numpy(x).to(dtype)[None], **values)[0].numpy()


def stream(
    player: Player, spec: Method, x: FloatArray, sizes: Sizes, blocks: int | None
) -> FloatArray:
    """`x` through the player in blocks of `sizes` units, over and over: all, or so many blocks."""
    outputs: list[FloatArray] = []
    at, end = 0, x.shape[1]
    while at < end and (blocks is None or len(outputs) < blocks):
        frames = min(sizes[len(outputs) % len(sizes)] * spec.in_frames, end - at)
        y = player.process(spec.name, x[:, at : at + frames])
        wanted = frames // spec.in_frames * spec.out_frames
        if y.shape != (spec.out_channels, wanted):
            raise TudorError(f"{spec.name} gives {list(y.shape)} for {frames} frames, wanted "
                             f"[{spec.out_channels}, {wanted}]")
        outputs.append(y)
        at += frames
    return np.concatenate(outputs, axis=1)
