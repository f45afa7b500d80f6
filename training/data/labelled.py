"""Data "labelled": sounds in a folder for each class, whose names are in alphabetical order.

    folder/kick/a.wav     class 0
    folder/snare/b.wav    class 1

Every class is drawn as often as the others, however many sounds it has.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from engine.errors import AudioError
from engine.models.base import Model
from training.data.audio_folder import Skipped
from training.data.base import Batch, Shard
from training.data.crop_data import VALIDATION_CROPS, Crops
from training.data.crops import CropBatches, validation_crops
from training.data.sounds import Sound


def class_of(name: str) -> str:
    """The folder that a sound lies in, "" beside the folders."""
    return name.partition("/")[0] if "/" in name else ""


class Labelled(Crops):
    """Batches "audio" [batch, channels, samples] and "label" [batch], whole numbers."""

    def __init__(self, folder: Path, config: Any, cache: Path) -> None:
        super().__init__(folder, config, cache)
        self.classes: list[str] = []
        self._of_class: list[CropBatches] = []
        self._held_crops: list[tuple[Tensor, int]] = []

    def look(self) -> None:
        super().look()
        found = self._found
        kept = tuple(source for source in found.sources if class_of(source.name))
        loose = tuple(Skipped(source.name, "lies in no folder that names its class")
                      for source in found.sources if not class_of(source.name))
        self._found = replace(found, sources=kept, skipped=(*found.skipped, *loose))
        if len({class_of(source.name) for source in kept}) < 2:
            raise AudioError(f"{self.folder} holds sounds of fewer than two classes; labelled data "
                             "wants a folder for each, such as kick/ and snare/")

    def prepare(self, model: Model, console: Console) -> None:
        super().prepare(model, console)
        parts, samples = self.parts, self.batches.samples
        self.classes = sorted({class_of(sound.name) for sound in parts.learn})

        def own(sounds: tuple[Sound, ...], name: str) -> list[Sound]:
            return [sound for sound in sounds if class_of(sound.name) == name]

        self._of_class = [CropBatches(self.cache, own(parts.learn, name), self.config, samples)
                          for name in self.classes]
        each = max(1, VALIDATION_CROPS // len(self.classes))
        made = [validation_crops(self.cache, own(parts.held, name), samples, each, samples, samples)
                for name in self.classes]
        self._held_crops = [(crop, label) for label, crops in enumerate(made) if crops is not None
                      for crop in crops]

    def batch(self, number: int, shard: Shard) -> Batch:
        crops, labels = [], []
        for place in shard.places(self.config.batch_size):
            rng = np.random.default_rng((self.config.seed, number, place, 1))
            labels.append(int(rng.integers(len(self.classes))))
            crops.append(torch.from_numpy(self._of_class[labels[-1]].crop(number, place)))
        return self._labelled(crops, labels)

    def example(self, size: int) -> Batch:
        audio = super().example(size)["audio"]
        return self._labelled(list(audio), [i % len(self.classes) for i in range(size)])

    def validation(self) -> list[Batch]:
        size = self.config.batch_size
        parts = [self._held_crops[i : i + size] for i in range(0, len(self._held_crops), size)]
        return [self._labelled([crop for crop, _ in part], [label for _, label in part])
                for part in parts]

    def found(self) -> str:
        return f"{len(self.classes)} classes, {super().found()}"

    def _labelled(self, crops: list[Tensor], labels: list[int]) -> Batch:
        plain = self._as_batch(torch.stack(crops))
        return Batch(plain.seconds, audio=plain["audio"], label=torch.tensor(labels))
