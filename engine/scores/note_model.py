"""Music in the manner of the scores that come with the project: a Markov model of notes.

The next onset is drawn from those that followed the last three in the sources, at the same place in
the bar: by scale degree and rhythm, not by pitch, so that movements in all keys of a mode teach the
same. Where three onsets are known from one place only, two are asked, then one. No run of the
result is longer than `LONGEST` onsets of any source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np

from engine.errors import ConfigError
from engine.scores.events import TICKS, Below, Event, bar_ticks, events, tonic
from engine.scores.performance import Manner, perform
from engine.scores.score import HELD_OUT, Movement, ScoreNote, movements
from engine.scores.timed import Note, length_s

Rng = np.random.Generator
Step = tuple[int, int]  # how far the top note moves, and how long it was waited for
ORDER = 3
LONGEST = 11  # onsets in a row that may be those of a source
LOWEST, HIGHEST, MIDDLE = 55, 91, 73  # of a violin, MIDI pitches
REACH = 9.0  # semitones from the middle, from which on going further away is less likely
LEAST_ONSETS = 350  # of sources of one metre and mode
SHORTEST_S = 0.085  # step that is played: faster is not for fingers
PIECE_S, PAUSE_S = (45.0, 100.0), 1.2
SLOWER = 1.07  # a performance than its score, with rubato and an end
LEAST_BARS, GOOD_BARS = 2, 4
SEEDS = 2**24


@dataclass(frozen=True)
class Style:
    """Movements of one metre and mode, and what was learnt from them."""

    metre: tuple[int, int]
    mode: str
    sources: tuple[Movement, ...]
    known: tuple[Event, ...]  # of all sources, one after another
    following: dict[tuple[object, ...], list[int]]  # context -> events that came next


@dataclass(frozen=True)
class Piece:
    """What was made up: onset, duration and note in quarters; how long, and how fast, it is."""

    notes: tuple[tuple[Fraction, Fraction, ScoreNote], ...]
    quarters: Fraction
    tempo: float
    metre: tuple[int, int]
    key: str


@lru_cache(maxsize=1)
def styles() -> tuple[Style, ...]:
    """All that enough was written in, without the movements that are kept for measuring."""
    groups: dict[tuple[tuple[int, int], str], list[Movement]] = {}
    for piece in movements().values():
        if piece.name not in HELD_OUT:
            metre = Counter(bar.metre for bar in piece.bars).most_common(1)[0][0]
            groups.setdefault((metre, piece.key.split()[1]), []).append(piece)
    found = [_learnt(metre, mode, pieces) for (metre, mode), pieces in groups.items()]
    return tuple(style for style in found if len(style.known) >= LEAST_ONSETS)


def _learnt(metre: tuple[int, int], mode: str, pieces: Sequence[Movement]) -> Style:
    known: list[Event] = []
    following: dict[tuple[object, ...], list[int]] = {}
    for piece in pieces:
        own = events(piece)
        for place, event in enumerate(own):
            for context in contexts(own[max(0, place - ORDER) : place], event.place):
                following.setdefault(context, []).append(len(known) + place)
        known += own
    return Style(metre, mode, tuple(pieces), tuple(known), following)


def contexts(past: Sequence[Event], place: int) -> list[tuple[object, ...]]:
    """What may be asked for the onset at `place` of a bar, from the most exact to the vaguest."""
    said = [(event.degree, event.step) for event in past]
    return [(place, *said[len(said) - order :]) for order in range(len(said), -1, -1)]


class Copies:
    """How many of the last onsets are the same as in a source, wherever that is."""

    def __init__(self, sources: Iterable[Sequence[Event]]) -> None:
        places: dict[Step | None, list[int]] = {}
        count = 0
        for source in sources:
            for step in [None, *steps(source)]:  # nothing goes on from one source into the next
                places.setdefault(step, []).append(count)
                count += 1
        self._places = {step: np.array(at) for step, at in places.items() if step is not None}
        self._runs = np.zeros(count + 1, np.int64)

    def run(self, step: Step) -> int:
        """Onsets that would be a source's, this one included."""
        at = self._places.get(step)
        return 1 if at is None else int(self._runs[at - 1].max()) + 2

    def add(self, step: Step) -> None:
        at = self._places.get(step)
        runs = np.zeros_like(self._runs)
        if at is not None:
            runs[at] = self._runs[at - 1] + 1
        self._runs = runs


def steps(source: Sequence[Event]) -> list[Step]:
    """From each onset to the next."""
    return [(b.pitch - a.pitch, a.step) for a, b in pairwise(source)]


@lru_cache(maxsize=1)
def _sources() -> tuple[tuple[Event, ...], ...]:
    return tuple(tuple(events(piece)) for piece in movements().values())


def compose(rng: Rng, seconds: float, tempo: float | None = None) -> Piece:
    """A piece of about so many seconds, whole bars, which ends on its tonic; `tempo`: quarters a
    minute, that of one of the sources unless it is given."""
    style, source = _source(rng, seconds, tempo)
    bar = bar_ticks(style.metre)
    speed = float(source.tempo) if tempo is None else tempo
    exact = _bars(seconds, speed, bar)
    bars = max(LEAST_BARS, int(exact) if tempo is not None else round(exact))
    if tempo is None and bars > LEAST_BARS:
        speed *= bars / exact
    made = _drawn(style, tonic(source), bars, rng)
    if tempo is None:
        shortest = float(np.quantile([event.step for event in made[:-1]] or [bar], 0.05)) / TICKS
        slower = min(speed, 60 * shortest / SHORTEST_S)
        if slower < speed:  # then fewer bars take as long
            bars, speed = max(LEAST_BARS, int(bars * slower / speed)), slower
            made = _drawn(style, tonic(source), bars, rng)
    return Piece(_notes(made), Fraction(sum(event.step for event in made), TICKS), speed,
                 style.metre, source.key)


def _bars(seconds: float, tempo: float, bar: int) -> float:
    """That so many seconds hold."""
    return seconds * tempo / 60 / SLOWER * TICKS / bar


def _source(rng: Rng, seconds: float, tempo: float | None) -> tuple[Style, Movement]:
    """Whose metre, key and tempo a piece has: one of those of which a few bars fit, if one does."""
    every = [(style, source) for style in styles() for source in style.sources]
    fitting = [(style, source) for style, source in every if _bars(
        seconds, source.tempo if tempo is None else tempo, bar_ticks(style.metre)) >= GOOD_BARS]
    chosen = fitting or every
    weights = np.array([len(style.known) ** 0.5 / len(style.sources) for style, _ in chosen])
    return chosen[int(rng.choice(len(chosen), p=weights / weights.sum()))]


def _drawn(style: Style, root: int, bars: int, rng: Rng) -> list[Event]:
    """Onsets of so many bars, the last a tonic that fills its own."""
    bar = bar_ticks(style.metre)
    end = bars * bar
    copies = Copies(_sources())
    made: list[Event] = []
    now = 0
    while now < end - bar:
        event = _next(style, made, now % bar, root, copies, rng)
        if made:
            copies.add((event.pitch - made[-1].pitch, made[-1].step))
        made.append(event)
        now += event.step
    last = made[-1].pitch if made else MIDDLE
    return [*made, _close(last, root, style.mode, end - now if now < end else bar, now % bar)]


def _next(style: Style, made: Sequence[Event], place: int, root: int, copies: Copies, rng: Rng
          ) -> Event:
    """Drawn by what came before; where everything would be a copy, what is the shortest."""
    best: tuple[int, Event] | None = None
    for context in contexts(made[-ORDER:], place):
        asked = len(context) - 1
        drawn = [_moved(style.known[number], made[-1] if made else None, root, asked)
                 for number in style.following.get(context, ())]
        fitting = [event for event in drawn if _in_range(event)]
        if asked > 1 and len({(event.pitch, event.step) for event in fitting}) < 2:
            continue  # one way on only: that would be a copy of the source
        free = []
        for event in fitting:
            run = copies.run((event.pitch - made[-1].pitch, made[-1].step)) if made else 1
            if run <= LONGEST:
                free.append(event)
            elif best is None or run < best[0]:
                best = (run, event)
        if free:
            weights = np.array([_likely(event.pitch) for event in free])
            return free[int(rng.choice(len(free), p=weights / weights.sum()))]
    if best is not None:
        return best[1]
    # Nothing in the sources begins here: hold the last note's tonic until the next bar.
    bar = bar_ticks(style.metre)
    return _close(made[-1].pitch if made else MIDDLE, root, style.mode, bar - place % bar, place)


def _moved(event: Event, last: Event | None, root: int, asked: int) -> Event:
    """`event` at the pitch of its degree that is nearest to where it stood in its source, seen from
    the last one."""
    wish = event.pitch
    if last is not None and asked == 0:
        wish = last.pitch
    elif last is not None:
        wish = last.pitch + (event.degree - last.degree + 6) % 12 - 6
    pitch = wish + (event.degree + root - wish + 6) % 12 - 6
    return Event(pitch, event.degree, event.step, event.place, event.duration, event.slurred,
                 event.below)


def _in_range(event: Event) -> bool:
    lowest = event.pitch - max((below.distance for below in event.below), default=0)
    return lowest >= LOWEST and event.pitch <= HIGHEST


def _likely(pitch: int) -> float:
    return 1 / (1 + (abs(pitch - MIDDLE) / REACH) ** 4)


def _close(last: int, root: int, mode: str, duration: int, place: int) -> Event:
    """The tonic nearest to `last`, with third and fifth below it as far as a violin has them."""
    pitch = last + (root - last + 6) % 12 - 6
    pitch += 12 * ((LOWEST - pitch + 11) // 12 if pitch < LOWEST else 0)
    pitch -= 12 * ((pitch - HIGHEST + 11) // 12 if pitch > HIGHEST else 0)
    third = 8 if mode == "major" else 9
    below = tuple(Below(distance, duration) for distance in (12, third)
                  if pitch - distance >= LOWEST)
    return Event(pitch, 0, duration, place, duration, False, below)


def _notes(made: Sequence[Event]) -> tuple[tuple[Fraction, Fraction, ScoreNote], ...]:
    found, now = [], 0
    for event in made:
        flags, onset = "s" if event.slurred else "", Fraction(now, TICKS)
        for low in (Below(0, event.duration), *event.below):
            found.append((onset, Fraction(low.duration, TICKS),
                          ScoreNote(0, 0, event.pitch - low.distance, flags)))
        now += event.step
    return tuple(found)


def play(seed: int, seconds: float, tempo: float | None = None) -> list[Note]:
    """Pieces one after another for `seconds`, as they are performed. The last ends in time, unless
    there is hardly time for two bars."""
    if not 0 <= seed < SEEDS:
        raise ConfigError(f"seed must lie between 0 and {SEEDS - 1}, not {seed}")
    rng = np.random.Generator(np.random.PCG64(seed))
    notes: list[Note] = []
    start = 0.05
    while True:
        left = seconds - start - 0.3
        length = float(rng.uniform(*PIECE_S))
        if left < length + PIECE_S[0] / 2:
            length = left
        piece = compose(rng, length, tempo)
        # Steady tempi: only the score's own is varied, by choosing a source.
        manner = replace(Manner.drawn(rng, piece.tempo), tempo=piece.tempo)
        played = perform(piece.notes, float(piece.quarters), manner, rng)
        notes += [note._replace(onset_s=note.onset_s + start) for note in played]
        start += length_s(played) + PAUSE_S
        if start > seconds - PIECE_S[0] / 4:
            return [note for note in notes if note.onset_s < seconds]
