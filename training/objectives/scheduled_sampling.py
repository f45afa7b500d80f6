"""Scheduled sampling (Bengio et al. 2015) of all frames at once: the model learns what comes after
its own draws, which teacher forcing never shows it.

    real past      x x x x x x x x x      pass 1: one draw for every frame, each from the real past
    own draws      y y y y y y y y y
    mixed past     x y x x y y x x x      each frame of it is a draw with the probability `share`
    target         x x x x x x x x x      stays what is real

Two passes, as in Mihaylova and Martins 2019 and Duckworth et al. 2019, need no frame by frame loop;
with more `passes` draws follow draws, as in free running. No gradient goes through the draws.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from engine.errors import ConfigError
from engine.models.registry import explain
from training.data.base import Shard
from training.objectives.free_running import Asked
from training.objectives.relaxed import Relaxed, noise_for
from training.settings import Count

Share = Annotated[float, Field(ge=0, le=1)]


class ScheduledSamplingConfig(BaseModel):
    """`[training.scheduled_sampling]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    share: Share = 0.0  # of the frames of the past that are the model's own draws; 0 turns it off
    examples: Share = 1.0  # share of the examples that have such a past
    start: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share of the run before which all is real
    ramp: Share = 0.4  # share of the run over which `share` is reached from there
    passes: Count = 1  # so many draws may follow each other

    def probability(self, progress: float) -> float:
        """That a frame is a draw, at a place in the run."""
        risen = (progress - self.start) / self.ramp if self.ramp else float(progress >= self.start)
        return self.share * min(1.0, max(0.0, risen))


def checked_sampling(settings: Any) -> ScheduledSamplingConfig:
    """The table as its configuration; an error names what is wrong."""
    kind = ScheduledSamplingConfig
    if isinstance(settings, kind):
        return settings
    if not isinstance(settings, dict):
        raise ValueError("must be a table, for example --set scheduled_sampling.share=0.2")
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(explain(error, kind, "training.scheduled_sampling.")) from None


@torch.no_grad()
def own_past(
    config: ScheduledSamplingConfig, asked: Asked, progress: float, shard: Shard
) -> Tensor:
    """What the net is told was drawn [batch, channels, time]."""
    probability = config.probability(progress)
    real = asked.drawn
    if not probability:
        return real
    draw, (batch, _, frames) = asked.parts.draw, real.shape
    like = {"device": real.device}
    own = shard.draw(torch.rand, (batch, 1, frames), **like) < probability
    own &= shard.draw(torch.rand, (batch, 1, 1), **like) < config.examples
    past = real
    for _ in range(config.passes):
        given = asked.parts.given(asked.x, past, asked.attributes)
        given = given if given.dtype == torch.float64 else given.float()
        drawn = Relaxed(draw)(given, noise_for(draw, (batch, frames), shard, given)).value
        past = torch.where(own, drawn.to(real.dtype), real)
    return past
