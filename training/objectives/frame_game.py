"""The objective "frame_game": frames of a spectrogram that a discriminator takes for recorded ones
of what was asked for. The game is that of `adversarial.py`; here is what is played with.

    conditions, z -> model -> tone, noise -> |e^tone + e^noise g| -> discriminators <- recorded

g is the spectrum of white noise (`frame_spectra.py`): what is judged has the grain of what will be
heard.

With `reconstruction` another network says which z a recorded stroke has (`stroke_encoder.py`), and
the model learns to make that stroke of it, by the energy score (`energy.py`) of log-magnitudes, bin
by bin and band by band: two draws differ by their noise. Before `adversarial.start` this is all.

    recorded -> encoder -> z, conditions -> model -> heard <-> recorded

Mode seeking (Mao et al. 2019): two draws of z for the same conditions should differ. Both get the
same noise for frames and for g, or that alone would make them differ.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional as F

from engine.errors import ConfigError
from engine.models.base import Model
from engine.models.frames import SPAN
from engine.models.spectrogram_gan import SpectrogramGAN
from engine.models.spectrogram_gan_config import TEMPERATURE
from engine.scores.conditions import PITCH
from training.data.base import Batch, Shard
from training.objectives.adversarial import GanConfig, WholeGameConfig
from training.objectives.base import Moment, Terms, Validation
from training.objectives.discriminators import Build
from training.objectives.frame_discriminators import FRAME_DISCRIMINATORS, BandFeatures
from training.objectives.frame_spectra import (
    FrameSpectra,
    heard_power,
    power_with_noise,
    scaled,
)
from training.objectives.gan import AdversarialObjective, GanSettings
from training.objectives.gan_losses import mode_seeking
from training.objectives.harmonic_spectra import HarmonicSpectra, Lines
from training.objectives.stroke_encoder import StrokeEncoder, divergence, drawn, of_strokes
from training.settings import NotNegative, Unit

AGES = (8.0, 48.0)  # frames in which what tells a stroke's age falls to 1/e
LEAST_DISTANCE = 1e-2  # of two draws, in scaled log-magnitudes
MOST_STROKES = 4  # of a crop that differ in z; those after share the last one's
LISTENED = 6  # strokes of a validation that can be listened to


class FrameGameConfig(WholeGameConfig):
    """`[training.adversarial]` of frames: crops are heard whole."""

    known: ClassVar[dict[str, Build]] = FRAME_DISCRIMINATORS

    discriminators: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ("bands",)
    width: Annotated[int, Field(ge=1, le=512)] = 24
    betas: Annotated[tuple[Unit, Unit], Field(strict=False)] = (0.0, 0.99)

    def told(self) -> str:
        return "on log-magnitudes"


class FrameGameSettings(GanSettings):
    """Keys of `[training]`."""

    game = FrameGameConfig

    mode_seeking: NotNegative = 0.003  # against the adversarial loss
    # How often a class, and as often a subclass, is not said: nothing asked for is any.
    condition_dropout: Unit = 0.1
    reconstruction: NotNegative = 0.0  # weight of making recorded strokes again; 0: the game alone
    kl_weight: NotNegative = 0.002  # of a nat of what z says of a stroke, against `reconstruction`
    adversarial: FrameGameConfig | None = FrameGameConfig()

    @field_validator("adversarial", mode="before")
    @classmethod
    def _known_adversarial(cls, value: Any) -> GanConfig | None:
        return cls.game_of(value)


class FrameGameObjective(AdversarialObjective):
    """Takes batches of data `hits`."""

    settings = FrameGameSettings
    first_phase = "reconstruction"
    watched = "spectra"
    model: SpectrogramGAN

    def __init__(self, model: Model, config: Any) -> None:
        if not isinstance(model, SpectrogramGAN):
            raise ConfigError(f"family {model.family!r} makes no frames of log-magnitudes; this "
                              "objective is for spectrogram_gan")
        if config.adversarial is None or not config.adversarial.on:
            raise ConfigError("training.adversarial.on is false: without the game there is nothing "
                              "to learn")
        shape = model.config
        if shape.voices:
            raise ConfigError("model.voices names voices to be played by, which is for export "
                              "(--voices); one voice is trained: leave it out")
        super().__init__(model, config, shape.bins, len(shape.asked) + len(AGES))
        self.spectra = FrameSpectra(shape)
        self.harmonics = HarmonicSpectra(shape) if shape.pitched else None
        self.encoder: StrokeEncoder | None = None
        if config.reconstruction:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed + 2)
                self.encoder = StrokeEncoder(shape.bins, shape.z)

    def losses(self, batch: Batch, at: Moment) -> Terms:
        rows, real = batch["rows"], self.spectrum(batch["audio"])
        lines = self.lines(rows)  # the same for all that is made of these notes
        if self.encoder is None:
            return self.played_terms(rows, real, lines, at)
        terms = self.learnt_terms(self.encoder, rows, real, lines, at)
        if self.adversary is not None and self.adversary.plays(at.step):
            game = self.played_terms(rows, real, lines, at)
            terms = {**terms, **game, "loss": terms["loss"] + game["loss"]}
        return terms

    def learnt_terms(self, encoder: StrokeEncoder, rows: Tensor, real: Tensor,
                     lines: Lines | None, at: Moment) -> Terms:
        """How well recorded strokes are made again, of z that is heard in them."""
        number = strokes_before(rows[:, 0])
        mean, log_std = encoder(real, number, ages(rows[:, 0]), MOST_STROKES)
        kl = divergence(mean, log_std, of_strokes(number, MOST_STROKES).any(dim=2))
        z = drawn(mean, log_std, at.shard.draw(torch.randn, mean.shape, device=rows.device))
        asked, bands = self.placed(rows, z.transpose(1, 2)), encoder.features
        told = self.model.told_of(asked, self.attributes(rows))
        one = self.made(told, lines, self.white(rows, at.shard))
        with torch.no_grad():  # both draws have the same gradients in the mean
            again = self.model.told_of(asked, self.attributes(rows))
            other = self.made(again, lines, self.white(rows, at.shard))
        distance = sum((a - b).abs().mean() - (a - c).abs().mean() for a, b, c in (
            (one, real, other), (bands(one), bands(real), bands(other))))
        assert isinstance(distance, Tensor)
        return {"loss": self.config.reconstruction * (distance + self.config.kl_weight * kl),
                "reconstruction": distance, "kl": kl}

    def played_terms(self, rows: Tensor, real: Tensor, lines: Lines | None, at: Moment) -> Terms:
        """What the discriminators hear, and how far two draws of z lie apart."""
        rows = self.conditions(rows, at.shard)
        told = self.model.told_of(self.with_z(rows, at.shard), self.attributes(rows))
        grain = self.white(rows, at.shard)
        made = self.made(told, lines, grain)
        terms = {"loss": made.new_zeros(()), "output": made,
                 "target": real, "told": self.told(rows)}
        weight = self.config.mode_seeking
        if weight and self.training:
            half = max(1, len(rows) // 2)
            other = self.model.told_of(self.with_z(rows, at.shard)[:half],
                                       self.attributes(rows[:half]))
            other = self.model.with_noise_of(other, told[:half])
            again = self.made(other, lines.first(half) if lines else None, grain[:half])
            terms["mode_seeking"] = mode_seeking(made[:half], again)
            terms["loss"] = weight * terms["mode_seeking"]
        return terms

    def watch(self, terms: Terms) -> float:
        """No loss of a game falls, so none that rises is a sign that it goes wrong; numbers that
        are not finite are looked for anyway."""
        return 0.0

    # --- validation -------------------------------------------------------------------------

    @torch.no_grad()
    def validate(self, model: Model, batches: Any) -> Validation:
        """How far the statistics of what is made are from those of what was held out: of each band
        at each age the mean and the spread over strokes, mean difference in nepers."""
        assert isinstance(model, SpectrogramGAN)
        own, self.model = self.model, model
        try:
            pairs, sounds, fixed = [], dict[str, Tensor](), dict[str, Tensor]()
            for batch in batches:
                rows = self.with_z(batch["rows"], Shard())
                told = model.told_of(rows, self.attributes(rows))
                made = self.made(told, self.lines(rows), self.white(rows, Shard()))
                pairs.append((made, self.spectrum(batch["audio"])))
            rows = self.with_z(batches[0]["rows"][:LISTENED], Shard())
            audio = model.offline(model.main.name, rows, **self.attributes(rows))
        finally:
            self.model = own
        for index, (one, real) in enumerate(zip(audio, batches[0]["audio"], strict=False)):
            sounds[f"made_{index + 1}"], fixed[f"held_out_{index + 1}"] = one, real
        made, real = (torch.cat(side) for side in zip(*pairs, strict=True))
        return Validation({"spectra": SPAN * float(apart(made, real))}, sounds, fixed)

    # --- what is played with ----------------------------------------------------------------

    def conditions(self, rows: Tensor, shard: Shard) -> Tensor:
        """`rows` with some classes and subclasses not said, by example."""
        shape = self.model.config
        share = self.config.condition_dropout if self.training else 0.0
        rows = rows.clone()
        first = 1 + len(shape.asked) - len(shape.classes) - len(shape.subclasses)
        for count in (len(shape.classes), len(shape.subclasses)):
            said = shard.draw(torch.rand, (len(rows), 1, 1), device=rows.device) >= share
            rows[:, first : first + count] *= said
            first += count
        return rows

    def with_z(self, rows: Tensor, shard: Shard) -> Tensor:
        """`rows` with a z for each stroke, normal."""
        shape = (len(rows), self.model.config.z, MOST_STROKES)
        return self.placed(rows, shard.draw(torch.randn, shape, device=rows.device))

    def placed(self, rows: Tensor, z: Tensor) -> Tensor:
        """`rows` with the z [batch, z, strokes] of each frame's stroke."""
        place = strokes_before(rows[:, 0]).clamp(0, z.shape[2] - 1)[:, None]
        return torch.cat((rows[:, : -z.shape[1]], z.gather(2, place.expand(-1, z.shape[1], -1))),
                         dim=1)

    def attributes(self, rows: Tensor) -> dict[str, Tensor]:
        """z is given: nothing is added to it."""
        return {**self.model.default_attributes(), TEMPERATURE: rows.new_zeros(1)}

    def told(self, rows: Tensor) -> Tensor:
        """What discriminators know: what was asked for at the last gate, and how old that is."""
        asked = rows[:, 1 : 1 + len(self.model.config.asked)]
        age = ages(rows[:, 0])[:, None]
        return torch.cat((asked, *(torch.exp(-age / fall) for fall in AGES)), dim=1)

    def spectrum(self, audio: Tensor) -> Tensor:
        """Scaled log-magnitudes [batch, bins, frames] of recorded audio [batch, 1, samples]."""
        return scaled(self.spectra.magnitudes(audio).square())

    def lines(self, rows: Tensor) -> Lines | None:
        """Where harmonics of notes lie; None for strokes, which have none."""
        if self.harmonics is None:
            return None
        pitch = rows[:, 1 + self.model.config.asked.index(PITCH)]
        return self.harmonics.lines(pitch, strokes_before(rows[:, 0]))

    def made(self, told: Tensor, lines: Lines | None, white: Tensor) -> Tensor:
        """Scaled log-magnitudes of what will sound of what the network is `told`, notes with their
        harmonics at `lines`, with the grain of `white`; notes begin with phases of its own."""
        tone, noise = self.model.frames_of(told)
        if self.harmonics is None or lines is None:
            return scaled(heard_power(tone, noise, white))
        starts = white[:, :MOST_STROKES, 0].angle()
        real, imaginary = self.harmonics(tone, lines, starts)
        return scaled(power_with_noise(real, imaginary, noise, white))

    def white(self, rows: Tensor, shard: Shard) -> Tensor:
        """Frames of white noise, as many as there are `rows`."""
        return self.spectra.white(len(rows), rows.shape[2], shard)


def strokes_before(gate: Tensor) -> Tensor:
    """Number of the stroke that each frame belongs to, -1 before the first: int64, as `gate`."""
    up = gate > 0.5
    rising = up & ~F.pad(up, (1, 0))[:, :-1]
    return rising.long().cumsum(dim=1) - 1


def ages(gate: Tensor) -> Tensor:
    """Frames since the last gate, as `gate` [batch, frames]; many before the first."""
    number = strokes_before(gate)
    place = torch.arange(gate.shape[1], device=gate.device).expand_as(number)
    begun = F.pad(number, (1, 0), value=-1)[:, :-1] != number
    last = torch.where(begun, place, place.new_zeros(())).cummax(dim=1).values
    return torch.where(number >= 0, place - last, place.new_full((), 4095)).to(gate.dtype)


def apart(made: Tensor, real: Tensor) -> Tensor:
    """Mean difference of the means and of the spreads over strokes, of bands [batch, bins, frames].
    """
    mean = BandFeatures(made.shape[1]).mean.to(made)
    bands = [mean @ x for x in (made, real)]
    means = bands[0].mean(dim=0) - bands[1].mean(dim=0)
    spreads = bands[0].std(dim=0) - bands[1].std(dim=0)
    return means.abs().mean() + spreads.abs().mean()
