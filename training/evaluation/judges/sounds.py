"""Sounds that a model makes by itself, and collections of real ones to hold them against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio_check import SILENT_BELOW
from engine.players.base import Player
from training.data.audio_folder import name_position, scan
from training.data.held_out import read_held_out
from training.evaluation.judges.case import Case, Part

FloatArray = NDArray[np.float32]
SEED = "seed"
BLOCK_SECONDS = 0.25
SPECTRUM_WINDOW = 4096
LONGEST_SECONDS = 240.0  # of real sound that is held against
LEARNT_SECONDS = 1200.0  # of what was learnt from

Ask = Callable[[Player, FloatArray, int], None]


def generated(player: Player, seconds: float, count: int, ask: Ask | None = None
              ) -> list[FloatArray]:
    """`count` sounds [channels, samples] of the main method: one for each stream of the player, or
    with one stream one after another, each with the next seed. `ask(player, x, number)` may fill in
    the conditions of sound `number`, [channels, frames], which are 0 otherwise."""
    rounds = [range(count)] if player.batch == count > 1 else [range(i, i + 1)
                                                               for i in range(count)]
    found: list[FloatArray] = []
    for numbers in rounds:
        spec = player.description.main
        blocks = max(1, ceil(seconds * player.sample_rate_hz / spec.ratio))
        x = np.zeros((len(numbers), spec.in_channels, blocks * spec.in_frames), np.float32)
        if len(rounds) > 1 and SEED in player.attributes:
            player.set(SEED, numbers[0])
        for row, number in zip(x, numbers, strict=True):
            if ask is not None:
                ask(player, row, number)
        found += list(played(player, x))
    length = max(1, round(seconds * player.sample_rate_hz / player.description.main.out_ratio))
    return [np.nan_to_num(sound[:, :length]) for sound in found]


def played(player: Player, x: FloatArray) -> FloatArray:
    """Whole smallest blocks [batch, channels, frames] through the main method, from fresh state."""
    player.reset()
    spec = player.description.main
    block = max(1, int(BLOCK_SECONDS * player.sample_rate_hz / spec.ratio)) * spec.in_frames
    if len(x) != player.batch:
        return np.stack([played(player, row[None])[0] for row in x])
    return np.concatenate([player.process(spec.name, np.ascontiguousarray(x[..., at : at + block]))
                           for at in range(0, x.shape[-1], block)], axis=-1)


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
    power, count = np.zeros(SPECTRUM_WINDOW // 2 + 1), 0
    window = np.hanning(SPECTRUM_WINDOW)
    for audio in sounds:
        mono = audio.mean(axis=0)
        mono = np.pad(mono, (0, -len(mono) % SPECTRUM_WINDOW)).reshape(-1, SPECTRUM_WINDOW)
        power += np.square(np.abs(np.fft.rfft(mono * window))).sum(axis=0)
        count += len(mono)
    size = max(SPECTRUM_WINDOW, round(seconds * rate_hz))
    noise = np.fft.rfft(np.random.default_rng(seed).standard_normal(size))
    gain = np.sqrt(power / max(1, count) / np.square(window).sum())
    at = np.linspace(0, SPECTRUM_WINDOW // 2, len(noise))
    shaped = np.fft.irfft(noise * np.interp(at, np.arange(len(gain)), gain), size)
    return shaped[None, : round(seconds * rate_hz)].astype(np.float32)


def shuffled_pieces(sounds: list[FloatArray], seconds: float, rate_hz: int, seed: int
                    ) -> FloatArray:
    """Quarter seconds of the sounds in random order: [channels, samples]."""
    rng = np.random.default_rng(seed)
    size, parts = rate_hz // 4, []
    for _ in range(max(1, ceil(4 * seconds))):
        whole = sounds[int(rng.integers(len(sounds)))]
        start = int(rng.integers(max(1, whole.shape[1] - size + 1)))
        parts.append(whole[:, start : start + size])
    return np.concatenate(parts, axis=1)
