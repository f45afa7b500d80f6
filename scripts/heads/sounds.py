"""What heads are trained and judged on: mixtures of labelled notes, drums, recordings; 16 kHz."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from scripts.preset_clips import SAMPLES

Audio = NDArray[np.float32]
RATE = 16000
PIECE = 2 * RATE
HOP = 64  # of labels: the shortest frame of the trial
HELD_PROGRAMS = {21, 42, 46, 56, 71}  # accordion, cello, harp, trumpet, clarinet: never learnt from
VOICES = 3  # at most, in a chord
QUIET = 1e-3  # amplitude below which a note is not there


@dataclass
class Note:
    """A sound of one pitch, with its true pitch in Hz and whether it is heard, for each label."""

    audio: Audio
    hertz: Audio
    heard: Audio


@dataclass
class Pool:
    """Pieces of equal length. `truth`: octaves from middle C and presence of up to `VOICES` notes,
    [pieces, 2 * VOICES, labels]."""

    audio: Audio
    truth: Audio


@dataclass
class Material:
    train: Pool
    held: dict[str, list[Audio]] = field(default_factory=dict)
    truth: dict[str, list[Audio]] = field(default_factory=dict)  # of notes and chords


def read(path: Path, rate_hz: int = RATE) -> Audio:
    audio, rate = soundfile.read(path, always_2d=True)
    return soxr.resample(audio.mean(axis=1), rate, rate_hz).astype(np.float32)


def read_notes(folder: Path) -> list[tuple[int | None, Note]]:
    """Notes of `tudor corpus notes`, with the program of the soundfont that played them."""
    found = []
    with (folder / "metadata.csv").open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            audio = read(folder / row["file"])
            audio = audio[: len(audio) // HOP * HOP]
            at = (np.arange(len(audio) // HOP) + 0.5) * HOP / RATE / float(row["f0_hop_s"])
            hertz = np.array(row["f0_hz"].split(), float)
            curve = np.exp(np.interp(at, np.arange(len(hertz)), np.log(hertz)))
            level = np.sqrt(np.square(audio).reshape(-1, HOP).mean(axis=1))
            program = json.loads(row["voices"]).get("soundfont", {}).get("program")
            found.append((program, Note(audio, curve.astype(np.float32),
                                        (level > QUIET).astype(np.float32))))
    return found


def mixed(notes: list[Note], samples: int) -> tuple[Audio, Audio]:
    """Notes together, each from its own beginning, and their truth."""
    audio = np.zeros(samples, np.float32)
    truth = np.zeros((2 * VOICES, samples // HOP), np.float32)
    for i, note in enumerate(notes):
        count = min(samples, len(note.audio))
        audio[:count] += note.audio[:count]
        truth[2 * i, :] = np.log2(note.hertz[0] / 261.625565)
        truth[2 * i, : count // HOP] = np.log2(note.hertz[: count // HOP] / 261.625565)
        truth[2 * i + 1, : count // HOP] = note.heard[: count // HOP]
    return np.clip(audio, -1, 1), truth


def _scaled(note: Note, gain: float) -> Note:
    return Note(note.audio * gain, note.hertz, note.heard)


def _later(note: Note, samples: int) -> Note:
    labels = samples // HOP
    return Note(note.audio[labels * HOP :], note.hertz[labels:], note.heard[labels:])


def _loud(note: Note, rms: float = 0.1) -> Note:
    return _scaled(note, rms / max(float(np.sqrt(np.mean(note.audio**2))), 1e-4))


def training_pool(notes: list[Note], drums: list[Audio], pieces: int, seed: int) -> Pool:
    """Half of it one to three notes, half of it drums."""
    rng = np.random.default_rng(seed)
    audio = np.zeros((pieces, PIECE), np.float32)
    truth = np.zeros((pieces, 2 * VOICES, PIECE // HOP), np.float32)
    track = np.concatenate(drums)
    for i in range(pieces):
        if i % 2:
            start = rng.integers(0, len(track) - PIECE)
            audio[i] = np.clip(track[start : start + PIECE] * 10 ** rng.uniform(-0.5, 0.15), -1, 1)
            continue
        chosen = [_loud(notes[rng.integers(len(notes))]) for _ in range(rng.choice([1, 1, 2, 3]))]
        chosen = [_later(note, int(rng.uniform(0, 0.3) * len(note.audio))) for note in chosen]
        audio[i], truth[i] = mixed([_scaled(n, 10 ** rng.uniform(-0.6, 0.2)) for n in chosen],
                                   PIECE)
    return Pool(audio, truth)


def material(notes: list[Path], drums: list[Path], pieces: int, seed: int) -> Material:
    """Everything that is trained and judged on."""
    known, held = [], []
    for folder in notes:
        for program, note in read_notes(folder):
            (held if program in HELD_PROGRAMS else known).append(note)
    if not known or len(held) < VOICES:
        raise SystemExit(f"{len(known)} notes to learn and {len(held)} of held-out instruments: "
                         "give folders of `tudor corpus notes --soundfont FILE`")
    loops = [read(path) for folder in drums for path in sorted(folder.rglob("*.wav"))]
    found = Material(training_pool(known, loops, pieces, seed))
    rng = np.random.default_rng(seed + 1000)
    singles = [[note] for note in held]
    chords = [[held[k] for k in rng.choice(len(held), VOICES, replace=False)] for _ in range(24)]
    for name, rows in (("held-out notes", singles), ("chords of held-out notes", chords)):
        pairs = [mixed([_loud(note, 0.1) for note in row],
                       min(PIECE * 2, *(len(note.audio) for note in (*row, row[0]))))
                 for row in rows]
        found.held[name] = [audio for audio, _ in pairs]
        found.truth[name] = [truth for _, truth in pairs]
    for name, patterns in (("real guitar and choir", ("guit_*", "ambi_choir")),
                           ("drum loops", ("loop_amen", "loop_industrial", "loop_mika"))):
        paths = [path for p in patterns for path in sorted(SAMPLES.glob(f"{p}.flac"))]
        found.held[name] = [read(path)[: 4 * RATE] for path in paths]
        found.truth[name] = []
    return found
