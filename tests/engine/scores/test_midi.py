"""MIDI files as notes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.scores.midi import read_midi
from engine.scores.timed import Note
from training.corpus.soundfont import midi_of_notes


def file(path: Path, *tracks: bytes, form: int = 1, division: int = 96) -> Path:
    head = struct.pack(">4sIHHH", b"MThd", 6, form, len(tracks), division)
    path.write_bytes(head + b"".join(
        struct.pack(">4sI", b"MTrk", len(track)) + track for track in tracks))
    return path


END = b"\x00\xff\x2f\x00"
TEMPI = b"\x00\xff\x51\x03\x0f\x42\x40" + b"\x81\x40\xff\x51\x03\x07\xa1\x20" + END  # 60, then 120


def test_a_change_of_tempo_and_running_status(tmp_path: Path) -> None:
    # On at 0, velocity 0 as off at tick 96 under running status, then across the change at 192.
    notes = (b"\x00\x90\x3c\x7f\x60\x3c\x00" + b"\x30\x40\x40\x60\x40\x00" + END)
    found = read_midi(file(tmp_path / "a.mid", TEMPI, notes))
    assert found == [Note(0.0, 1.0, 60, 1.0), Note(1.5, 0.75, 64, pytest.approx(64 / 127))]
    fixed = read_midi(tmp_path / "a.mid", tempo=120)
    assert [(note.onset_s, note.duration_s) for note in fixed] == [(0, 0.5), (0.75, 0.5)]


def test_two_of_a_key_drums_and_what_is_never_ended(tmp_path: Path) -> None:
    track = (b"\x00\x90\x3c\x40\x30\x90\x3c\x50\x30\x80\x3c\x00\x30\x80\x3c\x00"
             b"\x00\x99\x24\x7f\x30\x89\x24\x00"  # drums
             b"\x00\xf0\x03\x01\x02\xf7\x00\xc0\x28\x00\xe0\x00\x40"  # sysex, program, bend
             b"\x00\x91\x45\x40\x60\xff\x2f\x00")
    found = read_midi(file(tmp_path / "a.mid", track, form=0))
    assert [(note.pitch, note.onset_s, note.duration_s) for note in found] == [
        (60, 0.0, 0.5), (60, 0.25, 0.5), (69, 1.0, 0.5)]


def test_what_this_project_writes_comes_back(tmp_path: Path) -> None:
    notes = [Note(0.25, 0.5, 64, 0.5), Note(0.5, 0.25, 71, 1.0), Note(0.75, 1.0, 64, 0.25)]
    path = tmp_path / "a.mid"
    path.write_bytes(midi_of_notes(notes, 40))
    found = read_midi(path)
    assert [note[:3] for note in found] == [note[:3] for note in notes]
    assert [note.velocity for note in found] == pytest.approx([0.5, 1, 0.25], abs=0.005)


@pytest.mark.parametrize(("data", "message"), [
    (b"RIFF....", "it does not begin with MThd"),
    (struct.pack(">4sIHHH", b"MThd", 6, 2, 0, 96), "it has format 2"),
    (struct.pack(">4sIHHH", b"MThd", 6, 1, 0, 0xE728), "frames of film"),
    (struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, 96, b"MTrk", 3) + b"\x00\x90\x3c",
     "it ends within an event"),
    (struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, 96, b"MTrk", 3) + b"\x00\x3c\x40",
     "an event in it has no status"),
    (struct.pack(">4sIHHH4sI", b"MThd", 6, 0, 1, 96, b"MTrk", 5) + b"\xff\xff\xff\xff\x7f",
     "longer than four bytes"),
    (struct.pack(">4sIHHH", b"MThd", 6, 1, 0, 96), "holds no notes"),
])
def test_what_is_no_midi_file(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.mid"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=message) as error:
        read_midi(path)
    assert "\n" not in str(error.value)
