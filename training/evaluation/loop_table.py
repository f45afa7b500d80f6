"""The figures of loops as tables for screen and page, and as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.judges.findings import Column, Grid, Plot, number, score_grid
from training.evaluation.loop_measures import STEPS
from training.evaluation.loop_paths import CURVES

Array = NDArray[np.float64]

# The model's row comes first, then what it is read against; what a caller adds comes last.
SUBJECTS = {"model": "model", "real": "held-out loops", "learnt": "training loops (ceiling)",
            "codec": "held-out through the codec (ceiling)",
            "codec_learnt": "training loops through the codec (copies)",
            "own_steps": "own quarter-beats shuffled (floor)",
            "own_frames": "own frames shuffled (floor)",
            "all_frames": "all frames shuffled (floor)", "noise": "noise (floor)",
            "shuffled_latents": "shuffled latents (floor)",
            "gaussian": "N(0, 1) latents (floor)"}
COLUMNS = (
    Column("descriptor_mmd", "descriptor MMD"),
    Column("rhythm_mmd", "rhythm MMD"),
    Column("beat", "beat", ""),
    Column("bar", "bar", ""),
    Column("lock16", "lock16", ""),
    Column("lock4", "lock4", ""),
    Column("lockx", "lockx", ""),
    Column("tempo_hit", "tempo hit", "higher"),
    Column("onsets_per_second", "onsets/s", ""),
    Column("ks_loudness", "KS loudness"),
    Column("ks_centroid", "KS centroid"),
    Column("neighbour_db", "nearest dB", ""),
    Column("neighbour_low_db", "nearest 5 % dB", ""),
    Column("level_error_db", "level dB", ""),
    Column("broken", "broken"),
)
CURVE_TITLES = {"level_db": "level", "centroid_octaves": "centroid",
                "onsets_per_second": "onsets/s"}
NOTES = (  # what is said below the tables
    "beat, bar, lock16 and lock4 are good where the held-out loops have them; lockx is what a "
    "grid has that is not there",
    "nearest: copies are as near as training loops through the codec; noise is near to everything",
)


def grids(result: dict[str, Any], name: str = "model") -> list[Grid]:
    """Figures by subject, with what draws differ by; `result` as `evaluate_loops` returns it, in
    which is noted which way of each figure is good."""
    title = (f"{name}: {result['draws']} draws of loops against {result['loops']} held-out loops, "
             f"{result['seconds']:.0f} s")
    main = score_grid(title, result, COLUMNS, SUBJECTS)
    if result["draws"] < 2:
        return [main]
    used = [column for column in COLUMNS if column.heading in main.head]
    row = ["± of the draws", *(number(None if (v := result["spread"].get(c.key)) is None else v / 2)
                               for c in used)]
    return [main._replace(rows=[main.rows[0], row, *main.rows[1:]])]


def path_grid(paths: Mapping[str, dict[str, Any]]) -> Grid:
    """Paths of several kinds, by name, as `path_figures` returns each."""
    head = ["", *(f"{CURVE_TITLES[curve]}: {said}" for curve in CURVES
                  for said in ("range / variation ↑", "largest step / range ↓", "/ median step ↓")),
            "MMD middle ↓", "MMD ends", "middle / ends →1"]
    rows = [[name, *(number(found[curve][key]) for curve in CURVES
                     for key in ("smoothness", "largest_step", "step_over_median")),
             *(number(found[key]) for key in ("middle_mmd", "ends_mmd", "middle_over_ends"))]
            for name, found in paths.items()]
    return Grid("paths from loop to loop, by bars", head, rows)


LONG_COLUMNS = {"level_error_db": "level dB", "descriptor_mmd": "descriptor MMD",
                "rhythm_mmd": "rhythm MMD", "lock16": "lock16", "lock4": "lock4", "bar": "bar"}


def long_grid(found: Mapping[str, Any]) -> Grid:
    """What `ends` of loops that went on for long returned."""
    title = (f"{found['loops']} loops of {found['seconds']:.0f} s without a stop: their first and "
             f"last {found['part_seconds']:.0f} s")
    rows = [[name, *(number(found[name][key]) for key in LONG_COLUMNS)]
            for name in ("first", "last")]
    return Grid(title, ["", *LONG_COLUMNS.values()], rows)


def knob_grid(found: Mapping[str, dict[str, Any]]) -> Grid:
    """What `knob_response` returns."""
    rows = [[name, number(row["spearman"]), number(row["slope"]), number(row["cross_talk"]),
             row["into"] or "-"] for name, row in found.items()]
    return Grid("knobs", ["", "rank correlation ↑", "slope", "cross-talk ↓", "into"], rows)


def step_plot(result: dict[str, Any], most: int = 32) -> Plot:
    """Onsets on the 16 steps of the bar: sounds of the model down, real ones beside them."""
    made, real = (np.array(result["profiles"][name])[:most] for name in ("model", "real"))
    return Plot("steps.png", "onsets on the 16 steps of a bar: made, and real beside it",
                lambda axis: _heat(axis, made, real), (7.5, 0.12 * max(len(made), len(real)) + 1.5))


def _heat(axis: Any, made: Array, real: Array) -> None:
    """Rows in the order of where their onsets lie, so that like is beside like."""
    rows = max(len(made), len(real))
    picture = np.full((rows, 2 * STEPS + 1), np.nan)  # [sounds, made | nothing | real]
    for first, profiles in ((0, made), (STEPS + 1, real)):
        order = np.lexsort(profiles.T[[2, 14, 10, 6, 12, 4, 8, 0]])
        picture[: len(profiles), first : first + STEPS] = profiles[order]
    top = float(np.nanquantile(picture, 0.98))
    shown = axis.imshow(picture, cmap="magma", vmin=0, vmax=top or 1, aspect="auto",
                        interpolation="nearest")
    beats = [first + step for first in (0, STEPS + 1) for step in range(0, STEPS, 4)]
    axis.set_xticks(beats, [f"{made_or_real} {beat}" for made_or_real in ("made", "real")
                            for beat in range(1, 5)], fontsize=7)
    axis.set(xlabel="beat of the bar", ylabel="sounds")
    axis.figure.colorbar(shown, label="share of the onsets")


def path_plots(curves: Mapping[str, Array], ends: Array | None = None) -> list[Plot]:
    """Level and centroid of each bar along paths, by name, [CURVES, bars] as `bar_curves` returns
    them; dashed: both ends. `ends` [CURVES, 2]: of the two loops held, else of the first path's
    first and last bar."""
    first = next(iter(curves.values()))
    held = first[:, [0, -1]] if ends is None else ends
    said = (("level_db", "level, dB"), ("centroid_octaves", "centroid, Hz"))
    return [Plot(f"path_{key.split('_')[0]}.png", f"{title} per bar along a path; dashed: its ends",
                 partial(_bars, curves=curves, ends=held, row=CURVES.index(key), title=title),
                 (7.0, 3.2)) for key, title in said]


def _bars(axis: Any, curves: Mapping[str, Array], ends: Array, row: int, title: str) -> None:
    octaves = CURVES[row] == "centroid_octaves"
    for index, (name, curve) in enumerate(curves.items()):
        values = np.exp2(curve[row]) if octaves else curve[row]
        axis.step(np.arange(1, len(values) + 1), values, where="mid", label=name,
                  color="#0f766e" if index == 0 else None, alpha=1 if index == 0 else 0.7)
    for value, color in zip(ends[row], ("#1e293b", "#94a3b8"), strict=True):
        axis.axhline(2**value if octaves else value, linestyle="--", linewidth=1, color=color)
    low, high = axis.get_ylim()
    if octaves and low > 0 and high > 2 * low:  # in less there are no powers of two to be named
        axis.set_yscale("log", base=2)
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    axis.set(xlabel="bar", ylabel=title)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
