"""What whole clips learn by: the adversarial game of the house, mode seeking, and nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from engine.models.base import Model
from engine.models.frames import SPAN
from engine.scores.strokes import VELOCITY
from scripts.stroke_clips.model import StrokeClip
from training.data.base import Batch, Shard
from training.images.objectives import with_mismatched
from training.objectives.adversarial import GanConfig, WholeGameConfig
from training.objectives.base import Moment, Terms, Validation
from training.objectives.discriminators import SLOPE, Build, Opinion
from training.objectives.frame_spectra import FrameSpectra, scaled
from training.objectives.gan import AdversarialObjective, GanSettings
from training.objectives.gan_losses import mode_seeking
from training.settings import NotNegative, Unit

TIMES = 4  # parts of a clip that the last layer tells apart


class ClipDiscriminator(nn.Module):
    """One score for a clip [batch, bands, frames], and a projection on what was asked for (Miyato
    and Koyama 2018); spectral norms (Miyato et al. 2018)."""

    def __init__(self, bands: int, width: int, conditions: int) -> None:
        super().__init__()
        sizes = (1, width, 2 * width, 4 * width, 4 * width, 4 * width)
        self.layers = nn.ModuleList(spectral_norm(nn.Conv2d(before, after, 4, 2, 1))
                                    for before, after in pairwise(sizes))
        size = sizes[-1] * (bands >> len(self.layers)) * TIMES
        self.score = spectral_norm(nn.Linear(size, 1))
        # Without that norm: it would bind all classes together to what one of them may weigh.
        self.asked = nn.Linear(conditions, size, bias=False) if conditions else None
        if self.asked is not None:
            nn.init.normal_(self.asked.weight, 0.0, size**-0.5)

    def forward(self, heard: Tensor, told: Tensor | None = None) -> Opinion:
        x, features = heard[:, None], []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        h = F.adaptive_avg_pool2d(x, (x.shape[2], TIMES)).flatten(1)
        scores = self.score(h)
        if self.asked is not None and told is not None:
            scores = scores + (h * self.asked(told)).sum(dim=1, keepdim=True)
        return Opinion(scores, tuple(features))


class ClipGameConfig(WholeGameConfig):
    """`[training.adversarial]` of clips."""

    known: ClassVar[dict[str, Build]] = {
        "clips": lambda bands, width, conditions: [ClipDiscriminator(bands, width, conditions)]}
    others: ClassVar[bool] = True  # what is told has no time

    discriminators: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ("clips",)
    width: Annotated[int, Field(ge=1, le=512)] = 16

    def told(self) -> str:
        return "on whole clips"


class ClipGameSettings(GanSettings):
    """Keys of `[training]`, as of the voice of frames and of pictures."""

    game = ClipGameConfig

    mode_seeking: NotNegative = 0.003
    condition_dropout: Unit = 0.1  # how often a subclass is not said
    mismatched: Annotated[float, Field(ge=0, le=0.5)] = 0.25  # as of pictures
    adversarial: ClipGameConfig | None = ClipGameConfig()

    @field_validator("adversarial", mode="before")
    @classmethod
    def _known_adversarial(cls, value: Any) -> GanConfig | None:
        return cls.game_of(value)


class ClipGame(AdversarialObjective):
    """Takes batches of data `hits`, each crop one stroke from its first frame on."""

    settings = ClipGameSettings
    first_phase = "nothing"
    watched = "spectra"
    model: StrokeClip

    def __init__(self, model: Model, config: Any) -> None:
        assert isinstance(model, StrokeClip)
        super().__init__(model, config, model.bands.count, model.config.told)
        self.spectra = FrameSpectra(model.config)

    def losses(self, batch: Batch, at: Moment) -> Terms:
        real, told = self.spectrum(batch), self.told(batch, at.shard)
        made = self.model.made(self.drawn(len(real), at.shard), told)
        terms: Terms = {"loss": made.new_zeros(()), "output": made, "target": real}
        if told.shape[1]:
            classes = told[:, : len(self.model.config.classes)].argmax(dim=1)
            terms["told"] = told
            if len(real) > 1:
                terms["output"] = with_mismatched(made, real, classes,
                                                  self.config.mismatched)
        if self.config.mode_seeking:
            half = max(1, len(real) // 2)
            again = self.model.made(self.drawn(half, at.shard), told[:half])
            terms["mode_seeking"] = mode_seeking(made[:half], again)
            terms["loss"] = self.config.mode_seeking * terms["mode_seeking"]
        return terms

    def watch(self, terms: Terms) -> float:
        """No loss of a game falls, so none that rises is a sign that it goes wrong."""
        return 0.0

    @torch.no_grad()
    def validate(self, model: Model, batches: Any) -> Validation:
        """As of frames: means and spreads of each band at each time, over held-out strokes and what
        is made, mean difference in nepers."""
        assert isinstance(model, StrokeClip)
        real = torch.cat([self.spectrum(batch) for batch in batches])
        made = torch.cat([model.made(self.drawn(len(batch["rows"]), Shard()),
                                     model.told(batch["rows"][:, :, 0])) for batch in batches])
        apart = (real.mean(dim=0) - made.mean(dim=0)).abs().mean()
        apart = apart + (real.std(dim=0) - made.std(dim=0)).abs().mean()
        return Validation({"spectra": SPAN * float(apart)})

    # --- what is played with ----------------------------------------------------------------

    def drawn(self, count: int, shard: Shard) -> Tensor:
        """A z for each clip [count, z], normal."""
        return shard.draw(torch.randn, (count, self.model.config.z),
                          device=next(self.model.parameters()).device)

    def told(self, batch: Batch, shard: Shard) -> Tensor:
        """What is asked for [batch, told]; some subclasses are not said."""
        told = self.model.told(batch["rows"][:, :, 0]).clone()
        said = shard.draw(torch.rand, (len(told), 1), device=told.device)
        told[:, len(self.model.config.classes) :] *= said >= self.config.condition_dropout
        return told

    def spectrum(self, batch: Batch) -> Tensor:
        """Scaled log-magnitudes [batch, bands, frames] of recorded strokes, all as loud: a clip's
        level is its player's."""
        velocity = batch["rows"][:, 1 + self.model.config.asked.index(VELOCITY), 0]
        audio = batch["audio"] / velocity[:, None, None].clamp_min(1e-3)
        return scaled(self.model.bands.power(self.spectra.magnitudes(audio).square()))
