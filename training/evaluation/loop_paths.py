"""What changes from bar to bar: along a path between two loops, and where nothing should.

Whole bars are the unit. Within a bar the beat itself goes up and down, whatever a path does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.scores.loops import bar_seconds
from training.evaluation.descriptors import descriptor_mmd, points
from training.evaluation.loop_measures import measured_knobs

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]

CURVES = ("level_db", "centroid_octaves", "onsets_per_second")
ENDS = 2  # bars at either end of a path, and in its middle, that are compared


@dataclass(frozen=True)
class Path:
    """A sound in which something moves slowly: mono [samples], its tempo, and how many bars it
    has, the first of which begins at sample 0."""

    sound: FloatArray
    bpm: float
    bars: int

    def __post_init__(self) -> None:
        if self.bars < 2 * ENDS or not self.bpm > 0:
            raise ValueError(f"a path has {2 * ENDS} bars at least and a tempo above 0, not "
                             f"{self.bars} bars at {self.bpm:g} BPM")

    def part(self, rate_hz: int, first: int, count: int = 1) -> FloatArray:
        """Bars of the sound: [samples]."""
        start, end = bar_edges(first, count, rate_hz * bar_seconds(self.bpm))
        if end > len(self.sound):
            raise ValueError(f"{self.bars} bars at {self.bpm:g} BPM are longer than the sound")
        return self.sound[start:end]


def bar_edges(first: int, count: int, bar_rows: float) -> tuple[int, int]:
    """Rows (samples, frames) where bars begin and end, to the nearest; all stretches of `count`
    bars have one length."""
    start = round(first * bar_rows)
    return start, start + int(count * bar_rows)


def bar_curves(path: Path, rate_hz: int) -> Array:
    """Level in dB, median centroid in octaves (NaN of a silent bar) and onsets a second of each
    bar: [CURVES, bars]."""
    found = measured_knobs([path.part(rate_hz, index) for index in range(path.bars)], rate_hz)
    return np.stack([found[name] for name in ("loudness", "brightness", "density")])


def curve_figures(curve: Array) -> dict[str, float | None]:
    """How smoothly a curve [bars] goes where it goes. `smoothness`: range over total variation, 1
    if it only rises or falls; `largest_step`: over the range, 1 for a single jump, 1 / (bars - 1)
    for a glide; `step_over_median`: the largest step over the median one. None where that is
    nothing over nothing."""
    known = curve[np.isfinite(curve)]
    steps = np.abs(np.diff(known))
    if not len(steps) or not steps.max() > 0:
        return dict.fromkeys(("smoothness", "largest_step", "step_over_median"))
    reach, largest, median = float(np.ptp(known)), float(steps.max()), float(np.median(steps))
    return {"smoothness": reach / float(steps.sum()), "largest_step": largest / reach,
            "step_over_median": largest / median if median > 0 else None}


def path_figures(paths: Sequence[Path], rate_hz: int, real: Array) -> dict[str, Any]:
    """Of paths of one kind, against points [points, 14] of real sound: figures of each curve, mean
    over the paths; descriptor MMD of the two bars in the middle and of the two at either end, of
    all paths together, and the first over the second (None where the ends are as good as real
    sound, so that there is nothing to divide by)."""
    if not paths:
        raise ValueError("no path to look at")
    curves = [bar_curves(path, rate_hz) for path in paths]
    found: dict[str, Any] = {}
    for row, name in enumerate(CURVES):
        each = [curve_figures(curve[row]) for curve in curves]
        found[name] = {key: mean_of(figures[key] for figures in each) for key in each[0]}
    middles, ends = [], []
    for path in paths:
        last = path.bars - ENDS
        middles.append(points(path.part(rate_hz, last // 2, ENDS)[None], rate_hz))
        ends += [points(path.part(rate_hz, first, ENDS)[None], rate_hz) for first in (0, last)]
    middle = descriptor_mmd(real, np.concatenate(middles))
    end = descriptor_mmd(real, np.concatenate(ends))
    over = middle / end if middle is not None and end is not None and end > 0 else None
    return {**found, "middle_mmd": middle, "ends_mmd": end, "middle_over_ends": over}


def repeat_errors(rows: NDArray[Any], bar_rows: float) -> list[float]:
    """How far each bar is from the one before, from the second on: mean squared difference over
    twice the variance, so that 0 is the same and 1 a bar that has nothing to do with it. `rows`
    [channels, time]: latents or sound; `bar_rows`: how many of them a bar has. The first bar of a
    stream hears a fresh state: the second differs from it for that alone."""
    variance = float(np.var(rows, axis=1, dtype=np.float64).sum())
    count = int((rows.shape[1] + 0.5) / bar_rows)
    if count < 2:
        raise ValueError(f"{rows.shape[1]} rows are less than two bars of {bar_rows:g}")
    size = bar_edges(0, 1, bar_rows)[1]
    bars = [np.asarray(rows[:, start : start + size], np.float64) for start in
            (bar_edges(index, 1, bar_rows)[0] for index in range(count))]
    if bars[-1].shape[1] < size:  # by the rounding of a last edge
        bars.pop()
    if not variance > 0:
        return [0.0] * (len(bars) - 1)
    return [float(np.square(b - a).sum(axis=0).mean()) / (2 * variance)
            for a, b in pairwise(bars)]


def mean_of(values: Any) -> float | None:
    """Of those that are numbers; None if there is none."""
    known = [float(value) for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None
