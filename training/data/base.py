"""What a run is trained on: rows of `training/data/registry.py`.

A `Data` finds out what its folder holds, makes batches of it, and says what it found. Batch n of a
run is a function of (seed, n) alone, so a resumed run goes on with exactly the batches that it
would have seen; and it is the same whole batch however many processes share it:

    whole batch n   | crop 0  crop 1 | crop 2  crop 3 |
                      process 0        process 1
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from engine.models.base import Model
from training.data.audio_folder import Skipped, Source
from training.settings import Settings


class Shard(NamedTuple):
    """Which part of every whole batch is this process's own."""

    rank: int = 0
    world: int = 1

    def places(self, size: int) -> range:
        """Places in the whole batch of the `size` examples that this process makes."""
        return range(self.rank * size, (self.rank + 1) * size)

    def draw(self, kind: Callable[..., Tensor], shape: Sequence[int], **options: Any) -> Tensor:
        """Random numbers [batch, ...] by `kind` (torch.randn, torch.rand): those of the whole batch
        are drawn, so that they depend on the place in it, not on how many processes share it."""
        size, *rest = shape
        whole = kind((size * self.world, *rest), **options)
        return whole[self.rank * size : (self.rank + 1) * size]


class Batch:
    """Named tensors, each [batch, ...]; `seconds` of sound in all of them together.

    No dataclass: Lightning would take it apart and copy it at every step."""

    def __init__(self, seconds: float = 0.0, **tensors: Tensor) -> None:
        self.tensors, self.seconds = tensors, seconds

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(self.seconds, **{name: change(t) for name, t in self.tensors.items()})

    def to(self, device: torch.device | str) -> Batch:
        """On `device`."""
        return self._each(lambda t: t.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """In memory that a GPU reads fast; the loader asks for it."""
        return self._each(lambda t: t.pin_memory())


class Data(ABC):
    """Base of the rows. Used in this order: `look`, `prepare`, then the rest."""

    settings: ClassVar[type[Settings]] = Settings

    def __init__(self, folder: Path, config: Any, cache: Path) -> None:
        """`config`: the whole `[training]` table; `cache`: where files of its own may lie."""
        self.folder, self.config, self.cache_folder = folder, config, cache
        self.skipped: list[Skipped] = []

    @abstractmethod
    def look(self) -> None:
        """See what is there, quickly and before anything is written; an error if it is nothing."""

    @abstractmethod
    def prepare(self, model: Model, console: Console) -> None:
        """Make everything ready that batches for `model` need."""

    @abstractmethod
    def batch(self, number: int, shard: Shard) -> Batch:
        """Batch `number` of this process: `batch_size` examples."""

    @abstractmethod
    def example(self, size: int) -> Batch:
        """Noise in the shape of a batch of `size`, by which a step is timed."""

    @property
    def sources(self) -> Sequence[Source]:
        """The sound files that `look` found."""
        return ()

    def validation(self) -> list[Batch]:
        """Held-out batches, the same every time; empty: there are none."""
        return []

    def corpus(self) -> Tensor | None:
        """A sample [count, channels, samples] of what is learnt from, to measure latents on."""
        return None

    def found(self) -> str:
        """What there is to learn from, for the preflight."""
        return f"{self.folder}"

    def notes(self) -> tuple[str, ...]:
        """What is odd about it, for the preflight."""
        return ()

    @property
    def stored_bytes(self) -> int:
        """Size of what it keeps beside the run."""
        return 0

    def record(self, run: Path) -> None:  # noqa: B027
        """Files for the run's folder, written by the first process alone."""

    def unit(self) -> str:
        """What one example is, for messages about memory: "crop of 1 s"."""
        return "example"


class _Batches(Dataset[Batch]):
    """Item n is batch n of this process."""

    def __init__(self, data: Data, shard: Shard) -> None:
        self.data, self.shard = data, shard

    def __getitem__(self, index: int) -> Batch:
        return self.data.batch(index, self.shard)


class _From(Sampler[int]):
    """start, start + 1, ... without end."""

    def __init__(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.stop))

    def __len__(self) -> int:
        return self.stop - self.start


def loader(data: Data, shard: Shard, start: int, workers: int, pin: bool) -> DataLoader[Batch]:
    """Batches `start`, `start + 1`, ... in order, made by `workers` processes (0: this one)."""
    return DataLoader(
        _Batches(data, shard), batch_size=None, sampler=_From(start, 2**31), num_workers=workers,
        pin_memory=pin, persistent_workers=workers > 0, prefetch_factor=4 if workers else None,
    )
