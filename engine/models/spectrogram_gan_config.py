"""Shape of a drum voice, and what a player may set of it."""

from __future__ import annotations

from math import ceil
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from engine.description import Attribute
from engine.layers.noise import SEED, SEED_LIMIT
from engine.models.base import ModelConfig
from engine.models.frames import FramesConfig
from engine.models.stroke_voices import voice_labels
from engine.scores.conditions import GATE, PITCH
from engine.scores.strokes import DECAY, GRAIN, HOLD, MOST_VOICES, VELOCITY, Z

TEMPERATURE = "temperature"
ATTRIBUTES = (
    Attribute(TEMPERATURE, 1, 1.0, 0.0, 4.0, "how much strokes differ from each other", ("",)),
    Attribute(GRAIN, 1, 1.0, 0.0, 4.0, "how much frames differ from each other", ("",)),
    Attribute(DECAY, 1, 1.0, 0.25, 4.0, "how fast a stroke goes by: 2 is twice as fast", ("",)),
    Attribute(SEED, 1, 0.0, 0.0, float(SEED_LIMIT), "another number, other strokes", ("",)),
    Attribute(HOLD, 1, 1.0, 0.0, 1.0, "1: z is taken at the gate; 0: it follows what is asked for",
              ("",)),
)

Count = Annotated[int, Field(ge=1, le=4096)]


class SpectrogramGANConfig(FramesConfig):
    """Shape of the family `spectrogram_gan`."""

    sample_rate_hz: Annotated[int, Field(ge=1000, le=384000)] = 48000
    classes: tuple[str, ...] = ()  # names of what can be asked for; of the data, if none are given
    subclasses: tuple[str, ...] = ()
    z: Annotated[int, Field(ge=1, le=64)] = 12  # numbers that tell strokes of one class apart
    noise: Count = 8  # fresh random numbers for every frame
    conditions: Count = 64  # numbers in which everything that was asked for is told
    width: Count = 96
    kernel_size: Annotated[int, Field(ge=1, le=9)] = 3
    dilations: tuple[Annotated[int, Field(ge=1, le=256)], ...] = (1, 2, 4)
    frames: Annotated[int, Field(ge=8, le=800)] = 192  # of a stroke
    fade: Annotated[int, Field(ge=1, le=200)] = 48  # frames in which what is older becomes silent
    noise_from_hz: Annotated[float, Field(ge=0, le=20000)] = 0.0  # below, all that sounds is tone
    # Of the pitch that is asked for, in octaves from middle C, where a tone is harmonics of a note;
    # 0: strokes, tuned by what is asked for (engine/models/pitched_frames.py).
    harmonics: Annotated[int, Field(ge=0, le=256)] = 0
    # Frames in which a note loses 20 nepers when its gate closes.
    release: Annotated[int, Field(ge=1, le=800)] = 64
    # Played by so many gates at once, each with its class (engine/models/stroke_voices.py).
    voices: Annotated[tuple[str, ...], Field(max_length=MOST_VOICES)] = ()

    unsaid: ClassVar[tuple[str, ...]] = (*ModelConfig.unsaid, "voices")

    @model_validator(mode="after")
    def _fits(self) -> SpectrogramGANConfig:
        taken = {attribute.name for attribute in ATTRIBUTES}
        for label in self.labels:
            if label in taken:
                raise ValueError(f"{label!r} is the name of two things that are asked for; call "
                                 "the class, or its folder, otherwise")
            taken.add(label)
        if self.harmonics and self.voices:
            raise ValueError("voices: a model of notes (harmonics above 0) is played by one voice")
        for name in self.voices:
            if name not in self.classes and (self.classes or name):
                raise ValueError(f"voices: {name!r} is none of the classes")
        if not self.dilations:
            raise ValueError("dilations must name a layer at least")
        return self

    @property
    def pitched(self) -> bool:
        """Whether notes are played: a pitch each, held as long as their gate."""
        return self.harmonics > 0

    @property
    def fresh(self) -> int:
        """Random numbers that the network is told in every frame."""
        return 0 if self.pitched else self.noise

    @property
    def noise_from(self) -> int:
        """The first bin that has noise."""
        return min(self.bins, ceil(self.noise_from_hz * self.fft / self.sample_rate_hz))

    @property
    def asked(self) -> tuple[str, ...]:
        """Labels of what is asked for, without gate and z."""
        return (VELOCITY, PITCH, *self.classes, *self.subclasses)

    @property
    def groups(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of which one of each is asked for, or a mix."""
        return self.classes, self.subclasses

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the inputs, in order."""
        return voice_labels(self) if self.voices else self.single

    @property
    def single(self) -> tuple[str, ...]:
        """Of what one voice is told."""
        return (GATE, *self.asked, *(f"{Z} {i + 1}" for i in range(self.z)))
