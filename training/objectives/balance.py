"""What the ear hears of a spectrum, beside its bins: mel bands, and the level of each octave.

The distance of `losses.py` counts every bin alike, so that at 48 kHz two thirds of it lie above
8 kHz; and a distance of logarithms follows a sound's usual moments, where its power is made by the
loud ones: models that are trained by it alone are 1 to 2 dB too quiet in each octave above 1 kHz.

    mel_score     = E d(a, y) - 1/2 E d(a, b)        d: mean | ln A - ln Y | over mel bands, frames
    octave_nepers = mean over octaves of | ln (power of a / power of y) | / 2, of a whole crop

The first is the energy score of `energy.py` for another distance, and proper like it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from training.evaluation.spectra import mel_bands
from training.objectives.losses import padded, power_of, spectra_of

SCALES = ((2048, 64), (512, 32))  # window in samples, mel bands
FLOOR = 1e-10  # of power, -100 dB
LOWEST_HZ = 62.5
HEARD = 1e-6  # of an octave's power, against the loudest octave's


class Balance(NamedTuple):
    """Both in nepers, with gradients."""

    mel_score: Tensor
    octaves: Tensor


def balance(draws: tuple[Tensor, ...], target: Tensor, rate_hz: int) -> Balance:
    """One or two draws of a model, each [..., time], beside `target`. Of two, the one that has
    gradients stands for both."""
    a, *others = draws if draws[0].requires_grad else reversed(draws)
    with torch.autocast(a.device.type, enabled=False):
        signals = [x.float().reshape(-1, x.shape[-1]) for x in (a, *others[:1], target.detach())]
        powers = {window: [power_of(spectra_of(padded(x, window), window)) for x in signals]
                  for window, _ in SCALES}
        scores = [_mel_score(powers[window], _mel_matrix(window, rate_hz, bands, a.device))
                  for window, bands in SCALES]
        finest = powers[SCALES[0][0]]
        octaves = _octaves(finest[0], finest[-1], _octave_matrix(SCALES[0][0], rate_hz, a.device))
    return Balance(torch.stack(scores).mean(), octaves)


def _mel_score(powers: list[Tensor], matrix: Tensor) -> Tensor:
    """`powers`: of one or two draws and of the target, each [signals, frames, bins]."""
    own, *others, wanted = [0.5 * (power @ matrix + FLOOR).log() for power in powers]
    score = (own - wanted).abs().mean()
    for other in others:  # alike on average, so that the draw with gradients gets those of both
        apart = (own - other).abs().mean()
        score = score - apart + 0.5 * apart.detach()
    return score


def _octaves(own: Tensor, wanted: Tensor, matrix: Tensor) -> Tensor:
    """Mean error of the octaves that are heard in `wanted`, each [signals, frames, bins]."""
    levels = [power.mean(dim=1) @ matrix + FLOOR for power in (own, wanted)]
    heard = levels[1] > torch.maximum(HEARD * levels[1].amax(dim=1, keepdim=True),
                                      torch.full_like(levels[1][:, :1], 10 * FLOOR))
    errors = 0.5 * (levels[0].log() - levels[1].log()).abs() * heard
    # Crop by crop: what several processes learn must not depend on how crops are shared out.
    return (errors.sum(dim=1) / heard.sum(dim=1).clamp_min(1)).mean()


@lru_cache(maxsize=16)
def _octave_matrix(window: int, rate_hz: int, device: torch.device) -> Tensor:
    """Which bins lie in each octave from `LOWEST_HZ` up: [bins, octaves]."""
    hertz = torch.linspace(0, rate_hz / 2, window // 2 + 1, device=device)
    octave = (hertz / LOWEST_HZ).clamp_min(1e-9).log2().floor()
    inside = [octave == k for k in range(int(octave.max()) + 1)]
    return torch.stack(inside, dim=1).to(hertz.dtype)


@lru_cache(maxsize=16)
def _mel_matrix(window: int, rate_hz: int, bands: int, device: torch.device) -> Tensor:
    """Triangles of mel bands, each summing to 1, those that hold a bin: [bins, bands]."""
    rows = torch.from_numpy(mel_bands(window, rate_hz, bands)).to(device)
    rows = rows[rows.sum(dim=1) > 0]
    return (rows / rows.sum(dim=1, keepdim=True)).T.contiguous()
