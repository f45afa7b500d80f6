"""What a model of loops is told (`engine/models/loops_config.py` says what each condition means).

    phase   0 .. .1 .. .2 ...  1|0 ..      where in the bar each chunk will be heard
    tempo   log2(BPM / 128)
    code    which loop it is, for each bar or for all of it
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError

FloatArray = NDArray[np.float32]
PHASE, TEMPO, CODE = "phase", "tempo", "code"
KNOBS = ("density", "brightness", "loudness")
USUAL_BPM = 128.0  # tempo 0
LEAST_BPM, MOST_BPM = 40.0, 300.0
DEFAULT_BARS = 8
BEATS = 4
LARGEST_CODE = 0.95  # of a code that is made up: the very ends are rare in what was learnt from


def plays_loops(labels: Sequence[str]) -> bool:
    """Whether a method with such conditions is one that makes loops."""
    return PHASE in labels and TEMPO in labels


def code_places(labels: Sequence[str]) -> range:
    """Which conditions are the numbers of the code."""
    found = [i for i, label in enumerate(labels) if label.startswith(f"{CODE} ")]
    return range(found[0], found[-1] + 1) if found else range(0)


def tempo_of(bpm: float) -> float:
    """The condition `tempo` for so many beats a minute."""
    if not LEAST_BPM <= bpm <= MOST_BPM:
        raise ConfigError(f"the tempo of a loop must lie in {LEAST_BPM:g} to {MOST_BPM:g} BPM, got "
                          f"{bpm:g}")
    return log2(bpm / USUAL_BPM)


def bar_seconds(bpm: float) -> float:
    """Length of a bar of four beats."""
    return BEATS * 60 / bpm


def bpm_of(bars: float, seconds: float) -> float:
    """The tempo at which so many bars last so long."""
    return BEATS * 60 * bars / seconds


def made_up_code(count: int, seed: int) -> FloatArray:
    """A code of `count` numbers: the same for the same seed."""
    rng = np.random.default_rng(seed)
    return (LARGEST_CODE * rng.uniform(-1, 1, count)).astype(np.float32)


def read_code(text: str, count: int, said: str = "", most: float = 1.0, what: str = "code"
              ) -> FloatArray:
    """The numbers of `0.1,-0.5,...`, of -`most` to `most`; `said`: where they stand, and `what`
    they are, for messages."""
    said, wanted = said or f"--code {text}", f"numbers of {-most:g} to {most:g}"
    parts = [part.strip() for part in text.split(",")]
    try:
        numbers = np.array([float(part) for part in parts], np.float32)
    except ValueError:
        raise ConfigError(f"{said}: {count} {wanted} with commas between them, or a sound file"
                          ) from None
    if len(numbers) != count:
        raise ConfigError(f"{said}: this model's {what} is {count} {wanted}, got {len(numbers)}")
    if not (np.abs(numbers) <= most).all():
        raise ConfigError(f"{said}: {count} {wanted}, got {float(_worst(numbers)):g}")
    return numbers


def _worst(numbers: FloatArray) -> np.float32:
    """That which lies farthest outside; what is no number before all."""
    return numbers[np.argmax(np.where(np.isnan(numbers), np.inf, np.abs(numbers)))]


def read_code_file(path: Path, count: int, said: str, most: float = 1.0, what: str = "code"
                   ) -> FloatArray:
    """As `read_code`, from a file of numbers: .npy, or text with commas or white space between."""
    if path.suffix.lower() == ".npy":
        try:
            text = ",".join(str(float(number)) for number in np.load(path).reshape(-1))
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"{said}: no array of numbers ({str(error).splitlines()[0]})"
                              ) from None
    else:
        try:
            text = ",".join(path.read_text("utf-8").replace(",", " ").split())
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"{said}: no text that can be read") from None
    return read_code(text, count, said, most, what)


def line_between(start: FloatArray, end: FloatArray) -> FloatArray:
    """Rows [channels, rows] that go from those of `start` to those of `end` along a straight line;
    what is the same in both stays as it is."""
    way = np.linspace(0, 1, start.shape[1], dtype=np.float32)
    return start + (end - start) * way


def conditions(
    labels: Sequence[str], row_samples: int, rate_hz: int, bars: float, bpm: float,
    code: FloatArray, start_bar: float = 0.0,
) -> FloatArray:
    """Rows [conditions, chunks] for so many bars, the last chunk whole. `code`: [codes], or
    [codes, bars], one for each of them. All else is 0: as usual, and every bar the same."""
    seconds = bar_seconds(bpm)
    count = max(1, ceil(bars * seconds * rate_hz / row_samples - 1e-9))
    place = start_bar + np.arange(count) * (row_samples / rate_hz / seconds)
    bar = np.floor(place + 1e-9)
    x = np.zeros((len(labels), count), np.float32)
    x[labels.index(PHASE)] = np.clip(place - bar, 0, 1)
    x[labels.index(TEMPO)] = tempo_of(bpm)
    each = code if code.ndim == 2 else code[:, None]
    places = code_places(labels)
    x[places.start : places.stop] = each[:, np.minimum(
        (bar - np.floor(start_bar)).astype(int), each.shape[1] - 1)]
    return x
