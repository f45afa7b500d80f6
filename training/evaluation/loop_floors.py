"""Sounds that need no model, made of real loops: what any generator of loops should beat.

    own steps      the loop's own quarter-beats in random order: the grid stays, the bar goes
    own frames     its frames of 32 ms in random order: its timbre without any time
    all frames     frames of all loops
    noise          stationary noise with the mean spectrum of all, at the loop's level
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.scores.loops import bar_seconds
from training.evaluation.judges.sounds import colored_noise
from training.evaluation.loop_measures import STEPS

FloatArray = NDArray[np.float32]

FRAME_SECONDS = 0.032
EARLY = 0.1  # of a step: where steps are cut, before the line
FADE_SECONDS = 0.004  # from a piece to the next: no click between them


def tiled(loop: FloatArray, samples: int, start: int = 0) -> FloatArray:
    """A loop [samples of the loop] as it sounds for ever, from its sample `start` on: [samples]."""
    if not len(loop):
        raise ValueError("a loop without samples cannot be repeated")
    return loop[(np.arange(samples) + start) % len(loop)]


def shuffled(sound: FloatArray, sources: Sequence[FloatArray], piece: float, rate_hz: int,
             seed: int, first: float = 0.0) -> FloatArray:
    """As long as `sound`, of pieces of `piece` samples of the sources, in random order, one fading
    into the next. Pieces are cut, and put, where `first` plus whole pieces are."""
    rng = np.random.default_rng(seed)
    fade = max(1, min(round(FADE_SECONDS * rate_hz), int(piece) // 2))
    size = int(np.ceil(piece))
    rise = np.square(np.sin(np.pi / 2 * (np.arange(fade) + 0.5) / fade))
    shape = np.concatenate([rise, np.ones(size - fade), rise[::-1]])
    begins = np.arange(first - piece * np.ceil(first / piece), len(sound), piece)
    out = np.zeros(len(sound) + 2 * (size + fade))
    for begin in begins:
        source = sources[int(rng.integers(len(sources)))]
        count = max(1, int((len(source) - first - size - fade) / piece))
        place = round(first + piece * int(rng.integers(count)))
        part = source[place : place + size + fade]
        at = round(begin) + size
        out[at : at + len(part)] += part * shape[: len(part)]
    return out[size : size + len(sound)].astype(np.float32)


def floors(sounds: Sequence[FloatArray], bpm: Sequence[float], bars: Sequence[float], rate_hz: int,
           seed: int = 0) -> dict[str, list[FloatArray]]:
    """The collections that are named above, a sound for each real one. `bars`: bar position of each
    sound's start, so that quarter-beats are cut on the grid."""
    frame = FRAME_SECONDS * rate_hz
    found: dict[str, list[FloatArray]] = {"own_steps": [], "own_frames": [], "all_frames": []}
    for index, (sound, tempo, bar) in enumerate(zip(sounds, bpm, bars, strict=True)):
        step = rate_hz * bar_seconds(tempo) / STEPS
        # Cut a little before the grid's lines: sounds begin on them.
        first = (-bar * STEPS % 1 - EARLY) % 1 * step
        key = seed * len(sounds) + index
        found["own_steps"].append(shuffled(sound, [sound], step, rate_hz, key, first))
        found["own_frames"].append(shuffled(sound, [sound], frame, rate_hz, key))
        found["all_frames"].append(shuffled(sound, sounds, frame, rate_hz, key))
    return {**found, "noise": _noise(sounds, rate_hz, seed)}


def _noise(sounds: Sequence[FloatArray], rate_hz: int, seed: int) -> list[FloatArray]:
    """Stationary noise, each at the level of its sound."""
    ends = np.cumsum([len(sound) for sound in sounds])
    whole = colored_noise([row[None] for row in sounds], ends[-1] / rate_hz, rate_hz, seed)[0]
    parts = np.split(whole, ends[:-1])
    return [(part * np.sqrt(_power(sound) / max(_power(part), 1e-20))).astype(np.float32)
            for part, sound in zip(parts, sounds, strict=True)]


def _power(sound: FloatArray) -> float:
    return float(np.square(sound, dtype=np.float64).mean())
