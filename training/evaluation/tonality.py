"""Whether tones are still tones: partials where the original has them, and pitch on notes."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.hearing.yin import fundamental_hz
from training.evaluation.texture import Levels, neighbourhood

FloatArray = NDArray[np.float32]
EDGES_HZ = (60.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 7500.0, 15000.0)
WINDOW_SECONDS = 0.128
REACH_HZ = 150.0  # on either side: what of a spectrum is envelope
LOUD_DB, LEAST_DB = 30.0, -74.0  # frames that count: so far below the loudest, and not below this
PARTIAL_DB = 15.0  # by which a partial stands above what is around it; peaks of noise have 8 to 11
KEPT = 0.5  # correlation from which partials count as kept
PITCH_HZ = (60.0, 1000.0)
PITCH_WINDOW_SECONDS, PITCH_HOP_SECONDS = 0.064, 0.032
LEAST_CLEAR = 20  # frames with a clear pitch, below which nothing is said of pitch
CENTS = 20.0


def window_samples(rate_hz: int) -> int:
    """A power of two near `WINDOW_SECONDS`."""
    return int(2 ** round(np.log2(WINDOW_SECONDS * rate_hz)))


def bands(rate_hz: int) -> list[tuple[float, float]]:
    """Bands of the fine structure that lie below the Nyquist frequency."""
    pairs = pairwise(EDGES_HZ)
    return [(low, high) for low, high in pairs if high <= 0.95 * rate_hz / 2]


def fine_structure(
    found: Levels, wanted: Levels, rate_hz: int, least_db: float = 0.0
) -> list[float]:
    """Correlation of two spectrograms less their envelopes, one figure per band: 1 for the same
    partials, 0 for what has nothing to do with them, as other noise. NaN in a band that is not
    heard. `least_db`: of frames where something stands so far above what is around it."""
    return fine_structures(found, wanted, rate_hz, least_db)[0]


def fine_structures(
    found: Levels, wanted: Levels, rate_hz: int, *least_db: float
) -> list[list[float]]:
    """`fine_structure` for each of several `least_db`; envelopes are taken off once."""
    width = rate_hz / 2 / (wanted.shape[1] - 1)
    reach = max(1, int(REACH_HZ / width))
    a, b = (levels - neighbourhood(levels, reach) for levels in (found, wanted))
    return [_correlations(a, b, wanted, rate_hz, least) for least in least_db]


def _correlations(
    a: Levels, b: Levels, wanted: Levels, rate_hz: int, least_db: float
) -> list[float]:
    """Of two fine structures, one figure per band."""
    bins = np.arange(wanted.shape[1]) * (rate_hz / 2 / (wanted.shape[1] - 1))
    result = []
    for low, high in bands(rate_hz):
        place = (bins >= low) & (bins < high)
        loudest = wanted[:, place].max(axis=1)
        counts = loudest > max(loudest.max() - LOUD_DB, LEAST_DB)
        counts &= b[:, place].max(axis=1) >= least_db
        if not counts.any():
            result.append(float("nan"))
            continue
        x, y = (part[np.ix_(counts, place)] for part in (a, b))
        x, y = (part - part.mean(axis=1, keepdims=True) for part in (x, y))
        scale = np.sqrt(np.square(x).sum(axis=1) * np.square(y).sum(axis=1))
        result.append(float(((x * y).sum(axis=1) / np.maximum(scale, 1e-12)).mean()))
    return result


def kept_hz(correlations: list[float], rate_hz: int) -> float:
    """Up to which frequency partials are kept: where the correlation falls below `KEPT`, drawn
    through the bands' middles as a line over octaves."""
    middles = [float(np.sqrt(low * high)) for low, high in bands(rate_hz)]
    heard = [(hz, c) for hz, c in zip(middles, correlations, strict=True) if np.isfinite(c)]
    if not heard:
        return float("nan")
    if heard[0][1] < KEPT:
        return 0.0
    for (low, above), (high, below) in pairwise(heard):
        if below < KEPT:
            return float(low * (high / low) ** ((above - KEPT) / (above - below)))
    return heard[-1][0]


class Notes:
    """The pitch of a sound, where it has a clear one."""

    def __init__(self, audio: FloatArray, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._cents = self._pitch(audio)

    def _pitch(self, audio: FloatArray) -> FloatArray:
        """In cents, NaN where there is no clear one."""
        hertz = fundamental_hz(audio.mean(axis=0), self.rate_hz, *PITCH_HZ,
                               round(PITCH_WINDOW_SECONDS * self.rate_hz),
                               round(PITCH_HOP_SECONDS * self.rate_hz), clear=True)
        return np.asarray(1200 * np.log2(hertz), np.float32)

    def errors(self, audio: FloatArray) -> FloatArray:
        """Of another sound in cents, one for each frame of the original with a clear pitch; NaN
        where the other has none."""
        clear = np.isfinite(self._cents)
        if not clear.any():
            return np.zeros(0, np.float32)
        return np.asarray(np.abs(self._pitch(audio) - self._cents)[clear])


def pitch_figures(errors: FloatArray) -> dict[str, float]:
    """The median error in cents and the share of frames within `CENTS`."""
    if len(errors) < LEAST_CLEAR:
        return {"pitch_cents": float("nan"), "pitch_kept": float("nan")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a median of nothing
        median = float(np.nanmedian(errors))
    return {"pitch_cents": median, "pitch_kept": float((errors <= CENTS).mean())}
