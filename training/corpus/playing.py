"""What a drummer plays: beats, ghost notes, fills, by hands that are not a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.corpus.draw import between, chance, pick
from training.corpus.patterns import BAR, Hit

Part = dict[str, list[Hit]]
Span = tuple[float, float]


def _places(text: str) -> tuple[Hit, ...]:
    """A bar as text: X accent, x stroke, g ghost, . rest."""
    levels = {"X": 1.0, "x": 0.75, "g": 0.28}
    return tuple(Hit(step, levels[mark]) for step, mark in enumerate(text) if mark in levels)


@dataclass(frozen=True)
class Feel:
    """How one kind of music is drummed: bars of kick and snare that belong together, and hands."""

    bpm: Span
    bars: tuple[tuple[str, str], ...]  # (kick, snare), 16 steps each
    keepers: tuple[str, ...]  # what keeps time
    swing: Span
    late_ms: Span  # how far the snare drags behind the beat
    ghosts: float  # how likely a free sixteenth is to be ghosted


FEELS: dict[str, Feel] = {
    "funk": Feel((88, 126), (
        ("X.x.....x.x..x..", "....X..g.g..X..g"), ("X..x...x..x..x..", "....X.....g.X..."),
        ("X.x...x...x.....", "g...X..g.x..X.g."), ("X......xx..x..x.", "....X..g.g.gX..g"),
        ("x.X..x....xx....", "....X..x....X..g"), ("X..x..x...x..x.x", ".g..X..g.g..X...")),
        ("eighths", "sixteenths", "eighths", "ride"), (0.0, 0.16), (-2, 8), 0.22),
    "soul": Feel((96, 140), (
        ("X.......X.......", "....X.......X..."), ("X.....x.X.......", "....X..g....X..."),
        ("X...x...X.x.....", "x...X...x...X..."), ("X.x...x.X.x.....", "....X.......X..g")),
        ("eighths", "ride", "quarters"), (0.0, 0.25), (0, 10), 0.08),
    "hip-hop": Feel((80, 104), (
        ("X.....x..xX.....", "....X.......X..."), ("X.x....x..x.....", "....X..g....X..."),
        ("X..x...x.xx..x..", "....X.......X..g"), ("X.........xx..x.", "....X..g.g..X..."),
        ("X......x..X.....", "....X.......X.g.")),
        ("eighths", "eighths", "sixteenths"), (0.1, 0.34), (4, 24), 0.1),
    "jungle": Feel((150, 180), (
        ("X.x.......xx....", "....X..g.g..X..g"), ("X.x.......x.....", "....X..g.g....X."),
        ("..xx......x.....", "....X..g.x....x."), ("X..x..x...x..x..", "....X..x.g.xX.g."),
        ("X.........x..x..", "...gX..x..x.X..x"), ("X.x..x....x.....", "....X..xg...X.xx")),
        ("eighths", "ride", "sixteenths"), (0.0, 0.12), (-2, 5), 0.2),
    "half-time": Feel((120, 176), (
        ("X.....x...x.....", "........X......."), ("X..x......x..x..", "........X....g.."),
        ("X.......x.......", "g.....g.X......."), ("X..........x..x.", "...g....X..g...."),
        ("X.x...x....x....", "........X.....g.")),
        ("eighths", "quarters", "sixteenths", "ride"), (0.0, 0.25), (0, 16), 0.1),
    "rock": Feel((84, 160), (
        ("X.......X.x.....", "....X.......X..."), ("X.x.....X.x.....", "....X.......X..."),
        ("X.....x.x.x...x.", "....X.......X..."), ("X...x...X...x...", "....X.......X...")),
        ("eighths", "quarters", "ride"), (0.0, 0.06), (-2, 6), 0.03),
}


def _keeper(rng: np.random.Generator, how: str) -> Part:
    """One bar of what keeps time, with hats that open and a foot."""
    stride = {"eighths": 2, "sixteenths": 1, "quarters": 4, "ride": 2}[how]
    accent = between(rng, 0.1, 0.5)  # how much lower what lies between the beats is
    hits = [Hit(step, 0.85 if step % 4 == 0 else 0.85 - accent * (1.0 if step % 2 == 0 else 1.3))
            for step in range(0, BAR, stride)]
    if how == "eighths" and chance(rng, 0.4):
        hits += [Hit(step, 0.3) for step in rng.choice((3, 7, 9, 11, 15), 2, replace=False)]
    hits = [replace(hit, velocity=max(0.12, hit.velocity)) for hit in hits]
    if how == "ride":
        foot = [Hit(4, 0.5), Hit(12, 0.5)] if chance(rng, 0.6) else []
        return {"ride": hits, "hat_closed": foot}
    opened = set(rng.choice((2, 6, 10, 14, 15), int(rng.integers(1, 3)), replace=False).tolist()
                 if chance(rng, 0.55) else [])
    return {"hat_closed": [hit for hit in hits if hit.step not in opened],
            "hat_open": [Hit(float(step), 0.8) for step in sorted(opened)]}


def _fill(rng: np.random.Generator, bar: Part) -> Part:
    """The last beat or two given to snare and toms."""
    start = BAR - pick(rng, (2, 4, 4, 8))
    out = {name: [hit for hit in hits if hit.step < start or name == "kick"]
           for name, hits in bar.items()}
    order = pick(rng, (("snare",), ("snare", "tom"), ("tom_high", "tom"), ("snare", "tom_high",
                                                                          "tom")))
    steps = [step for step in range(start, BAR) if chance(rng, 0.8)] or [start]
    for count, step in enumerate(steps):
        name = order[count * len(order) // len(steps)]
        out.setdefault(name, []).append(Hit(step, between(rng, 0.55, 1.0)))
    return out


def beat(rng: np.random.Generator, feel: Feel, bars: int) -> Part:
    """What each drum plays, still on the grid."""
    kicks, snares = pick(rng, feel.bars)
    keeper = _keeper(rng, pick(rng, feel.keepers))
    ghosts = between(rng, 0, 2 * feel.ghosts)
    other = pick(rng, feel.bars) if chance(rng, 0.35) else (kicks, snares)
    crash = chance(rng, 0.15)
    whole: Part = {}
    for number in range(bars):
        kick, snare = other if number % 2 else (kicks, snares)
        bar: Part = {"kick": list(_places(kick)), "snare": list(_places(snare)),
                     **{name: list(hits) for name, hits in keeper.items()}}
        taken = {hit.step for hit in bar["snare"]}
        bar["snare"] += [Hit(step, between(rng, 0.16, 0.36)) for step in range(1, BAR, 2)
                         if step not in taken and chance(rng, ghosts)]
        if number == bars - 1 and chance(rng, 0.25):
            bar = _fill(rng, bar)
        if number == 0 and crash:
            bar["crash"] = [Hit(0, 0.8)]
        for name, hits in bar.items():
            whole.setdefault(name, []).extend(
                replace(hit, step=hit.step + number * BAR) for hit in hits)
    return {name: hits for name, hits in whole.items() if hits}


def by_hand(rng: np.random.Generator, part: Part, step_s: float, loose_ms: float,
            snare_late_ms: float) -> Part:
    """The beat as a person plays it: a habit for each limb, drift within the bar, no two alike.

    Errors of neighbouring strokes hang together (a hurried drummer hurries for a while): each
    limb's is a walk that forgets half of itself from stroke to stroke.
    """
    played: Part = {}
    for name, hits in part.items():
        habit_ms = snare_late_ms if name == "snare" else float(rng.normal(0, 0.6 * loose_ms))
        walk_ms = 0.0
        played[name] = []
        for hit in sorted(hits, key=lambda one: one.step):
            walk_ms = 0.5 * walk_ms + float(rng.normal(0, 0.87 * loose_ms))
            late_ms = float(np.clip(habit_ms + walk_ms, -25, 35))
            strength = float(np.clip(hit.velocity * np.exp(rng.normal(0, 0.11)), 0.08, 1.0))
            played[name].append(replace(hit, step=hit.step + late_ms / 1000 / step_s,
                                        velocity=round(strength, 3)))
    return played
