"""Data "images": pictures, or spectrograms as arrays.

    folder/a.png           a picture of 8 bits, grey or RGB
    folder/b.npy           float or uint8 [count, channels, height, width]
    folder/cats/c.png      in folders: of a class each, whose names are in alphabetical order

All are of one shape, that of the first; whole numbers are scaled to 0 ... 1. Some of the pictures
are validated with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console

from engine.errors import AudioError
from engine.models.base import Model
from training.data.audio_folder import Skipped
from training.data.base import Batch, Data, Shard
from training.data.labelled import class_of
from training.data.pictures import SUFFIX, Picture, decoded_once, inspected
from training.settings import NotNegative, Settings

VALIDATION_IMAGES = 64
Array = NDArray[Any]


class ImageSettings(Settings):
    """Keys of `[training]` of what is trained on pictures."""

    free: ClassVar[frozenset[str]] = frozenset({"cache_gb"})

    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.05  # of all pictures
    cache_gb: NotNegative = 20.0  # more decoded pictures than this are refused


class Images(Data):
    """Batches "image" [batch, channels, height, width], and "label" [batch] where there are
    classes."""

    settings = ImageSettings

    def __init__(self, folder: Path, config: Any, cache: Path) -> None:
        super().__init__(folder, config, cache)
        self.files: list[tuple[str, Array]] = []  # name and pictures of each .npy
        self.pictures: list[Picture] = []
        self.classes: list[str] = []
        self.shape: tuple[int, ...] = ()  # of a picture
        self.arrays: list[Array] = []
        self.labels: NDArray[np.int64]
        self.ends: NDArray[np.int64]
        self.held: NDArray[np.int64]
        self.learn: NDArray[np.int64]

    def look(self) -> None:
        found = {path.relative_to(self.folder).as_posix(): path
                 for path in sorted(self.folder.rglob("*"))
                 if path.suffix.lower() in (SUFFIX, ".npy") and not _hidden(path, self.folder)}
        self.classes = sorted({class_of(name) for name in found} - {""})
        for name, path in found.items():
            fault = self._taken(name, path)
            if fault is not None:
                self.skipped.append(fault)
        if not self.files and not self.pictures:
            raise self._nothing()

    def _taken(self, name: str, path: Path) -> Skipped | None:
        """A file among those to be used, or why it is not."""
        if self.classes and not class_of(name):
            return Skipped(name, "lies in no folder that names its class")
        found: Array | Picture | Skipped
        if path.suffix.lower() == SUFFIX:
            found = inspected(path, name)
        else:
            found = _array(path, name)
        if isinstance(found, Skipped):
            return found
        shape = found.shape if isinstance(found, Picture) else found.shape[1:]
        if self.shape and shape != self.shape:
            return Skipped(name, f"{list(shape)} is not the shape {list(self.shape)}")
        self.shape = shape
        if isinstance(found, Picture):
            self.pictures.append(found)
        else:
            self.files.append((name, found))
        return None

    def _nothing(self) -> AudioError:
        why = f" ({self.skipped[0]})" if self.skipped else ""
        return AudioError(f"{self.folder} holds no pictures{why}; data of images wants .png files, "
                          "or .npy files [count, channels, height, width]")

    def prepare(self, model: Model, console: Console) -> None:
        names = [name for name, array in self.files for _ in range(len(array))]
        self.arrays = [array for _, array in self.files]
        if self.pictures:
            with console.status(f"reading {len(self.pictures)} pictures"):
                array, bad = decoded_once(self.pictures, self.cache_folder, self.config.cache_gb)
            self.skipped += bad
            unfit = {item.name for item in bad}
            names += [picture.name for picture in self.pictures if picture.name not in unfit]
            self.arrays += [array] if len(array) else []
        if not self.arrays:
            raise self._nothing()
        self.classes = sorted({class_of(name) for name in names} - {""})
        self.labels = np.array([self.classes.index(class_of(name)) if self.classes else 0
                                for name in names])
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
        made = {"image": torch.rand(size, *self.shape)}
        if self.classes:
            made["label"] = torch.arange(size) % len(self.classes)
        return Batch(0.0, **made)

    def found(self) -> str:
        shape = " x ".join(map(str, self.shape))
        classes = f"{len(self.classes)} classes, " if self.classes else ""
        return (f"{classes}{len(self.held) + len(self.learn)} pictures of {shape} "
                f"({len(self.held)} for validation), {len(self.skipped)} files skipped")

    @property
    def stored_bytes(self) -> int:
        return sum(array.nbytes for array in self.arrays[len(self.files) :])

    def unit(self) -> str:
        return "picture"

    def _read(self, numbers: NDArray[np.int64]) -> Batch:
        rows = []
        for number in numbers:
            which = int(np.searchsorted(self.ends, number, side="right"))
            array = self.arrays[which]
            row = array[int(number) - int(self.ends[which]) + len(array)].astype(np.float32)
            rows.append(row / 255 if array.dtype == np.uint8 else row)
        made = {"image": torch.from_numpy(np.stack(rows))}
        if self.classes:
            made["label"] = torch.from_numpy(self.labels[numbers])
        return Batch(0.0, **made)


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _array(path: Path, name: str) -> Array | Skipped:
    """The pictures of a .npy file, which stay on the disk."""
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        return Skipped(name, str(error).split("\n")[0])
    if not isinstance(array, np.ndarray) or array.ndim != 4 or not array.size:
        shape = list(getattr(array, "shape", ()))
        return Skipped(name, f"wanted [count, channels, height, width], is {shape}")
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        return Skipped(name, f"wanted numbers of kind uint8 or float, is {array.dtype}")
    return array
