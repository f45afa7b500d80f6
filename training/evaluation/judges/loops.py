"""Judge "loops": whether what a model makes from nothing are loops, in the tempo asked for.

Collections of mono sounds are compared, each with its tempo and with the bar position of its first
sample; nothing is known here of what made them. `evaluate_loops` holds draws of a model against
held-out loops, beside floors that need no model and whatever else the caller has (copies through
the codec, noise for latents).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import AudioError
from engine.scores.loops import bar_seconds
from training.evaluation.borders import border_flux
from training.evaluation.descriptors import Units, descriptor_mmd, points
from training.evaluation.loop_floors import floors
from training.evaluation.loop_measures import (
    Rhythm,
    heard,
    ks_distance,
    level_db,
    motion,
    onsets_per_second,
    rhythm_of,
    tempo_hit,
)
from training.evaluation.loop_neighbours import Neighbours
from training.evaluation.loop_paths import mean_of

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]
Figures = dict[str, float | None]

SHORTEST_SECONDS = 1.0
RHYTHM_MEANS = ("beat", "bar", "lock16", "lock4", "lockx")
DRIFT_SECONDS = 10.0
LOUDEST = 8.0  # as the guard of every model has it


@dataclass(frozen=True)
class Loops:
    """Mono sounds [samples], float32; the tempo of each, and the bar position of its sample 0 (in
    bars, 0 unless given)."""

    sounds: Sequence[FloatArray]
    bpm: Sequence[float]
    bars: Sequence[float] = ()

    def __post_init__(self) -> None:
        if not self.bars:
            object.__setattr__(self, "bars", (0.0,) * len(self.sounds))
        if not len(self.sounds) == len(self.bpm) == len(self.bars) or not self.sounds:
            raise ValueError(f"{len(self.sounds)} sounds, {len(self.bpm)} tempi and "
                             f"{len(self.bars)} bar positions: one of each for a sound, and a "
                             "sound at least")
        if not all(np.isfinite(bpm) and bpm > 0 for bpm in self.bpm):
            raise ValueError("a tempo is a number of BPM above 0")
        if any(sound.ndim != 1 for sound in self.sounds):
            raise ValueError("a sound of a loop is mono: [samples]")

    def __len__(self) -> int:
        return len(self.sounds)

    def part(self, rate_hz: int, start: int, end: int) -> Loops:
        """A stretch of each sound, in samples; bars go on where they would be."""
        bars = [bar + start / rate_hz / bar_seconds(bpm)
                for bar, bpm in zip(self.bars, self.bpm, strict=True)]
        return Loops([sound[start:end] for sound in self.sounds], self.bpm, bars)

    def some(self, count: int) -> Loops:
        """So many of them at most, evenly chosen."""
        count = min(count, len(self))
        chosen = [index * len(self) // count for index in range(count)]
        return Loops([self.sounds[i] for i in chosen], [self.bpm[i] for i in chosen],
                     [self.bars[i] for i in chosen])


def usable(loops: Loops, rate_hz: int) -> Loops:
    """What can be measured: float32, no louder than models may be, and silence in place of a sound
    with numbers that are none; an error for one that is too short."""
    for index, sound in enumerate(loops.sounds):
        if len(sound) < SHORTEST_SECONDS * rate_hz:
            raise AudioError(f"sound {index + 1} of {len(loops)} has {len(sound) / rate_hz:.2f} s; "
                             f"loops are judged from {SHORTEST_SECONDS:g} s on: repeat it")
    sounds = [np.clip(sound, -LOUDEST, LOUDEST).astype(np.float32) if np.isfinite(sound).all() else
              np.zeros(len(sound), np.float32) for sound in loops.sounds]
    return Loops(sounds, loops.bpm, loops.bars)


def mean_level_db(loops: Loops) -> float:
    """Mean over sounds of their RMS levels."""
    return float(np.mean([level_db(sound) for sound in loops.sounds]))


class LoopJudge:
    """Held-out loops, and what was learnt from, that collections are held against."""

    def __init__(self, real: Loops, rate_hz: int, learnt: Loops | None = None) -> None:
        """`learnt`: loops of the training set as they sound, tiled (`loop_floors.tiled`); without
        them nothing is said of nearest neighbours."""
        self.rate_hz = rate_hz
        self.real = usable(real, rate_hz)
        self.points = self._points(self.real)
        self.profiles = np.stack([found.profile for found in self.rhythms(self.real)])
        self._level = mean_level_db(self.real)
        self._motion = self._motions(self.real)
        self._neighbours = Neighbours(learnt.sounds, rate_hz) if learnt else None

    def figures(self, made: Loops, neighbours: bool = True) -> Figures:
        """Of a collection; see `loop_table.COLUMNS`. `neighbours`: whether those are looked for,
        which takes most of the time and is empty talk of the training set itself."""
        made = usable(made, self.rate_hz)
        rhythms = self.rhythms(made)
        found = {name: mean_of(getattr(row, name) for row in rhythms) for name in RHYTHM_MEANS}
        loud, centroid = (ks_distance(*pair) for pair in
                          zip(self._motion, self._motions(made), strict=True))
        near = (self._neighbours.figures(made.sounds) if neighbours and self._neighbours else
                {"neighbour_db": None, "neighbour_low_db": None})
        return {
            "descriptor_mmd": descriptor_mmd(self.points, self._points(made)),
            "rhythm_mmd": self.rhythm_mmd(np.stack([row.profile for row in rhythms])),
            **found,
            "tempo_hit": float(np.mean([tempo_hit(row.tempo, bpm) for row, bpm in
                                        zip(rhythms, made.bpm, strict=True)])),
            "onsets_per_second": float(np.mean([onsets_per_second(sound, self.rate_hz)
                                                for sound in made.sounds])),
            "ks_loudness": loud, "ks_centroid": centroid, **near,
            "level_error_db": mean_level_db(made) - self._level,
            "broken": float(np.mean([not heard(sound) for sound in made.sounds])),
        }

    def rhythms(self, made: Loops) -> list[Rhythm]:
        """Of each sound, on the grid that it was asked for."""
        return [rhythm_of(sound, self.rate_hz, bpm, bar)
                for sound, bpm, bar in zip(made.sounds, made.bpm, made.bars, strict=True)]

    def rhythm_mmd(self, profiles: Array) -> float | None:
        """Squared MMD of profiles [sounds, STEPS] and the real ones, as `descriptor_mmd`: each step
        in units of its spread in real loops. About 0 for two halves of one collection, slightly
        below for a collection and itself; None for a single sound."""
        import torch

        from training.objectives.regularisers import mmd

        count = min(len(profiles), len(self.profiles))
        if count < 2:
            return None
        units, rng = Units(self.profiles), np.random.default_rng(0)
        x, y = (units.scaled(rows[rng.permutation(len(rows))[:count]])
                for rows in (self.profiles, profiles))
        return float(mmd(torch.from_numpy(x), torch.from_numpy(y), "imq"))

    def drift(self, made: Loops, seconds: float = DRIFT_SECONDS) -> Figures:
        """Figures of the last `seconds` of sounds less those of the first: what a stream loses that
        hears only itself. Sounds are of one length, twice `seconds` at least."""
        first, last = self.ends(made, seconds).values()
        return {key: None if first[key] is None or last[key] is None else
                float(last[key] or 0) - float(first[key] or 0)
                for key in ("descriptor_mmd", "level_error_db", "lock16")}

    def ends(self, made: Loops, seconds: float = DRIFT_SECONDS) -> dict[str, Figures]:
        """Figures of the "first" and of the "last" `seconds` of such sounds."""
        lengths = {len(sound) for sound in made.sounds}
        size = round(seconds * self.rate_hz)
        if len(lengths) != 1 or min(lengths) < 2 * size:
            raise ValueError(f"drift over {seconds:g} s wants sounds of one length, twice that at "
                             "least")
        length = lengths.pop()
        return {name: self.figures(made.part(self.rate_hz, start, start + size), False)
                for name, start in (("first", 0), ("last", length - size))}

    def border_flux(self, made: Loops, chunk: int, frame: int) -> float | None:
        """Spectral flux where a generator's chunks of `chunk` samples meet over that where its
        other frames do, mean over sounds: 1 where nothing happens at borders."""
        return mean_of(border_flux(sound[None], chunk, frame)["ratio"] for sound in made.sounds)

    def _points(self, loops: Loops) -> Array:
        return np.concatenate([points(sound[None], self.rate_hz)
                               for sound in loops.sounds])

    def _motions(self, loops: Loops) -> list[Array]:
        """Movements of level, and of the centroid, of all sounds."""
        found = [motion(sound, self.rate_hz) for sound in loops.sounds]
        return [np.concatenate(part) for part in zip(*found, strict=True)]


def evaluate_loops(
    real: Loops, made: Sequence[Loops], rate_hz: int, learnt: Loops | None = None,
    others: Mapping[str, Loops] | None = None, baselines: bool = True,
    judge: LoopJudge | None = None,
) -> dict[str, Any]:
    """Figures of `made`, draws of one model under the held-out loops' conditions, against `real`.

    `learnt`: training loops as they sound; `others`: what else is measured, by name, such as
    "codec" (held-out loops through it), "codec_learnt" (training loops through it), or
    "gaussian" (decoded noise). `baselines`: the floors made of the real loops (`loop_floors`).
    `judge`: one that is there already, for the same real loops.

    Returned: {"judge", "rate_hz", "loops", "seconds", "draws", "results": {"model": figures, mean
    over the draws; "real"; ...}, "spread": {figure: largest less smallest of the draws},
    "profiles": {"model": [[16 numbers] a sound of the first draw], "real": ...}}, plain data."""
    if not made:
        raise ValueError("no draw of a model to judge")
    judge = judge or LoopJudge(real, rate_hz, learnt)
    draws = [judge.figures(draw) for draw in made]
    results = {"model": {key: mean_of(draw[key] for draw in draws) for key in draws[0]},
               "real": judge.figures(real)}
    if learnt is not None and baselines:
        results["learnt"] = judge.figures(learnt.some(len(real)), False)
    for name, loops in (others or {}).items():
        results[name] = judge.figures(loops)
    if baselines:
        for name, sounds in floors(real.sounds, real.bpm, real.bars, rate_hz).items():
            results[name] = judge.figures(Loops(sounds, real.bpm, real.bars))
    known = {key: [float(draw[key] or 0) for draw in draws if draw[key] is not None]
             for key in draws[0]}
    return {
        "judge": "loops", "rate_hz": rate_hz, "loops": len(real), "draws": len(made),
        "seconds": round(sum(map(len, real.sounds)) / rate_hz, 3), "results": results,
        "spread": {key: float(np.ptp(values)) for key, values in known.items() if values},
        "profiles": {"model": [row.profile.tolist() for row in judge.rhythms(made[0])],
                     "real": judge.profiles.tolist()},
    }
