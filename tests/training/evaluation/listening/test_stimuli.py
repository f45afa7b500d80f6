"""Anchors as BS.1534 wants them, loudness as BS.1770 says it, and no clipping."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.listening.stimuli import (
    MOST_GAIN_DB,
    MOST_PEAK,
    as_loud,
    faded,
    k_weighting,
    loudest,
    loudness_db,
    low_pass,
)


def sine(hz: float, rate_hz: int, seconds: float = 1.0, level: float = 1.0) -> np.ndarray:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None]


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000])
def test_anchors_pass_and_stop_where_they_should(rate_hz: int) -> None:
    def gain_db(hz: float, cutoff_hz: float) -> float:
        x = sine(hz, rate_hz)
        y = low_pass(x, rate_hz, cutoff_hz)
        assert y.shape == x.shape
        inner = slice(rate_hz // 4, -rate_hz // 4)  # away from the ends
        return float(20 * np.log10(np.sqrt(np.square(y[:, inner]).mean() / 0.5) + 1e-9))

    for hz in (100, 1000, 3400, 3500):
        assert abs(gain_db(hz, 3500)) < 0.1
    assert gain_db(4000, 3500) < -25
    assert gain_db(4500, 3500) < -50
    assert abs(gain_db(7000, 7000)) < 0.1
    assert gain_db(7600, 7000) < -50


def test_an_anchor_is_not_late_and_leaves_alone_what_it_cannot_reach() -> None:
    click = np.zeros((2, 4001), np.float32)
    click[:, 2000] = 1
    assert np.abs(low_pass(click, 16000, 3500)).argmax(axis=1).tolist() == [2000, 2000]
    assert np.array_equal(low_pass(click, 8000, 7000), click)


def test_k_weighting_has_the_published_coefficients_at_48_khz() -> None:
    wanted = [[1.53512485958697, -2.69169618940638, 1.19839281085285,
               1, -1.69065929318241, 0.73248077421585],
              [1, -2, 1, 1, -1.99004745483398, 0.99007225036621]]
    assert np.abs(k_weighting(48000) - wanted).max() < 1e-7


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000])
def test_loudness_by_hand(rate_hz: int) -> None:
    assert loudness_db(sine(997, rate_hz, 3), rate_hz) == pytest.approx(-3.01, abs=0.05)
    both = np.repeat(sine(997, rate_hz, 3, 0.1), 2, axis=0)
    assert loudness_db(both, rate_hz) == pytest.approx(-20, abs=0.05)
    assert loudness_db(sine(997, rate_hz, 0.1), rate_hz) == pytest.approx(-3.01, abs=0.1)


def test_silence_and_what_is_nearly_silent_do_not_count() -> None:
    tone = sine(997, 16000, 2, 0.5)
    gaps = np.concatenate((tone, np.zeros((1, 64000), np.float32), 0.01 * tone), axis=1)
    # But for blocks that hold part of both.
    assert loudness_db(gaps, 16000) == pytest.approx(loudness_db(tone, 16000), abs=0.5)
    assert loudness_db(np.zeros((1, 16000), np.float32), 16000) == -np.inf
    assert loudness_db(np.zeros((1, 0), np.float32), 16000) == -np.inf


def test_all_are_as_loud_as_the_reference_and_none_clips() -> None:
    rng = np.random.default_rng(0)
    reference = sine(500, 16000, 1, 0.9)
    peaky = np.zeros((1, 16000), np.float32)
    peaky[:, ::40] = 0.5
    sounds = {"reference": reference, "peaky": peaky,
              "noise": (0.1 * rng.standard_normal((1, 16000))).astype(np.float32),
              "nothing": np.zeros((1, 16000), np.float32),
              "faint": 1e-3 * reference}
    loud, gains = as_loud(sounds, reference, 16000)
    assert max(np.abs(x).max() for x in loud.values()) == pytest.approx(MOST_PEAK, rel=1e-3)
    levels = {name: loudness_db(x, 16000) for name, x in loud.items()}
    assert levels["noise"] == pytest.approx(levels["reference"], abs=0.1)
    assert levels["peaky"] == pytest.approx(levels["reference"], abs=0.1)
    assert gains["reference"] == 0
    assert gains["nothing"] == 0
    assert not loud["nothing"].any()
    assert gains["faint"] == MOST_GAIN_DB  # and no more: it is said in the key
    quiet, _ = as_loud({"reference": 0.1 * reference}, 0.1 * reference, 16000)
    assert np.allclose(quiet["reference"], 0.1 * reference)  # nothing is changed without need


def test_ends_are_faded_and_the_loudest_stretch_is_found() -> None:
    x = faded(np.ones((1, 1600), np.float32), 16000)
    assert x[0, 0] < 0.001
    assert x[0, -1] < 0.001
    assert np.array_equal(x[0, 160:-160], np.ones(1280, np.float32))
    assert np.array_equal(x, x[:, ::-1])
    assert faded(np.ones((1, 3), np.float32), 16000).shape == (1, 3)
    sound = np.concatenate([np.full((1, 100), level, np.float32) for level in (0.1, 0.2, 0.9, 0.3)],
                           axis=1)
    assert loudest(sound, 100, 50) == 200
    assert loudest(sound, 200, 50) == 200
    assert loudest(sound, 400, 50) == 0
