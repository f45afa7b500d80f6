"""The objective "autoregressive": what is learnt from should be likely to be drawn.

A model that draws frame after frame says before each of them how likely every outcome is. With the
frames known, as they are in training, all of that is worked out at once (`Loop.teacher`):

    net reads   |  0      y0          y1               ...
    loss        |  -ln p(y0)  -ln p(y1 | y0)  -ln p(y2 | y0, y1) ...

A loop that draws sound learns from data such as `crops`, one that draws the latents of another
model from `latents`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from engine.description import GENERATE
from engine.errors import ConfigError, TudorError
from engine.layers import LogisticMixture
from engine.models.base import Model
from engine.models.looped import Looped
from training.data.base import Batch, Shard
from training.objectives.base import Moment, Objective, Terms, Validation
from training.objectives.disturbed import dropped, mu_law_steps, noisy, unconditional
from training.settings import NotNegative, Settings, Unit

TARGETS = ("audio", "latents")  # of a batch: what is to be drawn, the first that is there
CONDITIONS = "conditions"  # of a batch: the method's input; 0 where there is none


class AutoregressiveSettings(Settings):
    """Keys of `[training]` of what draws frame by frame."""

    # A mixture draws numbers without steps; the likelihood is that of so many equal ones over its
    # range: 256 are 8 bits. Classes are steps already.
    levels: Annotated[int, Field(ge=2, le=1 << 24)] = 256
    companding: Literal["uniform", "mu-law"] = "uniform"  # of these steps
    condition_dropout: Unit = 0.1  # share of examples that are to be drawn without conditions
    input_noise: NotNegative = 0.3  # on the sound that is read back, in steps of 8-bit mu-law


class AutoregressiveObjective(Objective):
    """Takes batches with "audio" [batch, channels, samples] or "latents" [batch, channels, frames],
    perhaps with "conditions" [batch, in_channels, frames] beside them."""

    settings = AutoregressiveSettings
    watched = "bits_per_sample"

    def __init__(self, model: Model, config: Any) -> None:
        super().__init__(model, config)
        self.method = drawing_method(model)
        self.disturbed = True  # not where it is judged

    def losses(self, batch: Batch, at: Moment) -> Terms:
        nats = -self.log_likelihood(batch, at.shard if self.disturbed else None).mean()
        return {"loss": nats, self.watched: nats.detach() / log(2)}

    def watch(self, terms: Terms) -> float:
        return float(terms[self.watched])

    def validate(self, model: Model, batches: Sequence[Batch]) -> Validation:
        self.disturbed = False
        try:
            return super().validate(model, batches)
        finally:
            self.disturbed = True

    def log_likelihood(self, batch: Batch, shard: Shard | None = None) -> Tensor:
        """Nats of each number that is to be drawn [batch, channels, frames], given those before.
        `shard`: with conditions dropped and noise on the past, by its chance."""
        parts = Looped.of(self.model, self.method)
        assert parts is not None
        spec, wanted = parts.method, target(batch)
        x = wanted.new_zeros((len(wanted), spec.in_channels,
                              wanted.shape[2] * spec.out_ratio // spec.in_ratio))
        if CONDITIONS not in batch:
            x = unconditional(x, spec)
        elif shard is None:
            x = batch[CONDITIONS]
        else:
            x = dropped(batch[CONDITIONS], spec, self.config.condition_dropout, shard)
        # Conditions reach the loop late; what is drawn then is what belongs to them.
        late = spec.lookahead_samples // spec.out_ratio
        drawn = parts.drawn(F.pad(wanted, (late, 0))[:, :, : wanted.shape[2]])
        read, draw = drawn, parts.draw
        if shard is not None and "audio" in batch:
            read = noisy(drawn, draw, self.config.input_noise, shard)
        given = parts.given(x, read, self.model.default_attributes())
        given = given if given.dtype == torch.float64 else given.float()
        if isinstance(draw, LogisticMixture) and self.config.companding == "mu-law":
            found = draw.log_prob_between(given, *mu_law_steps(drawn, self.config.levels))
        elif isinstance(draw, LogisticMixture):
            found = draw.log_prob(given, drawn, 2 * draw.limit / (self.config.levels - 1))
        else:
            found = draw.log_prob(given, drawn)
        return found[:, :, late:]


def target(batch: Batch) -> Tensor:
    """What is to be drawn."""
    for name in TARGETS:
        if name in batch:
            return batch[name]
    raise ConfigError("training.data: the objective 'autoregressive' wants sound or latents to be "
                      "drawn; data such as 'crops' or 'latents' has them")


def drawing_method(model: Model) -> str:
    """The method that generates by a loop whose draws have a probability; an error where there is
    none, or where what it draws cannot be told from what comes out."""
    for name, spec in model.methods.items():
        parts = Looped.of(model, name) if spec.role == GENERATE else None
        if parts is None:
            continue
        try:
            parts.drawn(torch.zeros(1, spec.out_channels, 1))
            assert parts.draw
        except TudorError as error:
            raise ConfigError(f"family {model.family!r} cannot be trained by the objective "
                              f"'autoregressive': {error}") from None
        return name
    raise ConfigError(f"family {model.family!r} has no method that generates by a loop, which the "
                      "objective 'autoregressive' trains; it has "
                      f"{', '.join(model.methods) or 'no methods'}")
