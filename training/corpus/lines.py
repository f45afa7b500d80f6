"""Sequencing of pitched parts: bass lines, acid lines, stabs, arpeggios, pads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.corpus.draw import between, chance, pick
from training.corpus.harmony import Key
from training.corpus.patterns import BAR, Hit, euclid, repeated

BASS_RHYTHMS: tuple[tuple[int, ...], ...] = (
    (2, 6, 10, 14),
    (2, 3, 6, 7, 10, 11, 14, 15),
    (1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15),
    (0, 3, 6, 8, 11, 14),
    (0, 3, 6, 10, 13),
    (0, 6, 12),
    (3, 6, 11, 14),
    (0, 2, 5, 8, 10, 13),
    (0, 8),
)


def _moved(rng: np.random.Generator, bar: list[Hit], bars: int) -> list[Hit]:
    """A bar repeated, its last turn maybe with two notes exchanged."""
    loop = repeated(bar, bars)
    if bars > 1 and len(bar) > 2 and chance(rng, 0.4):
        one, other = (int(place) for place in rng.choice(len(bar), 2, replace=False))
        first, second = loop[-1 - one], loop[-1 - other]
        loop[-1 - one] = replace(first, pitch=second.pitch)
        loop[-1 - other] = replace(second, pitch=first.pitch)
    return loop


def bass_line(rng: np.random.Generator, key: Key, bars: int) -> list[Hit]:
    """A few notes near the root, mostly between the kicks."""
    if chance(rng, 0.7):
        places = list(pick(rng, BASS_RHYTHMS))
    else:
        places = euclid(int(rng.integers(3, 10)), BAR, int(rng.integers(BAR)))
    still = between(rng, 0.5, 1.0)
    hold = pick(rng, (0.45, 0.7, 0.9, 1.5))
    hits = []
    for place in places:
        degree = 0 if chance(rng, still) else pick(rng, (-2, -1, 1, 2, 3, 4, 4))
        pitch = key.root + key.degree(degree) + (12 if chance(rng, 0.08) else 0)
        hits.append(Hit(place, between(rng, 0.7, 1.0), hold, pitch))
    return _moved(rng, hits, bars)


def acid_line(rng: np.random.Generator, key: Key, bars: int) -> list[Hit]:
    """Sixteenths with rests, accents, octave leaps and slides."""
    density = between(rng, 0.45, 1.0)
    restless = between(rng, 0.1, 0.8)
    leaps = between(rng, 0.0, 0.35)
    slides = between(rng, 0.05, 0.45)
    accents = between(rng, 0.1, 0.5)
    hold = between(rng, 0.4, 0.8)
    base = key.root + pick(rng, (0, 12, 12))
    hits = []
    for place in range(BAR):
        if not chance(rng, density):
            continue
        degree = pick(rng, (1, 2, 3, 4, 5, 6, -1)) if chance(rng, restless) else 0
        leap = pick(rng, (12, 12, -12)) if chance(rng, leaps) else 0
        velocity = 1.0 if chance(rng, accents) else between(rng, 0.5, 0.8)
        pitch = max(28, base + key.degree(degree) + leap)
        hits.append(Hit(place, velocity, hold, pitch, chance(rng, slides)))
    if not hits:
        hits = [Hit(0, 1.0, hold, base)]
    return _moved(rng, hits, bars)


def stab_line(rng: np.random.Generator, key: Key, bars: int) -> list[Hit]:
    """Where the chords fall and on which root; the chord itself belongs to the sound."""
    places = pick(rng, ((2,), (3,), (3, 6), (2, 10), (6,), (0, 3, 6), (3, 11), (2, 6, 10, 14),
                        (0, 3, 6, 9, 12), (4, 7), (0, 7), (10, 13), (0, 5, 10)))
    moves = pick(rng, ((0,), (0,), (0, 2), (0, -2), (0, 3), (0, 1), (0, 5, 3)))
    base = key.root + pick(rng, (12, 24, 24, 24))
    length = pick(rng, (0.5, 0.8, 1.2, 2.0))
    every = 2 if bars > 1 and chance(rng, 0.4) else 1
    bar = [Hit(place, between(rng, 0.75, 1.0), length, base + key.degree(moves[turn % len(moves)]))
           for turn, place in enumerate(places)]
    return repeated(bar, bars, every)


def arp_line(rng: np.random.Generator, key: Key, bars: int) -> list[Hit]:
    """A short row of pitches read by a rhythm of another length, so that it keeps turning."""
    row = [key.degree(int(degree)) for degree in rng.integers(0, 9, int(rng.integers(2, 8)))]
    base = key.root + pick(rng, (24, 24, 36))
    stride = pick(rng, (1, 1, 2, 3))
    density = between(rng, 0.55, 1.0)
    length = pick(rng, (0.4, 0.7, 1.0))
    hits = []
    for turn, place in enumerate(range(0, bars * BAR, stride)):
        if turn == 0 or chance(rng, density):
            velocity = 1.0 if turn % 4 == 0 else between(rng, 0.45, 0.9)
            hits.append(Hit(place, velocity, length, base + row[turn % len(row)]))
    return hits


def pad_line(rng: np.random.Generator, key: Key, bars: int) -> list[Hit]:
    """One chord for the whole loop, or one per bar or half bar."""
    length = pick(rng, (bars * BAR, BAR, BAR, BAR // 2))
    moves = pick(rng, ((0,), (0, 2), (0, -2), (0, 5), (0, 3, 4)))
    base = key.root + pick(rng, (12, 24, 24))
    return [Hit(start, 1.0, length, base + key.degree(moves[turn % len(moves)]))
            for turn, start in enumerate(range(0, bars * BAR, length))]
