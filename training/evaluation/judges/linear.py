"""The linear filter that turns one sound into another best (Wiener): what an equaliser could do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
TAPS = 512
LEAST = 1e-9  # of the input's power, added to it: a band that is silent has no gain to be found


class LinearFit:
    """Least squares over all sounds that were added: causal, `TAPS` long, one for each channel."""

    def __init__(self, channels: int) -> None:
        self.own = np.zeros((channels, TAPS))  # autocorrelation of the input
        self.cross = np.zeros((channels, TAPS))  # of target and input
        self.begin()

    def begin(self) -> None:
        """A new sound, before which there was silence."""
        self._past: NDArray[np.float64] = np.zeros((len(self.own), TAPS - 1))

    def add(self, x: FloatArray, target: FloatArray) -> None:
        """Its next piece, both [channels, samples]."""
        known = np.concatenate((self._past, x.astype(np.float64)), axis=1)
        late, size = self._past.shape[1], x.shape[1]
        length = 2 ** int(np.ceil(np.log2(known.shape[1] + size)))
        spectrum = np.fft.rfft(known, length)
        for sums, y in ((self.own, x), (self.cross, target)):
            # sum over n of y[n] x[n - k] for k = 0 ... TAPS - 1
            products = np.fft.irfft(np.conj(spectrum) * np.fft.rfft(y, length), length)
            sums += products[:, (-late + np.arange(TAPS)) % length]
        self._past = known[:, known.shape[1] - late :]

    def taps(self) -> NDArray[np.float64]:
        """[channels, TAPS], the first without delay."""
        from scipy.linalg import solve_toeplitz

        found = np.zeros_like(self.own)
        for channel, own in enumerate(self.own):
            if own[0] > 0:
                row = own.copy()
                row[0] *= 1 + LEAST
                found[channel] = solve_toeplitz(row, self.cross[channel])
        return found


class Filter:
    """A subject of evaluation: a filter with a past."""

    def __init__(
        self, taps: NDArray[np.float64], shaped: Callable[[FloatArray], FloatArray]
    ) -> None:
        self.taps, self._shaped = taps, shaped

    def begin(self) -> None:
        self._past: NDArray[np.float64] = np.zeros((len(self.taps), TAPS - 1))

    def hear(self, piece: FloatArray) -> FloatArray:
        from scipy.signal import oaconvolve

        known = np.concatenate((self._past, self._shaped(piece).astype(np.float64)), axis=1)
        self._past = known[:, known.shape[1] - TAPS + 1 :]
        whole = oaconvolve(known, self.taps, axes=1)[:, TAPS - 1 : known.shape[1]]
        return np.asarray(whole, np.float32)

    def end(self) -> FloatArray:
        """Nothing is owed."""
        return np.zeros((len(self.taps), 0), np.float32)
