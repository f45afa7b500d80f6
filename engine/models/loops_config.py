"""What both families of loops have in common: the shape of what they hear and make.

A row of conditions stands for a chunk of latent frames:

    phase        position in the bar, 0 ... 1, of the moment when the chunk will be heard
    tempo        log2(BPM / 128)
    density, brightness, loudness    in standard deviations of what was learnt from, 0: as usual
    style x, style y    a place on a map of the styles that were learnt from, each -1 ... 1;
                 0, 0: any. Only where there are styles
    variation    0: every bar draws the same noise, 1: never the same. Only where noise is drawn
    code 1 ...   which loop it is, each -1 ... 1
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from engine.models.base import ModelConfig
from engine.scores.loops import CODE, KNOBS, PHASE, TEMPO

KNOB_REACH = 4.0  # standard deviations to either side
KNOB_UNITS = ("onsets a second", "octaves above 1 Hz", "dBFS")
STYLE = ("style x", "style y")
VARIATION = "variation"

Width = Annotated[int, Field(ge=1, le=4096)]


class LoopConfig(ModelConfig):
    """Keys of both families."""

    # The latents that are made; with a coder they are its own, and need not be said.
    sample_rate_hz: Annotated[int, Field(ge=1000, le=384000)] = 16000
    latents: Annotated[int, Field(ge=1, le=1024)] = 16
    compression: Annotated[int, Field(ge=1, le=65536)] = 128  # audio samples for a latent frame
    # `[model]` of what makes sound of latents, and latents of sound: taken from `training.coder`.
    coder: dict[str, Any] = Field(default_factory=dict)

    chunk: Annotated[int, Field(ge=1, le=64)] = 8  # latent frames for a row of conditions
    levels: Annotated[int, Field(ge=1, le=10)] = 5  # a window has 2^levels chunks
    codes: Annotated[int, Field(ge=1, le=64)] = 8  # numbers that say which loop it is
    styles: tuple[str, ...] = ()  # names of labels that were learnt from
    width: Width = 160  # of what plans a chunk
    layers: Annotated[int, Field(ge=1, le=16)] = 3
    window_width: Width = 96  # of what finds the code of a window
    # Whether the file can find codes of sound (`embed`); a small board has no use for that.
    embed: bool = True

    unsaid: ClassVar[tuple[str, ...]] = (*ModelConfig.unsaid, "coder")
    noise: ClassVar[bool] = False  # whether there is `variation`

    @model_validator(mode="after")
    def _fits(self) -> LoopConfig:
        if self.embed and not self.coder:
            object.__setattr__(self, "embed", False)
        return self

    @property
    def window_frames(self) -> int:
        """Latent frames that one code describes at its shortest length, a single point."""
        return self.chunk << self.levels

    @property
    def row_samples(self) -> int:
        """Audio samples for one row of conditions."""
        return self.chunk * self.compression

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the conditions, in order."""
        return (PHASE, TEMPO, *KNOBS, *(STYLE if self.styles else ()),
                *([VARIATION] if self.noise else []),
                *(f"{CODE} {i + 1}" for i in range(self.codes)))

    def place(self, label: str) -> int:
        """Which of the conditions `label` is; of the codes the first."""
        return self.labels.index(f"{CODE} 1" if label == CODE else label)


def knob(value: float, mean: float, std: float) -> float:
    """What a knob stands at for a measured value, of what varies so where it is learnt."""
    return min(max((value - mean) / std, -KNOB_REACH), KNOB_REACH)
