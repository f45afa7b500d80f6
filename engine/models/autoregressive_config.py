"""What models that draw sound sample by sample have in common: conditions and heads."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from engine.models.base import ModelConfig
from engine.scores.conditions import CLASS, FREE, GATE, LOUDNESS, PITCH

Width = Annotated[int, Field(ge=1, le=4096)]
Layers = Annotated[int, Field(ge=1, le=64)]
Kernel = Annotated[int, Field(ge=1, le=64)]
MOST_LEVELS = 1024  # that an effect finds by comparing


class AutoregressiveConfig(ModelConfig):
    """Keys of both families; each adds the shape of its network."""

    sample_rate_hz: Annotated[int, Field(ge=1000, le=384000)] = 16000
    # Conditions: pairs of pitch and gate, then loudness, "free" and perhaps a class. 0: none.
    voices: Annotated[int, Field(ge=0, le=4)] = 1
    classes: Annotated[int, Field(ge=0, le=1024)] = 0  # of sound: one is chosen for a whole piece
    lowest_note: Annotated[int, Field(ge=0, le=127)] = 48  # of the piano roll, as in MIDI
    highest_note: Annotated[int, Field(ge=0, le=127)] = 96
    features: Width = 16  # channels that conditions become
    # The sound about one period of the pitch that is asked for ago: so many samples of it are read,
    # in the middle the one that stands where the next will. 0: none.
    period_taps: Annotated[int, Field(ge=0, le=256)] = 0
    release_ms: Annotated[float, Field(ge=0, le=2000)] = 60.0  # from the last gate to silence

    # What is drawn: a number from a mixture of logistics around a linear prediction, or one of
    # `levels` steps.
    head: Literal["mixture", "categorical"] = "mixture"
    parts: Annotated[int, Field(ge=1, le=32)] = 4  # of the mixture
    taps: Annotated[int, Field(ge=1, le=256)] = 32  # of the linear prediction
    levels: Annotated[int, Field(ge=2, le=65536)] = 256
    companding: Literal["mu-law", "uniform"] = "mu-law"  # of the steps
    input: Literal["embedded", "one-hot"] = "embedded"  # how the network reads a step
    temperature: Annotated[float, Field(ge=0, le=4)] = 1.0  # of draws, until a player says another
    # Whether there is a method `forward` too: an effect that draws every sample of a sound anew.
    effect: bool = False

    unsaid: ClassVar[tuple[str, ...]] = (*ModelConfig.unsaid, "classes", "period_taps",
                                         "temperature", "effect")
    grown: ClassVar[tuple[str, ...]] = ("effect",)

    @model_validator(mode="after")
    def _heard(self) -> AutoregressiveConfig:
        if self.classes and not self.voices:
            raise ValueError("classes are a condition: they need voices = 1 or more (with the "
                             "condition 'free' at 1 none of them has to play)")
        if self.period_taps and (not self.voices or self.head != "mixture"):
            raise ValueError("period_taps read numbers that are drawn, at a pitch that is asked "
                             "for: they need head = 'mixture' and voices = 1 or more")
        if self.effect and self.head == "categorical" and self.levels > MOST_LEVELS:
            raise ValueError(f"effect = true compares each sample with every step: it needs levels "
                             f"of at most {MOST_LEVELS}, got {self.levels}")
        if self.highest_note < self.lowest_note:
            raise ValueError(f"highest_note must be lowest_note = {self.lowest_note} or more, got "
                             f"{self.highest_note}")
        return self

    @property
    def row_samples(self) -> int:
        """Audio samples for one row of conditions."""
        raise NotImplementedError

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the conditions, in order."""
        if not self.voices:
            return ("time",)
        numbers = ["", *(f" {voice}" for voice in range(2, self.voices + 1))]
        pairs = [f"{name}{number}" for number in numbers for name in (PITCH, GATE)]
        return (*pairs, LOUDNESS, FREE, *([CLASS] if self.classes else []))

    @property
    def release_rows(self) -> int:
        """Rows of conditions from the last gate to silence."""
        return max(1, round(self.release_ms * self.sample_rate_hz / 1000 / self.row_samples))
