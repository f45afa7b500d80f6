"""The objective "autoregressive": what is learnt from should be likely to be drawn.

A model that draws frame after frame says before each of them how likely every outcome is. With the
frames known, as they are in training, all of that is worked out at once (`Loop.teacher`):

    net reads   |  0      y0          y1               ...
    loss        |  -ln p(y0)  -ln p(y1 | y0)  -ln p(y2 | y0, y1) ...

A loop that draws sound learns from data such as `crops`, one that draws the latents of another
model from `latents`.

Two things teach it to live with its own draws, which that loss never shows it: a past that is
partly drawn (`scheduled_sampling.py`), and discriminators that hear what it draws by itself
(`free_running.py`, `gan.py`). Validation has neither.
"""

from __future__ import annotations

from math import log
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional as F

from engine.description import GENERATE
from engine.errors import ConfigError, TudorError
from engine.layers import LogisticMixture
from engine.models.base import Model
from engine.models.looped import Looped
from training.data.base import Batch, Shard
from training.objectives.adversarial import GanConfig
from training.objectives.base import Moment, Terms
from training.objectives.disturbed import dropped, mu_law_steps, noisy, unconditional
from training.objectives.free_running import Asked, FreeRun, FreeRunConfig
from training.objectives.gan import HEARD, AdversarialObjective, GanSettings
from training.objectives.match import MATCHES
from training.objectives.relaxed import drawable
from training.objectives.scheduled_sampling import (
    ScheduledSamplingConfig,
    checked_sampling,
    own_past,
)
from training.settings import NotNegative, Unit

TARGETS = ("audio", "latents")  # of a batch: what is to be drawn, the first that is there
CONDITIONS = "conditions"  # of a batch: the method's input; 0 where there is none


class AutoregressiveSettings(GanSettings):
    """Keys of `[training]` of what draws frame by frame."""

    game = FreeRunConfig

    # A mixture draws numbers without steps; the likelihood is that of so many equal ones over its
    # range: 256 are 8 bits. Classes are steps already.
    levels: Annotated[int, Field(ge=2, le=1 << 24)] = 256
    companding: Literal["uniform", "mu-law"] = "uniform"  # of these steps
    condition_dropout: Unit = 0.1  # share of examples that are to be drawn without conditions
    input_noise: NotNegative = 0.3  # on the sound that is read back, in steps of 8-bit mu-law
    # A past that is partly drawn, and the second phase: tables of their own.
    scheduled_sampling: ScheduledSamplingConfig = ScheduledSamplingConfig()
    adversarial: FreeRunConfig | None = None

    @classmethod
    def names(cls) -> list[str]:
        inside = (f"scheduled_sampling.{key}" for key in ScheduledSamplingConfig.model_fields)
        return [*super().names(), *inside]

    @field_validator("adversarial", mode="before")
    @classmethod
    def _known_adversarial(cls, value: Any) -> GanConfig | None:
        return cls.game_of(value)

    @field_validator("scheduled_sampling", mode="before")
    @classmethod
    def _known_sampling(cls, value: Any) -> ScheduledSamplingConfig:
        return checked_sampling(value)


class AutoregressiveObjective(AdversarialObjective):
    """Takes batches with "audio" [batch, channels, samples] or "latents" [batch, channels, frames],
    perhaps with "conditions" [batch, in_channels, frames] beside them."""

    settings = AutoregressiveSettings
    watched = "bits_per_sample"
    first_phase = "likelihood"

    def __init__(self, model: Model, config: Any) -> None:
        self.method = drawing_method(model)
        super().__init__(model, config, model.methods[self.method].out_channels)
        if self.adversary is not None or config.scheduled_sampling.share:
            parts = Looped.of(model, self.method)
            assert parts is not None
            drawable(parts.draw)
            self._check_block(parts)

    def _check_block(self, parts: Looped) -> None:
        """An error for pieces of a window that are not whole blocks of the loop."""
        block = parts.loop.granularity * parts.method.out_ratio
        if self.adversary is not None and self.config.adversarial.gradient_samples % block:
            raise ConfigError("training.adversarial.gradient_samples must be a multiple of "
                              f"{block}, the samples of this model's smallest block (got "
                              f"{self.config.adversarial.gradient_samples})")

    def forward(self, batch: Batch, at: Moment) -> Terms:
        """The losses of a step of training."""
        asked = self.asked(batch, at.shard)
        terms = self._terms(self._log_likelihood(asked, self._read(asked, batch, at)))
        if self.adversary is None or not self.adversary.plays(at.step):
            return terms
        game: FreeRunConfig = self.config.adversarial
        made, real = self._windows(asked, game, at)
        if game.match_weight:
            apart = MATCHES[game.match_on](made[-game.windows :], real[-game.windows :],
                                           game.match_norm)
            terms = {**terms, "loss": terms["loss"] + game.match_weight * apart,
                     "match": apart.detach()}
        return {**terms, **dict(zip(HEARD, (made, real), strict=True))}

    def losses(self, batch: Batch, at: Moment) -> Terms:
        return self._terms(self.log_likelihood(batch))

    def _terms(self, found: Tensor) -> Terms:
        nats = -found.mean()
        return {"loss": nats, self.watched: nats.detach() / log(2)}

    def watch(self, terms: Terms) -> float:
        return float(terms[self.watched])

    def log_likelihood(self, batch: Batch) -> Tensor:
        """Nats of each number that is to be drawn [batch, channels, frames], given those before."""
        asked = self.asked(batch)
        return self._log_likelihood(asked, asked.drawn)

    def asked(self, batch: Batch, shard: Shard | None = None) -> Asked:
        """What a batch wants to be drawn; `shard`: with conditions dropped by its chance.
        Conditions reach the loop late; what is drawn then is what belongs to them."""
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
        drawn = parts.drawn(F.pad(wanted, (self._late, 0))[:, :, : wanted.shape[2]])
        return Asked(parts, x, drawn, self.model.default_attributes())

    @property
    def _late(self) -> int:
        spec = self.model.methods[self.method]
        return spec.lookahead_samples // spec.out_ratio

    def _read(self, asked: Asked, batch: Batch, at: Moment) -> Tensor:
        """What the net is told was drawn: in part its own, with noise on sound."""
        past = own_past(self.config.scheduled_sampling, asked, at.progress, at.shard)
        if "audio" not in batch:
            return past
        return noisy(past, asked.parts.draw, self.config.input_noise, at.shard)

    def _log_likelihood(self, asked: Asked, past: Tensor) -> Tensor:
        """After a past that need not be what is to be drawn."""
        given = asked.parts.given(asked.x, past, asked.attributes)
        given = given if given.dtype == torch.float64 else given.float()
        draw, drawn, levels = asked.parts.draw, asked.drawn, self.config.levels
        if isinstance(draw, LogisticMixture) and self.config.companding == "mu-law":
            found = draw.log_prob_between(given, *mu_law_steps(drawn, levels))
        elif isinstance(draw, LogisticMixture):
            found = draw.log_prob(given, drawn, 2 * draw.limit / (levels - 1))
        else:
            found = draw.log_prob(given, drawn)
        return found[:, :, self._late :]

    def _windows(self, asked: Asked, game: FreeRunConfig, at: Moment) -> tuple[Tensor, Tensor]:
        """For each step of the discriminators windows of their own, made and real; the examples
        take turns."""
        count = game.windows * game.discriminator_steps
        rows = torch.arange(count, device=asked.drawn.device) % len(asked.drawn)
        each = asked.parts.method.out_ratio  # samples of a frame
        run = FreeRun(asked.parts, game.window_samples // each, game.gradient_samples // each,
                      game.tau)
        with torch.autocast(asked.drawn.device.type, enabled=False):
            return run.windows(asked.of(rows), game.windows, at.shard)


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
