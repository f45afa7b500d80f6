"""Whether a stream clicks where its blocks meet: spectral flux there against elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.players.base import Player
from engine.players.play_file import stream

FloatArray = NDArray[np.float32]
WINDOW = 64  # samples: a click is over in less
BLOCK = 512


def border_flux(audio: FloatArray, block: int, unit: int) -> dict[str, float]:
    """Mean spectral flux of [channels, samples] in windows across the borders of blocks, across
    the other multiples of `unit` (a model's frames have a rhythm of their own, which is the same
    at both), and the ratio of the two: near 1 where nothing happens at borders.

    Flux is the sum over bins of what a window's log-magnitudes rise above those of the window
    before; windows do not overlap, and borders lie in the middle of theirs."""
    mono = audio.mean(axis=0).astype(np.float64)
    unit = max(unit, WINDOW)
    count = (len(mono) - WINDOW // 2) // WINDOW
    if unit % WINDOW or block % unit or block == unit or count < 2 * block // WINDOW:
        raise ValueError(f"block must be a multiple of unit, unit of {WINDOW}; the sound longer")
    first = WINDOW // 2  # then every border is a window's middle
    frames = mono[first : first + count * WINDOW].reshape(count, WINDOW) * np.hanning(WINDOW)
    level = np.log(np.abs(np.fft.rfft(frames)) + 1e-4)
    flux = np.maximum(np.diff(level, axis=0), 0).sum(axis=1)
    middles = WINDOW + WINDOW * np.arange(1, count)
    at_border = middles % block == 0
    elsewhere = (middles % unit == 0) & ~at_border
    border, other = float(flux[at_border].mean()), float(flux[elsewhere].mean())
    return {"border": border, "elsewhere": other, "ratio": border / max(other, 1e-9)}


def block_of(player: Player) -> int:
    """Block size that is looked at: several of the model's own."""
    return max(BLOCK, 4 * player.description.main.ratio)


def clicks(player: Player, audio: FloatArray) -> dict[str, float]:
    """Flux at the borders of what `forward` gives in blocks of `block_of`, the ratio of the input
    itself, and the largest difference to playing in blocks ten times as long."""
    block, unit = block_of(player), player.description.main.ratio
    player.reset()
    short, late = stream(player, player.description.main.name, audio, block, align=False)
    player.reset()
    long, late_too = stream(player, player.description.main.name, audio, 10 * block, align=False)
    assert late == late_too, "both are multiples of the model's ratio"
    return {**border_flux(short, block, unit),
            "input_ratio": border_flux(audio, block, unit)["ratio"],
            "difference": float(np.abs(long - short).max(initial=0.0))}
