"""What the names of files say of notes, in the two ways that collections have them:

    bass_synthetic_033-022-050.wav   NSynth (Engel et al. 2017): instrument_source_number, then the
                                     MIDI pitch and velocity
    Vn-ord-A4-mf-4c.wav              Studio On Line, as TinySOL and OrchideaSOL have it (Cella et
                                     al. 2020): instrument, technique, pitch, dynamics, and what
                                     else tells notes apart (string, take)

A `metadata.csv` with `file`, `instrument`, `pitch`, and perhaps `technique` and `velocity` or
`dynamics`, goes before names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.errors import ConfigError
from training.data.told_table import read_told

SOURCES = ("acoustic", "electronic", "synthetic")
# Levels of dynamics as velocities, the usual ones of notation programs.
DYNAMICS = {"ppp": 16, "pp": 33, "p": 49, "mp": 64, "mf": 80, "f": 96, "ff": 112, "fff": 126}
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "#": 1, "b": -1}
NSYNTH = re.compile(rf"([a-z]+(?:_[a-z]+)*)_({'|'.join(SOURCES)})_([0-9]{{3}})-([0-9]{{3}})"
                    r"-([0-9]{3})")
SOL = re.compile(r"([^-]+)-(.+?)-([A-G])([#b]?)(-?[0-9])-([a-z]+)(?:-(.*))?")
PITCH = re.compile(r"([A-Ga-g])([#b]?)(-?[0-9])")


@dataclass(frozen=True)
class NamedNote:
    """A note as its file says. `pitch`: MIDI. `velocity`: 1 to 127, 0 where nothing says it."""

    instrument: str
    pitch: int
    velocity: int = 0
    technique: str = ""
    source: str = ""  # of NSynth: acoustic, electronic or synthetic
    more: str = ""

    @property
    def family(self) -> str:
        """Without a number that tells two instruments of one sort apart."""
        return self.instrument.partition(f"_{self.source}_")[0] if self.source else self.instrument


def note_named(file: str) -> NamedNote | None:
    """What a file's name says; None if it is named in neither way."""
    stem = PurePosixPath(file.replace("\\", "/")).stem
    found = NSYNTH.fullmatch(stem)
    if found:
        family, source, number, pitch, velocity = found.groups()
        if int(pitch) <= 127 and int(velocity) <= 127:
            return NamedNote(f"{family}_{source}_{number}", int(pitch), int(velocity),
                             source=source)
        return None
    found = SOL.fullmatch(stem)
    if found is None:
        return None
    instrument, technique, step, accidental, octave, dynamics, more = found.groups()
    pitch_number = midi_pitch(step, accidental, int(octave))
    if dynamics not in DYNAMICS or not 0 <= pitch_number <= 127:
        return None
    return NamedNote(instrument, pitch_number, DYNAMICS[dynamics], technique, more=more or "")


def midi_pitch(step: str, accidental: str, octave: int) -> int:
    """A4 is 69."""
    return 12 * (octave + 1) + STEPS[step.upper()] + ACCIDENTALS[accidental]


def notes_of(folder: Path, files: Iterable[str]) -> dict[str, NamedNote]:
    """Of files of a folder, by their names in it: what the table says, else what they are called.
    Those of which nothing is known are left out."""
    told = read_told(folder, "pitch", _told)
    found = {file: told.get(file) or note_named(file) for file in files}
    return {file: note for file, note in found.items() if note is not None}


def _told(row: Mapping[str, str | None], said: str) -> NamedNote:
    """A row of the table."""
    pitch, instrument = (row.get("pitch") or "").strip(), (row.get("instrument") or "").strip()
    number = midi_of(pitch, said)
    if number is None:
        raise ConfigError(f"{said}: pitch is empty; it wants a MIDI number or a name such as A4")
    return NamedNote(instrument or "?", number, _velocity(row, said),
                     (row.get("technique") or "").strip())


def midi_of(pitch: str, said: str) -> int | None:
    """The MIDI pitch of a number or of a name such as A4; None of nothing. `said`: where it stands.
    """
    if not pitch:
        return None
    named = PITCH.fullmatch(pitch)
    if named:
        number = midi_pitch(named[1], named[2], int(named[3]))
    elif pitch.isdecimal():
        number = int(pitch)
    else:
        raise ConfigError(f"{said}: pitch wants a MIDI number of 0 to 127 or a name such as A4, "
                          f"not {pitch!r}")
    if not 0 <= number <= 127:
        raise ConfigError(f"{said}: pitch {pitch} lies outside MIDI's 0 to 127")
    return number


def _velocity(row: Mapping[str, str | None], said: str) -> int:
    dynamics = (row.get("dynamics") or "").strip()
    if dynamics:
        if dynamics not in DYNAMICS:
            raise ConfigError(f"{said}: dynamics wants {', '.join(DYNAMICS)}, not {dynamics!r}")
        return DYNAMICS[dynamics]
    text = (row.get("velocity") or "").strip()
    if not text:
        return 0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    # Our own tables say it as a share.
    velocity = round(127 * value) if "." in text and 0 <= value <= 1 else round(value)
    if not 0 <= velocity <= 127:
        raise ConfigError(f"{said}: velocity wants 0 to 127, or a share of 0.0 to 1.0, not "
                          f"{text!r}")
    return velocity
