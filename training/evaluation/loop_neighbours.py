"""How far sounds are from the nearest that was learnt, in dB: whether a generator copies loops.

Patches of a log-mel spectrogram are compared, half a second each, less their own mean: a copy at
another level is a copy. What was learnt is looked up from every 32 ms on, since a copy need not
begin where its loop does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from training.evaluation.spectra import decibels, mel_power

FloatArray = NDArray[np.float32]

BANDS = 32
HOP_SECONDS = 0.032
WINDOW_SECONDS = 0.128
FRAMES = 16  # of a patch: 0.5 s
ASKED_STEP = 4  # frames from one patch that is asked about to the next
FLOOR = 1e-5  # of mel power under a window of 2048 samples: below is silence
FLOOR_WINDOW = 2048
MOST_PATCHES = 120_000  # of what was learnt: 240 MB; of more, evenly chosen ones
AT_ONCE = 256  # patches that are looked up together
LOW_SHARE = 0.05


def patches(sound: FloatArray, rate_hz: int, step: int = ASKED_STEP) -> FloatArray:
    """Of a mono sound [samples], one for every `step` frames: [patches, BANDS * FRAMES] in dB.
    None of a sound under half a second."""
    window = 2 ** round(np.log2(WINDOW_SECONDS * rate_hz))
    hop = max(1, round(HOP_SECONDS * rate_hz))
    power = mel_power(sound, rate_hz, window, hop, BANDS)
    level = decibels(power * (FLOOR_WINDOW / window) ** 2, FLOOR)  # [BANDS, frames]
    if level.shape[1] < FRAMES:
        return np.zeros((0, BANDS * FRAMES), np.float32)
    parts = np.lib.stride_tricks.sliding_window_view(level, FRAMES, axis=1)[:, ::step]
    rows = parts.transpose(1, 0, 2).reshape(-1, BANDS * FRAMES)
    return (rows - rows.mean(axis=1, keepdims=True)).astype(np.float32)


class Neighbours:
    """What was learnt, to be looked up in."""

    def __init__(self, learnt: Iterable[FloatArray], rate_hz: int) -> None:
        self.rate_hz = rate_hz
        known = [patches(sound, rate_hz, 1) for sound in learnt]
        count = sum(map(len, known))
        keep = min(1.0, MOST_PATCHES / max(count, 1))
        self._known = np.concatenate([_some(part, keep) for part in known] or [
            np.zeros((0, BANDS * FRAMES), np.float32)])
        self._squares = np.square(self._known).sum(axis=1)

    def __len__(self) -> int:
        return len(self._known)

    def distances(self, sounds: Sequence[FloatArray]) -> FloatArray:
        """Of all patches of the sounds, the rms distance to the nearest: [patches] in dB."""
        asked = np.concatenate([patches(sound, self.rate_hz) for sound in sounds])
        if not len(asked) or not len(self):
            return np.zeros(0, np.float32)
        found = [np.square(part).sum(axis=1)
                 + (self._squares - 2 * (part @ self._known.T)).min(axis=1)
                 for part in np.array_split(asked, -(-len(asked) // AT_ONCE))]
        squared = np.maximum(np.concatenate(found), 0) / asked.shape[1]
        return np.sqrt(squared).astype(np.float32)

    def figures(self, sounds: Sequence[FloatArray]) -> dict[str, float | None]:
        """Median and lowest twentieth of the distances."""
        found = self.distances(sounds)
        if not len(found):
            return {"neighbour_db": None, "neighbour_low_db": None}
        return {"neighbour_db": float(np.median(found)),
                "neighbour_low_db": float(np.quantile(found, LOW_SHARE))}


def _some(rows: FloatArray, share: float) -> FloatArray:
    """That share of the rows, evenly."""
    if share >= 1:
        return rows
    count = max(1, int(share * len(rows))) if len(rows) else 0
    return rows[(np.arange(count) * len(rows)) // max(count, 1)]
