"""Data "crops": random crops of a folder of sound, which is its own target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from rich.console import Console
from torch import Tensor

from engine.audio import shown_name
from engine.description import GENERATE
from engine.errors import AudioError, ConfigError
from engine.models.base import Model
from training.data.audio_folder import Folder, Skipped, Source, nothing_usable, scan
from training.data.base import Batch, Data, Shard
from training.data.cache import Cache, bytes_needed
from training.data.crops import CropBatches, CropSettings, crop_samples, validation_crops
from training.data.held_out import write_held_out
from training.data.sounds import Sides, sides
from training.objectives.losses import WINDOWS
from training.run.durations import duration

VALIDATION_CROPS = 32
VALIDATION_SECONDS = 2.0
CORPUS_CROPS = 48


class CachedCrops(Data):
    """Base of what is cut from a cache of one stream per recording, under the name `tensor`; a
    subclass prepares `cache`, `parts`, `batches` and what is held out."""

    tensor: ClassVar[str]
    spread: ClassVar[float] = 1.0  # of the noise by which a step is timed

    def __init__(self, folder: Path, config: Any, cache: Path) -> None:
        super().__init__(folder, config, cache)
        self._found: Folder
        self.cache: Cache
        self.parts: Sides
        self.batches: CropBatches
        self._held: Tensor | None = None

    def look(self) -> None:
        self._found = scan(self.folder)

    @property
    def sources(self) -> Sequence[Source]:
        return self._found.sources

    def batch(self, number: int, shard: Shard) -> Batch:
        return self._as_batch(self.batches.batch(number, shard))

    def example(self, size: int) -> Batch:
        return self._as_batch(self.spread * torch.randn(size, self.cache.channels,
                                                        self.batches.samples))

    def validation(self) -> list[Batch]:
        if self._held is None:
            return []
        return [self._as_batch(part) for part in self._held.split(self.config.batch_size)]

    def found(self) -> str:
        return data_found(self.cache, self.parts, self.skipped)

    def notes(self) -> tuple[str, ...]:
        return channel_notes(self.cache)

    @property
    def stored_bytes(self) -> int:
        return self.cache.stored_bytes

    def record(self, run: Path) -> None:
        write_held_out(run, self.parts, self.cache)

    def unit(self) -> str:
        return f"crop of {self.config.crop_seconds:g} s"

    def _as_batch(self, crops: Tensor) -> Batch:
        seconds = crops.shape[0] * crops.shape[2] / self.cache.rate_hz
        return Batch(seconds, **{self.tensor: crops})


class Crops(CachedCrops):
    """Batches "audio" [batch, channels, samples]."""

    settings = CropSettings
    tensor = "audio"
    spread = 0.1
    _corpus: Tensor | None = None

    def prepare(self, model: Model, console: Console) -> None:
        rate, ratio, config = model.sample_rate_hz, model.ratio, self.config
        main = model.main
        channels = main.out_channels if main.role == GENERATE else main.in_channels
        self.cache, self.skipped = filled_cache(
            self._found, self.cache_folder, rate, channels, config.cache_gb, console)
        self.parts = sides(self.cache.sounds(), config.validation_fraction, rate)
        samples = crop_samples(config, rate, ratio)
        check_crops(model, config.crop_seconds, samples)
        self.batches = CropBatches(self.cache, self.parts.learn, config, samples)
        length = round(VALIDATION_SECONDS * rate / ratio) * ratio
        least = model.main.lookahead_samples + max(WINDOWS)  # one whole spectrum
        cache, parts = self.cache, self.parts
        self._held = validation_crops(cache, parts.held, length, VALIDATION_CROPS, ratio, least)
        self._corpus = validation_crops(cache, parts.learn, length, CORPUS_CROPS, ratio, least)

    def corpus(self) -> Tensor | None:
        return self._corpus


def filled_cache(
    found: Folder, folder: Path, rate: int, channels: int, cache_gb: float, console: Console
) -> tuple[Cache, list[Skipped]]:
    """The cache up to date, and all that was left out; an error if nothing remains."""
    cache = Cache.plan(folder, found.sources, rate, channels, cache_gb)
    if not cache.store:
        size = bytes_needed(found.sources, rate, channels)
        console.print(f"no cache: it would take {size / 1e9:.1f} GB, more than training.cache_gb "
                      f"({cache_gb:g}) or the disk allow; reading files directly",
                      highlight=False, soft_wrap=True)
    skipped = refreshed(cache, found, console)
    direct = sum(not entry.stored and not entry.reason for entry in cache.entries.values())
    if cache.store and direct:
        console.print(f"the cache is full: {direct} of {len(cache.usable())} files are read "
                      f"directly, which is slower (training.cache_gb is {cache_gb:g})",
                      highlight=False, soft_wrap=True)
    return cache, skipped


def refreshed(cache: Cache, found: Folder, console: Console) -> list[Skipped]:
    """Bring `cache` up to date; all that is left out, an error if nothing remains."""
    with console.status(f"reading {len(found.sources)} files"):
        skipped = [*found.skipped, *cache.fill(found.sources)]
    if not cache.usable():
        raise AudioError(nothing_usable(found.root, skipped))
    return skipped


def data_found(cache: Cache, parts: Sides, skipped: Sequence[Skipped]) -> str:
    """How many files there are, how much of them is sound, and what is held out."""
    files, rate = cache.usable(), cache.rate_hz
    total = sum(files.values()) / rate
    silence = total - sum(len(sound) for sound in (*parts.learn, *parts.held)) / rate
    if not parts.held_files:
        held = "none for validation"
    elif any(place.start for place in parts.held_files):
        seconds = sum(len(sound) for sound in parts.held) / rate
        held = f"{len(parts.held_files)} for validation, {duration(seconds)} in all"
        ends = [place.name for place in parts.held_files if place.start]
        held += f": the end of {shown_name(ends[0])}"
    else:
        held = f"{len(parts.held_files)} for validation"
    left_out = "" if silence < 0.01 * total else f", {duration(silence)} of silence left out"
    length = f"{total / 3600:.2f} h" if total >= 360 else f"{total:.3g} s"
    return f"{len(files)} files ({held}), {length}{left_out}, {len(skipped)} skipped"


def channel_notes(
    cache: Cache, wanted: str = "the model's one", remedy: str = " (--set model.channels=2 trains "
    "on both)",
) -> tuple[str, ...]:
    """That channels are mixed to one, or one is heard on both sides, summed over files; then each
    file that is odd but used."""
    used = [entry for entry in cache.entries.values() if not entry.reason]
    mixed = [entry for entry in used if entry.channels > cache.audio_channels]
    notes = []
    if mixed:
        notes.append(f"{len(mixed)} of {len(used)} files have more channels than {wanted}: "
                     f"mixed to one{remedy}")
    single = sum(entry.channels == 1 for entry in used)
    if single and cache.audio_channels > 1:
        notes.append(f"{single} of {len(used)} files have one channel: it is heard on both sides")
    notes += [f"{shown_name(entry.name)}: {text}" for entry in used for text in entry.notes]
    return tuple(notes)


def check_crops(model: Model, crop_seconds: float, samples: int) -> None:
    """An error for crops of which nothing is left once the model's delay is taken out."""
    late = model.main.lookahead_samples
    if samples <= late:
        least = (late + 2 * model.ratio) / model.sample_rate_hz
        raise ConfigError(f"training.crop_seconds is {crop_seconds:g}, too short beside the "
                          f"model's delay of {late} samples; give at least {least:.2g}")
