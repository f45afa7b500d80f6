"""What the program fluidsynth, if it is installed, plays from a soundfont."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from engine.scores.timed import Note
from training.corpus.circle import Audio
from training.corpus.draw import pick
from training.corpus.melody import Melody

PROGRAM = "fluidsynth"
TICK_S = 0.005  # how often the bender moves
NOTE_TICK_S = 0.0005  # of notes that are not bent
VIOLIN = 40  # of General MIDI, from 0
BEND = 24  # semitones that the bender reaches either way
# General MIDI programs that sustain or ring with one clear pitch, from 0.
PROGRAMS = {
    "organ": (21, 22),  # those with pipes sound an octave below as well
    "plucked": (24, 25, 46), "bowed": (40, 41, 42, 48), "voice": (52, 53),
    "brass": (56, 57, 60), "reed": (64, 65, 68, 70, 71), "blown": (73, 75, 79), "bell": (8, 11),
}


def check(file: Path) -> None:
    """Refuses what cannot be played, in one line."""
    if shutil.which(PROGRAM) is None:
        raise ValueError(f"--soundfont needs the program {PROGRAM} (Debian: apt install "
                         f"{PROGRAM}), which is not installed")
    if not file.is_file():
        raise ValueError(f"{file}: no such soundfont")
    with file.open("rb") as head:
        start = head.read(12)
    if start[:4] != b"RIFF" or start[8:] != b"sfbk":
        raise ValueError(f"{file} is no soundfont (.sf2, .sf3)")


def _length(value: int) -> bytes:
    """A number as MIDI files write times."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(0x80 | value & 0x7F)
    return bytes(reversed(out))


def midi(tune: Melody, curve: Audio, rate: int, program: int) -> bytes:
    """One note that is bent along `curve` (semitones at every sample), as a MIDI file.

    A new note of the tune is struck anew only where it is further away than the bender reaches.
    """
    ticks = np.arange(0, tune.duration_s, TICK_S)
    pitch = curve[np.minimum(np.round(ticks * rate).astype(int), len(curve) - 1)]
    events = [(0, bytes([0xC0, program])), (0, bytes([0xB0, 91, 0])), (0, bytes([0xB0, 93, 0]))]
    for number, value in ((101, 0), (100, 0), (6, BEND), (38, 0)):
        events.append((0, bytes([0xB0, number, value])))
    key, last = -1, -1
    for tick, now in enumerate(pitch):
        if key < 0 or abs(now - key) > BEND - 0.5:
            if key >= 0:
                events.append((tick, bytes([0x80, key, 0])))
            key = round(float(now))
            on = bytes([0x90, key, 96])
        else:
            on = b""
        bend = int(np.clip(round(8192 + (now - key) / BEND * 8192), 0, 16383))
        if bend != last:
            events.append((tick, bytes([0xE0, bend & 0x7F, bend >> 7])))
            last = bend
        if on:
            events.append((tick, on))
    events.append((len(pitch), bytes([0x80, key, 0])))
    return file_of(events, TICK_S)


def midi_of_notes(notes: Sequence[Note], program: int) -> bytes:
    """`notes` in seconds, without reverb and chorus, as a MIDI file."""
    events = [(0, bytes([0xC0, program])), (0, bytes([0xB0, 91, 0])), (0, bytes([0xB0, 93, 0]))]
    for note in notes:
        key, start = round(note.pitch), round(note.onset_s / NOTE_TICK_S)
        end = max(start + 1, round(note.end_s / NOTE_TICK_S))
        events += [(start, bytes([0x90, key, max(1, round(127 * note.velocity))])),
                   (end, bytes([0x80, key, 0]))]
    # At one time notes end before others begin, and the program comes first of all.
    return file_of(sorted(events, key=lambda e: (e[0], e[1][0] == 0x90)), NOTE_TICK_S)


def file_of(events: list[tuple[int, bytes]], tick_s: float) -> bytes:
    """(tick, event) in order, as a file of one track."""
    track, before = b"", 0
    for tick, event in events:
        track += _length(tick - before) + event
        before = tick
    track = b"\x00\xff\x51\x03" + (500000).to_bytes(3, "big") + track + b"\x00\xff\x2f\x00"
    header = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, round(0.5 / tick_s))
    return header + struct.pack(">4sI", b"MTrk", len(track)) + track


def played(file: Path, family: str, tune: Melody, curve: Audio, rate: int,
           rng: np.random.Generator) -> tuple[int, Audio]:
    """The tune by an instrument of the font and family: (its program, audio [len(curve)])."""
    program = pick(rng, PROGRAMS[family])
    mono = rendered(file, midi(tune, curve, rate, program), len(curve), rate)
    return program, mono


def played_notes(file: Path, program: int, notes: Sequence[Note], samples: int, rate: int
                 ) -> Audio:
    """Notes by one instrument of the font [samples]; pitches are rounded to semitones."""
    return rendered(file, midi_of_notes(notes, program), samples, rate)


def rendered(file: Path, score: bytes, samples: int, rate: int) -> Audio:
    """What the program makes of a MIDI file [samples], faded at its end."""
    with tempfile.TemporaryDirectory() as folder:
        written, sound = Path(folder) / "note.mid", Path(folder) / "note.wav"
        written.write_bytes(score)
        done = subprocess.run(
            [PROGRAM, "-ni", "-q", "-g", "0.6", "-r", str(rate), "-F", str(sound), "-T", "wav",
             "-O", "float", str(file), str(written)], capture_output=True, text=True, check=False)
        if done.returncode or not sound.exists():
            why = (done.stderr or done.stdout).strip().splitlines()
            raise ValueError(f"{PROGRAM} could not play {file}: {why[-1] if why else 'no sound'}")
        stereo, _ = soundfile.read(sound, always_2d=True)
    mono = np.zeros(samples)
    heard = stereo.mean(axis=1)[:samples]
    mono[: len(heard)] = heard
    fade = min(samples // 4, round(0.05 * rate))
    mono[-fade:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(fade) / fade)
    return mono
