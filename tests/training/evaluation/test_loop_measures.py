"""Figures of rhythm, on click tracks whose grid is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.evaluation.loop_helpers import FOUR, clicks, tone
from training.evaluation.loop_measures import (
    ENVELOPE_HZ,
    autocorrelation,
    envelope,
    ks_distance,
    motion,
    onsets_per_second,
    rhythm_of,
    tempo_hit,
)

# What sixteenths reach: the envelope's window is 2048 samples, and smears by as much.
RATES = {16000: 0.79, 44100: 0.95, 48000: 0.95}


@pytest.mark.parametrize(("rate", "most"), RATES.items())
def test_clicks_on_the_grid_lock_to_it_and_hit_their_tempo(rate: int, most: float) -> None:
    found = rhythm_of(clicks(126, rate_hz=rate, steps=FOUR), rate, 126)
    assert found.lock4 > 0.97
    assert found.lock16 > most
    assert found.lockx < 0.2
    assert tempo_hit(found.tempo, 126)
    assert found.beat is not None
    assert found.beat > 0.6
    assert found.bar is not None
    assert found.bar > 0.6


@pytest.mark.parametrize("rate", RATES)
def test_the_same_clicks_do_not_fit_another_tempo(rate: int) -> None:
    found = rhythm_of(clicks(126, rate_hz=rate, steps=FOUR), rate, 117)
    assert found.lock16 < 0.2
    assert found.lock4 < 0.6  # eight beats drift by little more than half of one
    assert not tempo_hit(found.tempo, 117)
    assert found.beat is not None
    assert found.beat < 0.1


def test_a_tempo_is_hit_within_two_percent_and_no_further() -> None:
    assert tempo_hit(126 * 1.019, 126)
    assert tempo_hit(126 * 0.981, 126)
    assert not tempo_hit(126 * 1.021, 126)
    assert not tempo_hit(126 * 0.979, 126)


@pytest.mark.parametrize("bpm", [92.0, 110.0, 128.5, 143.0, 171.0])
def test_tempi_are_found(bpm: float) -> None:
    found = rhythm_of(clicks(bpm, steps=FOUR), 16000, bpm)
    assert abs(found.tempo / bpm - 1) < 0.01


@pytest.mark.parametrize("bar", [0.0, 0.3, 1.75, -0.5])
def test_a_profile_is_where_the_bar_says(bar: float) -> None:
    """The bar position of the start turns with the sound, so that nothing changes."""
    found = rhythm_of(clicks(120, seconds=8, steps=(0, 3, 10), bar=bar), 16000, 120, bar).profile
    assert set(np.argsort(found)[-3:]) == {0, 3, 10}
    assert found[[0, 3, 10]].sum() > 0.8
    assert found.sum() == pytest.approx(1)
    other = rhythm_of(clicks(120, seconds=8, steps=(0, 3, 10), bar=bar), 16000, 120,
                      bar + 2 / 16).profile
    assert set(np.argsort(other)[-3:]) == {2, 5, 12}


def test_four_on_the_floor_locks_to_beats() -> None:
    found = rhythm_of(clicks(128, steps=FOUR), 16000, 128)
    assert found.lock4 > 0.9
    # Offbeats half-way take that away, but not the sixteenths.
    both = rhythm_of(clicks(128, steps=(0, 2, 4, 6, 8, 10, 12, 14)), 16000, 128)
    assert both.lock4 < 0.2
    assert both.lock16 > 0.79


def test_a_bar_that_is_another_each_time_does_not_repeat() -> None:
    rng = np.random.default_rng(3)
    bars = [clicks(120, 2.0, steps=tuple(rng.permutation(16)[:5]), seed=i) for i in range(4)]
    other = rhythm_of(np.concatenate(bars), 16000, 120)
    same = rhythm_of(np.concatenate([bars[0]] * 4), 16000, 120)
    assert other.bar is not None
    assert other.bar < 0.4
    assert same.bar is not None
    assert same.bar > 0.9


def test_too_short_for_a_bar() -> None:
    assert rhythm_of(clicks(95, seconds=2.6), 16000, 95).bar is None
    assert rhythm_of(clicks(95, seconds=4.0), 16000, 95).bar is not None


def test_silence_and_broken_sound_have_no_rhythm() -> None:
    for sound in (np.zeros(32000, np.float32), np.full(32000, np.nan, np.float32)):
        found = rhythm_of(sound, 16000, 120)
        assert (found.lock16, found.lock4, found.tempo) == (0, 0, 0)
        assert found.profile.tolist() == [0] * 16
        assert not tempo_hit(found.tempo, 120)


def test_autocorrelation_is_as_by_hand() -> None:
    curve = np.random.default_rng(0).random(50)
    centred = curve - curve.mean()
    by_hand = [(centred[: 50 - lag] * centred[lag:]).mean() / (centred**2).mean()
               for lag in range(50)]
    assert len(autocorrelation(curve)) == 50
    np.testing.assert_allclose(autocorrelation(curve), by_hand, atol=1e-9)


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
def test_an_envelope_has_a_hundred_frames_a_second(rate: int) -> None:
    found = envelope(clicks(120, 3.0, rate, steps=(8,)), rate)
    assert abs(len(found) - 3 * ENVELOPE_HZ) <= 1
    highest = int(found[50:150].argmax()) + 50  # the second bar's is at 3 s
    assert abs(highest - ENVELOPE_HZ) <= 2


def test_onsets_of_a_second() -> None:
    assert onsets_per_second(clicks(120, steps=FOUR), 16000) == pytest.approx(2, abs=0.3)
    assert onsets_per_second(np.zeros(16000, np.float32), 16000) == 0


def test_distributions_of_movement() -> None:
    still, moving = tone(500, 2), clicks(120, 2)
    assert ks_distance(motion(still, 16000)[0], motion(still, 16000)[0]) == 0
    apart = ks_distance(motion(still, 16000)[0], motion(moving, 16000)[0])
    assert apart is not None
    assert apart > 0.5
    assert ks_distance(np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 6])) == pytest.approx(0.5)
    assert ks_distance(np.zeros(0), np.ones(3)) is None
    assert len(motion(np.zeros(16000, np.float32), 16000)[1]) == 0  # silence has no centroid
