"""How far what was made lies from what really came: the term L_match of document 000, any p-norm.

    || x - y ||_p = (mean |x - y|^p) ^ (1/p)

The mean in place of the sum, so that a weight means the same whatever the window's length.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from training.objectives.losses import EPSILON, padded, power_of, spectra_of

WINDOWS = (1024, 512, 256)
LEAST = 1e-12  # a root has no slope at 0


def norm(difference: Tensor, p: float) -> Tensor:
    """Of all numbers together, none of them overflowing."""
    size = difference.abs()
    most = size.detach().amax().clamp_min(LEAST)
    return most * (size / most).pow(p).mean().clamp_min(LEAST) ** (1 / p)


def on_waveform(made: Tensor, real: Tensor, p: float) -> Tensor:
    """Of samples: at its least where every one is foretold."""
    return norm(made - real, p)


def on_log_spectra(made: Tensor, real: Tensor, p: float) -> Tensor:
    """Of log magnitudes of short spectra, in nepers, mean over three lengths: phases may differ."""
    made, real = (x.reshape(-1, x.shape[-1]) for x in (made, real))
    found = []
    for size in WINDOWS:
        logs = []
        for x in (made, real):
            power = power_of(spectra_of(padded(x, size), size))
            logs.append(0.5 * torch.log(power + EPSILON**2))
        found.append(norm(logs[0] - logs[1], p))
    return torch.stack(found).mean()


MATCHES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "waveform": on_waveform,
    "log-spectra": on_log_spectra,
}
