"""Click tracks whose tempo is known, tones, and techno loops by synthesis, as they sound."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.corpus.techno import render_loop
from training.evaluation.judges.loops import Loops
from training.evaluation.loop_floors import tiled

FloatArray = NDArray[np.float32]
RATE = 16000
SECONDS = 4.0
FOUR = (0, 4, 8, 12)  # steps of a bar


def clicks(bpm: float, seconds: float = SECONDS, rate_hz: int = RATE, steps: tuple[float, ...] = (
        *range(16),), bar: float = 0.0, seed: int = 0) -> FloatArray:
    """Bursts of noise on steps of the bar, louder on beats, at `bar` where the sound begins."""
    rng = np.random.default_rng(seed)
    out = np.zeros(round(seconds * rate_hz) + rate_hz)
    size = rate_hz // 100
    shape = np.exp(-np.arange(size) / size * 5)
    bars = int(seconds * bpm / 240) + 2
    for index in range(int(np.floor(bar)), int(np.floor(bar)) + bars + 1):
        for step in steps:
            start = round((index + step / 16 - bar) * 240 / bpm * rate_hz)
            if 0 <= start < len(out) - size:
                loud = 0.8 if step % 4 == 0 else 0.4
                out[start : start + size] += loud * shape * rng.uniform(-1, 1, size)
    return out[: round(seconds * rate_hz)].astype(np.float32)


def tone(hertz: float, seconds: float, level: float = 0.3, rate_hz: int = RATE) -> FloatArray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate_hz)) / rate_hz)
            ).astype(np.float32)


@lru_cache(maxsize=4)
def techno(seed: int, count: int, rate_hz: int = RATE) -> Loops:
    """Loops of the corpus from bar 0 on, repeated for `SECONDS`."""
    sounds, bpm = [], []
    for index in range(count):
        audio, row = render_loop(seed, index, rate_hz)
        sounds.append(tiled(audio[0], round(SECONDS * rate_hz)))
        bpm.append(float(row["bpm"]))
    return Loops(sounds, bpm)
