"""Players that play what they are given, and small folders of sound, for the tests of judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from engine.description import Attribute, Description, Method
from engine.players.base import FloatArray, Player

RATE, BLOCK = 8000, 64


def effect(channels: int = 1) -> Method:
    names = tuple(f"audio {i}" for i in range(channels))
    return Method("shape", channels, 1, channels, 1, names, names, role="effect")


def generator(*inputs: str) -> Method:
    labels = inputs or ("time",)
    return Method("make", len(labels), BLOCK, 1, 1, labels, ("audio",), role="generate")


class Stream:
    """How far it has played."""

    at = 0


class Plays(Player):
    """Answers with `answer(x, start, values)`: [channels, frames] of a block that begins at frame
    `start`, and the attributes' values."""

    backend = "test"

    def __init__(self, answer: Any, spec: Method, *attributes: Attribute) -> None:
        self.answer = answer
        super().__init__(Description("played", "none", RATE, {spec.name: spec},
                                     {a.name: a for a in attributes}), None)

    def _run(self, method: Method, x: FloatArray, state: Stream) -> FloatArray:
        start, state.at = state.at, state.at + x.shape[2]
        return np.asarray(self.answer(
            x[0], start, {name: each[0] for name, each in self._values.items()}), np.float32)[None]

    def _new_state(self) -> Stream:
        return Stream()

    def _reset(self, state: Stream) -> None:
        state.at = 0

    def _apply(self, state: Stream, name: str, value: FloatArray) -> None:
        """It reads them when it plays."""


SEED = Attribute("seed", 1, 0.0, 0.0, 1000.0, "another number, another sound")


def tape(sounds: list[np.ndarray]) -> Plays:
    """Plays one of `sounds` [samples], over and over, by its seed."""
    def answer(x: np.ndarray, start: int, values: dict[str, Any]) -> np.ndarray:
        sound = sounds[int(values["seed"][0]) % len(sounds)]
        places = np.arange(start * BLOCK, (start + x.shape[1]) * BLOCK) % len(sound)
        return sound[places][None]

    return Plays(answer, generator(), SEED)


def melody(seed: int, seconds: float = 2.0) -> np.ndarray:
    """Notes of a quarter second, of random pitch, level and noise: [samples]."""
    rng = np.random.default_rng(seed)
    size, parts = RATE // 4, []
    for _ in range(round(4 * seconds)):
        t = np.arange(size) / RATE
        tone = np.sin(2 * np.pi * rng.uniform(100, 2000) * t)
        hiss = rng.standard_normal(size) * rng.uniform(0, 0.5)
        parts.append(rng.uniform(0.05, 0.5) * np.exp(-rng.uniform(1, 10) * t) * (tone + hiss))
    return (0.9 * np.concatenate(parts)).astype(np.float32)


def folder_of(folder: Path, sounds: dict[str, np.ndarray]) -> Path:
    """Sounds as WAV files by name."""
    for name, sound in sounds.items():
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound, RATE, subtype="FLOAT")
    return folder
