"""Mel bands and octave levels beside the distance of bins."""

from math import log

import pytest
import torch

from training.objectives.balance import balance

RATE = 16000


def noise(seed: int, signals: int = 2, samples: int = 16384) -> torch.Tensor:
    return 0.1 * torch.randn(signals, samples, generator=torch.Generator().manual_seed(seed))


def test_equal_sounds_have_no_error():
    found = balance((noise(1),), noise(1), RATE)
    assert found.mel_score == 0
    assert found.octaves == 0


def test_a_level_is_an_error_of_every_octave():
    found = balance((0.5 * noise(1),), noise(1), RATE)
    assert float(found.octaves) == pytest.approx(log(2), abs=1e-4)
    assert float(found.mel_score) == pytest.approx(log(2), abs=1e-3)


def test_an_octave_counts_by_itself():
    """Of the eight octaves between 62.5 Hz and 16 kHz the top one only is the Nyquist's bin."""
    spectrum = torch.fft.rfft(noise(1))
    hertz = torch.fft.rfftfreq(16384, 1 / RATE)
    spectrum[:, (hertz > 2100) & (hertz < 3900)] *= 0.25
    quieter = torch.fft.irfft(spectrum)
    found = float(balance((quieter,), noise(1), RATE).octaves)
    assert 0.5 * log(4) / 8 < found < 1.1 * log(4) / 7


def test_octaves_that_the_target_lacks_do_not_count():
    time = torch.arange(16384) / RATE
    low = torch.sin(2 * torch.pi * 200 * time)[None]
    other = low + 1e-4 * torch.sin(2 * torch.pi * 3000 * time)
    assert float(balance((other,), low, RATE).octaves) < 0.01


def test_independent_noise_beats_none_and_a_wrong_level():
    """The energy score is least for the right distribution; a distance would prefer silence to
    bands that fluctuate too much."""
    wanted = noise(3, 8)
    right = float(balance((noise(1, 8), noise(2, 8)), wanted, RATE).mel_score)
    quiet = float(balance((0.7 * noise(1, 8), 0.7 * noise(2, 8)), wanted, RATE).mel_score)
    loud = float(balance((1.4 * noise(1, 8), 1.4 * noise(2, 8)), wanted, RATE).mel_score)
    still = float(balance((noise(1, 8), noise(1, 8)), wanted, RATE).mel_score)
    assert right < min(quiet, loud, still)


def test_one_draw_with_gradients_stands_for_both():
    """The same value as with both draws, and on average the same gradient of a level."""
    def level_gradient(both: bool) -> tuple[float, float]:
        gain = torch.ones(1, requires_grad=True)
        a, b = gain * noise(1, 8), noise(2, 8)
        if both:
            b = gain * b
        found = balance((a, b), 0.8 * noise(3, 8), RATE)
        found.mel_score.backward()
        assert gain.grad is not None
        return float(found.mel_score.detach()), float(gain.grad)

    (one, single), (two, double) = level_gradient(False), level_gradient(True)
    assert one == pytest.approx(two, abs=1e-6)
    assert single > 0
    assert double > 0


def test_silence_has_finite_gradients():
    silent = torch.zeros(1, 4096, requires_grad=True)
    found = balance((silent, torch.zeros(1, 4096)), torch.zeros(1, 4096), RATE)
    (found.mel_score + found.octaves).backward()
    assert silent.grad is not None
    assert torch.isfinite(silent.grad).all()


@pytest.mark.parametrize("rate", [8000, 48000, 96000])
def test_any_rate_and_a_sound_shorter_than_a_window(rate):
    short = torch.randn(2, 2, 700, generator=torch.Generator().manual_seed(1))
    found = balance((short, short.flip(-1)), short, rate)
    assert torch.isfinite(found.mel_score)
    assert torch.isfinite(found.octaves)
