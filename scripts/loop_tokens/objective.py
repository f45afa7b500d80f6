"""What a prior over tokens learns by: the plan's losses, and the likelihood of tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.layers.fixed import Unfold
from engine.models.base import Model
from scripts.loop_tokens.model import LoopTokens
from training.data.base import Batch
from training.objectives.base import Moment, Terms
from training.objectives.loop_plan import PlanObjective, PlanSettings
from training.settings import Count, NotNegative, Unit


class TokenSettings(PlanSettings):
    """Keys of `[training]` of what spells loops."""

    # On the frames before, as `history_noise` and `history_dropout` of a flow.
    frame_noise: NotNegative = 0.3
    frame_dropout: Unit = 0.1
    spelt_examples: Count = 8  # of a batch that tokens learn from: frames are many


class TokenObjective(PlanObjective):
    """Takes batches of data `loops`. The plan learns nothing of the tokens."""

    settings = TokenSettings
    watched = "token_nats"
    model: LoopTokens  # type: ignore[assignment]

    def __init__(self, model: Model, config: Any) -> None:
        super().__init__(model, config)
        self.unfold = Unfold(self.model.config.latents, self.model.config.chunk)

    def losses(self, batch: Batch, at: Moment) -> Terms:
        terms, *found = self.planned(batch, self.level(at))
        told, plan, z = (each.detach()[: self.config.spelt_examples] for each in found[:3])
        frames = self.unfold(z, ())[0]
        tokens, spelt = self.model.tokens.spelt(frames, self.training)
        heard = self.model.heard_before(told, plan, self._past(spelt))
        nats = self.model.tokens.nats(heard, tokens)
        size = self.model.config.latents
        missed = (frames - spelt).square().mean() / frames.square().mean()
        return {**terms, "loss": (terms["loss"] + nats) / size, "token_nats": nats,
                "misspelt": missed}

    def _past(self, spelt: Tensor) -> Tensor:
        """Frames as they are heard: noisy in training, for the same reason as in a flow."""
        if not self.training:
            return spelt
        strength, kept = torch.rand(2, len(spelt), 1, 1, device=spelt.device)
        noisy = spelt + self.config.frame_noise * strength * torch.randn_like(spelt)
        return noisy * (kept >= self.config.frame_dropout)
