"""Data "pairs": what goes in and what should come out, as two folders with files of equal names.

    folder/input/a.wav     folder/target/a.wav
    folder/input/b/c.wav   folder/target/b/c.wav

Crops are of the same stretch of both, unchanged in level: what is learnt may depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from rich.console import Console

from engine.errors import AudioError
from engine.models.base import Model
from training.data.audio_folder import Folder, Skipped, Source, scan
from training.data.base import Batch, Data, Shard
from training.data.cache import Cache
from training.data.crop_data import (
    VALIDATION_CROPS,
    check_crops,
    data_found,
    filled_cache,
)
from training.data.crops import crop_samples
from training.data.held_out import write_held_out
from training.data.sounds import Sides, Sound, sides
from training.settings import NotNegative, Positive, Settings

PARTS = ("input", "target")


class PairSettings(Settings):
    """Keys of `[training]` of what is trained on pairs."""

    free: ClassVar[frozenset[str]] = frozenset({"cache_gb"})

    crop_seconds: Positive = 1.0
    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    cache_gb: NotNegative = 20.0  # each of two caches beside the run is not made larger than this


class Pairs(Data):
    """Batches "audio" and "target", each [batch, channels, samples]."""

    settings = PairSettings

    def __init__(self, folder: Path, config: Any, cache: Path) -> None:
        super().__init__(folder, config, cache)
        self.folders: list[Folder] = []
        self.unpaired: list[Skipped] = []
        self.caches: list[Cache] = []
        self.parts: Sides
        self.samples = 0

    def look(self) -> None:
        missing = [part for part in PARTS if not (self.folder / part).is_dir()]
        if missing:
            raise AudioError(f"{self.folder} has no folder {missing[0]!r}; data of pairs wants "
                             "input and target in it, with files of the same names")
        found = [scan(self.folder / part) for part in PARTS]
        names = [{source.name for source in one.sources} for one in found]
        both = names[0] & names[1]
        if not both:
            raise AudioError(f"{self.folder}: no file of input has one of the same name in target")
        self.folders = [Folder(one.root, tuple(s for s in one.sources if s.name in both),
                               one.skipped) for one in found]
        self.unpaired = [
            Skipped(f"{part}/{name}", f"{other} has no file of this name")
            for part, other, own in ((*PARTS, names[0]), (*PARTS[::-1], names[1]))
            for name in sorted(own - both)]

    @property
    def sources(self) -> Sequence[Source]:
        return self.folders[0].sources

    def prepare(self, model: Model, console: Console) -> None:
        rate, main = model.sample_rate_hz, model.main
        self.caches, self.skipped = [], list(self.unpaired)
        folders = (self.cache_folder, self.cache_folder / "target")
        channels = (main.in_channels, main.out_channels)
        for one, place, count in zip(self.folders, folders, channels, strict=True):
            cache, skipped = filled_cache(one, place, rate, count, self.config.cache_gb, console)
            self.caches.append(cache)
            self.skipped += skipped
        a, b = (cache.usable() for cache in self.caches)
        sounds = [Sound(name, 0, min(a[name], b[name])) for name in sorted(a.keys() & b.keys())]
        self.samples = crop_samples(self.config, rate, model.ratio)
        check_crops(model, self.config.crop_seconds, self.samples)
        self.parts = sides(sounds, self.config.validation_fraction, rate)

    def batch(self, number: int, shard: Shard) -> Batch:
        """A file is drawn in proportion to its length."""
        lengths = np.cumsum([len(sound) for sound in self.parts.learn])
        stretches = []
        for place in shard.places(self.config.batch_size):
            rng = np.random.default_rng((self.config.seed, number, place))
            which = int(np.searchsorted(lengths, rng.random() * lengths[-1], side="right"))
            sound = self.parts.learn[min(which, len(lengths) - 1)]
            spare = max(0, len(sound) - self.samples)
            stretches.append((sound, sound.start + int(rng.integers(spare + 1))))
        return self._read(stretches)

    def validation(self) -> list[Batch]:
        places = [(sound, start) for sound in self.parts.held
                  for start in range(sound.start, max(sound.start + 1, sound.end - self.samples),
                                     self.samples)][:VALIDATION_CROPS]
        size = self.config.batch_size
        return [self._read(places[i : i + size]) for i in range(0, len(places), size)]

    def example(self, size: int) -> Batch:
        shapes = [(size, cache.channels, self.samples) for cache in self.caches]
        audio, target = (0.1 * torch.randn(shape) for shape in shapes)
        return Batch(self._seconds(size), audio=audio, target=target)

    def found(self) -> str:
        return f"pairs: {data_found(self.caches[0], self.parts, self.skipped)}"

    @property
    def stored_bytes(self) -> int:
        return sum(cache.stored_bytes for cache in self.caches)

    def record(self, run: Path) -> None:
        write_held_out(run, self.parts, self.caches[0])

    def unit(self) -> str:
        return f"crop of {self.config.crop_seconds:g} s"

    def _seconds(self, size: int) -> float:
        return size * self.samples / self.caches[0].rate_hz

    def _read(self, stretches: Sequence[tuple[Sound, int]]) -> Batch:
        """From `start` of each sound on; zeros where its file ends before."""
        both = []
        for cache in self.caches:
            made = np.zeros((len(stretches), cache.channels, self.samples), np.float32)
            for row, (sound, start) in zip(made, stretches, strict=True):
                found = cache.read(sound.name, start, min(self.samples, sound.end - start))
                row[:, : found.shape[1]] = found
            both.append(torch.from_numpy(made))
        return Batch(self._seconds(len(stretches)), audio=both[0], target=both[1])
