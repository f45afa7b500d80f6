"""Audio on a circle: a loop has no first sample, so its tails, filters and echoes wrap around.

Every stem of a loop is an array [samples] whose end touches its beginning. Sounds are added modulo
its length, and linear effects multiply its discrete Fourier transform, which is the steady state
the effect reaches when the loop has been playing forever. Seamless by construction:

    time        0 ........................ samples | 0 ....
    an event                          [attack, body| tail]
    on the loop tail] ............... [attack, body|
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float64]
Spectrum = npt.NDArray[np.complex128]


@lru_cache(maxsize=4096)
def smooth_length(samples: int) -> int:
    """The even length nearest to `samples` that has no prime factor above 11.

    All effects are transforms as long as the loop; a large prime makes them several times slower.
    """
    nearest = samples // 2
    for off in range(2 * nearest):
        half = nearest + (off // 2 if off % 2 else -(off // 2))  # 0, 0, -1, 1, -2, 2, ...
        rest = half
        for prime in (2, 3, 5, 7, 11):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return 2 * half
    return max(2, samples)


def add(loop: Audio, start: int, sound: Audio, gain: float = 1.0) -> None:
    """Adds `sound` [any length] to `loop` [samples], in place, from sample `start`, wrapping."""
    samples = len(loop)
    position, taken = start % samples, 0
    while taken < len(sound):
        count = min(samples - position, len(sound) - taken)
        loop[position : position + count] += gain * sound[taken : taken + count]
        taken += count
        position = 0


def wrap(sound: Audio, samples: int) -> Audio:
    """`sound` [any length] folded onto a circle of `samples`: what sticks out adds to the start."""
    loop = np.zeros(samples)
    add(loop, 0, sound)
    return loop


def frequencies_hz(samples: int, sample_rate_hz: int) -> Audio:
    """Frequency of each bin of the real transform of a loop [samples // 2 + 1]."""
    return np.fft.rfftfreq(samples, 1.0 / sample_rate_hz).astype(np.float64)


def through(loop: Audio, response: Spectrum | Audio) -> Audio:
    """`loop` [..., samples] through a linear effect with this response [..., samples // 2 + 1]."""
    samples = loop.shape[-1]
    return np.fft.irfft(np.fft.rfft(loop) * response, samples)


def oversampled(loop: Audio, factor: int) -> Audio:
    """`loop` [..., samples] at `factor` times the rate, by an empty upper spectrum."""
    samples = loop.shape[-1]
    spectrum = np.fft.rfft(loop)
    if samples % 2 == 0:
        spectrum[..., -1] *= 0.5  # at the old Nyquist one bin stood for two
    return np.fft.irfft(spectrum, samples * factor) * factor


def decimated(loop: Audio, factor: int) -> Audio:
    """Back from `oversampled`: [..., samples * factor] to [..., samples], nothing folds down."""
    samples = loop.shape[-1] // factor
    spectrum = np.fft.rfft(loop)[..., : samples // 2 + 1]
    if samples % 2 == 0:
        spectrum[..., -1] = 0.0
    return np.fft.irfft(spectrum, samples) / factor
