"""What is known of each loop of a folder: how many bars it has, how fast it is, what it is like.

    folder/metadata.csv     file, bpm, bars, style, as `tudor corpus techno` writes it; or nothing:
                            then a file is a whole number of bars, and styles are folders
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.scores.loops import KNOBS, LEAST_BPM, bpm_of
from training.data.labelled import class_of
from training.data.tempo import LOWEST_BPM, tempo_of_loop
from training.data.told_table import read_told
from training.evaluation.loop_measures import measured_knobs

FloatArray = NDArray[np.float32]
MOST_BPM = 240.0  # of a loop to learn from; what is played goes further
LONGEST_BARS = 64


@dataclass(frozen=True)
class Told:
    """What a table says of a file."""

    bars: int
    style: str


@dataclass(frozen=True)
class LoopFacts:
    """Of one loop. `knobs`: onsets a second, median centroid in octaves above 1 Hz, level in dBFS.
    """

    bars: int
    bpm: float
    style: str
    knobs: tuple[float, float, float]


def read_table(folder: Path) -> dict[str, Told]:
    """What `metadata.csv` says, by file name; nothing where there is none. An error names the line
    that cannot be meant."""
    return read_told(folder, "bars", _told)


def _told(row: Mapping[str, str | None], where: str) -> Told:
    text = row["bars"] or ""
    if not text.isdecimal() or not 1 <= int(text) <= LONGEST_BARS:
        raise ConfigError(f"{where}: bars must be a whole number of 1 to {LONGEST_BARS}, got "
                          f"{text!r}")
    return Told(int(text), (row.get("style") or "").strip())


def style_of(name: str, table: dict[str, Told]) -> str:
    """The style of a file: that of the table, else the folder that it lies in."""
    return table[name].style if name in table else class_of(name)


def styles_of(names: Iterable[str], table: dict[str, Told]) -> tuple[str, ...]:
    """Styles of a folder in alphabetical order; none where there are not two of them."""
    found = sorted({style_of(name, table) for name in names} - {""})
    return tuple(found) if len(found) > 1 else ()


def bars_by_length(seconds: float) -> int:
    """Of a loop that is a whole number of bars in four-four time: 1, 2, 4, ..., so that the tempo
    is a usual one."""
    bars = 1
    while bars < LONGEST_BARS and bpm_of(bars, seconds) < LOWEST_BPM:
        bars *= 2
    return bars


def _bars_of(loop: FloatArray, rate_hz: int) -> int:
    """Of a loop of which nobody said it: by what its onsets agree with, else by its length."""
    heard = tempo_of_loop(loop, rate_hz)
    return heard[1] if heard is not None else bars_by_length(len(loop) / rate_hz)


def no_tempo(facts: LoopFacts) -> str | None:
    """Why nothing is to be learnt from a loop: so fast or slow is none."""
    if LEAST_BPM <= facts.bpm <= MOST_BPM:
        return None
    return (f"{facts.bars} bars of it are {facts.bpm:.0f} BPM: a loop has {LEAST_BPM:g} to "
            f"{MOST_BPM:g} BPM")


def facts_of(loop: FloatArray, rate_hz: int, name: str, table: dict[str, Told]) -> LoopFacts:
    """Measured on a whole loop [samples]."""
    seconds = len(loop) / rate_hz
    bars = table[name].bars if name in table else _bars_of(loop, rate_hz)
    found = measured_knobs([np.tile(loop, 2)], rate_hz)  # what is at the seam is heard too
    density, brightness, loudness = (float(found[name][0]) for name in KNOBS)
    return LoopFacts(bars, bpm_of(bars, seconds), style_of(name, table),
                     (density, brightness if isfinite(brightness) else 0.0, loudness))
