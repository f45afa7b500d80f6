"""Ways from magnitudes of a spectrum to its phases, in numpy: what `Resynth` is compared with.

Frames are as of `Stft`: phases are those of the middle of a window. Each function takes magnitudes
[frames, bins] and returns phases of that shape. None of them is meant to be fast.
"""

from __future__ import annotations

import heapq
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
TOLERANCE = 1e-3  # what is that far below the loudest has random phases
GAUSSIAN = 0.25645  # a Hann window of n samples is as a Gaussian of GAUSSIAN n^2


class Stft:
    """A short-time Fourier transform under a periodic Hann window, and its inverse."""

    def __init__(self, fft: int, hop: int) -> None:
        self.fft, self.hop = fft, hop
        self.window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft) / fft)
        self.back = self.window / (0.375 * fft / hop)

    def padded(self, x: Array) -> Array:
        """Silence around it, so that windows cover its first and its last sample as often."""
        edge = np.zeros(self.fft - self.hop)
        whole = np.concatenate((edge, x, edge))
        return np.concatenate((whole, np.zeros(-(len(whole) - self.fft) % self.hop)))

    def forward(self, x: Array) -> NDArray[np.complex128]:
        """[samples] -> [frames, bins]."""
        frames = np.lib.stride_tricks.sliding_window_view(x, self.fft)[:: self.hop]
        return np.fft.rfft(np.fft.fftshift(frames * self.window, axes=1), axis=1)

    def frames(self, spectrum: NDArray[np.complex128]) -> Array:
        """Samples of each window, ready to be added."""
        x = np.fft.irfft(spectrum, self.fft, axis=-1)
        return np.asarray(np.fft.ifftshift(x, axes=-1) * self.back)

    def inverse(self, spectrum: NDArray[np.complex128]) -> Array:
        """[frames, bins] -> [samples]."""
        y = np.zeros((len(spectrum) - 1) * self.hop + self.fft)
        for n, frame in enumerate(self.frames(spectrum)):
            y[n * self.hop : n * self.hop + self.fft] += frame
        return y


def polar(magnitudes: Array, phases: Array) -> NDArray[np.complex128]:
    return np.asarray(magnitudes * np.exp(1j * phases))


def random_phases(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-np.pi, np.pi, shape)


def griffin_lim(t: Stft, magnitudes: Array, rounds: int, momentum: float = 0.0) -> Array:
    """Griffin and Lim 1984; with momentum the fast one of Perraudin, Balazs and Sondergaard 2013.
    """
    now = before = polar(magnitudes, random_phases(magnitudes.shape))
    for _ in range(rounds):
        found = t.forward(t.inverse(polar(magnitudes, np.angle(now))))
        now, before = found + momentum * (found - before), found
    return np.angle(now)


def spsi(t: Stft, magnitudes: Array) -> Array:
    """Beauregard, Harish and Wyse 2015: peaks move on by their interpolated frequency, and what
    lies around them goes with them."""
    phases, now = np.zeros(magnitudes.shape), np.zeros(magnitudes.shape[1])
    for n, y in enumerate(magnitudes):
        peaks = 1 + np.flatnonzero((y[1:-1] > y[:-2]) & (y[1:-1] > y[2:]))
        for k in peaks:
            bend = y[k - 1] - 2 * y[k] + y[k + 1]
            place = k + 0.5 * (y[k - 1] - y[k + 1]) / bend
            now[k] += 2 * np.pi * t.hop * place / t.fft
        edges = [0] + [a + int(np.argmin(y[a:b])) for a, b in pairwise(peaks)]
        for k, first, end in zip(peaks, edges, [*edges[1:], len(y)], strict=False):
            now[first:end] = now[k]
        phases[n] = now
    return phases


def rtisi_la(t: Stft, magnitudes: Array, lookahead: int, rounds: int) -> Array:
    """Zhu, Beauregard and Wyse 2007: the newest frames are estimated again and again, with what
    was decided before them, and then the oldest of them is decided. A new one starts with the
    phases of what overlaps with it."""
    count, hop, fft = len(magnitudes), t.hop, t.fft
    y = np.zeros(count * hop + 2 * fft)
    phases, frames = np.zeros(magnitudes.shape), np.zeros((count, fft))
    known = -1
    for n in range(count):
        last = min(n + lookahead, count - 1)

        def sound(end: int, n: int = n, last: int = last) -> Array:
            found = y[n * hop : last * hop + fft].copy()
            for j in range(n, end):
                found[(j - n) * hop : (j - n) * hop + fft] += frames[j]
            return found

        def estimate(j: int, found: Array, n: int = n) -> None:
            part = found[(j - n) * hop : (j - n) * hop + fft] * t.window
            phases[j] = np.angle(np.fft.rfft(np.fft.fftshift(part)))

        while known < last:
            known += 1
            estimate(known, sound(known))
            frames[known] = t.frames(polar(magnitudes[known], phases[known]))
        for _ in range(rounds):
            found = sound(last + 1)
            for j in range(n, last + 1):
                estimate(j, found)
            frames[n : last + 1] = t.frames(polar(magnitudes[n : last + 1], phases[n : last + 1]))
        y[n * hop : n * hop + fft] += frames[n]
    return phases


def rtpghi(t: Stft, magnitudes: Array, lookahead: int = 1) -> Array:
    """Prusa and Sondergaard 2016: the loudest bin that is known goes on to its neighbours, in time
    and in frequency, until all are known. `lookahead` 1: with the frame after; 0: without."""
    logs = np.log(magnitudes)
    rest, phases = random_phases(magnitudes.shape, 1), np.zeros(magnitudes.shape)
    floor = np.full(logs.shape[1], logs.min())
    rate, gamma = t.hop * t.fft / (2 * GAUSSIAN * t.fft**2), GAUSSIAN * t.fft**2
    advance = 2 * np.pi * t.hop * np.arange(logs.shape[1]) / t.fft
    before, last = np.zeros(logs.shape[1]), advance

    def at(n: int) -> Array:
        return logs[n] if 0 <= n < len(logs) else floor

    for n, here in enumerate(logs):
        in_time = advance.copy()
        in_time[1:-1] += rate * (here[2:] - here[:-2])
        slope = at(n + 1) - at(n - 1) if lookahead else 3 * here - 4 * at(n - 1) + at(n - 2)
        in_frequency = -gamma / (2 * t.hop * t.fft) * slope
        least = max(here.max(), at(n - 1).max()) + np.log(TOLERANCE)
        phases[n] = np.where(here > least, 0.0, rest[n])
        _spread(phases[n], here, at(n - 1), before + 0.5 * (last + in_time), in_frequency, least)
        before, last = phases[n], in_time
    return phases


def _spread(phases: Array, here: Array, past: Array, onward: Array, slope: Array, least: float
            ) -> None:
    """Phases of a frame from those of the one before, loudest first."""
    bins = len(here)
    waiting = set(np.flatnonzero(here > least).tolist())
    queue = [(-past[m], m - bins) for m in np.flatnonzero(past > least).tolist()]  # negative: past
    heapq.heapify(queue)
    while waiting:
        if not queue:
            m = max(waiting, key=here.__getitem__)
            phases[m] = onward[m]
            waiting.discard(m)
            heapq.heappush(queue, (-here[m], m))
        _, m = heapq.heappop(queue)
        if m < 0:
            m += bins
            if m in waiting:
                phases[m] = onward[m]
                waiting.discard(m)
                heapq.heappush(queue, (-here[m], m))
            continue
        for other in (m - 1, m + 1):
            if other in waiting:
                phases[other] = phases[m] + (other - m) * 0.5 * (slope[m] + slope[other])
                waiting.discard(other)
                heapq.heappush(queue, (-here[other], other))
