"""The shape of a waveform autoencoder, and what its controls are called."""

from __future__ import annotations

from math import log2
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from engine.layers.harmonics import CLARITY, CROSSOVER_HZ
from engine.models.base import ModelConfig

Positive = Annotated[int, Field(ge=1)]
LEAST_TONAL_HZ = 4000  # harmonics are heard above 1 kHz
Control = Literal["loudness", "pitch"]
# Channels of encode and decode behind the latents. Loudness: A-weighted level in bels, so that -60
# dB is -6 and the guard's 8 is far. Pitch: octaves from middle C (261.63 Hz), 1 V/oct as it were.
CONTROL_LABELS: dict[str, str] = {"loudness": "loudness", "pitch": "pitch_oct",
                                  "clarity": "clarity"}
TRACKED = ("pitch", "clarity")  # controls that no encoder learns, of a model with harmonics
CONTROL_STARTS: dict[str, float] = {"loudness": -3.0, "pitch": -1.0}  # what an untrained one says


class RawVAEConfig(ModelConfig):
    """Shape of a raw audio VAE. `widths` are channels per level, from band rate downwards."""

    sample_rate_hz: Annotated[int, Field(ge=1000, le=384000)] = 16000
    channels: Annotated[int, Field(ge=1, le=2)] = 1
    latents: Annotated[int, Field(ge=1, le=512)] = 16
    compression: Positive = 128
    bands: Annotated[int, Field(ge=2, le=16)] = 16
    strides: tuple[Positive, ...] = ()
    widths: Annotated[tuple[Positive, ...], Field(min_length=1)] = (32, 48, 64)
    kernel_size: Annotated[int, Field(ge=1, le=64)] = 3
    dilations: tuple[Positive, ...] = (1, 3)
    separable: bool = False  # residual units of a depthwise convolution and two dense 1x1
    noise: bool = True
    # Of two channels: beside each one's own noise there is some that both play, so that noise can
    # be as wide as it is, and not only as wide as can be.
    shared_noise: bool = False
    controls: tuple[Control, ...] = ()  # what encode says and decode obeys beside the latents
    # Sines at multiples of a pitch that is tracked, 0 for none: see `raw_vae_tones.py`.
    harmonics: Annotated[int, Field(ge=0, le=256)] = 0
    crossover_hz: tuple[float, float] = CROSSOVER_HZ  # between which they fade in
    clear: tuple[float, float] = CLARITY  # as they do between these of clarity
    octave_check: bool = False  # of that pitch: of notes with a weak fundamental, see `PitchTrack`
    unsaid: ClassVar[tuple[str, ...]] = (*ModelConfig.unsaid, "shared_noise", "controls",
                                         "harmonics", "crossover_hz", "clear", "octave_check")
    tonal: ClassVar[tuple[str, ...]] = ("harmonics", "crossover_hz", "clear", "octave_check")
    grown: ClassVar[tuple[str, ...]] = ("channels", "shared_noise", *tonal)

    def may_differ(self, other: ModelConfig) -> set[str]:
        """Harmonics may be left out too."""
        return super().may_differ(other) | (set() if self.harmonics else set(self.tonal))

    @property
    def taught(self) -> int:
        """What the encoder learns to say: latents, then controls."""
        return self.latents + len(self.controls)

    @property
    def coded(self) -> int:
        """Channels between encoder and decoder: latents, controls, and what is tracked."""
        return self.taught + (len(TRACKED) if self.harmonics else 0)

    @field_validator("controls")
    @classmethod
    def _each_once(cls, value: tuple[Control, ...]) -> tuple[Control, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"each may stand there once, got {list(value)}")
        return value

    @field_validator("compression", "bands")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            near = 2 ** round(log2(value))
            raise ValueError(f"must be a power of two (nn~ needs it), got {value}; nearest {near}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _derive_strides(cls, data: Any) -> Any:
        """Without explicit strides: steps of 4, then 2, from band rate to latent rate."""
        if isinstance(data, dict) and not data.get("strides"):
            compression = data.get("compression", cls.model_fields["compression"].default)
            bands = data.get("bands", cls.model_fields["bands"].default)
            if isinstance(compression, int) and isinstance(bands, int) and bands > 0:
                left, strides = compression // bands, []
                while left > 1:
                    strides.append(min(4, left))
                    left //= 4
                data = {**data, "strides": tuple(strides)}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> RawVAEConfig:
        product = self.bands
        for stride in self.strides:
            product *= stride
        if product != self.compression:
            raise ValueError(
                f"bands x strides = {self.bands} x {list(self.strides)} = {product} must equal "
                f"compression = {self.compression}"
            )
        if len(self.widths) != len(self.strides) + 1:
            raise ValueError(
                f"widths needs {len(self.strides) + 1} numbers (one per level, strides are "
                f"{list(self.strides)}), got {list(self.widths)}"
            )
        if self.shared_noise and not (self.noise and self.channels == 2):
            raise ValueError("shared_noise needs channels = 2 and noise = true")
        return self._tonal()

    def _tonal(self) -> RawVAEConfig:
        if self.harmonics and self.channels > 1:
            raise ValueError("harmonics need channels = 1: one pitch is tracked")
        if self.harmonics and "pitch" in self.controls:
            raise ValueError("with harmonics pitch is tracked: leave it out of controls")
        if not 0 <= self.crossover_hz[0] < self.crossover_hz[1]:
            raise ValueError(f"crossover_hz must rise from 0 or more, got "
                             f"{list(self.crossover_hz)}")
        if not 0 <= self.clear[0] < self.clear[1] <= 1:
            raise ValueError(f"clear must rise between 0 and 1, got {list(self.clear)}")
        if self.harmonics and self.sample_rate_hz <= LEAST_TONAL_HZ:
            raise ValueError(f"harmonics need a sample_rate_hz above {LEAST_TONAL_HZ}, got "
                             f"{self.sample_rate_hz}")
        return self
