"""What networks of pictures learn, from the parts that sound is trained with: regularisers, the
adversarial game, mode seeking. Batches hold "image" [batch, 1, side, side] of 0 to 1 and "label".
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, SerializeAsAny, field_validator
from torch import Tensor
from torch.nn import functional as F

from engine.models.base import Model
from training.data.base import Batch
from training.images.networks import (
    PICTURE_DISCRIMINATORS,
    Autoencoder,
    Generator,
    PictureJudge,
)
from training.objectives import regularisers
from training.objectives.adversarial import GanConfig, WholeGameConfig
from training.objectives.base import Moment, Objective, Terms
from training.objectives.discriminators import Build
from training.objectives.gan import AdversarialObjective, GanSettings
from training.objectives.gan_losses import mode_seeking
from training.objectives.regularisers import KLConfig, RegulariserConfig, build_regulariser
from training.run.common_config import CommonConfig
from training.settings import NotNegative

NOISE, SHIFT = 0.05, 1  # on what the classifier learns from: spread, and pixels to each side


class ClassifySettings(CommonConfig):
    """Keys of a run that learns classes."""


class Classify(Objective):
    """Cross-entropy of classes; pictures are moved by a pixel and have noise."""

    model: PictureJudge

    def losses(self, batch: Batch, at: Moment) -> Terms:
        x = moved(batch["image"], SHIFT)
        logits, _ = self.model.net(x + NOISE * torch.randn_like(x))
        loss = F.cross_entropy(logits, batch["label"])
        right = (logits.detach().argmax(dim=1) == batch["label"]).float().mean()
        return {"loss": loss, "accuracy": right}


class CodeSettings(CommonConfig):
    """Keys of a run that learns latents."""

    regulariser: SerializeAsAny[RegulariserConfig] = KLConfig()

    @field_validator("regulariser", mode="before")
    @classmethod
    def _known_regulariser(cls, value: Any) -> RegulariserConfig:
        return regularisers.checked(value)


class Code(Objective):
    """Cross-entropy of grey levels, in nats over the number of pixels, and a regulariser."""

    model: Autoencoder

    def __init__(self, model: Model, config: Any) -> None:
        super().__init__(model, config)
        self.regulariser = build_regulariser(config.regulariser)

    def losses(self, batch: Batch, at: Moment) -> Terms:
        x = batch["image"]
        mean, log_std = self.model.distribution(x)
        z = mean + torch.exp(log_std) * at.shard.draw(torch.randn, mean.shape)
        nats = cross_entropy(self.model.logits(z), x).mean()
        penalty, figures = self.regulariser.penalty(mean, log_std, z)
        loss = nats / x[0].numel() + self.regulariser.weight(at.step) * penalty
        return {"loss": loss, "cross_entropy": nats.detach(), **figures}


class PictureGameConfig(WholeGameConfig):
    """The game on whole pictures, from the first step on."""

    known: ClassVar[dict[str, Build]] = PICTURE_DISCRIMINATORS
    others: ClassVar[bool] = True  # each step of the discriminators sees other pictures

    discriminators: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ("strided",)
    width: Annotated[int, Field(ge=1, le=512)] = 16

    def told(self) -> str:
        return "on pictures"


class PictureGameKeys(GanSettings):
    """Keys of the game."""

    game = PictureGameConfig

    mode_seeking: NotNegative = 0.0  # against the adversarial loss
    # Share of what the discriminators are shown as made that is real, but of another class than
    # the one asked for (Reed et al. 2016): without it they learn late that a class was asked for.
    mismatched: Annotated[float, Field(ge=0, le=0.5)] = 0.25
    adversarial: PictureGameConfig | None = PictureGameConfig()

    @field_validator("adversarial", mode="before")
    @classmethod
    def _known_adversarial(cls, value: Any) -> GanConfig | None:
        return cls.game_of(value)


class PictureGameSettings(PictureGameKeys, CommonConfig):
    """Keys of a run that plays it."""


class PictureGame(AdversarialObjective):
    """Pictures that discriminators take for real ones, of the class that was asked for."""

    first_phase = "nothing"
    model: Generator

    def __init__(self, model: Model, config: Any) -> None:
        assert isinstance(model, Generator)
        super().__init__(model, config, model.config.side, model.config.classes)

    def losses(self, batch: Batch, at: Moment) -> Terms:
        real, labels = batch["image"], batch["label"]
        shape = (len(real), self.model.config.latents)
        z = at.shard.draw(torch.randn, shape)
        made = self.model.made(z, labels)
        terms: Terms = {"loss": made.new_zeros(()), "output": made, "target": real}
        told = self.model.told(labels)
        if told is not None:
            terms["told"] = told
            terms["output"] = with_mismatched(made, real, labels, self.config.mismatched)
        if self.config.mode_seeking:
            half = max(2, len(real) // 2)
            again = self.model.made(at.shard.draw(torch.randn, (half, shape[1])), labels[:half])
            terms["mode_seeking"] = mode_seeking(made[:half], again)
            terms["loss"] = self.config.mode_seeking * terms["mode_seeking"]
        return terms

    def watch(self, terms: Terms) -> float:
        """No loss of a game falls, so none that rises is a sign that it goes wrong."""
        return 0.0


def cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    """Nats of each picture [batch] of 0 to 1, each pixel the probability of white."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(dim=1)


def with_mismatched(made: Tensor, real: Tensor, labels: Tensor, share: float) -> Tensor:
    """Pictures that were made, a share of them, evenly spread, replaced by the next real one of the
    batch that is of another class than asked for. To these no generator is a party: the gradient of
    its loss does not know them."""
    count = len(labels)
    places = torch.arange(int(share * count)) * count // max(1, int(share * count))
    others = (places[:, None] + torch.arange(1, count)) % count
    differs = labels[others] != labels[places, None]  # [places, others]
    some = differs.any(dim=1)  # there may be one class alone
    nearest = others.gather(1, differs.int().argmax(dim=1, keepdim=True))[:, 0]
    shown = made.clone()
    shown[places[some]] = real[nearest[some]]
    return shown


def moved(x: Tensor, most: int) -> Tensor:
    """Pictures, all moved by the same few pixels; what comes in is black."""
    side = x.shape[-1]
    down, right = (int(torch.randint(2 * most + 1, ())) for _ in range(2))
    return F.pad(x, [most] * 4)[..., down : down + side, right : right + side]
