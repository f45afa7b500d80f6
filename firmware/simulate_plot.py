"""The picture beside a simulated patch: controls, latents and levels over time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from engine.files import written_whole
from firmware.simulate_rack import STATES, Racked
from firmware.simulate_script import Board, Row


def draw(path: Path, played: Racked, rows: list[Row], board: Board) -> None:
    """Three panels over one time axis, as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    status = played.status
    seconds = np.arange(len(status)) * board.block_samples / board.sample_rate_hz
    figure, axes = plt.subplots(3, 1, figsize=(10, 8), sharex=True, constrained_layout=True)
    _controls(axes[0], rows, float(seconds[-1]) if len(seconds) else 1.0)
    count = int(status["latents"].max()) if len(status) else 0
    for i in range(count):
        axes[1].plot(seconds, status["latent"][:, i], linewidth=0.8, label=f"latent {i + 1}")
    axes[1].set_ylabel("latent\n(0 to 1: its range)")
    if count:
        axes[1].legend(loc="upper right", fontsize=7, ncols=4)
    for name, label in (("in_peak", "in"), ("out_peak", "out"), ("wet", "wet"),
                        ("reduction", "limiter's gain")):
        axes[2].plot(seconds, status[name], linewidth=0.8, label=label)
    _states(axes[2], seconds, status["state"])
    axes[2].set_ylabel("level")
    axes[2].set_xlabel("seconds")
    axes[2].legend(loc="upper right", fontsize=7, ncols=4)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def _controls(axes: object, rows: list[Row], end: float) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    for kind, number in sorted({(row.kind, row.number) for row in rows}):
        line = [row for row in rows if (row.kind, row.number) == (kind, number)]
        at, values = [r.seconds for r in line], [r.value for r in line]
        label = f"{kind}{number}" if kind not in ("note", "bender", "pressure") else kind
        if kind in ("knob", "cv"):
            axes.plot([0, *at, end], [values[0], *values, values[-1]], linewidth=1, label=label)
        else:
            axes.step([*at, end], [*values, values[-1]], where="post", linewidth=1, label=label)
    axes.set_ylabel("controls")
    if rows:
        axes.legend(loc="upper right", fontsize=7, ncols=4)


def _states(axes: object, seconds: np.ndarray, states: np.ndarray) -> None:
    """A shade wherever the instrument was not simply playing."""
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    colours = {"empty": "0.6", "changing": "tab:blue", "overload": "tab:red",
               "recovering": "tab:orange"}
    edges = np.flatnonzero(np.diff(states, prepend=-1, append=-1))
    for begin, end in pairwise(edges.tolist()):
        name = STATES[states[begin]]
        if name in colours:
            axes.axvspan(seconds[begin], seconds[min(end, len(seconds) - 1)], alpha=0.15,
                         color=colours[name], linewidth=0)
