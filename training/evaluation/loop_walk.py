"""From one loop to another, bar by bar (document 003, section 4.3): along a line between their
codes, and what else could have led there.

    line between codes     one loop becomes the other: at any moment a loop
    crossfade of sounds    both are heard at once
    line between latents   what decodes to neither
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.description import DECODE, GENERATE, Method
from engine.players.base import FloatArray, Player
from engine.players.prime import block_frames
from engine.scores.loops import conditions, line_between
from training.evaluation.judges.findings import Grid, number
from training.evaluation.loop_paths import CURVES, Path, bar_curves, curve_figures
from training.evaluation.loop_table import CURVE_TITLES, path_plots
from training.evaluation.page import figure, save_figure

Array = NDArray[np.float64]
WALK, FADE, LATENTS = "line between codes", "crossfade of sounds", "line between latents"
FIRST, LAST = "first loop, held", "last loop, held"
SHOWN = ("level_db", "centroid_octaves")  # in the table
# How smooth a curve is; steps: the largest of them.
FIGURES = {"smoothness": "range/variation", "step_over_median": "step/median",
           "largest_step": "step/range"}


def rows_of(player: Player, spec: Method, codes: tuple[FloatArray, FloatArray], bars: int,
            bpm: float, held: Mapping[int, float]) -> dict[str, FloatArray]:
    """Conditions [conditions, chunks] of the walk and of both loops, whole smallest blocks.
    `held`: conditions that stand at a value."""
    ends = []
    for code in codes:
        x = conditions(spec.input_labels, spec.in_ratio, player.sample_rate_hz, bars, bpm, code)
        for channel, value in held.items():
            x[channel] = value
        short = -x.shape[1] % spec.in_frames
        ends.append(np.pad(x, ((0, 0), (0, short)), mode="edge"))
    return {WALK: line_between(*ends), FIRST: ends[0], LAST: ends[1]}


def latent_methods(player: Player, spec: Method) -> tuple[Method, Method] | None:
    """What makes latents of the conditions of `spec`, and sound of the latents; None of a player
    that does both in one."""
    for decode in player.methods.values():
        for make in player.methods.values():
            if (decode.role == DECODE and make.role == GENERATE
                    and make.input_labels == spec.input_labels
                    and (make.out_channels, make.out_ratio) ==
                    (decode.in_channels, decode.in_ratio)):
                return make, decode
    return None


def sounds_of(player: Player, spec: Method, rows: Mapping[str, FloatArray], samples: int,
              tell: Callable[[str, float], None] = lambda *_: None) -> dict[str, FloatArray]:
    """Sounds [channels, samples] of `rows_of`, and of the other two ways. `tell` hears what is
    played, and the share of all that is done."""
    methods = latent_methods(player, spec)
    jobs = len(rows) + (3 if methods else 0)
    done = 0

    def played(name: str, method: Method, x: FloatArray) -> FloatArray:
        nonlocal done
        player.reset()
        block, parts = block_frames(player, method), []
        for at in range(0, x.shape[1], block):
            tell(name, (done + at / x.shape[1]) / jobs)
            parts.append(player.process(method.name, x[:, at : at + block]))
        done += 1
        return np.concatenate(parts, axis=1)

    found = {name: played(name, spec, x)[:, :samples] for name, x in rows.items()}
    way = np.linspace(0, 1, samples, dtype=np.float32)
    found[FADE] = (1 - way) * found[FIRST] + way * found[LAST]
    if methods:
        make, decode = methods
        first, last = (played(LATENTS, make, rows[name]) for name in (FIRST, LAST))
        found[LATENTS] = played(LATENTS, decode, line_between(first, last))[:, :samples]
    return found


def measured(sounds: Mapping[str, FloatArray], bars: int, bpm: float, rate_hz: int
             ) -> dict[str, Array]:
    """`bar_curves` of each sound [channels, samples], by name."""
    return {name: bar_curves(Path(np.asarray(y.mean(axis=0), np.float32), bpm, bars), rate_hz)
            for name, y in sounds.items()}


def ends_of(curves: Mapping[str, Array]) -> Array:
    """What both loops have where they are held, median over their bars: [CURVES, 2]."""
    return np.stack([np.nanmedian(curves[name], axis=1) for name in (FIRST, LAST)], axis=1)


def figures_of(curves: Mapping[str, Array]) -> dict[str, Any]:
    """Plain data: for each way there what each bar measures, and how smooth that is."""
    ends = ends_of(curves)
    found: dict[str, Any] = {}
    for name, curve in curves.items():
        found[name] = {key: {"bars": [_plain(value) for value in row], **curve_figures(row)}
                       for key, row in zip(CURVES, curve, strict=True)}
    return {"ends": {key: [_plain(value) for value in row]
                     for key, row in zip(CURVES, ends, strict=True)}, "ways": found}


def _plain(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def grid_of(figures: Mapping[str, Any]) -> Grid:
    """A row for each way there."""
    columns = [(key, figure) for key in SHOWN for figure in FIGURES]
    head = ["", *(f"{CURVE_TITLES[key]}: {FIGURES[figure]}" for key, figure in columns)]
    rows = [[name, *(number(way[key][figure]) for key, figure in columns)]
            for name, way in figures["ways"].items() if name not in (FIRST, LAST)]
    return Grid("from loop to loop, by bars", head, rows)


def plot_ways(curves: Mapping[str, Array], title: str, out: FilePath) -> None:
    """Level and centroid of each bar, one panel each; dashed: the two loops held."""
    ways = {name: curves[name] for name in (WALK, FADE, LATENTS) if name in curves}
    plots = path_plots(ways, ends_of(curves))
    drawn, axes = figure(len(plots), 1, 8.0, 3.0 * len(plots))
    for axis, plot in zip(axes[:, 0], plots, strict=True):
        plot.draw(axis)
    drawn.suptitle(title, fontsize=9)
    save_figure(drawn, out)
