"""What single strokes are, by where they lie or by what a table says.

    folder/house/kick/a.wav     subclass house, class kick
    folder/kick/b.wav           class kick
    folder/metadata.csv         file, kind, genre, velocity, pitch, as `tudor corpus drums` and
                                `tudor corpus instruments` write it; it goes before folders
    folder/Vn-ord-A4-mf-4c.wav  names that say a note (training/data/note_names.py): instrument,
                                technique, pitch, dynamics
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError
from engine.scores.conditions import octaves
from training.data.note_names import midi_of, note_named
from training.data.told_table import read_told


@dataclass(frozen=True)
class Stroke:
    """Of one file: names, "" where there is none; `velocity` above 0 to 1, and `octaves` from
    middle C of what has a pitch; None: not known."""

    of_class: str
    subclass: str = ""
    velocity: float | None = None
    octaves: float | None = None


def read_strokes(folder: Path) -> dict[str, Stroke]:
    """What `metadata.csv` says, by file name; nothing where there is none. An error names the line
    that cannot be meant."""
    return {**read_told(folder, "instrument", _told), **read_told(folder, "kind", _told)}


def _told(row: Mapping[str, str | None], where: str) -> Stroke:
    text, velocity = (row.get("velocity") or "").strip(), None
    if text:
        try:
            velocity = float(text)
        except ValueError:
            velocity = -1.0
        if not 0 < velocity <= 1:
            raise ConfigError(f"{where}: velocity must lie above 0, up to 1, got {text!r}")
    column = "kind" if "kind" in row else "instrument"
    of_class = (row[column] or "").strip()
    if not of_class:
        raise ConfigError(f"{where}: {column} is empty; it names the class of the sound")
    pitch = midi_of((row.get("pitch") or "").strip(), where)
    subclass = row.get("genre") or row.get("technique") or ""
    return Stroke(of_class, subclass.strip(), velocity, None if pitch is None else octaves(pitch))


def stroke_of(name: str, table: dict[str, Stroke]) -> Stroke | None:
    """A file by its name: of the table, else of a name that says a note, else of its folders; None
    for one that lies in none."""
    if name in table:
        return table[name]
    note = note_named(name)
    if note is not None:
        return Stroke(note.family, note.technique, note.velocity / 127 or None, octaves(note.pitch))
    folders = name.split("/")[:-1]
    if not folders:
        return None
    return Stroke(folders[0]) if len(folders) == 1 else Stroke(folders[1], folders[0])


def classes_of(
    names: Iterable[str], table: dict[str, Stroke]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes and subclasses of a folder, in alphabetical order; of one subclass nothing is to be
    told apart."""
    found = [stroke for stroke in (stroke_of(name, table) for name in names) if stroke is not None]
    classes = sorted({stroke.of_class for stroke in found})
    subclasses = sorted({stroke.subclass for stroke in found} - {""})
    return tuple(classes), tuple(subclasses) if len(subclasses) > 1 else ()
