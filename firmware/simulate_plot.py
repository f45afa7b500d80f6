"""The picture beside a simulated patch: controls, latents and levels over time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.files import atomic_write
from firmware.simulate_rack import CLOCKED, STATES, Racked
from firmware.simulate_script import TIMES, Board, Row

LINES = 256  # of a kind: more are a grey area

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(path: Path, played: Racked, rows: list[Row], board: Board) -> None:
    """Panels over one time axis, as PNG: the script's controls and the model's latents, where
    there are any, and levels; behind them beats and bars, where a clock was followed."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    status = played.status
    rows = [row for row in rows if row.kind not in TIMES]
    seconds = np.arange(len(status)) * board.block_samples / board.sample_rate_hz
    latents = int(status["latents"].max()) if len(status) else 0
    heights = [2] * bool(rows) + [3] * bool(latents) + [2]
    figure, made = plt.subplots(len(heights), 1, figsize=(10, 1 + sum(heights)), sharex=True,
                                squeeze=False, height_ratios=heights, constrained_layout=True)
    axes = list(made[:, 0])
    _beats(axes, seconds, status)
    _levels(axes.pop(), seconds, status)
    if latents:
        _latents(axes.pop(), seconds, status["latent"][:, :latents])
    if rows:
        _controls(axes.pop(), rows, float(seconds[-1]) if len(seconds) else 1.0)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def _beats(axes: list[Axes], seconds: np.ndarray, status: np.ndarray) -> None:
    """Bars, and beats between them where there is room."""
    led = status["flags"] & CLOCKED > 0
    if not led.any():
        return
    bars = np.flatnonzero((np.diff(status["bar_phase"]) < -0.5 / 16) & led[1:]) + 1
    beats = np.flatnonzero((np.diff(status["beat"].astype(np.int64)) != 0) & led[1:]) + 1
    room = (bars if bars.size <= LINES else bars[:0], beats if beats.size <= LINES else beats[:0])
    for panel in axes:
        for lines, width in zip(room, (1.2, 0.4), strict=True):
            for at in lines:
                panel.axvline(seconds[at], color="0.75", linewidth=width, zorder=0)
    tempos = status["tempo"][led]
    low, high = (f"{tempo:.1f}".removesuffix(".0") for tempo in np.quantile(tempos, (0.1, 0.9)))
    axes[0].set_title(f"clock: {low} beats a minute" if low == high else
                      f"clock: {low} to {high} beats a minute", fontsize=8, loc="left")


def _latents(axes: Axes, seconds: np.ndarray, latents: np.ndarray) -> None:
    """One above the other: latents of audio move as fast as it does, and would hide each other."""
    for i, line in enumerate(latents.T):
        axes.axhspan(-i, 0.9 - i, color="0.95", linewidth=0)
        axes.plot(seconds, 0.9 * line - i, linewidth=0.6)
    axes.set_yticks(0.45 - np.arange(latents.shape[1]),
                    [f"latent {i + 1}" for i in range(latents.shape[1])])
    axes.set_ylim(-latents.shape[1] + 0.5, 1.4)
    axes.set_title("grey: each latent's range", fontsize=8, loc="right")


def _levels(axes: Axes, seconds: np.ndarray, status: np.ndarray) -> None:
    for name, label in (("in_peak", "in"), ("out_peak", "out"), ("wet", "wet"),
                        ("reduction", "limiter's gain")):
        axes.plot(seconds, status[name], linewidth=0.8, label=label)
    _states(axes, seconds, status["state"])
    axes.set_ylabel("level")
    axes.set_xlabel("seconds")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right", fontsize=7, ncols=4)


def _controls(axes: Axes, rows: list[Row], end: float) -> None:
    for kind, number in sorted({(row.kind, row.number) for row in rows}):
        line = [row for row in rows if (row.kind, row.number) == (kind, number)]
        at, values = [r.seconds for r in line], [r.value for r in line]
        label = f"{kind}{number}" if kind not in ("note", "bender", "pressure") else kind
        if kind in ("knob", "cv"):
            axes.plot([0, *at, end], [values[0], *values, values[-1]], linewidth=1, label=label)
        else:
            axes.step([*at, end], [*values, values[-1]], where="post", linewidth=1, label=label)
    axes.set_ylabel("controls")
    axes.legend(loc="upper right", fontsize=7, ncols=4)


def _states(axes: Axes, seconds: np.ndarray, states: np.ndarray) -> None:
    """A shade wherever the instrument was not simply playing."""
    colours = {"empty": "0.6", "changing": "tab:blue", "overload": "tab:red",
               "recovering": "tab:orange"}
    edges = np.flatnonzero(np.diff(states, prepend=-1, append=-1))
    for begin, end in pairwise(edges.tolist()):
        name = STATES[states[begin]]
        if name in colours:
            axes.axvspan(seconds[begin], seconds[min(end, len(seconds) - 1)], alpha=0.15,
                         color=colours[name], linewidth=0)
