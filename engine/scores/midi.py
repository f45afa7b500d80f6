"""Standard MIDI files (format 0 and 1): their notes in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.audio import shown_name
from engine.errors import ConfigError
from engine.scores.timed import Note, in_order

MICROSECONDS = 500_000  # of a quarter, until a file says otherwise
DRUMS = 9  # the channel whose keys are no pitches
LEAST_S = 0.005
# Bytes behind a status byte, by its upper half; 0xF is read on its own.
DATA = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}


@dataclass
class _Reader:
    """Where a track is read."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) < count:
            raise ValueError("it ends within an event")
        self.at += count
        return part

    def number(self) -> int:
        """Of variable length: seven bits a byte."""
        value = 0
        for _ in range(4):
            byte = self.take(1)[0]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        raise ValueError("a number in it is longer than four bytes")


def read_midi(path: Path, tempo: float | None = None) -> list[Note]:
    """The notes of all tracks and channels but drums, by onset; `tempo`, in quarters a minute,
    replaces the file's own."""
    shown = shown_name(path)
    try:
        notes = _notes(path.read_bytes(), tempo)
    except OSError as error:
        raise ConfigError(f"{shown}: {error.strerror or 'cannot be read'}") from None
    except ValueError as error:
        raise ConfigError(f"{shown} is not a MIDI file that can be played: {error}") from None
    if not notes:
        raise ConfigError(f"{shown} holds no notes")
    return notes


def _notes(data: bytes, tempo: float | None) -> list[Note]:
    if data[:4] != b"MThd" or len(data) < 14:
        raise ValueError("it does not begin with MThd")
    form, division = int.from_bytes(data[8:10]), int.from_bytes(data[12:14])
    if form > 1:
        raise ValueError(f"it has format {form}; 0 and 1 are read")
    if division & 0x8000 or division == 0:
        raise ValueError("its times are frames of film, not parts of a quarter")
    tempi, spans, at = {0: MICROSECONDS}, [], 8 + int.from_bytes(data[4:8])
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8])
        if data[at : at + 4] == b"MTrk":
            spans += _track(_Reader(data[at + 8 : at + 8 + size]), tempi)
        at += 8 + size
    if tempo is not None:
        tempi = {0: round(60e6 / tempo)}
    second = _seconds(tempi, division)
    return in_order(Note(second(start), max(LEAST_S, second(end) - second(start)), float(key),
                       velocity / 127) for start, end, key, velocity in spans)


def _track(reader: _Reader, tempi: dict[int, int]) -> list[tuple[int, int, int, int]]:
    """(start, end, key, velocity) of its notes, in ticks; tempi that it sets are added."""
    spans, status, tick = [], 0, 0
    held: dict[tuple[int, int], list[tuple[int, int]]] = {}
    while reader.at < len(reader.data):
        tick += reader.number()
        first = reader.data[reader.at : reader.at + 1]
        if first >= b"\xf0":
            reader.at += 1
            kind = reader.take(1)[0] if first == b"\xff" else 0
            content = reader.take(reader.number())
            if kind == 0x51 and len(content) == 3:
                tempi[tick] = int.from_bytes(content)
            if kind == 0x2F:
                break
            continue
        if first >= b"\x80":
            status = reader.take(1)[0]
        if status < 0x80:
            raise ValueError("an event in it has no status")
        key, *rest = reader.take(DATA[status >> 4])
        channel = status & 15
        if status >> 4 not in (8, 9) or channel == DRUMS:
            continue
        if status >> 4 == 9 and rest[0]:
            held.setdefault((channel, key), []).append((tick, rest[0]))
        elif held.get((channel, key)):
            start, velocity = held[channel, key].pop(0)
            spans.append((start, tick, key, velocity))
    spans += [(start, tick, key, velocity) for (_, key), open_ in held.items()
              for start, velocity in open_]
    return [span for span in spans if span[1] > span[0]]


def _seconds(tempi: dict[int, int], division: int) -> Callable[[int], float]:
    """From ticks to seconds through all changes of tempo."""
    edges, at = [], 0.0
    before, speed = 0, tempi[0]
    for tick in sorted(tempi):
        at += (tick - before) * speed / division / 1e6
        before, speed = tick, tempi[tick]
        edges.append((tick, at, speed))

    def second(tick: int) -> float:
        start, time, speed = next(edge for edge in reversed(edges) if edge[0] <= tick)
        return time + (tick - start) * speed / division / 1e6

    return second
