"""What is heard of a place: the log-mel spectrum of its sound, by which ways are long or short.

    loops     a bar with the code held                   [bands, frames]
    strokes   a stroke: its frames, without inverting    [bands, frames]
    latents   held until nothing before matters, then    [bands], a mean over time
              a third of a second

Noise is frozen: every place begins from the same fresh state with the same seed, so that what
differs is the place. Numbers are nepers of amplitude over the root of how many there are; what is
softer than `FLOOR` is silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from engine.layers.noise import SEED, seeds_alike
from engine.models.base import Model
from engine.models.spectrogram_gan import SpectrogramGAN
from engine.models.spectrogram_gan_config import TEMPERATURE
from engine.players.path_file import LATENTS, LOOPS, STROKES, moved_inputs
from engine.scores import loops, strokes
from training.evaluation.paths.prior import prior_of
from training.evaluation.paths.smooth import descriptors
from training.evaluation.spectra import mel_bands

if TYPE_CHECKING:
    from engine.description import Latent

FloatArray = NDArray[np.float32]
BANDS = 40
WINDOW_SECONDS = 0.064
FLOOR = 3e-4  # of an amplitude, -70 dB
HELD_SECONDS = 0.32  # of held latents
LONGEST_WARM_SECONDS = 0.5
STROKE_SECONDS = 0.4
AT_ONCE = 32  # places


class Hearing:
    """`model` as paths hear it. `held`: inputs and attributes by name; `bars` and `bpm`: of what is
    heard of a loop."""

    def __init__(self, model: Model, name: str, held: Mapping[str, float] | None = None,
                 seed: int = 0, bars: float = 1.0, bpm: float = loops.USUAL_BPM) -> None:
        self.model, self.name, self.seed = model.requires_grad_(False), name, seed
        self.held = dict(held or {})
        latents: tuple[Latent, ...] = getattr(model, "latents", ())
        self.moved = moved_inputs(model.methods, name, len(getattr(model, "controls", ())))
        self.prior = prior_of(self.moved, latents)
        self.attributes = model.default_attributes()
        if self.moved.kind == STROKES:
            self.attributes[TEMPERATURE] = torch.zeros(1)  # z alone decides
        for key, value in self.held.items():
            if key in self.attributes:
                self.attributes[key] = torch.full_like(self.attributes[key], value)
        self.rows = torch.from_numpy(self._rows(bars, bpm, [x.mean for x in latents]))

    def _rows(self, bars: float, bpm: float, means: list[float]) -> FloatArray:
        """Inputs [in_channels, rows] at which all places are heard, but for what is moved."""
        spec, rate = self.moved.spec, self.model.sample_rate_hz
        labels = spec.input_labels
        if self.moved.kind == LOOPS:
            code = np.zeros(len(self.moved.places), np.float32)
            x = loops.conditions(labels, spec.in_ratio, rate, bars, bpm, code)
        elif self.moved.kind == STROKES:
            count = max(1, round(STROKE_SECONDS * rate / spec.in_ratio))
            x = strokes.struck(labels, [(0, {})], count)
        else:
            count = self.skip + max(1, round(HELD_SECONDS * rate / spec.in_ratio))
            x = np.zeros((len(labels), count), np.float32)
            for i, mean in enumerate(means):  # of controls behind the latents
                x[i] = mean
        for label, value in self.held.items():
            if label in labels:
                x[labels.index(label)] = value
        return np.pad(x, ((0, 0), (0, -x.shape[1] % spec.in_frames)), mode="edge")

    def _frozen(self, count: int) -> dict[str, Tensor]:
        """Attributes with which so many places have the same noise."""
        if SEED not in self.attributes:
            return self.attributes
        return {**self.attributes, SEED: seeds_alike(count, self.seed)}

    @cached_property
    def skip(self) -> int:
        """Rows of held latents until all that is heard is of them."""
        spec = self.moved.spec
        seen = min(spec.receptive_field_samples + spec.lookahead_samples,
                   LONGEST_WARM_SECONDS * self.model.sample_rate_hz)
        return ceil(seen / spec.in_ratio)

    def inputs(self, z: Tensor) -> Tensor:
        """Rows [places, in_channels, rows] of places [places, numbers]."""
        at, count = self.moved.places, len(z)
        rows = self.rows.to(z.dtype)[None].expand(count, -1, -1)
        moved = z[:, :, None].expand(-1, -1, rows.shape[2])
        return torch.cat((rows[:, : at.start], moved, rows[:, at.stop :]), dim=1)

    def sound(self, z: Tensor) -> Tensor:
        """[places, samples], mixed down, with gradients."""
        x, name = self.inputs(z), self.moved.spec.name
        if self.moved.kind == STROKES:  # heard later than its gate by the spectrum's window
            x = F.pad(x, (0, ceil(self.moved.spec.lookahead_samples / self.moved.spec.in_ratio)))
        y = self.model.step(name, x, self.model.init_state(name, len(x)), self._frozen(len(x)))[0]
        first = self.moved.spec.lookahead_samples
        if self.moved.kind == LATENTS:
            first = self.skip * self.moved.spec.in_ratio
        return y.mean(dim=1)[:, first:]

    def features(self, z: Tensor) -> Tensor:
        """What is heard of places [places, numbers]: [places, features], with gradients."""
        return self._features(self._power(z))

    def measured(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """`features`, and descriptors of the sound [places, descriptors], with gradients."""
        power = self._power(z)
        return self._features(power), descriptors(power, self.model.sample_rate_hz)

    def _features(self, power: Tensor) -> Tensor:
        if self.moved.kind == LATENTS:
            power = power.mean(dim=2, keepdim=True)
        flat = self._bands(power).flatten(1)
        return flat / flat.shape[1] ** 0.5

    def _power(self, z: Tensor) -> Tensor:
        """[places, bins, frames] of places [places, numbers]."""
        if isinstance(self.model, SpectrogramGAN):
            told = self.model.told_of(self.inputs(z), self._frozen(len(z)))
            tone, noise = self.model.frames_of(told)
            return torch.exp(2 * tone) + torch.exp(2 * noise)
        y, size = self.sound(z), self._window
        y = F.pad(y, (0, max(0, size - y.shape[1])))
        window = torch.hann_window(size, dtype=y.dtype)
        frames = y.unfold(1, size, size // 2) * (window / window.sum())
        return torch.fft.rfft(frames).abs().square().transpose(1, 2)

    @property
    def _window(self) -> int:
        return int(2 ** round(np.log2(WINDOW_SECONDS * self.model.sample_rate_hz)))

    @cached_property
    def _shares(self) -> Tensor:
        """What each band has of each bin, together 1; those narrower than a bin are left out."""
        model = self.model
        size = model.config.fft if isinstance(model, SpectrogramGAN) else self._window
        bands = mel_bands(size, model.sample_rate_hz, BANDS)
        kept = bands[bands.sum(axis=1) > 0]
        return torch.from_numpy(kept / kept.sum(axis=1, keepdims=True))

    @property
    def bands(self) -> int:
        """How many are heard."""
        return len(self._shares)

    def _bands(self, power: Tensor) -> Tensor:
        """Power [places, bins, frames] -> nepers of amplitude [places, bands, frames]."""
        return 0.5 * torch.log(self._shares.to(power.dtype) @ power + FLOOR**2)

    @torch.no_grad()
    def heard(self, z: FloatArray) -> tuple[Tensor, FloatArray]:
        """Without gradients, any number of places: features, and sound [places, samples]."""
        parts = torch.from_numpy(np.ascontiguousarray(z, np.float32)).split(AT_ONCE)
        return (torch.cat([self.features(part) for part in parts]),
                torch.cat([self.sound(part) for part in parts]).numpy())
