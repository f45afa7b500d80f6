"""How good ways between places are: energies against the straight line's, how even their speed is,
how smoothly descriptors of the sound go along them.

    goals (of pairs of places): energy at most .8 of the line's in the median, and at most the
    arc-length line's in each; speed varies by at most .10 in the median; descriptors are no rougher
    than along the line in 80 % of all cases
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.descriptors import NAMES, curves
from training.evaluation.judges.findings import Grid, number
from training.evaluation.paths.geodesic import Found, Way
from training.evaluation.paths.hearing import Hearing

Array = NDArray[np.float64]
DESCRIPTORS = ("centroid", "bandwidth", "flatness", "rms")  # of which roughness is told
OCTAVES = ("centroid", "bandwidth")
HOP_SECONDS = 0.016
SAME = 1e-6  # roughnesses that differ by less are equal
GOALS = {"energy": 0.8, "over_even_line": 1.0, "speed_variation": 0.1, "smooth_share": 0.8}
HEAD = ["pair", "arc-length line", "geodesic", "chord", "length", "speed: line", "arc-length",
        "geodesic", "centroid rough, oct: line", "geodesic"]


def described(sounds: NDArray[np.float32], rate_hz: int) -> Array:
    """Descriptors of sounds [places, samples], each a mean over its time: [DESCRIPTORS, places],
    NaN of silence. Frequencies count in octaves."""
    found = np.full((len(DESCRIPTORS), len(sounds)), np.nan)
    for place, sound in enumerate(sounds):
        each = curves(sound[None], rate_hz, max(1, round(HOP_SECONDS * rate_hz)))
        for row, name in enumerate(DESCRIPTORS):
            values = each[NAMES.index(name)]
            values = values[np.isfinite(values)]
            if len(values):
                found[row, place] = (np.log2(np.maximum(values, 1.0)) if name in OCTAVES
                                     else values).mean()
    return found


def roughness(curve: Array) -> float:
    """Root of the sum of squared second differences: 0 of what rises evenly."""
    return float(np.sqrt(np.square(np.diff(curve, n=2)).sum()))


def roughnesses(hearing: Hearing, way: Way) -> dict[str, float]:
    """Of each descriptor along a way; NaN where a place is silent."""
    found = described(hearing.heard(way.z)[1], hearing.model.sample_rate_hz)
    return {name: roughness(row) for name, row in zip(DESCRIPTORS, found, strict=True)}


def pair_figures(hearing: Hearing, found: Found) -> dict[str, Any]:
    """Plain data of one pair. Energies are shares of the straight line's."""
    unit = max(found.line.energy, 1e-12)
    ways = {"line": found.line, "even_line": found.even_line, "geodesic": found.geodesic}
    rough = {name: roughnesses(hearing, way) for name, way in ways.items()}
    return {
        "energy": {name: way.energy / unit for name, way in ways.items()},
        "chord": found.chord / unit,
        "length": found.geodesic.length / max(found.line.length, 1e-12),
        "speed_variation": {name: way.speed_variation for name, way in ways.items()},
        "roughness": {name: {key: plain(value) for key, value in each.items()}
                      for name, each in rough.items()},
        "kept_line": found.kept_line,
        "outside": outside(hearing, found.geodesic),
    }


def outside(hearing: Hearing, way: Way) -> float:
    """The largest |w|^2 along a way, in normal coordinates, over that of its farther end."""
    w = np.square(hearing.prior.normal(way.z)).sum(axis=1)
    return float(w.max() / max(w[0], w[-1], 1e-12))


def plain(value: float) -> float | None:
    """A number of a file; None for none."""
    return float(value) if np.isfinite(value) else None


def smooth_shares(pairs: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Of each descriptor, in which share of pairs the geodesic is no rougher than the line; `all`:
    of all of them together."""
    kept: dict[str, list[bool]] = {name: [] for name in DESCRIPTORS}
    for pair in pairs:
        for name in DESCRIPTORS:
            line, geodesic = (pair["roughness"][way][name] for way in ("line", "geodesic"))
            if line is not None and geodesic is not None:
                kept[name].append(geodesic <= line + SAME)
    each: dict[str, float | None] = {name: float(np.mean(values)) if values else None
                                     for name, values in kept.items()}
    together = [value for values in kept.values() for value in values]
    return {**each, "all": float(np.mean(together)) if together else None}


def summary(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of all pairs, and which goals are met."""
    shares = smooth_shares(pairs)
    found: dict[str, Any] = {
        "energy": float(np.median([pair["energy"]["geodesic"] for pair in pairs])),
        "even_line_energy": float(np.median([pair["energy"]["even_line"] for pair in pairs])),
        "chord": float(np.median([pair["chord"] for pair in pairs])),
        "over_even_line": float(max(pair["energy"]["geodesic"] / pair["energy"]["even_line"]
                                    for pair in pairs)),
        "speed_variation": float(np.median([pair["speed_variation"]["geodesic"]
                                            for pair in pairs])),
        "line_speed_variation": float(np.median([pair["speed_variation"]["line"]
                                                 for pair in pairs])),
        "largest_speed_variation": float(max(pair["speed_variation"]["geodesic"]
                                             for pair in pairs)),
        "smooth_share": shares["all"], "smooth_shares": shares,
        "kept_line": sum(bool(pair["kept_line"]) for pair in pairs),
        "outside": float(max(pair["outside"] for pair in pairs)),
    }
    met = {key: found[key] is not None and (
        found[key] >= goal if key == "smooth_share" else found[key] <= goal + SAME)
        for key, goal in GOALS.items()}
    return {**found, "met": met}


def pairs_grid(pairs: Sequence[Mapping[str, Any]]) -> Grid:
    """A row for each pair."""
    rows = []
    for index, pair in enumerate(pairs, 1):
        speed, rough = pair["speed_variation"], pair["roughness"]
        rows.append([str(index), *map(number, (
            pair["energy"]["even_line"], pair["energy"]["geodesic"], pair["chord"], pair["length"],
            speed["line"], speed["even_line"], speed["geodesic"], rough["line"]["centroid"],
            rough["geodesic"]["centroid"]))])
    return Grid("energies and lengths over the straight line's; how much speed varies", HEAD, rows)


def goals_grid(found: Mapping[str, Any], count: int) -> Grid:
    """What was aimed at, and what came out."""
    said = {"energy": "energy over the line's, median", "over_even_line":
            "energy over the arc-length line's, largest", "speed_variation":
            "variation of speed, median", "smooth_share": "descriptors no rougher than the line's"}
    rows = [[said[key], ("at least " if key == "smooth_share" else "at most ") + f"{goal:g}",
             number(found[key]), "met" if found["met"][key] else "missed"]
            for key, goal in GOALS.items()]
    return Grid(f"goals, {count} pairs", ["", "wanted", "measured", ""], rows)
