"""The spectral distance of document 003, eq. (1), and the divergence of a latent from its prior.

    distance(x, y) = mean over scales, frames, bins of | ln(|X| + eps) - ln(|Y| + eps) |

X is the STFT of x under a Hann window divided by the window's sum, so that |X| of a full-scale
sine is 1/2 at every scale. Training, evaluation and every table use this one definition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOWS = (2048, 1024, 512, 256, 128)
OVERLAP = 4  # the hop is a quarter of the window
EPSILON = 1e-5
NEVER_ZERO = 1e-20  # divides where a magnitude may be 0; 1 / (EPSILON * it) is still a float32


@lru_cache(maxsize=64)
def _window(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Hann window [size] whose sum is 1."""
    window = torch.hann_window(size, periodic=True, dtype=torch.float64)
    return (window / window.sum()).to(dtype=dtype, device=device)


def spectra_of(x: Tensor, size: int) -> Tensor:
    """[signals, time] -> complex [signals, frames, size / 2 + 1]."""
    frames = x.unfold(1, size, size // OVERLAP) * _window(size, x.dtype, x.device)
    return torch.fft.rfft(frames)


def magnitude_of(spectra: Tensor) -> Tensor:
    """|X|; several times faster than `abs`, which guards against overflow."""
    real, imaginary = spectra.real, spectra.imag
    return torch.addcmul(real.square(), imaginary, imaginary).sqrt_()


def power_of(spectra: Tensor) -> Tensor:
    """|X|^2, whose gradient at 0 is 0, as that of a root is not."""
    return spectra.real.square() + spectra.imag.square()


def padded(x: Tensor, size: int) -> Tensor:
    """`x` with zeros at its end if it is shorter than one window."""
    return F.pad(x, (0, size - x.shape[1])) if x.shape[1] < size else x


class _Distance(torch.autograd.Function):
    """One scale, gradients included: logarithm, sign and division stay in one pass over memory,
    and the backward pass is one inverse FFT."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """`x`, `target`: [signals, time >= size]. Returns logarithmic and linear distance."""
        wanted = magnitude_of(spectra_of(target, size))  # [signals, frames, bins]
        spectra = spectra_of(x, size)
        magnitude = magnitude_of(spectra)
        error = magnitude - wanted
        power = wanted.square().sum(dim=(1, 2), keepdim=True) + EPSILON**2 * wanted[0].numel()
        linear = (error.square().sum(dim=(1, 2), keepdim=True) / power).mean()
        difference = (magnitude + EPSILON).log_().sub_(wanted.add_(EPSILON).log_())
        distance = difference.abs().mean()
        if x.requires_grad:
            # d|X| / dX = X / |X|, taken as 0 where X is 0.
            # d|ln(|X| + eps) - t| / d|X| = sign / (|X| + eps)
            by_log = difference.sign_().div_(magnitude + EPSILON).div_(error.numel())
            by_error = error.mul_(2 / (power * len(power)))
            magnitude.clamp_min_(NEVER_ZERO)
            ctx.save_for_backward(spectra, by_log.div_(magnitude), by_error.div_(magnitude))
        ctx.size, ctx.time = size, x.shape[1]
        return distance, linear

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        spectra, by_log, by_error = ctx.saved_tensors
        spectra = spectra * torch.add(by_log * gradients[0], by_error * gradients[1])
        return to_signals(spectra, ctx.size, ctx.time), None, None


def to_signals(spectra: Tensor, size: int, time: int) -> Tensor:
    """The adjoint of windows and FFT: gradients of complex spectra [signals, frames, bins], which
    are overwritten, as those of signals [signals, time]."""
    # The adjoint of rfft is an inverse FFT without its 1/n in which the bins that stand for
    # two (all but the first and last) count half.
    hop = size // OVERLAP
    spectra[..., 1:-1] *= 0.5
    frames = torch.fft.irfft(spectra, n=size, norm="forward")
    frames *= _window(size, frames.dtype, frames.device)
    signals, count = frames.shape[:2]
    summed = frames.new_zeros(signals, count + OVERLAP - 1, hop)
    for part in range(OVERLAP):
        summed[:, part : part + count] += frames[..., part * hop : (part + 1) * hop]
    flat = summed.reshape(signals, -1)
    return F.pad(flat, (0, time - flat.shape[1]))


def spectral_terms(
    x: Tensor, target: Tensor, windows: tuple[int, ...] = WINDOWS
) -> tuple[Tensor, Tensor]:
    """Spectral distance and linear distance of two batches of audio [..., time], as scalars.

    The linear distance is || |X| - |Y| ||^2 / || |Y| ||^2, mean over signals and scales: it minds
    the few loud bins, which carry the level and which the logarithm counts like any other.
    Frames lie wholly inside the signal; samples after the last whole frame do not count, and a
    signal shorter than a window is padded with zeros. Gradients reach `x` only."""
    if x.shape != target.shape:
        raise ValueError(f"shapes differ: {list(x.shape)} and {list(target.shape)}")
    with torch.autocast(x.device.type, enabled=False):
        x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        x = x.reshape(-1, x.shape[-1])  # [signals, time]
        target = target.detach().to(x.dtype).reshape(x.shape)
        scales = [_Distance.apply(padded(x, n), padded(target, n), n) for n in windows]
        logarithmic, linear = zip(*scales, strict=True)
        return torch.stack(logarithmic).mean(), torch.stack(linear).mean()


def spectral_distance(x: Tensor, target: Tensor, windows: tuple[int, ...] = WINDOWS) -> Tensor:
    """The distance of the formula above, as a scalar; see `spectral_terms`."""
    return spectral_terms(x, target, windows)[0]


def kl_per_dimension(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, exp(log_std)^2) || N(0, 1)) in nats per frame: [batch, latents, frames] ->
    [latents]."""
    divergence = 0.5 * (mean.square() + torch.exp(2 * log_std) - 1) - log_std
    return divergence.mean(dim=(0, 2))


def kl_penalty(per_dimension: Tensor, free_bits: float) -> Tensor:
    """Mean over latents of what each spends beyond `free_bits` nats (Kingma et al. 2016, C.8)."""
    return (per_dimension - free_bits).clamp_min(0).mean()


def watched(terms: Mapping[str, Tensor]) -> float:
    """The sum of both distances; of the linear one the logarithm, since it has no upper end, where
    the spectral distance, a logarithm itself, hardly tells silence from a roar."""
    linear = float(terms["linear_distance"].detach())
    return float(terms["spectral_distance"].detach()) + math.log1p(linear)
