"""Random crops. Batch n of a run is a function of (seed, n) alone, so a resumed run goes on with
exactly the batches that it would have seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from training.data.cache import Cache
from training.run.config import TrainingConfig

FloatArray = NDArray[np.float32]
ATTEMPTS = 4  # a crop that happens to be silent is drawn again, so often at most
QUIET = 1e-4
LOW_HZ, HIGH_HZ = (40.0, 1500.0), (600.0, 8000.0)  # where filtered crops are cut, drawn in octaves


def crop_samples(config: TrainingConfig, rate_hz: int, ratio: int) -> int:
    """Crop length in samples: whole blocks of the model's ratio."""
    return max(1, round(config.crop_seconds * rate_hz / ratio)) * ratio


@dataclass(frozen=True)
class Shard:
    """Which part of the batches this process makes."""

    rank: int = 0
    world: int = 1


class CropBatches(Dataset[Tensor]):
    """Item n is batch n of this process: float32 [batch, channels, samples]."""

    def __init__(
        self, cache: Cache, names: list[str], config: TrainingConfig, samples: int,
        shard: Shard | None = None,
    ) -> None:
        self.cache, self.names, self.config, self.samples = cache, names, config, samples
        self.shard = shard or Shard()
        frames = cache.usable()
        lengths = np.array([frames[name] for name in names], dtype=np.float64)
        # A file is drawn in proportion to its duration; short ones count as one crop.
        self.edges = np.cumsum(np.maximum(lengths, samples))
        self.lengths = lengths.astype(np.int64)

    def __getitem__(self, index: int) -> Tensor:
        rng = np.random.default_rng(
            (self.config.seed, index * self.shard.world + self.shard.rank)
        )
        batch = [self._crop(rng) for _ in range(self.config.batch_size)]
        return torch.from_numpy(np.stack(batch))

    def _crop(self, rng: np.random.Generator) -> FloatArray:
        for _ in range(ATTEMPTS):
            which = int(np.searchsorted(self.edges, rng.random() * self.edges[-1], side="right"))
            which = min(which, len(self.names) - 1)
            spare = int(self.lengths[which]) - self.samples
            start = int(rng.integers(spare + 1)) if spare > 0 else 0
            audio = fitted(self.cache.read(self.names[which], start, self.samples), self.samples)
            if np.abs(audio).max(initial=0.0) > QUIET:
                break
        if self.config.filtered and rng.random() < self.config.filtered:
            audio = through_filter(audio, self.cache.rate_hz, rng)
        level = 10 ** (rng.uniform(-self.config.gain_db, self.config.gain_db) / 20)
        flip = -1.0 if self.config.polarity and rng.random() < 0.5 else 1.0
        peak = float(np.abs(audio).max(initial=0.0))
        level = min(level, max(1.0, 1 / max(peak, 1e-9)))  # gain alone never clips
        return audio * np.float32(level * flip)


def through_filter(audio: FloatArray, rate_hz: int, rng: np.random.Generator) -> FloatArray:
    """The crop without its bass, without its treble, or without both: Butterworth filters of 12 or
    24 dB an octave. A corpus of one style has sound in all bands at all times; others do not, and a
    model that never heard an empty band fills it with noise."""
    from scipy.signal import butter, sosfilt

    kind = rng.integers(3)
    order = int(rng.choice((2, 4)))
    low_hz = 2 ** rng.uniform(*np.log2(LOW_HZ))
    high_hz = min(2 ** rng.uniform(*np.log2(HIGH_HZ)), 0.45 * rate_hz)
    if kind != 1:
        audio = sosfilt(butter(order, low_hz, "high", fs=rate_hz, output="sos"), audio)
    if kind != 0:
        audio = sosfilt(butter(order, high_hz, "low", fs=rate_hz, output="sos"), audio)
    return np.asarray(audio, dtype=np.float32)


def fitted(audio: FloatArray, samples: int) -> FloatArray:
    """Zeros after the end of a file that is shorter than a crop."""
    missing = samples - audio.shape[1]
    return np.pad(audio, ((0, 0), (0, missing))) if missing > 0 else audio


class _From(Sampler[int]):
    """start, start + 1, ... without end."""

    def __init__(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))

    def __len__(self) -> int:
        return self.stop - self.start


def loader(batches: CropBatches, start: int, workers: int, pin: bool) -> DataLoader[Tensor]:
    """Batches `start`, `start + 1`, ... in order, made by `workers` processes (0: this one)."""
    return DataLoader(
        batches, batch_size=None, sampler=_From(start, 2**31), num_workers=workers,
        pin_memory=pin, persistent_workers=workers > 0, prefetch_factor=4 if workers else None,
    )


def validation_crops(cache: Cache, names: list[str], samples: int, limit: int) -> Tensor | None:
    """The same crops every time, from all files evenly: [crops, channels, samples]."""
    frames = cache.usable()
    found: list[FloatArray] = []
    rounds = 0
    while names and len(found) < limit:
        before = len(found)
        for name in names:
            start = rounds * samples
            if len(found) < limit and (start == 0 or start + samples <= frames[name]):
                found.append(fitted(cache.read(name, start, samples), samples))
        if len(found) == before:
            break
        rounds += 1
    return torch.from_numpy(np.stack(found)) if found else None
