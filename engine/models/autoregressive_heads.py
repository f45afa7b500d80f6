"""Heads of the models that draw sound: what the network reads of its past, and the distribution
that is made of what it says."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.layers import (
    Categorical,
    Channels,
    Conv1d,
    Embed,
    FractionalDelay,
    GatedUnit,
    LogisticMixture,
    Parallel,
    Sequence,
    State,
    Streaming,
    Tanh,
    mu_law_table,
)
from engine.layers.base import Attributes, call, split_state
from engine.layers.combine import Composite
from engine.layers.draw import Draw
from engine.layers.pitch import MIDDLE_C_HZ
from engine.models.autoregressive_config import AutoregressiveConfig

if TYPE_CHECKING:
    from engine.graph import Builder, Value


def level_table(config: AutoregressiveConfig) -> Tensor:
    """The audio sample of each step [levels, 1]; that nearest to silence is silence."""
    table = mu_law_table(config.levels)
    if config.companding == "uniform":
        table = torch.linspace(-1, 1, config.levels)[:, None]
    table[config.levels // 2] = 0
    return table


def silent_class(config: AutoregressiveConfig) -> int:
    """The number of the step that is silence; 0 where numbers themselves are drawn."""
    return config.levels // 2 if config.head == "categorical" else 0


def draw(config: AutoregressiveConfig) -> Draw:
    """What a loop ends with."""
    if config.head == "mixture":
        return LogisticMixture(config.parts)
    return Categorical(config.levels)


def sound(config: AutoregressiveConfig) -> list[Streaming]:
    """From what is drawn to audio."""
    if config.head == "mixture":
        return []
    return [Embed(config.levels, 1, level_table(config))]


def reading(config: AutoregressiveConfig, width: int, beside: int = 0) -> list[Streaming]:
    """What was drawn [1] as channels: a number as it is, nearly, and compressed; or a step, in
    `width` channels or one of its own. `beside`: so many numbers more come before."""
    if config.head == "mixture":
        return _read_numbers(beside + 1)
    if config.input == "one-hot":
        return [Embed(config.levels, config.levels, torch.eye(config.levels))]
    return [Embed(config.levels, width)]


def _read_numbers(count: int) -> list[Streaming]:
    """Each of `count` channels in two."""
    heard = Conv1d(count, 2 * count, 1)
    heard.exact = True  # sound as it was drawn, which 16 bits are too coarse for where quiet
    with torch.no_grad():
        heard.weight.zero_()
        for channel in range(count):
            heard.weight[2 * channel : 2 * channel + 2, channel, 0] = torch.tensor([2.0, 20.0])
    return [heard, Tanh(2 * count)]


def periods_ago(config: AutoregressiveConfig, given: int, first: int) -> list[Streaming]:
    """Conditions [given] and what was drawn [1] -> the same with what was drawn a period ago
    [voices] between them. Periods in samples are channels from `first`. No layers without
    `period_taps`."""
    if not config.period_taps:
        return []
    half = config.period_taps // 2
    most = ceil(config.sample_rate_hz / MIDDLE_C_HZ * 2 ** ((60 - config.lowest_note) / 12)) + 1
    drawn = Channels(given + 1, given, given + 1)
    ago = [Sequence(Parallel(drawn, Channels(given + 1, channel, channel + 1), combine="concat"),
                    FractionalDelay(half, max(most, 2 * half), half))
           for channel in range(first, first + config.voices)]
    return [Parallel(Channels(given + 1, 0, given), *ago, drawn, combine="concat")]


def heard_ago(config: AutoregressiveConfig, whole: int, first: int, width: int) -> Streaming:
    """What was drawn a period ago, channels from `first` of [whole] -> [width]."""
    count = config.voices
    return Sequence(Channels(whole, first, first + count), *_read_numbers(count),
                    Conv1d(2 * count, width, config.period_taps))


def head(config: AutoregressiveConfig, hidden: Streaming, ago: list[Streaming],
         joined: bool = False) -> Streaming:
    """`hidden`, which reads conditions and what was drawn, and the distribution made of it; `ago`:
    `periods_ago`, which both read. `joined`: as many taps of these as of the last samples."""
    width = hidden.out_channels
    if config.head == "categorical":
        return Sequence(hidden, Conv1d(width, config.levels, 1))
    if not ago:
        return Predicted(hidden, config.parts, config.taps)
    taps = (config.voices, 0 if joined else config.period_taps)
    return Sequence(*ago, Predicted(hidden, config.parts, config.taps, taps))


class Predicted(Composite):
    """A mixture of logistics around a linear prediction from the last channel of the input:

        mean = sum of taps * past + m sigmoid(s)        s: log scale

    Where scales are small sigmoid(s) is the scale itself: means move in units of it, so that what
    the network has to say keeps its size however well the prediction does. Each part of the mixture
    has taps of its own. `ago`: so many channels before the last, with so many taps of each, predict
    too; 0 taps: with as many as the last has, in one convolution with it."""

    def __init__(self, hidden: Streaming, parts: int, taps: int,
                 ago: tuple[int, int] | None = None) -> None:
        super().__init__(hidden.in_channels, 3 * parts)
        self.hidden, self.parts = hidden, parts
        self.out = Conv1d(hidden.out_channels, 3 * parts, 1)
        self.read = 1 if ago is None or ago[1] else 1 + ago[0]  # channels that `taps` are of
        self.taps = Conv1d(self.read, parts, taps, bias=False)
        self.taps.exact = True
        self.unit = GatedUnit(2 * parts, "linear")
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            assert self.out.bias is not None
            self.out.bias[2 * parts :] = torch.linspace(-6.0, -3.5, parts)
            self.taps.weight.zero_()
            self.taps.weight[:, -1, -1] = 1  # the sample before
        self.ago = None
        if ago is not None and ago[1]:
            self.ago = Conv1d(ago[0], parts, ago[1], bias=False)
            self.ago.exact = True
            nn.init.zeros_(self.ago.weight)

    def __iter__(self) -> Iterator[Streaming]:
        yield from (self.hidden, self.out, self.taps)
        if self.ago is not None:
            yield self.ago

    @property
    def granularity(self) -> int:
        return self.hidden.granularity

    @property
    def receptive_field(self) -> float:
        return self.granularity - self.oldest(0)

    def oldest(self, frame: int) -> float:
        return min(layer.oldest(frame) for layer in self if layer is not self.out)

    def macs_per_frame(self) -> float:
        return sum(layer.macs_per_frame() for layer in self)

    def forward(
        self, x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        states = split_state(state, self)
        h, new = call(self.hidden, x, states[0], attributes)
        said, after = self.out(h, states[1])
        predicted, last = self.taps(x[:, -self.read :], states[2])
        if self.ago is not None:
            more, late = self.ago(x[:, -1 - self.ago.in_channels : -1], states[3])
            predicted, last = predicted + more, (*last, *late)
        logits, scales = said[:, : self.parts], said[:, 2 * self.parts :]
        means = predicted + self.unit(said[:, self.parts :], ())[0]
        return torch.cat((logits, means, scales), dim=1), (*new, *after, *last)

    def lower(self, build: Builder, x: Value) -> Value:
        count = self.parts

        def part(of: Value, start: int, stop: int) -> Value:
            return build.op("slice", of, channels=stop - start,
                            attributes={"start": start, "stop": stop})

        with build.scope("hidden"):
            h = self.hidden.lower(build, x)
        with build.scope("out"):
            said = self.out.lower(build, h)
            moved = self.unit.lower(build, part(said, count, 3 * count))
        with build.scope("taps"):
            predicted = self.taps.lower(build, part(x, x.channels - self.read, x.channels))
        if self.ago is not None:
            with build.scope("ago"):
                first = x.channels - 1 - self.ago.in_channels
                more = self.ago.lower(build, part(x, first, x.channels - 1))
                predicted = build.op("add", predicted, more)
        with build.scope("taps"):
            means = build.op("add", predicted, moved)
        return build.op("concat", part(said, 0, count), means, part(said, 2 * count, 3 * count),
                        channels=3 * count)
