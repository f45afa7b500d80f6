"""Data "hits": strokes by class and subclass, as a voice with a gate plays them.

    crop      |   kick.........|snare.....................|       one to three of them, or fewer
    gate      |...^^...........^^^^.......................|
    asked     |0  kick, house, its velocity  | snare ...  |       since the last gate

Each stroke is as loud as its velocity and cuts off the one before, as the voice does that learns
from it. Where nobody says how hard a stroke is, one is drawn: velocity is then a level. Some are
tuned higher or lower, which `pitch_oct` says.

A model of notes is told their pitch, and its gate stays open while a note is held; some are let go
before they end, and fall silent as the model has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console

from engine.errors import AudioError, ConfigError, nearest
from engine.models.base import Model
from engine.models.frames import SILENT
from engine.models.spectrogram_gan_config import SpectrogramGANConfig
from engine.scores.conditions import PITCH
from engine.scores.strokes import VELOCITY
from training.data.audio_folder import Skipped, scan
from training.data.base import Batch, Shard
from training.data.crop_data import CachedCrops, filled_cache
from training.data.hit_facts import Stroke, classes_of, read_strokes, stroke_of
from training.data.sounds import Sound, sides
from training.settings import NotNegative, Positive, Settings, Unit

FloatArray = NDArray[np.float32]
VALIDATION_HITS = 192
LOUDEST = 0.8  # peak of a stroke of velocity 1
SOFTEST = 0.2  # velocity of those whose own is not known
ONSET_SHARE, BEFORE_S = 0.02, 0.0005  # where a sound begins: at so much of its peak, a bit before
CUT_S = 0.0015  # in which a stroke ends that the next one cuts off
LAST_SHARE = 0.12  # of a stroke's length, in which it fades if it is longer than that
LEAST_FRAMES = 6  # between two gates
HELD = 0.7  # so many notes are held as long as there is room


class HitSettings(Settings):
    """Keys of `[training]` of what is trained on strokes."""

    free: ClassVar[frozenset[str]] = frozenset({"cache_gb"})

    crop_seconds: Positive = 1.0
    retriggers: Unit = 0.5  # how often another stroke follows within a crop
    waiting: Unit = 0.3  # how often a crop begins before its first gate
    tuned: Annotated[float, Field(ge=0, le=1)] = 0.5  # so many strokes are tuned otherwise ...
    tuned_octaves: Annotated[float, Field(ge=0, le=1)] = 1 / 3  # ... by up to so much
    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    cache_gb: NotNegative = 20.0

    @classmethod
    def complete(cls, model: dict[str, Any], training: dict[str, Any], data: Path) -> None:
        """Classes and subclasses that `[model]` does not name are those of the folder."""
        if model.get("classes") or not data.is_dir():
            return
        names = [source.name for source in scan(data).sources]
        classes, subclasses = classes_of(names, read_strokes(data))
        model["classes"] = list(classes)
        model.setdefault("subclasses", list(subclasses))


class Hits(CachedCrops):
    """Batches "audio" [batch, 1, samples] and "rows" [batch, labels, frames]: conditions of the
    model, with z left at 0."""

    settings = HitSettings
    tensor = "audio"

    def look(self) -> None:
        super().look()
        self.table = read_strokes(self.folder)
        known = {source.name: stroke_of(source.name, self.table) for source in self._found.sources}
        self.strokes: dict[str, Stroke] = {
            name: stroke for name, stroke in known.items() if stroke is not None}
        loose = tuple(Skipped(name, "lies in no folder that names its class")
                      for name, stroke in known.items() if stroke is None)
        kept = tuple(source for source in self._found.sources if source.name in self.strokes)
        self._found = replace(self._found, sources=kept, skipped=(*self._found.skipped, *loose))
        if len({stroke.of_class for stroke in self.strokes.values()}) < 2:
            raise AudioError(f"{self.folder} holds sounds of fewer than two classes; data of hits "
                             "wants folders such as house/kick/ and house/snare/, or kick/")

    def prepare(self, model: Model, console: Console) -> None:
        if not isinstance(model.config, SpectrogramGANConfig):
            raise ConfigError(f"data 'hits' is for the family 'spectrogram_gan', not for "
                              f"{model.family!r}")
        self.shape = shape = model.config
        _check_names(self.strokes.values(), shape.classes, shape.subclasses)
        if shape.pitched:
            _check_pitches(self.strokes)
        self.rate, self.hop = shape.sample_rate_hz, shape.hop
        self.cache, self.skipped = filled_cache(
            self._found, self.cache_folder, self.rate, 1, self.config.cache_gb, console)
        self.frames = max(1, round(self.config.crop_seconds * self.rate / self.hop))
        if self.frames < 2 * LEAST_FRAMES:
            raise ConfigError(f"training.crop_seconds is {self.config.crop_seconds:g}: too short "
                              f"for frames of {self.hop} samples; give at least "
                              f"{2 * LEAST_FRAMES * self.hop / self.rate:.2g}")
        whole = [Sound(name, 0, frames) for name, frames in sorted(self.cache.usable().items())]
        self.parts = sides(whole, self.config.validation_fraction, self.rate)
        cells: dict[tuple[str, str], list[Sound]] = {}
        for sound in self.parts.learn:
            stroke = self.strokes[sound.name]
            cells.setdefault((stroke.of_class, stroke.subclass), []).append(sound)
        # Of each class its subclasses, of each of these its sounds: all are drawn alike often.
        self.cells = [[sounds for (name, _), sounds in sorted(cells.items()) if name == of_class]
                      for of_class in sorted({name for name, _ in cells})]

    def batch(self, number: int, shard: Shard) -> Batch:
        return self._joined([
            self._crop(np.random.default_rng((self.config.seed, number, place)))
            for place in shard.places(self.config.batch_size)])

    def validation(self) -> list[Batch]:
        """Held-out strokes, each by itself from the first frame on."""
        held = self.parts.held[:: -(-len(self.parts.held) // VALIDATION_HITS) or 1]
        found = []
        for index, sound in enumerate(held):
            audio, rows = self._empty()
            rng = np.random.default_rng(index)
            self._strike(audio, rows, sound, 0, rng, tuned=0.0)
            found.append((audio, rows))
        size = self.config.batch_size
        return [self._joined(found[i : i + size]) for i in range(0, len(found), size)]

    def example(self, size: int) -> Batch:
        rows = torch.zeros(size, len(self.shape.labels), self.frames)
        rows[:, :2, 0] = 1
        return self._batch(0.1 * torch.randn(size, 1, self.frames * self.hop), rows)

    def found(self) -> str:
        shape = self.shape
        of = f", {len(shape.subclasses)} subclasses" if shape.subclasses else ""
        told = sum(stroke.velocity is not None for stroke in self.strokes.values())
        hard = f"; the velocity of {told} is known" if told else "; velocities are levels"
        return f"strokes of {len(self.cells)} classes{of}: {super().found()}{hard}"

    # --- inside -----------------------------------------------------------------------------

    def _empty(self) -> tuple[FloatArray, FloatArray]:
        return (np.zeros(self.frames * self.hop, np.float32),
                np.zeros((len(self.shape.labels), self.frames), np.float32))

    def _crop(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        config = self.config
        audio, rows = self._empty()
        at = int(rng.integers(1, self.frames // 2)) if rng.random() < config.waiting else 0
        for _ in range(3):
            cell = self.cells[int(rng.integers(len(self.cells)))]
            sounds = cell[int(rng.integers(len(cell)))]
            self._strike(audio, rows, sounds[int(rng.integers(len(sounds)))], at, rng, config.tuned)
            later = at + LEAST_FRAMES
            if later >= self.frames or rng.random() >= config.retriggers:
                break
            # Rolls are as likely as slow beats.
            at = later + int((self.frames - later) * rng.random() ** 2)
        return audio, rows

    def _strike(self, audio: FloatArray, rows: FloatArray, sound: Sound, at: int,
                rng: np.random.Generator, tuned: float) -> None:
        """A stroke from frame `at` on, over what there is."""
        stroke, shape = self.strokes[sound.name], self.shape
        octaves = 0.0
        if rng.random() < tuned:
            octaves = float(rng.uniform(-1, 1)) * self.config.tuned_octaves
        velocity = stroke.velocity or float(rng.uniform(SOFTEST, 1.0))
        begin = at * self.hop
        room = len(audio) - begin
        most = round(room / (1 - LAST_SHARE)) + 1 if shape.pitched else shape.frames * self.hop
        hit = stroke_audio(self.cache.read(sound.name, 0, len(sound))[0], self.rate, most, octaves)
        hit = hit[:room]
        gate = at + 1 + int(rng.integers(LEAST_FRAMES - 2))
        if shape.pitched:
            assert stroke.octaves is not None
            octaves += stroke.octaves
            gate = at + self._open_for(len(hit), rng)
            hit = hit * self._released(len(hit), (gate - at) * self.hop)
        cut = min(begin, round(CUT_S * self.rate))
        audio[begin - cut : begin] *= np.linspace(1, 0, cut, dtype=np.float32)
        audio[begin:] = 0
        audio[begin : begin + len(hit)] = LOUDEST * velocity * hit
        rows[:, at:] = 0
        rows[0, max(0, at - 1) : at] = 0  # of a note that was held: the gate opens anew
        rows[0, at:gate] = 1
        asked = {**dict.fromkeys(shape.asked, 0.0), stroke.of_class: 1.0,
                 VELOCITY: velocity, PITCH: octaves}
        if stroke.subclass in shape.subclasses:
            asked[stroke.subclass] = 1.0
        for index, value in enumerate(asked.values(), 1):
            rows[index, at:] = value

    def _open_for(self, samples: int, rng: np.random.Generator) -> int:
        """Frames for which the gate of a note of so many samples is open."""
        most = max(2, -(-samples // self.hop))
        if most <= LEAST_FRAMES or rng.random() < HELD:
            return most
        return int(rng.integers(LEAST_FRAMES, most))

    def _released(self, samples: int, held: int) -> FloatArray:
        """What a note is multiplied with whose gate closes after `held` samples."""
        over = np.arange(samples) - held
        nepers = SILENT * np.clip(over / (self.shape.release * self.hop), 0, 1)
        return np.exp(nepers).astype(np.float32)

    def _joined(self, found: Sequence[tuple[FloatArray, FloatArray]]) -> Batch:
        audio, rows = (torch.from_numpy(np.stack(each)) for each in zip(*found, strict=True))
        return self._batch(audio[:, None], rows)

    def _batch(self, audio: torch.Tensor, rows: torch.Tensor) -> Batch:
        return Batch(audio.shape[0] * audio.shape[2] / self.rate, audio=audio, rows=rows)


def stroke_audio(sound: FloatArray, rate_hz: int, most_samples: int, octaves: float) -> FloatArray:
    """A recorded stroke [samples] from its onset on, of peak 1, tuned so much higher; faded towards
    `most_samples`, where it would be longer."""
    loud = np.abs(sound)
    onset = int(np.argmax(loud > ONSET_SHARE * loud.max()))
    sound = sound[max(0, onset - round(BEFORE_S * rate_hz)) :]
    sound = sound[: int(most_samples * 2.0**octaves) + 1]
    if octaves:
        count = max(2, round(len(sound) / 2.0**octaves))
        spectrum = np.fft.rfft(sound)[: count // 2 + 1]
        sound = (np.fft.irfft(spectrum, count) * (count / len(sound))).astype(np.float32)
    hit = sound[:most_samples].copy()
    last = round(LAST_SHARE * most_samples)
    over = len(hit) - (most_samples - last)
    if over > 0:
        hit[-over:] *= (0.5 + 0.5 * np.cos(np.pi * np.arange(1, over + 1) / last)).astype("f4")
    return np.asarray(hit / max(float(np.abs(hit).max(initial=0.0)), 1e-6), np.float32)


def _check_pitches(strokes: dict[str, Stroke]) -> None:
    """An error for the first note that says no pitch."""
    for name, stroke in sorted(strokes.items()):
        if stroke.octaves is None:
            raise ConfigError(f"{name}: nothing says its pitch, which a model of notes is told; "
                              "give a metadata.csv with file, kind and pitch, or names as NSynth "
                              "has them (flute_acoustic_002-069-100.wav)")


def _check_names(strokes: Any, classes: Sequence[str], subclasses: Sequence[str]) -> None:
    """An error for data that holds what the model cannot be asked for."""
    for stroke in strokes:
        for kind, name, known in (("class", stroke.of_class, classes),
                                  ("subclass", stroke.subclass, subclasses)):
            if name and name not in known and (kind == "class" or known):
                raise ConfigError(f"the data holds sounds of {kind} {name!r}, which the model does "
                                  f"not have{nearest(name, known)}")
