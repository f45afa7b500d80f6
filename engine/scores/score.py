"""Sonatas and partitas for solo violin, BWV 1001 to 1006, as note data: all 31 movements.

    = 1006_7 "Gigue" E major 120 4          name, title, key, quarters a minute, ticks a quarter
    1 6/8 12 | 0:2:64 2:2:71s ...           bar, metre, length | onset:duration:pitch in ticks

Ties are joined, repeats marked and not written out. A pitch is a MIDI number; behind it stand `s`
(slurred to the note before: no new stroke of the bow), `t` (trill) and `g` (a grace note before
it). `[` before a bar begins a repeat, `]` behind one ends it, `e1` and `e2` are its endings.
"""

from __future__ import annotations

import lzma
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from engine.errors import ConfigError, nearest

FILE = Path(__file__).with_name("bach.txt.xz")
# Of each kind of piece one is kept for measuring: nothing is trained on these four.
HELD_OUT = ("1001_3", "1002_6", "1003_3", "1006_7")
_HEAD = re.compile(r'= (\S+) "([^"]*)" (\S+ \S+) (\d+) (\d+)')
_BAR = re.compile(r"(\[?)(\S+) (\d+)/(\d+) (\d+)(?: e(\S+))? \|(.*?)( \])?")
_NOTE = re.compile(r"(\d+):(\d+):(\d+)([stg]*)")


@dataclass(frozen=True)
class ScoreNote:
    """Onset and duration in ticks, the onset from the beginning of its bar."""

    onset: int
    duration: int
    pitch: int
    flags: str = ""


@dataclass(frozen=True)
class Bar:
    """Its length in ticks, what stands before and behind it, and what sounds in it."""

    number: str
    metre: tuple[int, int]
    length: int
    notes: tuple[ScoreNote, ...]
    begins_repeat: bool = False
    ends_repeat: bool = False
    ending: str = ""


@dataclass(frozen=True)
class Movement:
    """One movement; `tempo` is in quarters a minute, there are `ticks` to a quarter."""

    name: str
    title: str
    key: str
    tempo: int
    ticks: int
    bars: tuple[Bar, ...]

    def timed(self, first: int = 0, end: int | None = None
              ) -> list[tuple[Fraction, Fraction, ScoreNote]]:
        """Onset and duration, in quarters from bar `first` on, of the notes up to bar `end`."""
        found, start = [], 0
        for bar in self.bars[first:end]:
            found += [(Fraction(start + note.onset, self.ticks),
                       Fraction(note.duration, self.ticks), note) for note in bar.notes]
            start += bar.length
        return found

    def quarters(self, first: int = 0, end: int | None = None) -> Fraction:
        """How long these bars are."""
        return Fraction(sum(bar.length for bar in self.bars[first:end]), self.ticks)


@lru_cache(maxsize=1)
def movements() -> dict[str, Movement]:
    """All that is shipped, by name, in order."""
    return {found.name: found for found in parsed(lzma.decompress(FILE.read_bytes()).decode())}


def movement(name: str) -> Movement:
    """The one called `name`, such as 1006_7."""
    known = movements()
    if name not in known:
        raise ConfigError(f"no movement {name!r}{nearest(name, known)}; there are "
                          f"{', '.join(known)}")
    return known[name]


def parsed(text: str) -> list[Movement]:
    """The movements in `text`."""
    found: list[tuple[re.Match[str], list[Bar]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        head = _HEAD.fullmatch(line)
        if head:
            found.append((head, []))
            continue
        bar = _BAR.fullmatch(line)
        if bar is None or not found:
            raise ConfigError(f"line {number} of the score is neither a movement nor a bar: {line}")
        found[-1][1].append(_bar(bar, number))
    return [Movement(head[1], head[2], head[3], int(head[4]), int(head[5]), tuple(bars))
            for head, bars in found]


def _bar(found: re.Match[str], line: int) -> Bar:
    notes = []
    for cell in found[7].split():
        note = _NOTE.fullmatch(cell)
        if note is None:
            raise ConfigError(f"line {line} of the score: {cell!r} is no onset:duration:pitch")
        notes.append(ScoreNote(int(note[1]), int(note[2]), int(note[3]), note[4]))
    return Bar(found[2], (int(found[3]), int(found[4])), int(found[5]), tuple(notes),
               bool(found[1]), bool(found[8]), found[6] or "")


def written(pieces: list[Movement]) -> str:
    """The inverse of `parsed`."""
    lines = []
    for piece in pieces:
        lines.append(f'= {piece.name} "{piece.title}" {piece.key} {piece.tempo} {piece.ticks}')
        for bar in piece.bars:
            cells = [f"{n.onset}:{n.duration}:{n.pitch}{n.flags}" for n in bar.notes]
            ending = f" e{bar.ending}" if bar.ending else ""
            lines.append(" ".join([
                f"{'[' if bar.begins_repeat else ''}{bar.number}", f"{bar.metre[0]}/{bar.metre[1]}",
                f"{bar.length}{ending} |", *cells, *["]"] * bar.ends_repeat]))
    return "\n".join(lines) + "\n"
