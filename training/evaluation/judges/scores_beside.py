"""What belongs to a sound: its notes, and the conditions that they make for a model.

    NAME.npy     conditions as the model takes them, [in_channels, rows]
    NAME.notes   `engine/scores/timed.py`; loudness is measured
    neither      one voice, as it is heard in the sound
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.description import Method
from engine.errors import ConfigError
from engine.hearing.heard import heard_conditions, loudness_bels
from engine.scores import timed
from engine.scores.conditions import FREE, MOST_VOICES, Roll, voices_of
from training.evaluation.asked_notes import Layout

FloatArray = NDArray[np.float32]
CONDITIONS = ".npy"


class Beside(NamedTuple):
    """Conditions of a model [in_channels, rows], and the score [2 voices, rows]: pitch and gate of
    every voice that sounds, though the model may have fewer. `heard`: there are no notes."""

    conditions: FloatArray
    score: FloatArray
    heard: bool


def beside(sound: Path, audio: FloatArray, first: int, spec: Method, rate_hz: int
           ) -> Beside | None:
    """For the rows of `audio` [samples], the first of which is row `first` of the file `sound`;
    None for a model that takes no notes."""
    layout, count = Layout.of(spec.input_labels), len(audio) // spec.in_ratio
    if layout is None:
        return None
    path = sound.with_suffix(CONDITIONS)
    if path.is_file():
        rows = _conditions(path, spec)[:, first : first + count]
        if not rows.shape[1]:
            raise ConfigError(f"{path} ends before its sound does")
        rows = np.pad(rows, ((0, 0), (0, count - rows.shape[1])), mode="edge")
        return Beside(rows, layout.score(rows), False)
    voices = voices_of(spec.input_labels)
    if not voices:
        return None
    path = sound.with_suffix(timed.SUFFIX)
    if path.is_file():
        notes = timed.read_notes(path)
        own, whole = (Roll.of(notes, spec.in_ratio, rate_hz, each).rows(first, count)
                      for each in (voices, MOST_VOICES))
        out = np.zeros((spec.in_channels, count), np.float32)
        out[2 * voices] = loudness_bels(audio, rate_hz, spec.in_ratio)
        out[: 2 * voices] = own
        return Beside(out, whole, False)
    out = heard_conditions(audio, rate_hz, spec.in_ratio, spec.input_labels)
    return Beside(out, layout.score(out), True)


def unasked(spec: Method, samples: int) -> FloatArray:
    """Conditions [in_channels, rows] beside so many samples of which nothing is known: a model that
    may be free is, all else is 0."""
    x = np.zeros((spec.in_channels, max(1, samples // spec.in_ratio)), np.float32)
    x[[label == FREE for label in spec.input_labels]] = 1
    return x


def _conditions(path: Path, spec: Method) -> FloatArray:
    """An array as it is."""
    try:
        found = np.load(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no array of conditions: {error}") from None
    if found.ndim != 2 or len(found) != spec.in_channels or found.dtype.kind != "f":
        raise ConfigError(f"{path}: {spec.name} takes conditions [{spec.in_channels}, rows] in "
                          f"floating point, that is {list(found.shape)} of {found.dtype}")
    return found.astype(np.float32)
