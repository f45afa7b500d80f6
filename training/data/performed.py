"""Data "performed": sound with what was played in it, as conditions of a model that generates.

    folder/a.wav     folder/a.notes        onset_s,duration_s,pitch,velocity, a note a line
    folder/b/c.flac  folder/b/c.notes

Pitches and gates come from the notes, or, in a folder without any, from the sound: of one voice,
where it is periodic. Loudness is always that of the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console

from engine.audio import shown_name
from engine.description import GENERATE
from engine.errors import AudioError, ConfigError
from engine.hearing.heard import loudness_bels, pitch_rows
from engine.models.base import Model
from engine.scores import timed
from engine.scores.conditions import CLASS, FLOOR_BELS, LEGATO_S, Roll, kind_of, voices_of
from training.data.audio_folder import Skipped, Source
from training.data.base import Batch, Shard
from training.data.crop_data import VALIDATION_CROPS, CachedCrops, check_crops, filled_cache
from training.data.crops import crop_samples
from training.data.labelled import class_of
from training.data.sounds import Sides, Sound, sides
from training.settings import NotNegative, Positive, Settings

FloatArray = NDArray[np.float32]
LATE_S = 0.1  # by which a note may begin after its sound's end: files are cut a little short


class PerformedSettings(Settings):
    """Keys of `[training]` of what is trained on performances."""

    free: ClassVar[frozenset[str]] = frozenset({"cache_gb"})

    crop_seconds: Positive = 2.0
    gain_db: NotNegative = 3.0  # each crop, and the loudness that is said, by up to this much
    # Whether pitches come from files of notes or from the sound; "auto": from files if there are.
    scores: Literal["auto", "files", "estimated"] = "auto"
    lowest_hz: Annotated[float, Field(ge=20, le=2000)] = 70.0  # of pitches that are estimated
    highest_hz: Annotated[float, Field(ge=40, le=5000)] = 1700.0
    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    cache_gb: NotNegative = 20.0


@dataclass(frozen=True)
class Played:
    """What is known of one file: its notes, or pitch and gate of every row; loudness [rows]."""

    loudness: FloatArray
    roll: Roll | None = None
    track: FloatArray | None = None  # [2, rows]

    def rows(self, first: int, count: int, voices: int) -> FloatArray:
        """[2 voices + 2, count]; behind the end nothing sounds."""
        out = np.zeros((2 * voices + 2, count), np.float32)
        loud = self.loudness[first : first + count]
        out[-2] = FLOOR_BELS
        out[-2, : len(loud)] = loud
        if self.roll is not None:
            out[:-2] = self.roll.rows(first, count)
        elif self.track is not None:
            known = self.track[:, first : first + count]
            out[:2, : known.shape[1]] = known
        return out


class Performed(CachedCrops):
    """Batches "audio" [batch, 1, samples] and "conditions" [batch, in_channels, rows], the layout
    of `engine/scores/conditions.py`; `free` is 0."""

    settings = PerformedSettings
    tensor = "audio"
    spread = 0.1

    def look(self) -> None:
        super().look()
        wanted = self.config.scores
        having = [source for source in self._found.sources if score_of(source).is_file()]
        self.estimated = wanted == "estimated" or (wanted == "auto" and not having)
        if self.estimated:
            return
        if not having:
            raise AudioError(f"{self.folder} holds no notes: {timed.SUFFIX} files beside the "
                             'sounds; training.scores = "estimated" takes pitches from the sound')
        loose = tuple(Skipped(source.name, f"has no {score_of(source).name} beside it")
                      for source in self._found.sources if source not in having)
        self._found = replace(self._found, sources=tuple(having),
                              skipped=(*self._found.skipped, *loose))

    def prepare(self, model: Model, console: Console) -> None:
        spec, rate = model.main, model.sample_rate_hz
        self.voices = voices_of(spec.input_labels)
        if spec.role != GENERATE or (not self.voices and spec.in_channels != 1):
            raise ConfigError(f"data 'performed' is for models that generate from pitch, gate and "
                              f"loudness; {model.family!r} reads {', '.join(spec.input_labels)}")
        self.channels, self.rate = spec.in_channels, rate
        self.row_samples, self.unit_samples = spec.in_ratio, model.ratio
        self.cache, self.skipped = filled_cache(
            self._found, self.cache_folder, rate, spec.out_channels, self.config.cache_gb, console)
        self.samples = crop_samples(self.config, rate, model.ratio)
        check_crops(model, self.config.crop_seconds, self.samples)
        whole = [Sound(name, 0, frames) for name, frames in sorted(self.cache.usable().items())]
        self.parts: Sides = sides(whole, self.config.validation_fraction, rate)
        self.classes = sorted({class_of(sound.name) for sound in whole})
        self.said = any(kind_of(label) == CLASS for label in spec.input_labels)
        self.played: dict[str, Played] = {}
        self.dropped = 0
        if self.voices:
            by_name = {source.name: source for source in self._found.sources}
            with console.status(f"measuring {len(whole)} files"):
                self.played = {sound.name: self._play(by_name[sound.name], sound.end)
                               for sound in whole}

    def batch(self, number: int, shard: Shard) -> Batch:
        """A file is drawn in proportion to its length, a crop begins at a row."""
        lengths = np.cumsum([len(sound) for sound in self.parts.learn])
        places, gains = [], []
        for place in shard.places(self.config.batch_size):
            rng = np.random.default_rng((self.config.seed, number, place))
            which = int(np.searchsorted(lengths, rng.random() * lengths[-1], side="right"))
            sound = self.parts.learn[min(which, len(lengths) - 1)]
            spare = max(0, len(sound) - self.samples) // self.unit_samples
            # A part of a file may begin anywhere, but rows are counted from the file's beginning.
            start = -(-sound.start // self.unit_samples) + int(rng.integers(spare + 1))
            places.append((sound, start * self.unit_samples))
            gains.append(float(rng.uniform(-1, 1)) * self.config.gain_db)
        return self._read(places, gains)

    def validation(self) -> list[Batch]:
        places = []
        for sound in self.parts.held:
            first = -(-sound.start // self.unit_samples) * self.unit_samples
            places += [(sound, start) for start in range(
                first, max(first + 1, sound.end - self.samples), self.samples)]
        places = places[:: -(-len(places) // VALIDATION_CROPS) or 1]
        size = self.config.batch_size
        return [self._read(part, [0.0] * len(part))
                for part in (places[i : i + size] for i in range(0, len(places), size))]

    def example(self, size: int) -> Batch:
        audio = self.spread * torch.randn(size, self.cache.channels, self.samples)
        if not self.voices:
            return self._made(audio, None)
        rows = self.samples // self.row_samples
        return self._made(audio, torch.zeros(size, self.channels, rows))

    def found(self) -> str:
        if not self.voices:
            what = "without conditions"
        elif self.estimated:
            what = "pitches estimated from the sound"
        else:
            notes = sum(len(one.roll.starts) for one in self.played.values()
                        if one.roll is not None)
            what = f"{notes} notes, {self.voices} at a time"
        return f"performed: {super().found()}; {what}"

    def notes(self) -> tuple[str, ...]:
        found = list(super().notes())
        if self.voices > 1 and self.estimated:
            found.append("pitches are estimated for one voice; the other "
                         f"{self.voices - 1} stay silent")
        if self.dropped:
            found.append(f"{self.dropped} notes begin while {self.voices} others sound: each takes "
                         "over from one of them")
        return tuple(found)

    # --- inside -----------------------------------------------------------------------------

    def _play(self, source: Source, frames: int) -> Played:
        """Measure a file, and read its notes."""
        mono = self.cache.read(source.name, 0, frames).mean(axis=0)
        loudness = loudness_bels(mono, self.rate, self.row_samples)
        if self.estimated:
            return Played(loudness, track=pitch_rows(
                mono, self.rate, self.row_samples, loudness, self.config.lowest_hz,
                min(self.config.highest_hz, self.rate / 4)))
        path = score_of(source)
        notes = timed.read_notes(path)
        check_notes(notes, frames / self.rate, self.rate, shown_name(path), source.name)
        roll = Roll.of(notes, self.row_samples, self.rate, self.voices)
        self.dropped += _taken_over(notes, self.voices)
        return Played(loudness, roll=roll)

    def _read(self, places: Sequence[tuple[Sound, int]], gains_db: Sequence[float]) -> Batch:
        audio = np.zeros((len(places), self.cache.channels, self.samples), np.float32)
        rows = self.samples // self.row_samples
        said = np.zeros((len(places), self.channels, rows), np.float32)
        for index, ((sound, start), gain_db) in enumerate(zip(places, gains_db, strict=True)):
            found = self.cache.read(sound.name, start, min(self.samples, sound.end - start))
            peak = float(np.abs(found).max(initial=1e-6))
            gain_db = min(gain_db, max(0.0, -20 * np.log10(peak)))  # gain alone never clips
            audio[index, :, : found.shape[1]] = found * 10 ** (gain_db / 20)
            if self.voices:
                own = self.played[sound.name].rows(start // self.row_samples, rows, self.voices)
                loud = own[-2]
                loud[:] = np.maximum(loud + gain_db / 10, FLOOR_BELS)
                said[index, : len(own)] = own
                if self.said:
                    said[index, -1] = self.classes.index(class_of(sound.name))
        return self._made(torch.from_numpy(audio),
                          torch.from_numpy(said) if self.voices else None)

    def _made(self, audio: torch.Tensor, said: torch.Tensor | None) -> Batch:
        seconds = len(audio) * self.samples / self.rate
        return Batch(seconds, audio=audio, **({} if said is None else {"conditions": said}))

    def unit(self) -> str:
        return f"crop of {self.config.crop_seconds:g} s"


def score_of(source: Source) -> Path:
    """Where the notes of a sound lie."""
    return source.path.with_suffix(timed.SUFFIX)


def check_notes(notes: Sequence[timed.Note], seconds: float, rate: int, score: str, sound: str
                ) -> None:
    """An error for notes that cannot be those of a sound of so many seconds."""
    late = next((note for note in notes if note.onset_s > seconds + LATE_S), None)
    if late is not None:
        raise AudioError(f"{score}: a note begins at {late.onset_s:.2f} s, but {sound} ends at "
                         f"{seconds:.2f} s; the notes belong to another sound")
    high = max(notes, key=lambda note: note.pitch)
    if 440 * 2 ** ((high.pitch - 69) / 12) >= rate / 2:
        raise AudioError(f"{score}: pitch {high.pitch:g} lies above half of the model's sample "
                         f"rate, {rate} Hz: it has no such notes")


def _taken_over(notes: Sequence[timed.Note], voices: int) -> int:
    """Notes that begin while `voices` others go on for longer than legato."""
    ends: list[float] = []
    count = 0
    for note in timed.in_order(notes):
        ends = [end for end in ends if end > note.onset_s + LEGATO_S]
        if len(ends) >= voices:
            count += 1
            ends.remove(min(ends))
        ends.append(note.end_s)
    return count
