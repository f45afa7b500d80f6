"""The objective "loop_plan": a code for a stretch of latents, and a plan that makes them of it
(document 003, section 4.2).

    windows -> posterior of the code -> drawn -> conditions -> plan -> mean, log_std of latents

What the plan should make likely can be said in three ways (`loss_on`):

    samples      -ln N(z; mean, std) of latents z drawn from the coder's posterior
    means        the same of the posterior's means
    posteriors   KL of the coder's posterior from the plan's

The first and the last are one objective: in the mean over z the first is the last and the entropy
of the posterior, which no weight of this model changes; drawing z only makes its gradient noisier.

Beside the latents a plan tells how loud each band of sound is in every frame, by a layer that only
training has: latents also hold how waves lie, which no code can say, and without it the little
that a listener follows is a small part of the likelihood. A code says nothing that knobs say: what
the two have in common, over the last batches, is a loss. So is how far a plan is from knobs that
were swapped for those of another loop (`loop_knobs`).

The length of the code is drawn for every batch: one for a window, or 2, 4, ... of them.
"""

from __future__ import annotations

from math import log, pi
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.layers import Conv1d
from engine.layers.fixed import folded, unfolded
from engine.models.base import Model
from engine.models.loops import LoopModel
from engine.models.loops_config import STYLE
from engine.models.loops_parts import LOG_STD_RANGE, NORMAL_TO_UNIFORM
from engine.scores.loops import CODE, KNOBS
from training.data.band_levels import BANDS
from training.data.base import Batch
from training.objectives.base import Moment, Objective, Terms
from training.objectives.loop_knobs import KnobReader, knobs_of, swapped
from training.settings import NotNegative, Settings, Unit

MEMORY = 0.99  # of how codes were spread over the last batches


class PlanSettings(Settings):
    """Keys of `[training]` of what plans loops."""

    loss_on: Literal["samples", "means", "posteriors"] = "samples"
    code_weight: NotNegative = 1.0  # of what codes carry beside what they explain, both in nats
    code_free_bits: NotNegative = 0.1  # nats of each number of a code that cost nothing
    # How often the code is a single point; every longer one is half as likely as the one before.
    point_share: Annotated[float, Field(gt=0, le=1)] = 0.4
    knob_dropout: Unit = 0.05  # share of examples in which a knob is not said
    style_dropout: Unit = 0.3  # the same of the style
    band_weight: NotNegative = 1.0  # of how loud bands are, in nats
    knob_code_weight: NotNegative = 4.0  # of squared correlations of codes and knobs
    obedience: NotNegative = 12.0  # of how far plans are from swapped knobs, in squared knobs
    # Against knowing windows by heart, of which a folder has few: noise on them in standard
    # deviations, and the share of numbers that is left out between the encoder's layers.
    window_noise: NotNegative = 0.5
    window_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    # Share of a window's latents, and of its frames in one stretch, that are left out at most.
    window_mask: Unit = 0.0
    # Noise on codes, in parts of how far they spread: however they are found, each number says at
    # most ln(1 / code_noise) nats, and what lies near is a loop that is like it.
    code_noise: NotNegative = 0.0


class PlanObjective(Objective):
    """Takes batches of data `loops`."""

    settings = PlanSettings
    watched = "nats_per_frame"
    model: LoopModel
    shared: Tensor  # correlations of codes and knobs, over the last batches
    knob_mean: Tensor  # of the rows that were learnt from

    def __init__(self, model: Model, config: Any) -> None:
        if not isinstance(model, LoopModel):
            raise ConfigError(f"family {model.family!r} makes no loops; this objective trains "
                              "those that do")
        super().__init__(model, config)
        shape = model.config
        self.bands = Conv1d(shape.width, shape.chunk * BANDS, 1)
        self.band_log_std = nn.Parameter(torch.zeros(BANDS))
        self.reader = KnobReader(shape)
        self.register_buffer("shared", torch.zeros(shape.codes, len(KNOBS)))
        self.register_buffer("knob_mean", torch.zeros(len(KNOBS)))

    def losses(self, batch: Batch, at: Moment) -> Terms:
        return self.planned(batch, self.level(at))[0]

    def level(self, at: Moment) -> int:
        """The length of a step's codes: drawn in training, else a single point."""
        if not self.training:
            return self.model.config.levels
        return self.drawn_level(at.shard.draw(torch.rand, (1,)))

    def drawn_level(self, at: Tensor) -> int:
        """A length of the code, as the level of its encoder: the highest is a single point."""
        most, share = self.model.config.levels, self.config.point_share
        left = float(at.flatten()[0])
        for level in range(most, 0, -1):
            if left < share:
                return level
            left -= share
            share /= 2
        return 0

    def planned(self, batch: Batch, level: int) -> tuple[Terms, Tensor, Tensor, Tensor, Tensor]:
        """The losses; then features, plans, standardised latents to be made, and what the plan
        leaves open of these, in its standard deviations; each [batch, channels, chunks]."""
        model, config = self.model, self.config
        rows, kl, shared = self.conditions(batch, level)
        told, plan, mean, log_std = model.planned(rows)
        aim, spread = self.standard(batch)
        size = model.config.chunk
        z = folded(aim + spread * torch.randn_like(aim), size)
        known, wide = folded(aim, size), folded(spread, size)
        distance = {
            "samples": (z - mean).square(), "means": (known - mean).square(),
            "posteriors": (known - mean).square() + wide.square(),
        }[config.loss_on]
        nats = 0.5 * distance * torch.exp(-2 * log_std) + log_std
        nats = nats + (-wide.log() - 0.5 if config.loss_on == "posteriors" else 0.5 * log(2 * pi))
        frames = size << level  # for a code
        per_frame = nats.sum(dim=1).mean() / size
        free = kl.clamp_min(config.code_free_bits).sum(dim=1)
        code = free.mean() / frames
        bands, heard = self._bands(plan, batch["levels"])
        loss = (per_frame + config.code_weight * code + config.band_weight * bands
                + config.knob_code_weight * shared)
        terms = {"loss": loss, "nats_per_frame": per_frame, "code_nats": kl.sum(dim=1).mean(),
                 "explained": 1 - (z - mean).square().mean() / z.square().mean(),
                 "heard": heard, "knobs_in_code": self.shared.square().sum()}
        if config.obedience:
            read, missed = self._obeyed(batch["rows"], rows, z)
            terms |= {"loss": loss + read + config.obedience * missed,
                      "knobs_missed": missed, "knobs_misread": read}
        return terms, told, plan, z, (z - mean) * torch.exp(-log_std)

    def _bands(self, plan: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Nats a frame of how loud bands are, and which part of it is explained; `levels`
        [batch, BANDS, frames]."""
        size = self.model.config.chunk
        aim = folded(levels, size)
        missed = (aim - self.bands(plan, ())[0]).square()
        log_std = self.band_log_std.clamp(*LOG_STD_RANGE).repeat(size)[:, None]
        nats = 0.5 * missed * torch.exp(-2 * log_std) + log_std
        return nats.sum(dim=1).mean() / size, 1 - missed.mean() / aim.square().mean()

    def _obeyed(self, real: Tensor, rows: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean squared errors of what is read of real latents `z`, whose rows are `real`, and of
        plans of `rows` with swapped knobs: 1 where nothing is read."""
        shape = self.model.config
        said = self.reader(unfolded(z, shape.chunk))
        read = (said - knobs_of(real, shape)).square().mean()
        rows, knobs = swapped(rows, shape)
        _, _, mean, log_std = self.model.planned(rows)
        drawn = mean + log_std.exp() * torch.randn_like(mean)
        judged = self.reader.judging(unfolded(drawn, shape.chunk))
        return read, (judged - knobs).square().mean()

    def standard(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Standardised means and standard deviations of the coder's posterior, as in `batch`."""
        heard = self.model.heard
        scale = heard.weight[:, 0]
        mean = heard(batch["mean"], ())[0]
        return mean, (batch["log_std"].exp() * scale).clamp_min(1e-4)

    def conditions(self, batch: Batch, level: int) -> tuple[Tensor, Tensor, Tensor]:
        """Rows [batch, conditions, chunks] with codes drawn for their windows and some knobs not
        said; nats of each number of the codes [codes of the batch, codes]; what codes and knobs
        have in common, a scalar."""
        model, config = self.model, self.model.config
        rows = batch["rows"].clone()
        windows = batch["windows"]
        count, bars = windows.shape[:2]
        z = model.heard(windows.flatten(0, 1), ())[0]
        if self.training:
            z = z + self.config.window_noise * torch.randn_like(z)
            if self.config.window_mask:
                z = z * _kept(z, self.config.window_mask)
        # [batch * bars, codes, codes in a window]
        mean, log_std = model.windows(z, level, self.config.window_dropout)
        drawn = mean + log_std.exp() * torch.randn_like(mean)
        whiten: Any = model.windows.whiten[level]
        if self.training:
            self._follow(whiten, mean, log_std)
        normal = whiten(drawn, ())[0]
        if self.training and self.config.code_noise:
            noise = self.config.code_noise * torch.randn_like(normal)
            normal = (normal + noise) / (1 + self.config.code_noise**2) ** 0.5
        shared = self._shared(normal.mean(dim=2).unflatten(0, (count, bars))[:, 0],
                              knobs_of(rows, config))
        uniform = torch.tanh(NORMAL_TO_UNIFORM * normal)
        inside = uniform.shape[2]  # codes in a window
        which = (batch["since"] // (config.chunk << level)).clamp_max(inside - 1)
        place = batch["bar"] * inside + which  # [batch, chunks]
        codes = uniform.unflatten(0, (count, bars)).transpose(2, 3).flatten(1, 2)
        at = config.place(CODE)
        chosen = codes.gather(1, place[..., None].expand(-1, -1, config.codes))
        rows[:, at : at + config.codes] = chosen.transpose(1, 2)
        self._knobs(rows, batch["style"])
        kl = 0.5 * (mean.square() + torch.exp(2 * log_std) - 1) - log_std
        real = batch["bar"].amax(dim=1)[:, None] >= torch.arange(bars, device=kl.device)
        return rows, kl.transpose(1, 2).unflatten(0, (count, bars))[real].flatten(0, 1), shared

    def _shared(self, codes: Tensor, knobs: Tensor) -> Tensor:
        """`codes` [batch, codes] and `knobs` [batch, knobs], both about 0 with variance 1: a
        scalar whose gradient is that of their squared correlations over the last batches (one
        batch is too small to tell them from chance)."""
        here = codes.T @ (knobs - self.knob_mean) / len(knobs)
        if self.training:
            with torch.no_grad():
                self.shared.lerp_(here, 1 - MEMORY)
                self.knob_mean.lerp_(knobs.mean(dim=0), 1 - MEMORY)
        return 2 * (self.shared * here).sum()

    def _knobs(self, rows: Tensor, style: Tensor) -> None:
        """Style as a place on the map; some of what is said is taken back, by example."""
        config = self.model.config

        def said(share: float) -> Tensor:
            share = share if self.training else 0.0
            return (torch.rand(len(rows), 1, device=rows.device) >= share).float()

        for label in KNOBS:
            rows[:, config.place(label)] *= said(self.config.knob_dropout)
        if config.styles:
            known = (style >= 0).float()[:, None] * said(self.config.style_dropout)
            places = self.model.style_places()[style.clamp_min(0)] * known
            at = config.place(STYLE[0])
            rows[:, at : at + len(STYLE)] = places[:, :, None]

    @torch.no_grad()
    def _follow(self, whiten: Any, mean: Tensor, log_std: Tensor) -> None:
        """Codes become standard normal over all that is learnt: the prior that knobs speak is met
        by what was learnt from (`WindowEncoder.whiten`)."""
        centre = mean.mean(dim=(0, 2))
        spread = (mean.var(dim=(0, 2), unbiased=False)
                  + torch.exp(2 * log_std).mean(dim=(0, 2))).sqrt()
        std = 1 / whiten.weight[:, 0, 0]
        middle = -whiten.bias * std
        std, middle = (MEMORY * old + (1 - MEMORY) * new
                       for old, new in ((std, spread), (middle, centre)))
        whiten.set(1 / std.clamp_min(1e-3), -middle / std.clamp_min(1e-3))


def _kept(z: Tensor, share: float) -> Tensor:
    """Zeros for some channels and one stretch of each example of `z` [batch, channels, frames],
    ones elsewhere: up to `share` of either (SpecAugment, Park et al. 2019)."""
    batch, channels, frames = z.shape
    strength, width, start = torch.rand(3, batch, 1, device=z.device)
    heard = torch.rand(batch, channels, device=z.device) >= share * strength
    wide = share * width * frames
    place = torch.arange(frames, device=z.device) - start * (frames - wide)
    gap = (place >= 0) & (place < wide)
    return (heard[:, :, None] & ~gap[:, None, :]).to(z.dtype)
