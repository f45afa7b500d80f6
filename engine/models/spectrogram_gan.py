"""A drum voice: a gate, what is to be struck, and frames of a spectrogram that become sound.

    gate ------------------------> note: what was asked for at the last gate, and the age since
    velocity, pitch, class and         |                     |
    subclass weights, z + noise -------+                 age table
                                       v                     |
        fresh noise every frame -> FiLM residual blocks <----+
                                       v
                        log-magnitudes of tone and of noise -> resynth -> x -> audio
                                                                          ^
                                           age -> silence before an onset +

A sound is heard `fft` samples after its gate. What a frame spreads over the time before, it must
not: there the stroke before it closes, and then nothing is heard.

A frame stands for `hop` samples, and its age begins anew at each gate. Weights of classes may be
mixed. A stroke is learnt over `frames`; what is older fades. Trained as the generator of a game
(Goodfellow et al. 2014) whose judges know what was asked for (Miyato and Koyama 2018). The two
magnitudes, one whose phase follows from peaks and one of random phase, are our own.
"""

from __future__ import annotations

from math import log2, pi
from typing import ClassVar

import torch
from torch import Tensor, nn

from engine.description import Attribute
from engine.layers import (
    Channels,
    Control,
    Conv1d,
    Embed,
    FilmStack,
    Fixed,
    Guard,
    LeakyReLU,
    NoiseMultiply,
    Parallel,
    Resynth,
    Sequence,
    Shapes,
    Streaming,
)
from engine.layers.base import Attributes, run_chain
from engine.models.base import Model
from engine.models.chain import Chain, Link
from engine.models.frames import SILENT, heads
from engine.models.latched import latched
from engine.models.pitched_frames import PITCHED, faded, followed, pitched, played
from engine.models.spectrogram_gan_config import ATTRIBUTES, SpectrogramGANConfig
from engine.models.stroke_voices import panel, unsaved, voice_ranges
from engine.scores.held_notes import notes_mapping
from engine.scores.strokes import DECAY, GRAIN, LATE, chosen_voices, voices_mapping

BUMPS, FALLS = 12, (2.0, 6.0, 16.0, 48.0)  # numbers that tell an age
OPENINGS = ("open", "closing", "opening")  # what the sound of a frame is multiplied with
OPENING_S = 0.0005


class SpectrogramGAN(Model):
    """Methods, of a row of conditions for every frame:

    generate      audio
    magnitudes    what becomes audio: log-magnitudes of tone, then of noise, in nepers; then how
                  far the sound is open, closing, opening
    """

    family: ClassVar[str] = "spectrogram_gan"
    config: SpectrogramGANConfig

    def __init__(self, config: SpectrogramGANConfig) -> None:
        super().__init__()
        self.config = config
        self.strokes = strokes(config)
        self.told = told(config)
        self.net = network(config)
        self.sound = sound(config)
        if config.voices:
            self.panel = unsaved(nn.ModuleList(panel(self)))

    def chains(self) -> dict[str, Chain]:
        labels, hop, count = self.config.labels, self.config.hop, len(self.config.voices)
        said = (*(f"{part} {n}" for part in ("tone", "noise") for n in range(self.config.bins)),
                *OPENINGS, *(PITCHED if self.config.pitched else ()))
        frames: tuple[Link, ...] = (
            Guard(len(labels)), ("strokes", self.strokes), ("told", self.told), ("net", self.net))
        sound: Streaming = self.sound
        if count:
            voices, sound = self.panel  # type: ignore[assignment]
            frames = (Guard(len(labels)), ("voices", voices))  # type: ignore[assignment]
            said = tuple(f"{name} of voice {k + 1}" for k in range(count)
                         for name in (*said, LATE))
        ranges = voice_ranges(labels) if count else ()
        return {
            "generate": Chain.of(*frames, ("sound", sound), inputs=labels, outputs=("audio",),
                                 in_ratio=hop, role="generate", ranges=ranges),
            "magnitudes": Chain.of(*frames, inputs=labels, outputs=said, in_ratio=hop,
                                   role="generate", ranges=ranges)}

    def mapping(self) -> str:
        config = self.config
        if config.pitched:
            return notes_mapping(config.labels, config.classes)
        return voices_mapping(config.labels, config.voices) if config.voices else ""

    def in_voices(self, said: str) -> SpectrogramGAN:
        found = chosen_voices(said, self.config.classes)
        made = SpectrogramGAN(self.config.model_copy(update={"voices": found}))
        made.load_state_dict(self.state_dict())
        return made.train(self.training)

    def declared_attributes(self) -> tuple[Attribute, ...]:
        return tuple(attribute for attribute in ATTRIBUTES
                     if attribute.name != GRAIN or not self.config.pitched)

    # --- what training asks for -------------------------------------------------------------

    def told_of(self, x: Tensor, attributes: Attributes) -> Tensor:
        """What the network is told [batch, numbers, frames] of conditions `x` [batch, labels,
        frames], from fresh state."""
        return self._played((self.strokes, self.told), x, attributes)

    def frames_of(self, told: Tensor) -> tuple[Tensor, Tensor]:
        """Log-magnitudes of tone and of noise, in nepers [batch, bins, frames] each."""
        both = self._played((self.net,), told, {})[:, : 2 * self.config.bins]
        tone, noise = both.chunk(2, dim=1)
        return tone, noise

    def with_noise_of(self, told: Tensor, other: Tensor) -> Tensor:
        """`told` with the fresh noise that `other` has, both as `told_of` gives them."""
        first = self.config.conditions
        last = first + self.config.fresh
        return torch.cat((told[:, :first], other[:, first:last], told[:, last:]), dim=1)

    @staticmethod
    def _played(layers: tuple[Streaming, ...], x: Tensor, attributes: Attributes) -> Tensor:
        state = tuple(part for layer in layers
                      for part in layer.init_state(len(x), x.dtype, x.device))
        return run_chain(layers, x, state, attributes)[0]


def strokes(config: SpectrogramGANConfig) -> Streaming:
    """Conditions -> what was asked for at the last gate, z with what is drawn for it, and age."""
    count = len(config.single)
    held = latched(config, count)
    if not config.pitched:
        return held
    return Parallel(held, followed(count, config.release), combine="concat")


def told(config: SpectrogramGANConfig) -> Streaming:
    """What was asked for, and age -> conditions, fresh noise, age in numbers, how far the stroke
    has faded, in nepers, and how far the sound is open. Of notes no noise, which would move their
    partials up and down with every frame, but `PITCHED`."""
    count, wide = len(config.single), config.conditions
    known = count - 1  # then age
    rows, fading = age_tables(config)
    count += len(PITCHED) * config.pitched
    age: Streaming = Sequence(
        Parallel(Channels(count, known, known + 1), Control(count, DECAY), combine="product"),
        _rows(rows) if config.pitched else Parallel(_rows(rows), _rows(fading), combine="concat"))
    if config.pitched:
        age = Parallel(age, faded(count), combine="concat")
    door = Sequence(Channels(count, known, known + 1), _rows(openings(config)))
    asked = Sequence(Channels(count, 0, known), Conv1d(known, wide, 1), LeakyReLU(wide),
                     Conv1d(wide, wide, 1), LeakyReLU(wide))
    if config.pitched:
        return Parallel(asked, age, door, pitched(count), combine="concat")
    fresh = Sequence(Control(count, GRAIN), Fixed(torch.ones(config.noise, 1, 1)),
                     NoiseMultiply(config.noise))
    return Parallel(asked, fresh, age, door, combine="concat")


def _rows(table: Tensor) -> Embed:
    """A number -> its row of a known table."""
    return Embed(len(table), table.shape[1], table)


def age_tables(config: SpectrogramGANConfig) -> tuple[Tensor, Tensor]:
    """Of each age in frames: bumps along its logarithm and what falls off at several speeds
    [ages, numbers]; nepers that are taken from every magnitude [ages, 1]. Rounded from float64, so
    that they are the same on every processor."""
    age = torch.arange(config.frames + config.fade, dtype=torch.float64)
    known = age.clamp_max(config.frames - 1)
    place = torch.log2(known + 1)[:, None]
    centres = torch.linspace(0, log2(config.frames), BUMPS, dtype=torch.float64)
    bumps = torch.exp(-((place - centres) / (centres[1] - centres[0])).square())
    falls = torch.exp(-known[:, None] / torch.tensor(FALLS, dtype=torch.float64))
    fading = ((age - config.frames + 1) / config.fade).clamp(0, 1)[:, None] * SILENT
    return torch.cat((bumps, falls), dim=1).float(), fading.float()


def network(config: SpectrogramGANConfig) -> Streaming:
    """What `told` gives -> log-magnitudes of tone, then of noise, in nepers; then how far the sound
    is open, and `PITCHED` of notes."""
    wide, width, size = config.conditions, config.width, BUMPS + len(FALLS)
    heard = wide + config.fresh + size
    count = heard + 1 + len(OPENINGS) + len(PITCHED) * config.pitched
    both = 2 * config.bins
    modulating = Conv1d(wide, 2 * width * len(config.dilations), 1)
    assert modulating.bias is not None
    with torch.no_grad():  # scales begin at 1
        modulating.weight.mul_(0.25)
        for index in range(len(config.dilations)):
            modulating.bias[2 * index * width : (2 * index + 1) * width] = 1.0
    stack = FilmStack(
        Sequence(Channels(count, 0, heard), Conv1d(heard, width, 1)),
        Sequence(Channels(count, 0, wide), modulating),
        list(config.dilations), config.kernel_size)
    louder = Sequence(stack, *heads(width, config.bins, config.noise_from))
    fading = Sequence(Channels(count, heard, heard + 1), Fixed(torch.ones(both, 1, 1)))
    return Parallel(Parallel(louder, fading), Channels(count, heard + 1, count), combine="concat")


def openings(config: SpectrogramGANConfig) -> Tensor:
    """Of each age in frames, how much of each of `OPENINGS` [ages, 3]. The window of a frame
    begins to sound a frame after its gate, and its onset lies in the window's last hop. What rang
    before has closed when it begins: nothing is heard ahead of an onset."""
    overlap = config.fft // config.hop
    table = torch.zeros(overlap + 2, len(OPENINGS))
    table[0, 1] = table[overlap, 2] = table[overlap + 1, 0] = 1
    return table


def sound(config: SpectrogramGANConfig) -> Streaming:
    """What `network` gives -> audio."""
    both = 2 * config.bins
    doors = both + len(OPENINGS)
    count = doors + len(PITCHED) * config.pitched
    resynth = Resynth(config.fft, config.hop)
    time = torch.arange(config.hop, dtype=torch.float64) + 0.5  # as in `age_tables`
    rise = (time / (OPENING_S * config.sample_rate_hz)).clamp(max=1)
    shapes = torch.stack((torch.ones_like(time), 0.5 + 0.5 * torch.cos(time * pi / config.hop),
                          0.5 - 0.5 * torch.cos(rise * pi)))
    whole = (played(config, resynth) if config.pitched
             else Sequence(Channels(count, 0, both), resynth))
    return Parallel(
        whole, Sequence(Channels(count, both, doors), Shapes(shapes, int(resynth.lookahead))),
        combine="product")
