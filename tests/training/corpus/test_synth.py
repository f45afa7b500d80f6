"""What loops are made of: patterns, oscillators, filters and effects that turn with the loop."""

from __future__ import annotations

import numpy as np
import pytest

from training.corpus import circle, filters, mixing, oscillators, patterns

RATE = 16000


def test_swing_moves_second_steps_only() -> None:
    straight = patterns.Clock(120.0, 1, 0.0, RATE)
    swung = patterns.Clock(120.0, 1, 1 / 3, RATE)
    step = straight.samples / 16
    assert [swung.at(place) for place in range(0, 16, 2)] == [
        straight.at(place) for place in range(0, 16, 2)]
    for place in range(1, 16, 2):
        assert swung.at(place) - straight.at(place) == pytest.approx(step / 3, abs=1)
    assert swung.at(0.5) == pytest.approx(step * 2 / 3, abs=1)


def test_euclid_is_even() -> None:
    assert patterns.euclid(4, 16) == [0, 4, 8, 12]
    assert len(patterns.euclid(5, 16, 3)) == 5
    gaps = np.diff([*patterns.euclid(7, 16), 16])
    assert set(gaps) == {2, 3}


def test_patterns_are_written_as_played() -> None:
    hits = [patterns.Hit(0, 1.0), patterns.Hit(2, 0.5), patterns.Hit(3, 0.2),
            patterns.Hit(5.5, 0.8), patterns.Hit(16, 1.0)]
    assert patterns.written(hits, 32) == "X.xg.r..........|X..............."


@pytest.mark.parametrize("wave", ["saw", "square", "pulse", "triangle"])
def test_oscillators_do_not_alias(wave: str) -> None:
    hertz = 1237.0  # no harmonic folds onto another within one second
    sound = oscillators.oscillate(wave, hertz, RATE, RATE)
    power = np.abs(np.fft.rfft(sound * np.blackman(RATE))) ** 2
    near = np.zeros(len(power), dtype=bool)
    for harmonic in range(1, int(RATE / 2 / hertz) + 1):
        centre = round(harmonic * hertz)
        near[centre - 4 : centre + 5] = True
    assert 10 * np.log10(power[~near].sum() / power[near].sum()) < -60


def test_swept_filter_at_rest_is_the_fixed_filter() -> None:
    sound = np.random.default_rng(0).standard_normal(2000)
    note = round(np.log2(900.0) * filters.STEPS_PER_OCTAVE) / filters.STEPS_PER_OCTAVE
    cutoff_hz = np.full(len(filters.frame_times_s(len(sound), RATE)), 2.0**note)
    got = filters.swept(sound, cutoff_hz, 1.5, RATE)
    size = 1 << 15
    s = filters.s_plane(circle.frequencies_hz(size, RATE), 2.0**note, RATE)
    expected = np.fft.irfft(np.fft.rfft(sound, size) * filters.ladder(s, 1.5), size)
    count = min(len(got), 3000)
    assert count >= 2500
    np.testing.assert_allclose(got[:count], expected[:count], atol=1e-6)
    assert np.abs(expected[-2000:]).max() < 1e-9  # causal: nothing before the onset


def test_effects_turn_with_the_loop() -> None:
    """Turning the loop and then sending it is sending it and then turning: there is no border."""
    clock = patterns.Clock(130.0, 1, 0.0, RATE)
    space = mixing.draw_space(np.random.default_rng(0))
    sound = np.zeros(clock.samples)
    burst = np.random.default_rng(2).standard_normal(900)
    circle.add(sound, -40, burst)
    assert sound.sum() == pytest.approx(burst.sum())
    for response in (mixing.echo_response(space, clock),
                     mixing.room_response(space, clock, np.random.default_rng(1))):
        wet = circle.through(sound, response)
        assert np.abs(wet).max() > 0.01
        turned = circle.through(np.roll(sound, 1234), response)
        np.testing.assert_allclose(turned, np.roll(wet, 1234), atol=1e-9)


def test_echo_is_its_repeats() -> None:
    clock = patterns.Clock(120.0, 4, 0.0, RATE)
    space = mixing.Space(1.0, 200.0, 5000.0, 0.0, 3.0, 0.5, 150.0, 6000.0)
    sound = np.zeros(clock.samples)
    sound[0] = 1.0
    levels = np.abs(circle.through(sound, mixing.echo_response(space, clock)))
    late = clock.samples // clock.steps * 3
    peaks = [levels[turn * late : turn * late + 40].max() for turn in (1, 2, 3)]
    assert peaks[0] > peaks[1] > peaks[2] > 0.02 * peaks[0]
    assert levels[: late - 10].max() < 0.1 * peaks[0]


def test_kick_ducks_the_rest() -> None:
    gain = mixing.ducking([900], 1000, 0.8, 400)
    assert gain.min() == pytest.approx(0.2, abs=0.02)
    assert gain[890] == 1.0
    assert gain[910] < 0.3
    assert gain[950] < gain[50] < gain[250] < 1.0  # across the border of the loop
    assert gain[310] == 1.0


def test_oversampling_there_and_back() -> None:
    for samples in (1000, 999):
        sound = np.random.default_rng(0).standard_normal(samples)
        sound = circle.through(sound, np.linspace(1, 0, samples // 2 + 1))  # nothing at Nyquist
        again = circle.decimated(circle.oversampled(sound, 2), 2)
        assert len(again) == samples
        np.testing.assert_allclose(again, sound, atol=1e-3)


def test_smooth_lengths() -> None:
    assert circle.smooth_length(30000) == 30000
    assert abs(circle.smooth_length(29538) - 29538) < 100
    assert circle.smooth_length(29538) % 2 == 0
