"""Bars along a path, and bars that should be one another."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.evaluation.loop_helpers import RATE, FloatArray, tone
from training.evaluation.descriptors import points
from training.evaluation.loop_paths import (
    Path,
    bar_curves,
    curve_figures,
    path_figures,
    repeat_errors,
)

BARS, BPM = 8, 120.0
BAR = round(RATE * 240 / BPM)


def levels(gains: list[float]) -> Path:
    """A tone at one level a bar, and one pitch."""
    return Path(np.concatenate([tone(440 * (1 + gain), 2.0, gain) for gain in gains]), BPM,
                len(gains))


GLIDE = [0.1 * 2 ** (i / 4) for i in range(BARS)]
STEP = [GLIDE[0]] * 4 + [GLIDE[-1]] * 4
TREMBLE = [GLIDE[i ^ 1] for i in range(BARS)]


def test_a_step_is_rougher_than_a_glide() -> None:
    glide, step, tremble = (curve_figures(bar_curves(levels(g), RATE)[0])
                            for g in (GLIDE, STEP, TREMBLE))
    assert glide["largest_step"] == pytest.approx(1 / (BARS - 1), rel=0.02)
    assert step["largest_step"] == pytest.approx(1, rel=0.02)
    assert glide["step_over_median"] == pytest.approx(1, rel=0.02)
    assert glide["smoothness"] == pytest.approx(1, abs=1e-6)
    assert tremble["largest_step"] == pytest.approx(3 / 7, rel=0.02)
    assert tremble["smoothness"] is not None
    assert tremble["smoothness"] < 0.6


def test_bars_are_measured_each_by_itself() -> None:
    found = bar_curves(levels(STEP), RATE)
    assert found.shape == (3, BARS)
    np.testing.assert_allclose(found[0], 20 * np.log10(np.array(STEP) / np.sqrt(2)), atol=0.01)
    assert found[1, 0] == pytest.approx(np.log2(440 * (1 + STEP[0])), abs=0.1)


def test_a_curve_without_movement_has_no_figures() -> None:
    assert set(curve_figures(np.ones(5)).values()) == {None}
    assert set(curve_figures(np.full(5, np.nan)).values()) == {None}
    two = curve_figures(np.array([0.0, 0.0, 0.0, 3.0, 3.0]))
    assert two["step_over_median"] is None
    assert two["largest_step"] == 1


def noisy_path(middle: FloatArray, ends: FloatArray) -> Path:
    return Path(np.concatenate([ends, ends, ends, middle, middle, ends, ends, ends]), BPM, BARS)


def test_a_middle_that_is_no_loop_is_far_from_real_sound() -> None:
    rng = np.random.default_rng(0)
    loop = tone(440, 2.0) * np.tile(np.linspace(1, 0, BAR // 8, dtype=np.float32), 8)
    loop = (loop + 0.01 * rng.standard_normal(BAR)).astype(np.float32)
    hiss = (0.2 * rng.standard_normal(BAR)).astype(np.float32)
    real = np.concatenate([points(np.roll(loop, 700 * i)[None], RATE) for i in range(4)])
    good = path_figures([noisy_path(np.roll(loop, 900), loop)], RATE, real)
    bad = path_figures([noisy_path(hiss, loop)], RATE, real)
    assert bad["middle_mmd"] > 0.5
    assert good["middle_mmd"] < 0.2
    assert bad["ends_mmd"] == pytest.approx(good["ends_mmd"], abs=0.05)


def test_paths_that_cannot_be_looked_at() -> None:
    with pytest.raises(ValueError, match="4 bars at least"):
        Path(tone(440, 6), BPM, 3)
    with pytest.raises(ValueError, match="longer than the sound"):
        bar_curves(Path(tone(440, 7.9), BPM, 4), RATE)
    with pytest.raises(ValueError, match="no path"):
        path_figures([], RATE, np.zeros((4, 14)))


@pytest.mark.parametrize("bar_rows", [240.0, 226.3])
def test_bars_that_are_the_same_repeat_without_error(bar_rows: float) -> None:
    rng = np.random.default_rng(0)
    pattern = rng.standard_normal((16, 230))
    rows = np.zeros((16, 1400))
    for index in range(6):  # each from the nearest row on
        start = round(index * bar_rows)
        width = min(230, 1400 - start)
        rows[:, start : start + width] = pattern[:, :width]
    found = repeat_errors(rows, bar_rows)
    assert len(found) == (4 if bar_rows == 240 else 5)
    assert found[:4] == [0.0] * 4


def test_bars_that_have_nothing_in_common_have_an_error_of_one() -> None:
    rows = np.random.default_rng(0).standard_normal((16, 2400))
    assert repeat_errors(rows, 240) == pytest.approx([1.0] * 9, abs=0.06)
    # A bar that wanders from the last by a tenth of the spread.
    locked = np.tile(rows[:, :240], 10) + 0.1 * rows
    assert repeat_errors(locked, 240)[-1] == pytest.approx(0.01, rel=0.15)
    assert repeat_errors(np.ones((2, 480)), 240) == [0.0]
    with pytest.raises(ValueError, match="less than two bars"):
        repeat_errors(rows[:, :300], 240)
