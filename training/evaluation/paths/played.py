"""What a path sounds like when it is played: descriptors over its time, and a picture of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.scores.paths import LatentPath
from training.evaluation.descriptors import LABELS, NAMES, curves
from training.evaluation.judges.findings import Grid, number
from training.evaluation.latent_play import smoothness
from training.evaluation.page import figure, save_figure
from training.evaluation.spectra import decibels, magnitudes

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]
CURVES_HZ = 60
SHOWN = ("centroid", "flatness", "rms")  # in the picture
WINDOW_SECONDS, COLUMNS, RANGE_DB = 0.064, 900, 80.0


def curves_of(audio: FloatArray, rate_hz: int) -> Array:
    """Descriptors of a sound [channels, samples], `CURVES_HZ` times a second: [7, frames]."""
    return curves(audio, rate_hz, max(1, round(rate_hz / CURVES_HZ)))


def figures_of(found: Array) -> dict[str, dict[str, float | None]]:
    """Of each descriptor: its lowest and highest value, and range over total variation after a mean
    over 0.2 s, 1 for one that only rises or falls. None where nothing is heard."""
    figures = {}
    for name, row in zip(NAMES, found, strict=True):
        heard = row[np.isfinite(row)]
        smooth = smoothness(row, CURVES_HZ)
        figures[name] = {"low": float(heard.min()) if len(heard) else None,
                         "high": float(heard.max()) if len(heard) else None,
                         "smoothness": float(smooth) if np.isfinite(smooth) else None}
    return figures


def grid_of(figures: Mapping[str, Mapping[str, float | None]], kind: str) -> Grid:
    """A row for each descriptor."""
    rows = [[label, *(number(figures[name][key]) for key in ("low", "high", "smoothness"))]
            for name, label in zip(NAMES, LABELS, strict=True)]
    return Grid(f"along the {kind}", ["", "low", "high", "range/variation"], rows)


def plot_played(audio: FloatArray, rate_hz: int, found: Array, path: LatentPath, title: str,
                out: Path) -> None:
    """Spectrogram, descriptors, and the path's own numbers, over seconds."""
    seconds = audio.shape[1] / rate_hz
    drawn, axes = figure(2 + len(SHOWN), 1, 9.0, 9.0)
    window = int(2 ** round(np.log2(WINDOW_SECONDS * rate_hz)))
    hop = max(window // 4, audio.shape[1] // COLUMNS)
    level = decibels(np.square(magnitudes(audio.mean(axis=0), window, hop)), 1e-10, RANGE_DB)
    top = axes[0, 0]
    top.imshow(level, origin="lower", aspect="auto", extent=(0, seconds, 0, rate_hz / 2000),
               cmap="magma")
    top.set_ylabel("kHz")
    for axis, name in zip(axes[1:-1, 0], SHOWN, strict=True):
        row = NAMES.index(name)
        axis.plot(np.arange(found.shape[1]) / CURVES_HZ, found[row], linewidth=0.8,
                  color="#0f766e")
        axis.set_ylabel(LABELS[row], fontsize=8)
        axis.grid(alpha=0.3)
    below = axes[-1, 0]
    below.plot(path.places * seconds, path.knots, linewidth=0.8, marker=".", markersize=3)
    below.set_ylabel("knots", fontsize=8)
    below.grid(alpha=0.3)
    below.set(xlabel="seconds", xlim=(0, seconds))
    drawn.suptitle(title, fontsize=9)
    save_figure(drawn, out)
