"""Data "images": arrays of pictures, or of spectrograms: a folder of .npy files.

    folder/a.npy   float or uint8 [count, channels, height, width]; uint8 is scaled to 0 ... 1

All files have pictures of one shape; some pictures of them are validated with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console

from engine.errors import AudioError
from engine.models.base import Model
from training.data.audio_folder import Skipped
from training.data.base import Batch, Data, Shard
from training.settings import Settings

VALIDATION_IMAGES = 64


class ImageSettings(Settings):
    """Keys of `[training]` of what is trained on pictures."""

    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.05  # of all pictures


class Images(Data):
    """Batches "image" [batch, channels, height, width]."""

    settings = ImageSettings

    def __init__(self, folder: Path, config: Any, cache: Path) -> None:
        super().__init__(folder, config, cache)
        self.arrays: list[NDArray[Any]] = []
        self.ends: NDArray[np.int64]
        self.held: NDArray[np.int64]
        self.learn: NDArray[np.int64]

    def look(self) -> None:
        for path in sorted(self.folder.glob("*.npy")):
            try:
                array = np.load(path, mmap_mode="r")
            except (OSError, ValueError) as error:
                self.skipped.append(Skipped(path.name, str(error).split("\n")[0]))
                continue
            fault = self._fault(array)
            if fault:
                self.skipped.append(Skipped(path.name, fault))
            else:
                self.arrays.append(array)
        if not self.arrays:
            why = f" ({self.skipped[0]})" if self.skipped else ""
            raise AudioError(f"{self.folder} holds no pictures{why}; data of images wants .npy "
                             "files [count, channels, height, width]")

    def _fault(self, array: NDArray[Any]) -> str:
        """Why an array is not used; empty if it is."""
        if array.ndim != 4 or not array.size:
            return f"wanted [count, channels, height, width], is {list(array.shape)}"
        if array.dtype != np.uint8 and array.dtype.kind != "f":
            return f"wanted numbers of kind uint8 or float, is {array.dtype}"
        if self.arrays and array.shape[1:] != self.arrays[0].shape[1:]:
            return f"{list(array.shape[1:])} is not the shape {list(self.arrays[0].shape[1:])}"
        return ""

    def prepare(self, model: Model, console: Console) -> None:
        self.ends = np.cumsum([len(array) for array in self.arrays])
        order = np.random.default_rng(0).permutation(int(self.ends[-1]))  # whatever the seed
        count = min(round(len(order) * self.config.validation_fraction), len(order) - 1)
        self.held, self.learn = np.sort(order[:count]), np.sort(order[count:])

    def batch(self, number: int, shard: Shard) -> Batch:
        places = [np.random.default_rng((self.config.seed, number, place)).integers(len(self.learn))
                  for place in shard.places(self.config.batch_size)]
        return self._read(self.learn[places])

    def validation(self) -> list[Batch]:
        size, held = self.config.batch_size, self.held[:VALIDATION_IMAGES]
        return [self._read(held[i : i + size]) for i in range(0, len(held), size)]

    def example(self, size: int) -> Batch:
        return Batch(image=torch.rand(size, *self.arrays[0].shape[1:]))

    def found(self) -> str:
        shape = " x ".join(map(str, self.arrays[0].shape[1:]))
        return (f"{len(self.held) + len(self.learn)} pictures of {shape} ({len(self.held)} for "
                f"validation), {len(self.skipped)} files skipped")

    def unit(self) -> str:
        return "picture"

    def _read(self, numbers: NDArray[np.int64]) -> Batch:
        rows = []
        for number in numbers:
            which = int(np.searchsorted(self.ends, number, side="right"))
            array = self.arrays[which]
            row = array[int(number) - int(self.ends[which]) + len(array)].astype(np.float32)
            rows.append(row / 255 if array.dtype == np.uint8 else row)
        return Batch(image=torch.from_numpy(np.stack(rows)))
