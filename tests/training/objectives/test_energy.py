"""The energy score against its formula, and what it is for: noise scores best as noise."""

from __future__ import annotations

import pytest
import torch

from training.objectives.aligned import windows_of
from training.objectives.energy import compare
from training.objectives.losses import WINDOWS, spectral_terms


def noise(seed: int, gain: float = 0.1, samples: int = 20000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return gain * torch.randn(2, samples, generator=generator, dtype=torch.float64)


def power_of(x: torch.Tensor, size: int) -> float:
    """Sum of all squared magnitudes."""
    window = torch.hann_window(size, dtype=x.dtype)
    spectra = torch.fft.rfft(x.unfold(1, size, size // 4) * window / window.sum())
    return float(spectra.abs().square().sum())


@pytest.mark.parametrize("samples", [100, 5000])
@pytest.mark.parametrize("weight", [0.0, 0.7, 1.0])
def test_value_is_the_formula(samples: int, weight: float) -> None:
    a, b, y = (noise(seed, 0.1 * seed, samples) for seed in (1, 2, 3))
    found = compare((a, b), y, weight)
    ay, by, ab = (torch.stack(spectral_terms(*pair)) for pair in ((a, y), (b, y), (a, b)))
    near = 0.5 * (ay + by)
    assert found.distance == pytest.approx(float(near[0]))
    assert found.linear == pytest.approx(float(near[1]))
    assert found.score == pytest.approx(float(near[0] - 0.5 * weight * ab[0]))
    assert found.distance > found.score or weight == 0


def test_the_linear_score_is_a_product_of_errors() -> None:
    """(|A| - |Y|)(|B| - |Y|) over |Y|^2: least where the mean magnitude is right."""
    a, b, y = (noise(seed, 0.1 * seed, 2000) for seed in (1, 2, 3))
    size, wanted = 128, []
    window = torch.hann_window(size, dtype=torch.float64)
    for one in range(2):
        frames = [x[one].unfold(0, size, size // 4) * window for x in (a, b, y)]
        ma, mb, my = (torch.fft.rfft(x).abs() / window.sum() for x in frames)
        wanted.append(((ma - my) * (mb - my)).sum() / my.square().sum())
    found = compare((a, b), y, 1.0, (size,)).linear_score
    assert float(found) == pytest.approx(float(torch.stack(wanted).mean()), rel=1e-6)


def test_gradients_reach_both_draws_and_are_those_of_the_formula() -> None:
    a, b = (noise(seed, 1.0, 300).requires_grad_() for seed in (1, 2))
    y = noise(3, 1.0, 300)

    def scores(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.stack(compare((a, b), y, 0.7, (256, 128))[:2])

    assert torch.autograd.gradcheck(scores, (a, b), eps=1e-7, atol=1e-5)
    logged = compare((a, b), y)
    assert not logged.distance.requires_grad
    assert not logged.linear.requires_grad


def test_a_draw_alone_gets_the_gradients_of_both() -> None:
    """Those of d(a, y) - d(a, b), whichever draw it is."""
    a, b, y = (noise(seed, 0.5 * seed, 300)[:1] for seed in (1, 2, 4))
    a.requires_grad_()
    windows = (128,)
    powers = [power_of(x, 128) for x in (b, y)]
    for draws in ((a, b), (b, a)):
        found = compare(draws, y, 0.7, windows)
        ay, ab = spectral_terms(a, y, windows), spectral_terms(a, b, windows)
        # The linear distance is a share of what the sound has, not of what the other draw has.
        for place, scale in ((0, 1.0), (1, powers[0] / powers[1])):
            (ours,) = torch.autograd.grad(found[place], a, retain_graph=True)
            (near,) = torch.autograd.grad(ay[place], a, retain_graph=True)
            (apart,) = torch.autograd.grad(ab[place], a, retain_graph=True)
            assert ours.abs().max() > 0
            assert torch.allclose(ours, near - 0.7 * scale * apart, rtol=1e-6, atol=1e-12)


def test_one_draw_is_the_distance_and_equal_draws_are_too() -> None:
    a, y = noise(1), noise(2)
    distance, linear = spectral_terms(a, y)
    for found in (compare((a,), y), compare((a, a), y)):
        assert found.score == pytest.approx(float(distance))
        assert found.linear_score == pytest.approx(float(linear))


def test_noise_scores_best_as_noise_of_the_right_level() -> None:
    """The distance asks for noise that is too quiet, the energy score for the same level."""
    y, gains = noise(1), torch.linspace(0.6, 1.4, 17, dtype=torch.float64)
    scored = [compare((gain * noise(2), gain * noise(3)), y, 1.0, (256, 128)) for gain in gains]
    best, loudest, nearest = (
        float(gains[int(torch.stack([found[place] for found in scored]).argmin())])
        for place in (0, 1, 3))
    assert best == pytest.approx(1, abs=0.051)
    assert loudest == pytest.approx(1, abs=0.051)
    assert nearest < 0.86


def test_a_flat_spectrum_is_nearer_to_noise_than_noise_but_does_not_score_better() -> None:
    """One frame each: an impulse whose flat magnitude is the median of the noise's."""
    generator = torch.Generator().manual_seed(1)
    y, a, b = 0.1 * torch.randn(3, 500, 128, generator=generator, dtype=torch.float64)
    window = torch.hann_window(128, dtype=torch.float64)
    flat = torch.zeros_like(y)
    flat[:, 64] = 0.1 * (window.square().sum() * torch.tensor(2.0).log()).sqrt()
    texture, smooth = (compare(draws, y, 1.0, (128,)) for draws in ((a, b), (flat, flat)))
    assert texture.distance == pytest.approx(0.693, abs=0.02)
    assert smooth.distance == pytest.approx(0.484, abs=0.02)
    assert texture.score == pytest.approx(0.347, abs=0.02)
    assert smooth.score == smooth.distance


@pytest.mark.parametrize("frame", [64, 32])
def test_noise_that_pulses_at_the_frame_rate_is_heard_in_windows_no_longer_than_a_frame(
    frame: int,
) -> None:
    assert windows_of(128) == WINDOWS == windows_of(2048)
    assert windows_of(frame)[-1] == frame
    pulse = 1 + torch.sin(2 * torch.pi * torch.arange(20000, dtype=torch.float64) / frame)
    pulse = pulse / pulse.square().mean().sqrt()
    worse = {windows: float(compare((pulse * noise(2), pulse * noise(3)), noise(1), 1.0,
                                    windows).score
                            - compare((noise(2), noise(3)), noise(1), 1.0, windows).score)
             for windows in (WINDOWS, windows_of(frame))}
    assert worse[WINDOWS] < 0.005
    assert worse[windows_of(frame)] > 0.012


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        compare((noise(1), noise(2)), noise(3)[:, :-1])
