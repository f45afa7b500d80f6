"""Sequencing: the clock, and the patterns of drums. A bar is 16 steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from training.corpus.circle import smooth_length
from training.corpus.draw import between, chance, pick

BAR = 16


@dataclass(frozen=True)
class Hit:
    """One note or stroke, in steps from the start of the loop, before swing."""

    step: float
    velocity: float
    length: float = 1.0
    pitch: int = 0
    slide: bool = False  # glides into the next note without a new attack


@dataclass(frozen=True)
class Clock:
    """Where steps fall in samples."""

    bpm: float
    bars: int
    swing: float  # how much later each second step comes, in steps; 1/3 is a triplet feel
    sample_rate_hz: int

    @property
    def steps(self) -> int:
        """Steps of the whole loop."""
        return BAR * self.bars

    @property
    def samples(self) -> int:
        """Length of the loop: exact at multiples of 8 kHz, elsewhere within about 0.2 %.

        Tempos are chosen for the former (`smooth_bpm`); at 44.1 kHz the tempo gives way a little.
        """
        return smooth_length(round(self.bars * 240.0 / self.bpm * self.sample_rate_hz))

    @property
    def step_s(self) -> float:
        """Length of one step without swing."""
        return self.samples / self.steps / self.sample_rate_hz

    def at(self, step: float) -> int:
        """First sample of a hit. Pairs of steps stretch and shrink, so rolls swing as well."""
        pair, within = divmod(step, 2.0)
        first = 1.0 + self.swing
        place = within * first if within < 1.0 else first + (within - 1.0) * (1.0 - self.swing)
        return round((2.0 * pair + place) * self.samples / self.steps) % self.samples


def written(hits: list[Hit], steps: int) -> str:
    """The pattern as text, a character per step: X accent, x stroke, g ghost, r roll, . rest."""
    line = ["."] * steps
    for hit in sorted(hits, key=lambda one: one.velocity):
        place = int(hit.step) % steps
        mark = "X" if hit.velocity >= 0.9 else "x" if hit.velocity >= 0.45 else "g"
        line[place] = "r" if hit.step != int(hit.step) and line[place] == "." else mark
    bars = (line[start : start + BAR] for start in range(0, steps, BAR))
    return "|".join("".join(bar) for bar in bars)


def repeated(bar: list[Hit], bars: int, every: int = 1) -> list[Hit]:
    """A pattern of `every` bars, over all bars of the loop."""
    length = every * BAR
    return [replace(hit, step=hit.step + start) for start in range(0, bars * BAR, length)
            for hit in bar if hit.step + start < bars * BAR]


def euclid(strokes: int, steps: int, rotation: int = 0) -> list[int]:
    """Strokes spread as evenly as a grid of steps allows; most drum traditions know these."""
    places = {math.floor(stroke * steps / strokes) for stroke in range(strokes)}
    return sorted((place + rotation) % steps for place in places)


KICKS: dict[str, tuple[tuple[int, ...], ...]] = {
    "four": ((0, 4, 8, 12),),
    "four and more": ((0, 4, 8, 12, 14), (0, 4, 7, 8, 12), (0, 4, 8, 11, 12), (0, 3, 4, 8, 12),
                      (0, 4, 8, 10, 12), (0, 4, 8, 12, 15)),
    "broken": ((0, 3, 10), (0, 6, 10), (0, 2, 10, 13), (0, 7, 10), (0, 3, 6, 11), (0, 5, 8, 14),
               (0, 10), (0, 3, 8, 11), (0, 6, 8, 11, 14)),
    "half": ((0, 8), (0, 10), (0, 6), (0,)),
}


def kick_pattern(rng: np.random.Generator, bars: int, feel: str) -> list[Hit]:
    """The kick: one bar again and again, maybe ghosts, maybe a hole or a push at the end."""
    bar = pick(rng, KICKS[feel])
    hits = [Hit(place, 1.0 if place % 4 == 0 else between(rng, 0.7, 0.95)) for place in bar]
    if chance(rng, 0.15):
        ghost = pick(rng, [place for place in range(BAR) if place not in bar])
        hits.append(Hit(ghost, between(rng, 0.25, 0.42)))
    loop = repeated(hits, bars)
    if bars > 1 and chance(rng, 0.3):
        last = bars * BAR - 4
        loop = [hit for hit in loop if hit.step < last] if chance(rng, 0.5) else [
            *[hit for hit in loop if hit.step != last + 2], Hit(last + 2, 0.85)]
    return loop


def backbeat(rng: np.random.Generator, bars: int) -> list[Hit]:
    """Claps and snares on the second and fourth beat, with ghosts and a roll now and then."""
    places = pick(rng, ((4, 12), (4, 12), (4, 12), (12,), (8,), (4, 12, 15), (4, 11), (3, 6, 12)))
    hits = [Hit(place, 1.0 if place % 4 == 0 else 0.6) for place in places]
    if chance(rng, 0.3):
        free = [place for place in range(1, BAR, 2) if place not in places]
        hits += [Hit(pick(rng, free), between(rng, 0.2, 0.4)) for _ in range(pick(rng, (1, 2)))]
    loop = repeated(hits, bars)
    if bars > 1 and chance(rng, 0.3):
        loop = with_fill(rng, loop, bars)
    return loop


def with_fill(rng: np.random.Generator, loop: list[Hit], bars: int) -> list[Hit]:
    """The last beats replaced by a roll that grows into the next turn of the loop."""
    length = pick(rng, (2, 4, 4, 8))
    start = bars * BAR - length
    stride = pick(rng, (0.5, 1.0, 1.0, 1.5, 2.0 / 3.0) if length > 2 else (0.5, 1.0))
    count = int(length / stride)
    roll = [Hit(start + stroke * stride, 0.35 + 0.6 * (stroke + 1) / count)
            for stroke in range(count)]
    return [hit for hit in loop if hit.step < start] + roll


def sixteenths(rng: np.random.Generator, bars: int) -> list[Hit]:
    """Closed hats and shakers: a lane of steps with accents, holes and rolls."""
    stride = pick(rng, (1, 1, 1, 2))
    accents = pick(rng, ((0.5, 0.3, 1.0, 0.35), (1.0, 0.4, 0.7, 0.4), (0.35, 0.6, 1.0, 0.5),
                         (0.8, 0.8, 0.8, 0.8), (0.2, 0.9, 0.3, 0.9)))
    holes = between(rng, 0, 0.45) if chance(rng, 0.5) else 0.0
    hits = []
    for place in range(0, BAR, stride):
        if chance(rng, 1.0 - holes):
            hits.append(Hit(place, min(1.0, accents[place % 4] * between(rng, 0.85, 1.1))))
    if chance(rng, 0.2):
        hits.append(Hit(pick(rng, (3, 7, 11, 15)) + 0.5, 0.5))
    if not hits:
        hits = [Hit(2, 0.9)]
    return repeated(hits, bars)


def offbeats(rng: np.random.Generator, bars: int) -> list[Hit]:
    """Open hats and rides: between the kicks, or on every beat or eighth."""
    places = pick(rng, ((2, 6, 10, 14),) * 5 + ((0, 4, 8, 12), (2, 10), (6, 14), (14,),
                        (0, 2, 4, 6, 8, 10, 12, 14), (2, 6, 10, 13)))
    return repeated([Hit(place, between(rng, 0.75, 1.0)) for place in places], bars)


def scattered(rng: np.random.Generator, bars: int) -> list[Hit]:
    """Percussion: Euclidean over one bar, over two, or over an odd cycle that drifts."""
    cycle = pick(rng, (16, 16, 16, 32, 12, 6, 10, 14))
    strokes = int(rng.integers(1, max(3, cycle // 2)))
    places = euclid(strokes, cycle, int(rng.integers(cycle)))
    levels = [pick(rng, (1.0, 0.9, 0.7, 0.5, 0.3)) for _ in places]
    pitches = [pick(rng, (0, 0, 0, 5, 7, -5, 3)) for _ in places]
    steps = bars * BAR
    loop = [Hit(start + place, level, 1.0, pitch)
            for start in range(0, steps, cycle)
            for place, level, pitch in zip(places, levels, pitches, strict=True)
            if start + place < steps]
    if not loop:
        loop = [Hit(places[0] % steps, 0.9)]
    return with_fill(rng, loop, bars) if bars > 1 and chance(rng, 0.15) else loop
