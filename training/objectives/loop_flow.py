"""The objective "loop_flow": a plan (`loop_plan.py`), and a flow that draws what it leaves open.

    x0 noise, x1 what the plan leaves open of a chunk;  x = (1 - t) x0 + t x1
    velocity(x, t, 0)  ->  x1 - x0                               rectified flow
    velocity(x, t, 2d) ->  where two steps of d lead, as one     shortcut

The plan learns nothing of the flow, or its code would be left unused: a flow that sees the chunks
before guesses most of what a code could tell. For the same reason these are noisy; and so the flow
learns to live with what it has drawn itself.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from engine.errors import ConfigError
from engine.layers.noise import ROUNDS, sum_of_uniforms
from engine.models.base import Model
from engine.models.latent_flow import LatentFlow
from training.data.base import Batch
from training.objectives.base import Moment, Terms
from training.objectives.loop_finish import MOST_CONTRAST, begin_as_learnt, finished_flow
from training.objectives.loop_plan import PlanObjective, PlanSettings
from training.settings import Count, NotNegative, Unit

LEAST_STEPS = 8  # into which a shortcut is divided at first


class FlowSettings(PlanSettings):
    """Keys of `[training]` of what draws loops."""

    history_noise: NotNegative = 0.7  # at most, on the chunks before, in standard deviations
    history_dropout: Unit = 0.1  # share of examples that hear nothing of the chunks before
    shortcut_share: Unit = 0.3  # of draws that learn long steps
    draws: Count = 4  # for each chunk of a batch
    # How far plans are moved from their mean when weights are saved, in parts of how far they are.
    plan_contrast: Annotated[float, Field(ge=1, le=MOST_CONTRAST)] = 1.6


class FlowObjective(PlanObjective):
    """Takes batches of data `loops`."""

    settings = FlowSettings
    watched = "nats_per_frame"
    model: LatentFlow  # type: ignore[assignment]

    def __init__(self, model: Model, config: Any) -> None:
        if not isinstance(model, LatentFlow):
            raise ConfigError(f"family {model.family!r} has no flow; the objective 'loop_flow' "
                              "trains that of latent_flow")
        super().__init__(model, config)

    def begin_with(self, source: str) -> None:
        begin_as_learnt(self.model, source)

    def losses(self, batch: Batch, at: Moment) -> Terms:
        terms, told, plan, z, left = self.planned(batch, self.level(at))
        context = self.model.heard_before(told.detach(), plan.detach(), self._before(z))
        flow, shortcut = self._flow(left.detach(), context)
        # Both parts of about the same size: gradients are clipped together.
        planned = terms["loss"] / self.model.config.latents
        return {**terms, "loss": planned + flow + shortcut, "flow": flow, "shortcut": shortcut}

    def finished(self, model: Model, corpus: Tensor | None) -> Model:
        """A copy that says louder what it was told (`loop_finish.py`)."""
        assert isinstance(model, LatentFlow)
        return finished_flow(model, self.knob_mean.clamp(-0.9, 0.9), self.config.plan_contrast)

    def _before(self, z: Tensor) -> Tensor:
        """The chunk before each [batch, size, chunks], with noise of a strength of each example."""
        before = torch.nn.functional.pad(z, (1, 0))[:, :, :-1]
        if not self.training:
            return before
        strength, kept = torch.rand(2, len(z), 1, 1, device=z.device)
        noise = self.config.history_noise * strength * torch.randn_like(before)
        return (before + noise) * (kept >= self.config.history_dropout)

    def _flow(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Both losses, in parts of the variance of `z`."""
        draws, velocity = self.config.draws, self.model.velocity
        aim, context = (each.repeat(draws, 1, 1) for each in (z, context))
        start = normal_as_played(aim)
        times = torch.rand(len(aim), aim.shape[2], device=z.device)
        zero = torch.zeros_like(times)
        here = mixed(start, aim, times)
        flow = (velocity(here, context, times, zero) - (aim - start)).square().mean()
        count = max(1, round(self.config.shortcut_share * len(aim)))
        aim, start, context = aim[:count], start[:count], context[:count]
        with torch.no_grad():
            halves = torch.randint(0, LEAST_STEPS.bit_length() - 1, times[:count].shape,
                                   device=z.device)
            whole = torch.exp2(-halves.float())  # 1, 1/2, 1/4: of the step that is learnt
            steps = torch.rand_like(whole) / whole
            t = (steps.floor() * whole).clamp_max(1 - whole)
            half = whole / 2
            small = torch.where(half > 1 / LEAST_STEPS, half, torch.zeros_like(half))
            x = mixed(start, aim, t)
            first = velocity(x, context, t, small)
            second = velocity(x + half[:, None] * first, context, t + half, small)
            led = (first + second) / 2
        shortcut = (velocity(x, context, t, whole) - led).square().mean()
        return flow, shortcut


def normal_as_played(like: Tensor) -> Tensor:
    """Noise as players draw it, of any numbers."""
    return sum_of_uniforms(*torch.rand((ROUNDS, *like.shape), device=like.device) * 2 - 1)


def mixed(start: Tensor, aim: Tensor, t: Tensor) -> Tensor:
    """On the straight line, `t` [batch, chunks] of the way."""
    return start + t[:, None] * (aim - start)
