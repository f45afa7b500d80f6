"""Held-out sound as one tape, with what belongs to it: what a model is asked to play, and what it
is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.audio_check import SILENT_BELOW
from engine.description import Method
from engine.errors import AudioError
from training.evaluation.asked_notes import Layout
from training.evaluation.judges.case import Case, Part
from training.evaluation.judges.scores_beside import Beside, beside

FloatArray = NDArray[np.float32]
FADE_SECONDS = 0.02  # where one file follows another, with the gates off for three times as long


@dataclass(frozen=True)
class Tape:
    """A sound [samples]; conditions [in_channels, rows] and score [2 voices, rows], a row for
    `row_samples`, None where the sound has none. `heard`: how many of its files have no notes."""

    audio: FloatArray
    row_samples: int
    rate_hz: int
    conditions: FloatArray | None = None
    score: FloatArray | None = None
    heard: int = 0

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
        conditions, score = (None if part is None else part[:, at]
                             for part in (self.conditions, self.score))
        return replace(self, audio=audio.reshape(-1)[: max(1, round(seconds * self.rate_hz))],
                       conditions=conditions, score=score)

    def spread(self, count: int, seconds: float) -> list[Tape]:
        """`count` stretches from all over it."""
        return [self.cut(number * self.seconds / count, seconds) for number in range(count)]

    def assigned(self, held: dict[int, float], layout: Layout | None) -> Tape:
        """With conditions, by channel, that a user has set; they make a score of their own."""
        if self.conditions is None or not held:
            return self
        conditions = self.conditions.copy()
        for channel, value in held.items():
            conditions[channel] = value
        if layout is None or not held.keys() & {*layout.pitches, *layout.gates}:
            return replace(self, conditions=conditions)
        return replace(self, conditions=conditions, score=layout.score(conditions))


def record(case: Case, parts: Sequence[Part], spec: Method, most_seconds: float) -> Tape:
    """The beginnings of files after each other, `most_seconds` in all."""
    rate, left = case.player.sample_rate_hz, most_seconds
    sounds: list[FloatArray] = []
    rows: list[Beside | None] = []
    for index, part in enumerate(parts):
        case.progress(part.source.name)
        audio = part.audio(rate, 1, left / (len(parts) - index))[0]
        audio = audio[: len(audio) // spec.in_ratio * spec.in_ratio]
        if not len(audio) or float(np.abs(audio).max()) < SILENT_BELOW:
            continue
        first = round(part.start_seconds * rate / spec.in_ratio)
        rows.append(beside(Path(part.source.path), audio, first, spec, rate))
        sounds.append(_faded(audio, rate))
        left -= len(audio) / rate
    if not sounds:
        raise AudioError(f"{case.folder}: nothing of it that was held out is heard")
    return _joined(Tape(np.concatenate(sounds), spec.in_ratio, rate), rows, spec)


def _faded(audio: FloatArray, rate: int) -> FloatArray:
    """In and out, so that nothing clicks where files meet."""
    fade = min(round(FADE_SECONDS * rate), len(audio) // 2)
    slope = np.arange(1, fade + 1, dtype=np.float32) / max(1, fade)
    whole = audio.copy()
    whole[:fade] *= slope
    whole[len(whole) - fade :] *= slope[::-1]
    return whole


def _joined(tape: Tape, found: Sequence[Beside | None], spec: Method) -> Tape:
    """With conditions if all files have them; a file's last gates are shut."""
    layout, rows = Layout.of(spec.input_labels), [row for row in found if row is not None]
    if layout is None or len(rows) < len(found):
        return tape
    shut = max(1, round(3 * FADE_SECONDS * tape.rate_hz / spec.in_ratio))
    conditions, scores = ([part.copy() for part in parts] for parts in (
        [row.conditions for row in rows], [row.score for row in rows]))
    voices = max(len(score) for score in scores)
    for index, (own, score) in enumerate(zip(conditions, scores, strict=True)):
        own[list(layout.gates), -shut:] = 0
        score[1::2, -shut:] = 0
        scores[index] = np.pad(score, ((0, voices - len(score)), (0, 0)))
    return replace(tape, conditions=np.concatenate(conditions, axis=1),
                   score=np.concatenate(scores, axis=1), heard=sum(row.heard for row in rows))
