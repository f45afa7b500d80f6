"""What measures of sound share: frames, sizes of transforms, the ear's weighting.

All of it is numpy: nothing is compiled on first use and nothing kept on disk.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

# Poles of the A-weighting (IEC 61672-1, annex E) and its gain at 1 kHz without the factor.
A_POLES_HZ = (20.598997, 107.65265, 737.86223, 12194.217)
A_GAIN_DB = 2.0


def framed(audio: FloatArray, size: int, hop_samples: int) -> FloatArray:
    """Frames of `size` samples, the n-th centred at n * `hop_samples`, one for each whole hop and
    one more: a view [..., frames, size] of the padded audio."""
    edges = [(0, 0)] * (audio.ndim - 1) + [(size // 2, size // 2)]
    return sliding_window_view(np.pad(audio, edges), size, axis=-1)[..., ::hop_samples, :]


def fast_size(least: int) -> int:
    """The shortest even length of at least `least` that is 8 to 16 times a power of two: transforms
    of it are fast, whatever the length of a sound."""
    step = 1 << max(1, least.bit_length() - 4)
    return -(-least // step) * step


def a_weighting(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ear's factor on amplitudes (IEC 61672-1), 1 at 1 kHz and 0 at 0 Hz."""
    first, second, third, fourth = (hertz**2 + pole**2 for pole in A_POLES_HZ)
    shape = A_POLES_HZ[3] ** 2 * hertz**4 / (first * np.sqrt(second * third) * fourth)
    return shape * 10 ** (A_GAIN_DB / 20)
