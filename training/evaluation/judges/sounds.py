"""Collections of real sounds, to hold what a model makes against, and of such as need no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio_check import SILENT_BELOW
from training.data.audio_folder import name_position, scan
from training.data.held_out import read_held_out
from training.evaluation.judges.case import Case, Part

FloatArray = NDArray[np.float32]
SPECTRUM_WINDOW = 4096
LONGEST_SECONDS = 240.0  # of real sound that is held against
LEARNT_SECONDS = 1200.0  # of what was learnt from


def spread_over(
    parts: Sequence[Part], rate_hz: int, channels: int, most_seconds: float,
    progress: Callable[[str], None] = lambda _: None,
) -> list[tuple[str, FloatArray]]:
    """Names and beginnings of the sounds, `most_seconds` in all: each file gives as much as is left
    for it when the others get as much."""
    found, left = [], most_seconds
    for index, part in enumerate(parts):
        progress(part.source.name)
        audio = part.audio(rate_hz, channels, left / (len(parts) - index))
        if audio.shape[1] and float(np.abs(audio).max()) >= SILENT_BELOW:
            found.append((part.source.name, audio))
            left -= audio.shape[1] / rate_hz
    return found


def learnt(case: Case) -> tuple[list[Part], str]:
    """What the run learnt from, as far as it is there; else why it is not known."""
    if case.learnt is not None:
        return [Part(source) for source in scan(case.learnt).sources], ""
    folder = (case.settings or {}).get("data", {}).get("folder")
    if case.run is None or folder is None:
        return [], f"{case.player.name} does not tell what it learnt from, as a run directory does"
    if not Path(folder).is_dir():
        return [], f"{folder}, which it learnt from, is not there"
    held = {row.name: row.start_seconds for row in read_held_out(case.run)}
    parts = [Part(source, 0.0, held.get(source.name, float("inf")))
             for source in scan(Path(folder)).sources]
    return [part for part in parts if part.end_seconds > 0], ""


def halves(sounds: Sequence[tuple[str, Any]], sizes: Sequence[float]) -> tuple[list[int],
                                                                               list[int]]:
    """Two sides of about one size, by numbers: a file is on one of them, chosen by its name."""
    sides: tuple[list[int], list[int]] = ([], [])
    totals = [0.0, 0.0]
    for index in sorted(range(len(sounds)), key=lambda i: name_position(sounds[i][0])):
        side = int(totals[1] < totals[0])
        sides[side].append(index)
        totals[side] += sizes[index]
    return sides


def in_two(sounds: list[tuple[str, FloatArray]]) -> tuple[list[FloatArray], list[FloatArray]]:
    """Sounds on two sides; of a single one, each has a half."""
    if len(sounds) == 1:
        whole = sounds[0][1]
        middle = whole.shape[1] // 2
        return [whole[:, :middle]], [whole[:, middle:]]
    first, second = halves(sounds, [audio.shape[1] for _, audio in sounds])
    return [sounds[i][1] for i in first], [sounds[i][1] for i in second]


def colored_noise(sounds: list[FloatArray], seconds: float, rate_hz: int, seed: int
                  ) -> FloatArray:
    """Gaussian noise with the mean spectrum and level of all sounds together: [1, samples]."""
    power = np.zeros(SPECTRUM_WINDOW // 2 + 1)
    window = np.hanning(SPECTRUM_WINDOW)
    for audio in sounds:
        mono = audio.mean(axis=0)
        mono = np.pad(mono, (0, -len(mono) % SPECTRUM_WINDOW)).reshape(-1, SPECTRUM_WINDOW)
        power += np.square(np.abs(np.fft.rfft(mono * window))).sum(axis=0)
    size = max(SPECTRUM_WINDOW, round(seconds * rate_hz))
    noise = np.fft.rfft(np.random.default_rng(seed).standard_normal(size))
    at = np.linspace(0, SPECTRUM_WINDOW // 2, len(noise))
    shaped = np.fft.irfft(noise * np.interp(at, np.arange(len(power)), np.sqrt(power)), size)
    level = np.sqrt(np.concatenate([np.square(audio).mean(axis=0) for audio in sounds]).mean())
    shaped *= level / max(np.sqrt(np.square(shaped).mean()), 1e-12)
    return shaped[None, : round(seconds * rate_hz)].astype(np.float32)


def shuffled_pieces(sounds: list[FloatArray], seconds: float, rate_hz: int, seed: int
                    ) -> FloatArray:
    """Pieces of a second, shorter sounds whole, in random order: [channels, samples]."""
    rng = np.random.default_rng(seed)
    parts: list[FloatArray] = []
    left = max(1, round(seconds * rate_hz))
    while left > 0:
        whole = sounds[int(rng.integers(len(sounds)))]
        start = int(rng.integers(max(1, whole.shape[1] - rate_hz + 1)))
        parts.append(whole[:, start : start + min(left, rate_hz)])
        left -= parts[-1].shape[1]
    return np.concatenate(parts, axis=1)
