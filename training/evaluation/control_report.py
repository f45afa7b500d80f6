"""Controls beside the latents, in figures: whether encode says what can be heard, and whether
decode does what they ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.players.base import Player
from training.evaluation.descriptors import spearman
from training.evaluation.latent_play import coder_of, decode
from training.objectives.controls import MEASURES, UNITS, Grid

FloatArray = NDArray[np.float32]
ASKED = {"loudness": 6.0, "pitch": 5.0}  # dB and semitones, downwards and upwards
RESPONSE_SECONDS = 60.0  # of the data that is decoded once more for each
QUIET = -6.0  # bels: what is below is left out of the response, a louder silence being silence


def control_figures(
    player: Player, sounds: list[FloatArray], encoded: list[FloatArray]
) -> list[dict[str, Any]]:
    """For each control of the model, over `sounds` [channels, samples] and their latents [coded,
    frames]: the rank correlation and mean difference of what encode says and what is measured, and
    by how much decoded sound changes when the control is moved. In dB and semitones; None where
    nothing could be compared."""
    names = player.description.controls
    encode, _ = coder_of(player)
    count = encode.out_channels
    grid = Grid.of(player.sample_rate_hz, encode)
    rows = []
    for index, name in enumerate(names, count - len(names)):
        if name not in MEASURES:
            continue
        said, heard = [], []
        for audio, z in zip(sounds, encoded, strict=True):
            values, known = _measured(name, audio, grid)
            length = min(z.shape[1], len(values))
            said.append(z[index, :length][known[:length]])
            heard.append(values[:length][known[:length]])
        a, b = np.concatenate(said).astype(np.float64), np.concatenate(heard).astype(np.float64)
        unit, size = UNITS[name]
        rows.append({
            "control": name, "unit": unit, "frames": len(a),
            "rank_correlation": round(float(spearman(a[None], b[None])[0, 0]), 4),
            "mean_error": round(size * float(np.abs(a - b).mean()), 3) if len(a) else None,
            "asked": ASKED[name],
            "lower": _response(player, name, index, encoded, -ASKED[name]),
            "higher": _response(player, name, index, encoded, ASKED[name]),
        })
    return rows


def _measured(name: str, audio: FloatArray, grid: Grid) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Per latent frame: the value in a control's own unit, and whether there is one."""
    with torch.no_grad():
        values, known = MEASURES[name](torch.from_numpy(audio.mean(axis=0))[None], grid)
    return values[0].numpy(), known[0].numpy()


def _response(
    player: Player, name: str, index: int, encoded: list[FloatArray], asked: float
) -> float | None:
    """Median change of decoded sound, in people's units, when control number `index` is moved by
    `asked`: over frames that have the quantity both before and after."""
    _, spec = coder_of(player)
    grid = Grid(player.sample_rate_hz, spec.in_ratio, -spec.lookahead_samples)
    left = round(RESPONSE_SECONDS * player.sample_rate_hz / spec.in_ratio)
    changes = []
    for z in encoded:
        if left <= 0:
            break
        z = z[:, :left]
        left -= z.shape[1]
        moved = z.copy()
        moved[index] += asked / UNITS[name][1]
        (before, a), (after, b) = (_measured(name, decode(player, part), grid)
                                   for part in (z, moved))
        both = a & b
        if name == "loudness":
            both &= before > QUIET
        changes.append((after - before)[both])
    found = np.concatenate(changes)
    return round(UNITS[name][1] * float(np.median(found)), 2) + 0.0 if len(found) else None
