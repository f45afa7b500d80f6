"""The one definition of the spectral distance, against numpy written from the formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.objectives.losses import (
    WINDOWS,
    kl_penalty,
    kl_per_dimension,
    spectral_distance,
    spectral_terms,
)


def by_formula(x: np.ndarray, y: np.ndarray) -> float:
    """House definition, frame by frame in float64. x, y: [signals, time]"""
    scales = []
    for size in (2048, 1024, 512, 256, 128):
        n = np.arange(size)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * n / size)
        logs = []
        for signal in (x, y):
            frames = []
            for row in signal:
                row = np.concatenate([row, np.zeros(max(0, size - len(row)))])
                for start in range(0, len(row) - size + 1, size // 4):
                    spectrum = np.fft.rfft(row[start : start + size] * window) / window.sum()
                    frames.append(np.log(np.abs(spectrum) + 1e-5))
            logs.append(np.array(frames))
        assert logs[0].size > 0
        scales.append(np.abs(logs[0] - logs[1]).mean())
    return float(np.mean(scales))


@pytest.mark.parametrize("samples", [100, 2048, 5000])
def test_value_is_the_formula(samples: int) -> None:
    rng = np.random.default_rng(samples)
    x, y = rng.standard_normal((2, 3, samples)) * 0.1
    ours = float(spectral_distance(torch.tensor(x), torch.tensor(y)))
    assert ours == pytest.approx(by_formula(x, y), rel=1e-9)


def test_gradient_is_that_of_the_formula() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 300, generator=generator, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 300, generator=generator, dtype=torch.float64)

    def distance(x: torch.Tensor) -> torch.Tensor:
        return torch.stack(spectral_terms(x, y, windows=(256, 128)))

    assert torch.autograd.gradcheck(distance, (x,), eps=1e-7, atol=1e-5)


def test_gradient_matches_autograd_over_stft() -> None:
    x = (torch.randn(2, 6000, dtype=torch.float64) * 0.1).requires_grad_()
    y = torch.randn(2, 6000, dtype=torch.float64) * 0.1
    total = torch.zeros((), dtype=torch.float64)
    for size in WINDOWS:
        window = torch.hann_window(size, dtype=torch.float64)
        a, b = (torch.stft(s, size, size // 4, size, window, center=False, return_complex=True)
                for s in (x, y))
        total = total + (torch.log(a.abs() / window.sum() + 1e-5)
                         - torch.log(b.abs() / window.sum() + 1e-5)).abs().mean()
    (wanted,) = torch.autograd.grad(total / len(WINDOWS), x)
    (ours,) = torch.autograd.grad(spectral_distance(x, y), x)
    assert wanted.abs().max() > 0
    assert torch.allclose(ours, wanted, rtol=1e-6, atol=1e-12)


def test_no_gradient_through_the_target() -> None:
    x, y = (torch.randn(1, 4096, requires_grad=True) for _ in range(2))
    spectral_distance(x, y).backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    assert y.grad is None


def test_silence_has_a_finite_gradient() -> None:
    x = torch.zeros(1, 4096, requires_grad=True)
    spectral_distance(x, torch.randn(1, 4096)).backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_reference_values() -> None:
    """Silence is far from noise, a delay of 1 ms is near, identity is 0."""
    x = torch.randn(1, 16000) * 0.1
    late = torch.nn.functional.pad(x, (16, 0))[:, :16000]
    assert float(spectral_distance(x, x)) == 0
    assert float(spectral_distance(x, late)) < 0.6
    assert float(spectral_distance(torch.zeros_like(x), x)) > 4
    with pytest.raises(ValueError, match="shapes differ"):
        spectral_distance(x, x[:, :-1])


def test_linear_distance_is_the_share_of_power_that_is_wrong() -> None:
    x = torch.randn(2, 6000) * 0.1
    assert float(spectral_terms(x, x)[1]) == 0
    assert float(spectral_terms(torch.zeros_like(x), x)[1]) == pytest.approx(1, abs=1e-3)
    assert float(spectral_terms(0.5 * x, x)[1]) == pytest.approx(0.25, abs=1e-3)


def test_kl_is_that_of_two_gaussians() -> None:
    mean, log_std = torch.full((2, 3, 5), 0.7), torch.full((2, 3, 5), -0.4)
    wanted = torch.distributions.kl_divergence(
        torch.distributions.Normal(0.7, float(np.exp(-0.4))), torch.distributions.Normal(0.0, 1.0)
    )
    found = kl_per_dimension(mean, log_std)
    assert found.shape == (3,)
    assert torch.allclose(found, wanted.expand(3), atol=1e-6)


def test_free_bits_cost_nothing() -> None:
    per_dimension = torch.tensor([0.1, 0.5, 2.0])
    assert float(kl_penalty(per_dimension, 0.5)) == pytest.approx(0.5)
    assert float(kl_penalty(per_dimension, 0.0)) == pytest.approx(2.6 / 3)
