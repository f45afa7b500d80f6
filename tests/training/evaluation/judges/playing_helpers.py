"""Scores, sounds of them and players that keep to them or not: for tests of the judge playing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine.description import Method
from engine.layers.pitch import MIDDLE_C_HZ
from tests.training.evaluation.judges.judge_helpers import SEED, Plays

RATE, ROW = 16000, 16
LABELS = ("pitch_oct", "gate", "pitch_oct 2", "gate 2", "loudness", "free")
GENERATE = Method("make", len(LABELS), ROW, 1, 1, LABELS, ("audio",), role="generate")


def score(seed: int, seconds: float) -> np.ndarray:
    """Conditions of notes of a quarter second and a rest each second: [channels, rows]."""
    rng = np.random.default_rng(seed)
    per_second = RATE // ROW
    x = np.zeros((len(LABELS), round(seconds * per_second)), np.float32)
    x[4] = -2.0
    for start in range(0, x.shape[1], per_second // 4):
        x[0, start : start + per_second // 4] = rng.integers(-5, 24) / 12
        rest = start % per_second == 3 * per_second // 4
        x[1, start : start + per_second // 4 - (100 if rest else 10)] = 1
    return x


def rendered(x: np.ndarray, phase: float = 0.0) -> np.ndarray:
    """A tone with partials for the first voice of conditions [channels, rows]: [samples]."""
    hertz = np.repeat(MIDDLE_C_HZ * 2 ** x[0].astype(np.float64), ROW)
    turns = phase + np.cumsum(2 * np.pi * hertz / RATE)
    gate = np.convolve(np.repeat(x[1], ROW), np.hanning(161) / 80, "same")
    tone = sum(0.15 / k * np.sin(k * turns) * (k * hertz < RATE / 2) for k in range(1, 6))
    return (gate * tone).astype(np.float32)


def corpus(folder: Path, count: int = 3, seconds: float = 6.0) -> Path:
    """Sounds of scores, with their conditions beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(9)
    for number in range(count):
        x = score(number, seconds)
        sound = rendered(x) + 0.001 * rng.standard_normal(x.shape[1] * ROW).astype(np.float32)
        soundfile.write(folder / f"{number}.wav", sound, RATE, subtype="FLOAT")
        np.save(folder / f"{number}.npy", x)
    return folder


def playing(answer: Any) -> Plays:
    """A player of scores: `answer(x, start_row, seed)` gives samples for rows [channels, rows]."""
    def whole(x: np.ndarray, start: int, values: dict[str, Any]) -> np.ndarray:
        return np.asarray(answer(x, start, int(values["seed"][0])))[None]

    player = Plays(whole, GENERATE, SEED)
    object.__setattr__(player.description, "sample_rate_hz", RATE)
    return player
