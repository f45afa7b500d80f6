"""Tables and pictures of the judge "playing", and what is asked of a model that it judges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.free_play import STATES
from training.evaluation.judges.findings import (
    Column,
    Grid,
    Plot,
    bars,
    number,
    score_grid,
)
from training.evaluation.judges.tape import Tape
from training.evaluation.spectra import decibels, magnitudes
from training.evaluation.targets import Result, Target, Verdict

FloatArray = NDArray[np.float32]
SUBJECTS = {"model": "model", "held_out": "real sound of the scores (ceiling)",
            "shuffled": "real sound of other scores (floor)",
            "noise": "noise with its envelopes (floor)"}
PREDICTORS = {"model": "model", "free": "model without conditions", "adaptive": "32 taps, adaptive",
              "following": "32 taps, scale follows", "fixed": "32 taps, fixed", "bigram": "bigram",
              "unigram": "unigram"}
BITS = (Column("bits", "bits per sample"),)
FREE = (Column("pitch", "asked pitch", "higher"), Column("clarity", "clarity", "higher"),
        Column("level_db", "level dB", ""), Column("jumps", "jumps", "one"),
        Column("quiet_windows", "silent seconds"))
LIKE = (Column("descriptor_mmd", "descriptor MMD"),
        Column("loudness_gaps", "loudness gaps", "one"),
        Column("flux_gaps", "spectral gaps", "one"),
        Column("loudness_apart", "loudness jumps apart"),
        Column("flux_apart", "spectral jumps apart"),
        Column("frame_edges", "frame edges", "one"))
NOTES = [
    "bits: of 256 steps of mu-law, the past being known; asked pitch: share of frames with one "
    "note in which its pitch is there; level and jumps: against the real sound of the same scores, "
    "of the worst sound",
    "gaps: how often level or spectrum jump inside a note, from one 32 ms to the next, by more "
    "than real sound does once in a hundred, 1 being as often; apart: of the distributions of all "
    "jumps, 0 to 1; frame edges: bends of the wave where frames of conditions meet, over others",
]


def _of(key: str) -> Callable[[Result], float | None]:
    return lambda result: result["results"]["model"].get(key)


def _long(result: Result) -> float | None:
    """Share of seconds in a collapse."""
    long = result.get("long")
    return None if long is None else float(long["model"]["share"])


TARGETS = (
    Target("pitch", "asked pitch, share of frames with one note", "at least 0.75", _of("pitch"),
           lambda value: value >= 0.75),
    Target("clarity", "clarity", "at least 0.8", _of("clarity"), lambda value: value >= 0.8),
    Target("level", "median level against real sound, dB", "within ±6", _of("level_db"),
           lambda value: abs(value) <= 6, shown="{:+.1f}"),
    Target("jumps", "jumps against real sound's", "0.5 to 2", _of("jumps"),
           lambda value: 0.5 <= value <= 2),
    Target("quiet", "silent seconds that were not asked for", "0", _of("quiet_windows"),
           lambda value: value == 0, shown="{:.0f}"),
    Target("bits", "bits per sample below the adaptive predictor", "at least 0.2",
           _of("bits_saved"), lambda value: value >= 0.2),
    Target("long", "ten minutes: share of seconds in silence, noise, one tone or a scream", "0",
           _long, lambda value: value == 0),
)


def verdicts(result: Result) -> list[Verdict]:
    """What was found of every target."""
    return [Verdict(target, target.value(result)) for target in TARGETS]


def grids(name: str, result: dict[str, Any]) -> list[Grid]:
    """All tables; which way of a figure is good, and the targets, go into the result."""
    better: dict[str, str] = {}
    found = []
    about = result["generated"]
    for title, columns, names in (
        (f"{name}: bits of held-out sound", BITS, PREDICTORS),
        (f"{name}: {about['sounds']} sounds of {about['seconds']:g} s that it draws by itself",
         FREE, SUBJECTS),
        ("how like real sound, and how fragments of 32 ms follow each other", LIKE, SUBJECTS),
    ):
        some = {key: row for key in names if (row := result["results"].get(key)) is not None
                and any(row.get(column.key) is not None for column in columns)}
        part: dict[str, Any] = {"results": some}
        if some:
            found.append(score_grid(title, part, columns, names))
            better |= part["better"]
    result["better"] = better
    result["targets"] = {row.target.key: {"value": row.value, "wanted": row.target.wanted,
                                          "met": row.met} for row in verdicts(result)}
    if result.get("long"):
        found.append(_collapses(result["long"]))
    found.append(Grid("what is asked of such a model", ["", "wanted", "found", ""], [
        [row.target.title, row.target.wanted, row.text, row.word] for row in verdicts(result)]))
    return found


def _collapses(long: dict[str, Any]) -> Grid:
    """Longest stretches in each state, and from when on it was a collapse."""
    def cell(row: dict[str, Any]) -> str:
        since = row["from_seconds"]
        return f"{row['longest_seconds']:.0f} s" + ("" if since is None else f", from {since:.0f}")

    rows = [[title, *(cell(long[key][state]) for state in STATES), number(long[key]["share"])]
            for key, title in (("model", "model"), ("held_out", "real sound (ceiling)"))]
    return Grid(f"{long['seconds']:g} s without a stop: the longest stretch of each state",
                ["", "silence", "noise", "one tone", "scream", "share of a collapse"], rows)


def plots(result: dict[str, Any], made: FloatArray, real: Tape, rate_hz: int) -> list[Plot]:
    """Of the page."""
    some = {key: row for key in PREDICTORS if (row := result["results"].get(key)) is not None
            and row.get("bits") is not None}
    found = [Plot("bits.png", "bits per sample of held-out sound", bars(some, BITS[0], PREDICTORS),
                  (6, 2.5))] if some else []
    found += [Plot("played.png", "what it played first", spectrogram(made, rate_hz), (9, 3)),
              Plot("real.png", "the real sound of that score", spectrogram(real.audio, rate_hz),
                   (9, 3))]
    if result.get("long"):
        for key, title in (("level_db", "level in dB"), ("clarity", "clarity")):
            found.append(Plot(f"long_{key}.png", f"{title}, second by second, of a long sound",
                              _courses(result["long"], key), (9, 2.5)))
    return found


def spectrogram(audio: FloatArray, rate_hz: int) -> Callable[[Any], None]:
    """Draws levels of 0 to 8 kHz."""
    def draw(axis: Any) -> None:
        size = int(2 ** round(np.log2(0.064 * rate_hz)))
        power = np.square(magnitudes(audio, size, size // 4)) / (size**2 / 16)
        axis.imshow(decibels(power, 1e-10), origin="lower", aspect="auto", vmin=-90, vmax=-10,
                    extent=(0, len(audio) / rate_hz, 0, rate_hz / 2000), cmap="magma")
        axis.set(xlabel="seconds", ylabel="kHz", ylim=(0, min(8, rate_hz / 2000)))

    return draw


def _courses(long: dict[str, Any], key: str) -> Callable[[Any], None]:
    def draw(axis: Any) -> None:
        axis.plot(long[f"held_out_{key}"], color="#94a3b8", label="real sound")
        axis.plot(long[key], color="#0f766e", label="model")
        axis.set(xlabel="seconds")
        axis.legend(fontsize=7)

    return draw
