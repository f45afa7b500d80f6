"""How a voice of frames plays: what its inversion makes of the magnitudes that it was asked for,
and whether a stroke is cut off without a click."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.players.base import Player
from engine.scores.conditions import GATE
from engine.scores.strokes import VELOCITY

FloatArray = NDArray[np.float32]
MAGNITUDES = "magnitudes"  # the method that tells them
CLEAR, RANGE = 1.0, 5.0  # nepers: of a tone above the noise, and below the loudest of the stroke
CUT_S = (0.06, 0.11, 0.17)  # after which another stroke comes
SOUNDS_S = 0.5


def played(player: Player, classes: list[str]) -> dict[str, float]:
    """`gap` and `click` of a voice: medians over classes, nothing of what cannot be measured."""
    if MAGNITUDES not in player.description.methods:
        return {}
    gaps = [found for name in classes if (found := gap(player, name)) is not None]
    clicks = [found for name in classes for after in CUT_S
              if (found := click(player, name, after)) is not None]
    result = {}
    if gaps:
        result["gap"] = float(np.mean(gaps))
    if clicks:
        result["click"] = float(np.median(clicks))
    return result


def _rows(player: Player, strokes: list[tuple[str, float]], seconds: float) -> FloatArray:
    """Conditions of strokes (class, time in s) [labels, rows], whole frames of the player."""
    spec = player.description.main
    count = -(-round(seconds * player.sample_rate_hz) // spec.in_ratio)
    x = np.zeros((len(spec.input_labels), -(-count // spec.in_frames) * spec.in_frames), np.float32)
    at = spec.input_labels.index
    for name, time_s in strokes:
        row = round(time_s * player.sample_rate_hz / spec.in_ratio)
        x[1:, row:] = 0
        x[at(GATE), row : row + 2] = 1
        x[at(VELOCITY), row:] = 1
        x[at(name), row:] = 1
    return x


def gap(player: Player, name: str) -> float | None:
    """Mean difference of the log-magnitudes of a stroke's tone from those of the sound, in nepers,
    where the tone stands clear of the noise; None where it never does."""
    spec, config = player.description.main, player.description.config
    fft, hop = config["fft"], config["hop"]
    bins = fft // 2 + 1
    x = _rows(player, [(name, 0.0)], SOUNDS_S)
    player.reset()
    said = player.process(MAGNITUDES, x)
    tone, noise = said[:bins], said[bins : 2 * bins]
    player.reset()
    sound = player.process(spec.name, x)[0]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft) / fft)
    # A frame's window begins to sound a hop after its row, and lasts `fft`.
    frames = (len(sound) - fft) // hop
    parts = np.stack([sound[(n + 1) * hop :][:fft] for n in range(frames - 1)], axis=1)
    heard = np.abs(np.fft.rfft(parts * window[:, None], axis=0)) / window.sum()
    first = fft // hop + 1  # what lies before is cut by the opening
    asked = tone[:, : frames - 1]
    clear = (asked > noise[:, : frames - 1] + CLEAR) & (asked > asked[:, first:].max() - RANGE)
    clear[:, :first] = False
    if not clear.any():
        return None
    return float(np.abs(np.log(heard[clear] + 1e-9) - asked[clear]).mean())


def click(player: Player, name: str, after_s: float) -> float | None:
    """The sharpest corner (second difference) while a stroke is cut off by another, over the
    sharpest in as long a time before; None where it is silent by then."""
    spec = player.description.main
    x = _rows(player, [(name, 0.0), (name, after_s)], after_s + SOUNDS_S)
    player.reset()
    sound = player.process(spec.name, x)[0].astype(np.float64)
    row = round(after_s * player.sample_rate_hz / spec.in_ratio)
    hop = spec.in_ratio
    begin, end = (row + 1) * hop, spec.lookahead_samples + row * hop  # closing, then silence
    corners = np.abs(np.diff(sound, 2))
    before = corners[begin - (end - begin) : begin].max()
    if before < 1e-4:
        return None
    return float(corners[begin - 2 : end].max() / before)
