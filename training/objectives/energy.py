"""The energy score: how far what a model makes lies from a sound, less how far its own draws lie
from each other.

    score = E d(a, y) - 1/2 E d(a, b)        a, b: two draws of the noise for the same latents

A distance alone is least for a sound without texture: of two independent noises the mean
| ln |A| - ln |Y| | is ln 2 = 0.693, of noise and its own median only 0.484, so a model that is
trained by it gives up its noise and plays 1.6 dB too quietly. The energy score of a distance
between magnitudes, bin by bin, is least when the draws are spread as the sound is (Gneiting and
Raftery 2007, section 5.1; for spectrograms Gritsenko et al. 2020). Of a model that draws nothing
both are the same.

Here for both distances of `losses.py`. For squared errors the score is (|A| - |Y|)(|B| - |Y|),
which asks for the right mean magnitude and leaves the spread free.

Both draws being alike, their gradients are the same on average. So the second may be played without
any: the first then gets twice its own, those of d(a, y) - d(a, b), at half the cost.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from training.objectives.losses import (
    EPSILON,
    NEVER_ZERO,
    WINDOWS,
    magnitude_of,
    padded,
    spectra_of,
    spectral_terms,
    to_signals,
)


class Compared(NamedTuple):
    """What a loss is made of, with gradients, and what is logged beside it, without."""

    score: Tensor  # of the logarithmic distance
    linear_score: Tensor
    distance: Tensor
    linear: Tensor


def compare(
    draws: tuple[Tensor, ...], target: Tensor, weight: float = 1.0,
    windows: tuple[int, ...] = WINDOWS,
) -> Compared:
    """One or two draws of a model, each [..., time], beside `target`. Where one has no gradients,
    the other stands for both. `weight`: of the distance between the draws, 1 for the energy score,
    0 for distances alone."""
    if len(draws) == 1:
        distance, linear = spectral_terms(draws[0], target, windows)
        return Compared(distance, linear, distance.detach(), linear.detach())
    a, b = draws if draws[0].requires_grad else reversed(draws)
    if not a.shape == b.shape == target.shape:
        raise ValueError(f"shapes differ: {[list(x.shape) for x in (a, b, target)]}")
    with torch.autocast(a.device.type, enabled=False):
        kind = torch.float32 if a.dtype in (torch.bfloat16, torch.float16) else a.dtype
        a, b, target = (x.to(kind).reshape(-1, x.shape[-1]) for x in (a, b, target.detach()))
        scales = [_Energy.apply(padded(a, n), padded(b, n), padded(target, n), n, weight)
                  for n in windows]
        means = [torch.stack(terms).mean() for terms in zip(*scales, strict=True)]
    return Compared(means[0], means[1], means[2].detach(), means[3].detach())


class _Energy(torch.autograd.Function):
    """One scale, gradients included: three spectra are taken for the three distances, and an
    inverse FFT leads back to each draw that has gradients."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, target: Tensor, size: int, weight: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Each [signals, time >= size]. Returns both scores and both distances."""
        wanted = magnitude_of(spectra_of(target, size))  # [signals, frames, bins]
        power = wanted.square().sum(dim=(1, 2), keepdim=True) + EPSILON**2 * wanted[0].numel()
        spectra = [spectra_of(x, size) for x in (a, b)]
        found = [magnitude_of(x) for x in spectra]
        errors = [x - wanted for x in found]
        share = 1 / (power * len(power))
        linear = 0.5 * torch.stack([(e.square() * share).sum() for e in errors]).sum()
        apart = found[0] - found[1]
        linear_score = linear - 0.5 * weight * (apart.square() * share).sum()
        logs = [(x + EPSILON).log_() for x in (*found, wanted)]
        signs = [log - logs[2] for log in logs[:2]]
        distance = 0.5 * torch.stack([x.abs().mean() for x in signs]).sum()
        between = logs[0] - logs[1]
        score = distance - 0.5 * weight * between.abs().mean()
        ways = [1, -1][: sum(ctx.needs_input_grad[:2])]  # of `between`, seen from a and from b
        times, saved = 2 / max(1, len(ways)), []
        for x, sign, error, way, own in zip(found, signs, errors, ways, spectra, strict=False):
            # d score / d ln|A| = (sign(ln|A| - ln|Y|) - weight sign(ln|A| - ln|B|)) / 2
            by_log = sign.sign_().sub_(between.sign(), alpha=way * weight)
            by_log = by_log.mul_(0.5 * times / x.numel()).div_(x + EPSILON)
            by_error = error.sub_(apart, alpha=way * weight).mul_(share * times)
            x.clamp_min_(NEVER_ZERO)
            saved += [own, by_log.div_(x), by_error.div_(x)]
        ctx.save_for_backward(*saved)
        ctx.size, ctx.time = size, a.shape[1]
        ctx.mark_non_differentiable(distance, linear)
        return score, linear_score, distance, linear

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        ways = [
            to_signals(x * torch.add(by_log * gradients[0], by_error * gradients[1]),
                       ctx.size, ctx.time)
            for x, by_log, by_error in (saved[i : i + 3] for i in range(0, len(saved), 3))
        ]
        return (*ways, *[None] * (5 - len(ways)))
