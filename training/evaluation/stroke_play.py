"""How a voice of frames plays: what its inversion makes of the magnitudes that it was asked for,
and whether a stroke is cut off without a click."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.players.base import Player
from engine.scores.held_notes import holds_notes
from engine.scores.strokes import struck
from training.objectives.frame_discriminators import band_edges

FloatArray = NDArray[np.float32]
MAGNITUDES = "magnitudes"  # the method that tells them
RANGE = 5.0  # nepers below the loudest band of the stroke
FLOOR = 1e-12  # of a power
CUT_S = (0.06, 0.11, 0.17)  # after which another stroke comes
SOUNDS_S = 0.5


def played(player: Player, classes: list[str]) -> dict[str, float]:
    """`gap` and `click` of a voice: medians over classes, nothing of what cannot be measured. What
    a model of notes says of its tone is an envelope: it has no `gap`."""
    if MAGNITUDES not in player.description.methods:
        return {}
    told = () if holds_notes(player.description) else classes
    gaps = [found for name in told if (found := gap(player, name)) is not None]
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
    asked = [(round(time_s * player.sample_rate_hz / spec.in_ratio), {name: 1.0})
             for name, time_s in strokes]
    return struck(spec.input_labels, asked, -(-count // spec.in_frames) * spec.in_frames)


def gap(player: Player, name: str) -> float | None:
    """Mean difference of the logarithms of a stroke's levels in bands, as they are asked for and as
    they sound, in nepers, where they are within `RANGE` of the loudest; None for silence.

    Recorded strokes through the same operation have .25 in the mean (48 of sonic-pi-samples)."""
    spec, config = player.description.main, player.description.config
    fft, hop = config["fft"], config["hop"]
    bins, window = fft // 2 + 1, 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft) / fft)
    x = _rows(player, [(name, 0.0)], SOUNDS_S)
    player.reset()
    said = player.process(MAGNITUDES, x).astype(np.float64)
    player.reset()
    sound = player.process(spec.name, x)[0]
    # The window of a row's frame begins to sound a hop after the row; the first are cut by the
    # opening.
    frames = np.arange(fft // hop + 1, (len(sound) - fft) // hop - 1)
    parts = np.stack([sound[(n + 1) * hop :][:fft] for n in frames], axis=1)
    heard = np.abs(np.fft.rfft(parts * window[:, None], axis=0)) / window.sum()
    power = np.exp(2 * said[:bins, frames]) + np.exp(2 * said[bins : 2 * bins, frames])
    edges = band_edges(bins)
    asked, found = (0.5 * np.log(np.add.reduceat(each, edges[:-1], axis=0) + FLOOR)
                    for each in (power, heard**2))
    loud = asked > asked.max() - RANGE
    return float(np.abs(found - asked)[loud].mean()) if asked.max() > np.log(FLOOR) / 4 else None


def click(player: Player, name: str, after_s: float) -> float | None:
    """The sharpest corner (second difference) while a stroke is cut off by another, over the
    sharpest in as long a time before; None where it is silent by then."""
    spec = player.description.main
    x = _rows(player, [(name, 0.0), (name, after_s)], after_s + SOUNDS_S)
    player.reset()
    sound = player.process(spec.name, x)[0].astype(np.float64)
    row = round(after_s * player.sample_rate_hz / spec.in_ratio)
    hop = spec.in_ratio
    # It closes, and then there is silence until the other's onset.
    begin, end = row * hop, row * hop + player.description.config["fft"]
    corners = np.abs(np.diff(sound, 2))
    before = corners[begin - (end - begin) : begin].max()
    if before < 1e-4:
        return None
    return float(corners[begin - 2 : end].max() / before)
