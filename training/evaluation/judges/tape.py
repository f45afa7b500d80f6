"""Held-out sound as one tape, with the conditions that belong to it: what a model is asked to play,
and what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.audio_check import SILENT_BELOW
from engine.description import Method
from engine.errors import AudioError, ConfigError
from training.evaluation.asked_notes import Layout
from training.evaluation.judges.case import Case, Part

FloatArray = NDArray[np.float32]
CONDITIONS = ".npy"  # beside a sound: its conditions as the model takes them
FADE_SECONDS = 0.02  # where one file follows another, with the gates off for three times as long


@dataclass(frozen=True)
class Tape:
    """A sound [samples] and conditions [in_channels, rows], a row for `row_samples`; None where the
    sound has none."""

    audio: FloatArray
    conditions: FloatArray | None
    row_samples: int
    rate_hz: int

    @property
    def seconds(self) -> float:
        return len(self.audio) / self.rate_hz

    def cut(self, start_seconds: float, seconds: float) -> Tape:
        """A stretch from there, around the end if need be; it begins with a whole row."""
        rows = len(self.audio) // self.row_samples
        first = round(start_seconds * self.rate_hz / self.row_samples)
        count = max(1, -(-round(seconds * self.rate_hz) // self.row_samples))
        at = np.arange(first, first + count) % rows
        audio = self.audio[: rows * self.row_samples].reshape(rows, self.row_samples)[at]
        return Tape(audio.reshape(-1)[: max(1, round(seconds * self.rate_hz))],
                    None if self.conditions is None else self.conditions[:, at],
                    self.row_samples, self.rate_hz)

    def spread(self, count: int, seconds: float) -> list[Tape]:
        """`count` stretches from all over it."""
        return [self.cut(number * self.seconds / count, seconds) for number in range(count)]


def record(case: Case, parts: Sequence[Part], spec: Method, most_seconds: float) -> Tape:
    """The beginnings of files after each other, `most_seconds` in all."""
    rate, found, left = case.player.sample_rate_hz, [], most_seconds
    for index, part in enumerate(parts):
        case.progress(part.source.name)
        audio = part.audio(rate, 1, left / (len(parts) - index))[0]
        audio = audio[: len(audio) // spec.in_ratio * spec.in_ratio]
        if not len(audio) or float(np.abs(audio).max()) < SILENT_BELOW:
            continue
        found.append((audio, conditions_beside(part, audio, spec, rate)))
        left -= len(audio) / rate
    if not found:
        raise AudioError(f"{case.folder}: nothing of it that was held out is heard")
    return _joined(found, spec, rate)


def _joined(found: Sequence[tuple[FloatArray, FloatArray | None]], spec: Method, rate: int
            ) -> Tape:
    """One after another; conditions only if all have them."""
    layout, fade = Layout.of(spec.input_labels), round(FADE_SECONDS * rate)
    slope = np.minimum(1, np.arange(1, fade + 1, dtype=np.float32) / fade)
    sounds, rows = [], []
    for audio, conditions in found:
        audio = audio.copy()
        if fade and len(audio) >= 2 * fade:
            audio[:fade] *= slope
            audio[-fade:] *= slope[::-1]
        sounds.append(audio)
        if conditions is None:
            continue
        conditions = conditions.copy()
        if layout is not None:
            conditions[list(layout.gates), -max(1, 3 * fade // spec.in_ratio) :] = 0
        rows.append(conditions)
    whole = np.concatenate(rows, axis=1) if len(rows) == len(found) else None
    return Tape(np.concatenate(sounds), whole, spec.in_ratio, rate)


def conditions_beside(part: Part, audio: FloatArray, spec: Method, rate_hz: int
                      ) -> FloatArray | None:
    """Of a part of a file: what lies beside it under its name, [in_channels, rows] for the rows of
    `audio`; None where nothing does."""
    count = len(audio) // spec.in_ratio
    for suffix, read in READERS.items():
        path = Path(part.source.path).with_suffix(suffix)
        if path.is_file():
            whole = read(path, audio, part, spec, rate_hz)
            first = round(part.start_seconds * rate_hz / spec.in_ratio)
            rows = whole[:, first : first + count]
            if not rows.shape[1]:
                raise ConfigError(f"{path} ends before its sound does")
            return np.pad(rows, ((0, 0), (0, count - rows.shape[1])), mode="edge")
    return None


def _from_array(path: Path, audio: FloatArray, part: Part, spec: Method, rate_hz: int
                ) -> FloatArray:
    """Conditions as they are."""
    try:
        found = np.load(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no array of conditions: {error}") from None
    if found.ndim != 2 or len(found) != spec.in_channels or found.dtype.kind != "f":
        raise ConfigError(f"{path}: {spec.name} takes conditions [{spec.in_channels}, rows] in "
                          f"floating point, that is {list(found.shape)} of {found.dtype}")
    return found.astype(np.float32)


Reader = Callable[[Path, FloatArray, Part, Method, int], FloatArray]
# By what lies beside a sound.
READERS: dict[str, Reader] = {CONDITIONS: _from_array}
