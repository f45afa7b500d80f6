"""Notes in seconds, and the files that hold them:

    onset_s,duration_s,pitch,velocity
    0.0000,0.2310,64,0.61            pitch: MIDI number, fractions allowed; velocity: above 0, to 1
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from engine.audio import shown_name
from engine.errors import ConfigError

SUFFIX = ".notes"
HEADER = "onset_s,duration_s,pitch,velocity"
MOST_NOTES = 1_000_000


class Note(NamedTuple):
    """A sound of one pitch. `slurred`: begun without a new stroke of the bow."""

    onset_s: float
    duration_s: float
    pitch: float
    velocity: float
    slurred: bool = False

    @property
    def end_s(self) -> float:
        return self.onset_s + self.duration_s


def in_order(notes: Iterable[Note]) -> list[Note]:
    """By onset; of those that begin together the lowest first."""
    return sorted(notes, key=lambda note: (note.onset_s, note.pitch))


def written(notes: Iterable[Note]) -> str:
    """As a file holds them: a tenth of a millisecond, a thousandth of a semitone."""
    lines = [f"{n.onset_s:.4f},{n.duration_s:.4f},{round(n.pitch, 3):g},{n.velocity:.2f}"
             for n in in_order(notes)]
    return "\n".join([HEADER, *lines]) + "\n"


def read_notes(path: Path) -> list[Note]:
    """The notes of a file, by onset; an error that names the line for what is none."""
    shown = shown_name(path)
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{shown}: {error.strerror or 'cannot be read'}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{shown} is no text; notes are lines {HEADER}") from None
    if not lines or lines[0].strip() != HEADER:
        raise ConfigError(f"{shown} does not begin with the line {HEADER}")
    notes = [_note(line, f"{shown}, line {number}")
             for number, line in enumerate(lines[1:], 2) if line.strip()]
    if not notes:
        raise ConfigError(f"{shown} holds no notes")
    return in_order(notes)


def _note(line: str, place: str) -> Note:
    try:
        onset, duration, pitch, velocity = (float(cell) for cell in line.split(","))
    except ValueError:
        raise ConfigError(f"{place}: {line!r} is not four numbers {HEADER}") from None
    note = Note(onset, duration, pitch, velocity)
    if not all(map(isfinite, note[:4])) or onset < 0 or duration <= 0:
        raise ConfigError(f"{place}: a note begins at 0 s or later and lasts longer than 0 s")
    if not 0 <= pitch <= 127 or not 0 < velocity <= 1:
        raise ConfigError(f"{place}: pitches lie between 0 and 127, velocities above 0, up to 1")
    return note


def length_s(notes: Sequence[Note]) -> float:
    """When the last note has ended."""
    return max((note.end_s for note in notes), default=0.0)
