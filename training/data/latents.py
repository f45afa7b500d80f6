"""Data "latents": what another model, the coder, makes of a folder of sound.

    [training]
    data = "latents"
    coder = "techno-tiny"     # run directory, preset or model file that encodes

Recordings are encoded once, whole, before the first step (`latent_cache.py`); crops are of what
came out. Which recordings are held out is decided as for sound, by their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console

from engine.description import ENCODE, GENERATE, Method
from engine.errors import ConfigError, TudorError
from engine.models.base import Model
from engine.players.base import Player, load
from training.data.cache import Cache
from training.data.crop_data import (
    VALIDATION_CROPS,
    CachedCrops,
    channel_notes,
    check_crops,
    refreshed,
)
from training.data.crops import CropBatches, crop_samples, validation_crops
from training.data.latent_cache import LatentCache
from training.data.sounds import Sound, sides
from training.settings import NotNegative, Positive, Settings

FloatArray = NDArray[np.float32]


class LatentSettings(Settings):
    """Keys of `[training]` of what is trained on the latents of another model."""

    free: ClassVar[frozenset[str]] = frozenset({"cache_gb"})

    coder: str = ""  # run directory, preset or model file that encodes
    crop_seconds: Positive = 4.0  # of the sound that was encoded
    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    cache_gb: NotNegative = 20.0  # more latents than this are refused


class Latents(CachedCrops):
    """Batches "latents" [batch, channels, frames], controls behind the latents included."""

    settings = LatentSettings
    tensor = "latents"

    def __init__(self, folder: Path, config: Any, cache: Path) -> None:
        super().__init__(folder, config, cache)
        self._coder: Player
        self.spec: Method
        self.cache: LatentCache

    def look(self) -> None:
        self._coder, self.spec = coder_named(self.config.coder)
        super().look()

    def prepare(self, model: Model, console: Console) -> None:
        config, coder, spec = self.config, self._coder, self.spec
        check_model(model, coder, spec)
        samples = crop_samples(config, coder.sample_rate_hz, model.ratio)
        check_crops(model, config.crop_seconds, samples)
        self.cache = LatentCache(self.cache_folder, coder, spec, config.cache_gb)
        self.cache.check(self.sources, config.coder)
        self.skipped = refreshed(self.cache, self._found, console)
        self.cache.coder = None  # its memory; and loader processes have no use for it
        del self._coder
        self.parts = sides(self.cache.sounds(), config.validation_fraction, self.cache.rate_hz)
        frames, unit = (size // spec.out_ratio for size in (samples, model.ratio))
        self.batches = LatentBatches(self.cache, self.parts.learn, config, frames)
        self._held = validation_crops(self.cache, self.parts.held, frames, VALIDATION_CROPS, unit,
                                      unit, one_after_another)

    def found(self) -> str:
        return (f"{self.spec.out_channels} latents of {self.config.coder}, a frame for "
                f"{self.spec.out_ratio} samples: "
                f"{super().found()}")

    def notes(self) -> tuple[str, ...]:
        return channel_notes(self.cache, "the coder's one", "")


class LatentBatches(CropBatches):
    """Crops of latents: as they are, for levels and signs mean something here."""

    def __init__(self, cache: Cache, sounds: Sequence[Sound], config: Any, frames: int) -> None:
        super().__init__(cache, sounds, config, frames)
        self.join = one_after_another

    def _crop(self, rng: np.random.Generator) -> FloatArray:
        return self._sound(rng)


def one_after_another(cache: Cache, parts: Sequence[Sound]) -> FloatArray:
    """Stretches [channels, frames], without fades: latents between two would be a third sound."""
    return np.concatenate([cache.read(p.name, p.start, len(p)) for p in parts], axis=1)


def coder_named(name: str) -> tuple[Player, Method]:
    """The coder that a preset or `--set` names, and its method that encodes."""
    if not name:
        raise ConfigError("training.coder is not set: data of latents wants a model that encodes, "
                          "such as --set coder=techno-tiny")
    try:
        coder = load(name, threads=torch.get_num_threads())
    except TudorError as error:
        raise ConfigError(f"training.coder: {error}") from None
    if not getattr(coder, "trained", True):
        raise ConfigError(f"training.coder: {name} has no trained weights, its latents say nothing")
    for spec in coder.methods.values():
        if spec.role == ENCODE and spec.in_ratio == 1:
            return coder, spec
    raise ConfigError(f"training.coder: {name} has no method that encodes sound; it has "
                      f"{', '.join(coder.methods)}")


def check_model(model: Model, coder: Player, spec: Method) -> None:
    """An error for a model that neither makes nor takes the latents of `coder`."""
    main = model.main
    own = (main.out_channels, main.out_ratio, model.sample_rate_hz)
    verb = "makes"
    if main.role != GENERATE:
        own, verb = (main.in_channels, main.in_ratio, model.sample_rate_hz), "takes"
    wanted = (spec.out_channels, spec.out_ratio, coder.sample_rate_hz)
    if own != wanted:
        raise ConfigError(
            "training.coder: it gives {} channels, a frame for {} samples at {} Hz; the model "
            "{verb} {} channels, a frame for {} samples at {} Hz: give [model] the coder's shape"
            .format(*wanted, *own, verb=verb))
