"""Data "loops": latents of loops that go round for ever, with their place in the bar.

    [training]
    data = "loops"
    coder = "techno-tiny"     # run directory, preset or model file whose latents are learnt

    crop      |  chunk  chunk  chunk ...                    from any place of the loop on
    phase     |  .31    .35    .38   ...   .98   .01  ...   of each chunk's beginning
    windows   bar 0 |..........|  bar 1 |..........|        a code's worth from each bar line on
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console

from engine.errors import ConfigError
from engine.models.base import Model
from engine.models.coded import Coded
from engine.models.loops import LoopModel
from engine.models.loops_config import VARIATION, knob
from engine.models.store import load_model
from engine.scores.loops import KNOBS, PHASE, TEMPO, bar_seconds, tempo_of
from training.data.audio_folder import scan
from training.data.band_levels import BANDS
from training.data.base import Batch, Shard
from training.data.crop_data import CachedCrops, refreshed
from training.data.latents import coder_named
from training.data.loop_cache import LoopCache
from training.data.loop_facts import MOST_BPM, read_table, styles_of
from training.data.sounds import Sound, sides
from training.settings import NotNegative, Positive, Settings

FloatArray = NDArray[np.float32]
VALIDATION_LOOPS = 48


class LoopSettings(Settings):
    """Keys of `[training]` of what is trained on loops."""

    free: ClassVar[frozenset[str]] = frozenset({"cache_gb"})

    coder: str = ""  # run directory, preset or model file whose latents are learnt
    crop_seconds: Positive = 4.0
    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    cache_gb: NotNegative = 20.0
    level_spread_db: NotNegative = 8.0  # between the loudest and the lowest that a loop is made

    @classmethod
    def recipe(cls, model: dict[str, Any]) -> dict[str, Any]:
        """Coder and styles are taken anew: from `training.coder`, and from the folder."""
        taken = {"coder", "sample_rate_hz", "latents", "compression", "styles"}
        return {key: value for key, value in model.items() if key not in taken}

    @classmethod
    def complete(cls, model: dict[str, Any], training: dict[str, Any], data: Path) -> None:
        """A model that has no coder yet takes the shape of the one that is named, and the styles
        that the folder has."""
        if model.get("coder") or not training.get("coder"):
            return
        coder = coder_model(str(training["coder"]))
        assert coder.coder is not None
        decode = coder.coder[1]
        model.update(coder=shape_of(coder), sample_rate_hz=coder.sample_rate_hz,
                     latents=decode.in_channels, compression=decode.in_ratio)
        if "styles" not in model and data.is_dir():
            names = [source.name for source in scan(data).sources]
            model["styles"] = list(styles_of(names, read_table(data)))


class Loops(CachedCrops):
    """Batches: "mean", "log_std" [batch, latents, frames] of the coder; "levels" [batch, BANDS,
    frames], standardised; "rows" [batch, conditions, chunks], codes 0; "style" [batch], -1: none;
    and for the codes "windows" [batch, bars, latents, frames], "bar" and "since" [batch, chunks]:
    which window each chunk has its code of, and frames since its beginning."""

    settings = LoopSettings
    tensor = "mean"
    cache: LoopCache

    def look(self) -> None:
        self._coder, self.spec = coder_named(self.config.coder)
        super().look()
        self.table = read_table(self.folder)

    def prepare(self, model: Model, console: Console) -> None:
        if not isinstance(model, LoopModel):
            raise ConfigError(f"data 'loops' is for models of loops; {model.family!r} is none")
        self.shape = shape = model.config
        coder = coder_model(self.config.coder)
        _check_coder(model, coder, self.config.coder)
        self.chunks = max(1, round(self.config.crop_seconds * shape.sample_rate_hz
                                   / shape.row_samples))
        self.frames = self.chunks * shape.chunk
        seconds = self.frames * shape.compression / shape.sample_rate_hz
        self.bars = int(seconds / bar_seconds(MOST_BPM)) + 2
        self.cache = LoopCache(
            self.cache_folder, self._coder, self.spec, self.config.cache_gb, model=coder,
            table=self.table, more_frames=self.frames + shape.window_frames + 1,
            spread_db=self.config.level_spread_db)
        self.cache.check(self.sources, self.config.coder)
        self.skipped = refreshed(self.cache, self._found, console)
        self.cache.coder = self.cache.model = None  # their memory
        del self._coder
        ratio = shape.compression
        whole = [Sound(name, 0, max(1, samples // ratio))
                 for name, samples in sorted(self.cache.periods.items())]
        self.parts = sides(whole, self.config.validation_fraction, self.cache.rate_hz)
        self._measure(model)
        model.adopt(coder)
        lengths = np.array([len(sound) for sound in self.parts.learn], float)
        self.shares = np.cumsum(lengths / lengths.sum())

    def batch(self, number: int, shard: Shard) -> Batch:
        found = []
        for place in shard.places(self.config.batch_size):
            rng = np.random.default_rng((self.config.seed, number, place))
            which = min(int(np.searchsorted(self.shares, rng.random())), len(self.shares) - 1)
            sound = self.parts.learn[which]
            found.append(self._crop(sound.name, int(rng.integers(len(sound)))))
        return self._joined(found)

    def validation(self) -> list[Batch]:
        held = self.parts.held[:: -(-len(self.parts.held) // VALIDATION_LOOPS) or 1]
        found = [self._crop(sound.name, 0) for sound in held]
        size = self.config.batch_size
        return [self._joined(found[i : i + size]) for i in range(0, len(found), size)]

    def example(self, size: int) -> Batch:
        shape, chunks = self.shape, self.chunks
        noise = torch.randn(size, shape.latents, self.frames)
        return self._batch({
            "mean": noise, "log_std": 0 * noise - 1,
            "levels": torch.randn(size, BANDS, self.frames),
            "rows": torch.zeros(size, len(shape.labels), chunks),
            "style": torch.zeros(size, dtype=torch.int64) - 1,
            "windows": torch.randn(size, self.bars, shape.latents, shape.window_frames),
            "bar": torch.zeros(size, chunks, dtype=torch.int64),
            "since": torch.zeros(size, chunks, dtype=torch.int64)})

    def found(self) -> str:
        tempi = sorted(facts.bpm for facts in self.cache.facts.values())
        told = "from metadata.csv" if self.table else "a whole number of bars each"
        return (f"loops for {self.config.coder}: {super().found()}; {tempi[0]:.0f} to "
                f"{tempi[-1]:.0f} BPM, {told}")

    def notes(self) -> tuple[str, ...]:
        return ()

    # --- inside -----------------------------------------------------------------------------

    def _measure(self, model: LoopModel) -> None:
        """Spread of latents and knobs over what is learnt from."""
        names = [sound.name for sound in self.parts.learn]
        parts = [self.cache.read(sound.name, 0, len(sound)) for sound in self.parts.learn]
        mean, log_std, levels = self._split(np.concatenate(parts, axis=1).astype(np.float64))
        self.level_mean = levels.mean(axis=1, keepdims=True)
        self.level_std = levels.std(axis=1, keepdims=True).clip(1e-3)
        spread = np.sqrt(mean.var(axis=1) + np.exp(2 * log_std).mean(axis=1)).clip(1e-3)
        knobs = np.array([self.cache.facts[name].knobs for name in names])
        # 0 is as usual before gains: they are no part of what a folder sounds like.
        usual = knobs.copy()
        usual[:, KNOBS.index("loudness")] -= [self.cache.gains_db[name] for name in names]
        self.knob_mean = usual.mean(axis=0)
        self.knob_std = np.sqrt(np.square(knobs - self.knob_mean).mean(axis=0)).clip(1e-3)
        units = np.stack((self.knob_mean, self.knob_std))
        model.measure(*(torch.from_numpy(each).float()
                        for each in (mean.mean(axis=1), spread, units)))

    def _crop(self, name: str, start: int) -> dict[str, FloatArray]:
        shape, facts = self.shape, self.cache.facts[name]
        bar_frames = self.cache.periods[name] / shape.compression / facts.bars
        places = start + np.arange(self.chunks) * shape.chunk
        numbers = np.floor(places / bar_frames).astype(int)
        first = int(numbers[0])
        begins = np.round(np.arange(first, int(numbers[-1]) + 1) * bar_frames).astype(int)
        at = begins[0]
        mean, log_std, levels = self._split(
            self.cache.read(name, at, start + self.frames + shape.window_frames - at))
        rows = np.zeros((len(shape.labels), self.chunks), np.float32)
        rows[shape.place(PHASE)] = places / bar_frames - numbers
        rows[shape.place(TEMPO)] = tempo_of(facts.bpm)
        for label, *told in zip(KNOBS, facts.knobs, self.knob_mean, self.knob_std, strict=True):
            rows[shape.place(label)] = knob(*told)
        if shape.noise:
            rows[shape.place(VARIATION)] = 1.0
        windows = np.zeros((self.bars, shape.latents, shape.window_frames), np.float32)
        for i, begin in enumerate(begins):
            piece = mean[:, begin - at : begin - at + shape.window_frames]
            windows[i, :, : piece.shape[1]] = piece
        style = shape.styles.index(facts.style) if facts.style in shape.styles else -1
        here = slice(start - at, start - at + self.frames)
        levels = ((levels[:, here] - self.level_mean) / self.level_std).astype(np.float32)
        return {"mean": mean[:, here], "log_std": log_std[:, here], "levels": levels, "rows": rows,
                "style": np.array(style), "windows": windows, "bar": numbers - first,
                "since": np.maximum(0, places - begins[numbers - first])}

    @staticmethod
    def _split(frames: NDArray[Any]) -> list[NDArray[Any]]:
        """Means, log_stds and levels, of what the cache holds [channels, frames]."""
        coded = (len(frames) - BANDS) // 2
        return np.split(frames, (coded, 2 * coded))

    def _joined(self, found: list[dict[str, FloatArray]]) -> Batch:
        return self._batch({key: torch.from_numpy(np.stack([each[key] for each in found]))
                            for key in found[0]})

    def _batch(self, tensors: dict[str, torch.Tensor]) -> Batch:
        seconds = len(tensors["mean"]) * self.frames / self.cache.rate_hz
        return Batch(seconds, **tensors)


def coder_model(name: str) -> Coded:
    """The coder that `training.coder` names, with its weights."""
    stored = load_model(name)
    if not isinstance(stored.model, Coded) or stored.model.coder is None:
        raise ConfigError(f"training.coder: {name} has no latents that it encodes and decodes")
    if not stored.trained:
        raise ConfigError(f"training.coder: {name} has no trained weights, its latents say nothing")
    return stored.model


def shape_of(coder: Coded) -> dict[str, Any]:
    """A coder's `[model]`, as that of what is trained on its latents holds it."""
    return {"family": coder.family, **coder.config.model_dump(mode="json")}


def _check_coder(model: LoopModel, coder: Coded, name: str) -> None:
    """An error for a coder of another shape than the one inside the model."""
    if model.config.coder != shape_of(coder):
        raise ConfigError(f"training.coder: {name} is not the coder that this model was made for; "
                          "leave [model] without a coder to take its shape")
