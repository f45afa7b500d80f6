"""Parts of the models that draw sound sample by sample: their conditions, and what both are.

    pitch, gate, ..., loudness, free, class      conditions as a player gives them, a row in a while
      -> `rows`       gates of exactly 0 or 1, and whether anything is to sound at all; with
                      `period_taps` also periods of the pitches
      -> `Repeat`     a row for every sample
      -> `features`   a soft piano roll, gates, loudness -> a few channels
"""

from __future__ import annotations

from dataclasses import replace
from math import log

import torch
from torch import Tensor, nn

from engine.description import Attribute
from engine.layers import (
    Channels,
    Embed,
    Exp,
    Guard,
    Identity,
    LeakyReLU,
    Loop,
    Parallel,
    Sequence,
    Streaming,
    Tanh,
)
from engine.layers.fixed import Fixed, FixedEach, SharedProjection
from engine.layers.pitch import MIDDLE_C_HZ
from engine.models.autoregressive_config import AutoregressiveConfig
from engine.models.autoregressive_effect import Effect
from engine.models.autoregressive_heads import silent_class
from engine.models.base import Model
from engine.models.chain import Chain, Link

FAR = 512.0  # semitones: a pitch so far off is on no piano
ENDLESS = 12.0  # logarithm of so many times the period of the highest pitch is more than any
QUIETEST_BEL, LOUDEST_BEL = -8.0, 1.0  # between which loudness is told apart

ATTRIBUTES = (
    Attribute("temperature", 1, 1.0, 0.0, 4.0, "spread of what is drawn", ("",)),
    Attribute("top_p", 1, 1.0, 0.0, 1.0, "share of the likeliest classes", ("",)),
    Attribute("seed", 1, 0.0, 0.0, 16777215.0, "another number, another sound", ("",)),
)


class DrawingModel(Model):
    """A model whose method `generate` is a loop that draws sound, with conditions if it has voices;
    with `effect` it has `forward` too. A subclass makes `loop`, `sound` (from draws to audio) and
    what `conditioned` names."""

    config: AutoregressiveConfig
    loop: Loop
    sound: nn.ModuleList

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.config = config
        self.effect_layers = Effect(config) if config.effect else None

    def conditioned(self) -> tuple[Link, ...]:
        """What conditions go through before the loop, for a model with voices."""
        raise NotImplementedError

    def chains(self) -> dict[str, Chain]:
        config = self.config
        before = self.conditioned() if config.voices else ()
        links: tuple[Link, ...] = (Guard(len(config.labels)), *before, ("loop", self.loop),
                                   *self.sound)  # type: ignore[arg-type]
        chains = {"generate": Chain.of(
            *links, inputs=config.labels, outputs=("audio",),
            in_ratio=config.row_samples if config.voices else 1, role="generate")}
        if self.effect_layers is not None:
            chains["forward"] = self.effect_layers.chain(before, self.loop, self.sound)
        return chains

    def declared_attributes(self) -> tuple[Attribute, ...]:
        given = replace(ATTRIBUTES[0], default=self.config.temperature)
        return tuple(a for a in (given, *ATTRIBUTES[1:]) if a.name in self.loop.uses)


# --- conditions -------------------------------------------------------------------------------


class Places:
    """Where each condition stands in a row of them."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        voices = config.voices
        self.pitches = range(0, 2 * voices, 2)
        self.gates = range(1, 2 * voices, 2)
        self.loudness, self.free = 2 * voices, 2 * voices + 1
        self.kind = 2 * voices + 2 if config.classes else None
        self.given = 2 * voices + (3 if config.classes else 2)  # by the player
        self.periods = range(self.given, self.given + (voices if config.period_taps else 0))
        self.shut = 1 if config.head == "mixture" else 2  # further channels: see `Loop.gate`
        self.inner = self.given + len(self.periods)  # channels before these
        self.count = self.inner + self.shut


def rows(config: AutoregressiveConfig) -> Sequence:
    """Conditions of the player [given] -> [count]: gates and `free` become 0 or 1, exactly, by a
    table of two rows; behind them come periods in samples, if they are heard, and whether anything
    sounds, a release after the last gate included."""
    at = Places(config)
    exact = [_number(at.given, c, torch.tensor([[0.0], [1.0]]))
             if c in (*at.gates, at.free) else Channels(at.given, c, c + 1)
             for c in range(at.given)]
    weight = torch.zeros(1, at.given, config.release_rows)
    weight[:, [*at.gates, at.free]] = 1
    rest = silent_class(config)
    table = torch.tensor([[0.0, rest], [1.0, 0.0]])[:, : at.shut]
    sounding = Sequence(Fixed(weight), Embed(2, at.shut, table))
    periods = [Sequence(Fixed(*_log_period(at, pitch, config.sample_rate_hz)), Exp(1))
               for pitch, _ in zip(at.pitches, at.periods, strict=False)]
    return Sequence(Parallel(*exact, combine="concat"),
                    Parallel(Identity(at.given), *periods, sounding, combine="concat"))


def _log_period(at: Places, pitch: int, rate_hz: float) -> tuple[Tensor, Tensor]:
    """Weight and bias: octaves from middle C -> the logarithm of the period in samples; with `free`
    at 1 longer than any, whatever the pitch."""
    weight = torch.zeros(1, at.given, 1)
    weight[0, pitch], weight[0, at.free] = -log(2.0), ENDLESS
    return weight, torch.tensor([log(rate_hz / MIDDLE_C_HZ)])


def _number(channels: int, channel: int, table: Tensor) -> Sequence:
    """The row of `table` that one of the channels says."""
    count, out = table.shape
    return Sequence(Channels(channels, channel, channel + 1), Embed(count, out, table))


def features(config: AutoregressiveConfig, stride: int = 1) -> Streaming:
    """Rows [count] -> [features], one for `stride` of them (the last). All that goes in is

        max(0, 1 - |z|),   z linear in the conditions:

        12 pitch + 60 - k      note k of the piano roll, so that two of them share a pitch between;
                               far away where the gate is 0, or `free` 1
        1 - gate + free        1 where a voice plays
        (1 - loudness) / 9     falls with loudness, from 1 bel to -8
        1 - free

    With `free` at 1 everything but the last is 0, whatever else is said."""
    at, notes = Places(config), range(config.lowest_note, config.highest_note + 1)
    size = len(notes) + 1
    weight, bias = torch.zeros(config.voices * size + 2, at.count), torch.zeros(
        config.voices * size + 2)
    for voice, (pitch, gate) in enumerate(zip(at.pitches, at.gates, strict=True)):
        here = slice(voice * size, voice * size + len(notes))
        weight[here, pitch], weight[here, gate], weight[here, at.free] = 12.0, -FAR, FAR
        bias[here] = 60.0 + FAR - torch.tensor(notes, dtype=torch.float32)
        last = here.stop
        weight[last, gate], weight[last, at.free], bias[last] = -1.0, 1.0, 1.0
    span = LOUDEST_BEL - QUIETEST_BEL
    weight[-2, at.loudness], bias[-2], weight[-2, at.free] = -1 / span, LOUDEST_BEL / span, 2.0
    weight[-1, at.free], bias[-1] = -1.0, 1.0
    ones = torch.ones(len(bias))
    heard: Streaming = Sequence(
        Fixed(weight[:, :, None], bias, stride), LeakyReLU(len(bias), -1.0),  # |z|
        FixedEach(-ones, ones), LeakyReLU(len(bias), 0.0),
        SharedProjection(config.voices, size, 2, config.features))
    if at.kind is not None:
        pick = torch.zeros(1, at.count, 1)
        pick[0, at.kind] = 1
        heard = Parallel(heard, Sequence(Fixed(pick, None, stride),
                                         Embed(config.classes, config.features)))
    return Sequence(heard, Tanh(config.features))
