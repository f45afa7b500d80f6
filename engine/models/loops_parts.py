"""Parts of the models of loops: what conditions become, and a loop's plan and code.

    latents -> `WindowEncoder` -> code, one for a window or 2, 4, ... of them
    conditions with a code -> `features` -> `Plan` -> plan -> mean, log_std of a chunk's latents

A plan has no memory: the same place in the bar and the same code give the same chunk.
"""

from __future__ import annotations

from math import log, pi

import torch
from torch import Tensor, nn

from engine.layers import (
    Channels,
    Conv1d,
    Exp,
    Fixed,
    FixedEach,
    GatedUnit,
    Identity,
    LatentSample,
    LeakyReLU,
    Log,
    Parallel,
    Residual,
    Sequence,
    Sqrt,
    Streaming,
    Tanh,
)
from engine.layers.control import Control
from engine.layers.fixed import FixedSnake, Measured
from engine.layers.noise import KeyedNoise
from engine.models.loops_config import KNOB_REACH, STYLE, VARIATION, LoopConfig
from engine.scores.loops import CODE, KNOBS, PHASE, TEMPO, USUAL_BPM, bar_seconds

TURNS = (1, 2, 4, 8, 16)  # a bar: how often what tells the place in it goes round
NORMAL_TO_UNIFORM = 0.851  # tanh(.851 w) of a normal w is nearly uniform over -1 ... 1
NEAREST = 1e-3  # to the end of that range: codes there are 4.5 standard deviations off
TEMPERATURE = "temperature"
LOG_STD_RANGE, MOST_MEAN = (-4.0, 2.0), 8.0  # of what a plan says of standardised latents
FLOOR = 2.0**-40  # of a share of noise, as a variance
# What conditions are held in; all others in -1 ... 1.
RANGES: dict[str, tuple[float, float]] = {
    PHASE: (0.0, 1.0), TEMPO: (-2.0, 2.0), VARIATION: (0.0, 1.0),
    **dict.fromkeys(KNOBS, (-KNOB_REACH, KNOB_REACH)), **dict.fromkeys(STYLE, (-1.0, 1.0))}


def ranges(config: LoopConfig) -> tuple[tuple[float, float], ...]:
    """The range that each condition may have."""
    return tuple(RANGES.get(label, (-1.0, 1.0)) for label in config.labels)


def held(config: LoopConfig) -> Sequence:
    """Conditions, each held in its range."""
    return Sequence(*between(*(torch.tensor(each) for each in zip(*ranges(config), strict=True))))


def between(low: Tensor, high: Tensor) -> tuple[Streaming, ...]:
    """Numbers held in a range each, both [channels]."""
    count, ones = len(low), torch.ones(len(low))
    return (FixedEach(ones, -low), LeakyReLU(count, 0.0), FixedEach(-ones, high - low),
            LeakyReLU(count, 0.0), FixedEach(-ones, high))


def features(config: LoopConfig) -> Streaming:
    """Conditions [count] -> [features]: place in the bar as sines, tempo, knobs, style, and the
    code as the normal numbers that it stands for."""
    count, first, code = len(config.labels), config.place(TEMPO), config.place(CODE)
    plain = 1 + len(KNOBS) + (len(STYLE) if config.styles else 0)
    return Parallel(
        turning(count, config.place(PHASE)), Channels(count, first, first + plain),
        Sequence(Channels(count, code, code + config.codes), normal(config.codes)),
        combine="concat")


def turning(count: int, phase: int) -> Sequence:
    """Channel `phase` of `count` -> sine and cosine of 2 pi k times it, for each k of `TURNS`."""
    size = 2 * len(TURNS)
    weight = torch.zeros(size, count, 1)
    bias = torch.zeros(size)
    for i, turns in enumerate(TURNS):
        weight[2 * i : 2 * i + 2, phase] = 2 * pi * turns
        bias[2 * i] = -pi / 2  # cos(x - pi / 2) = sin(x)
    # cos(x) = 1 + x - (x + 1 - cos(x))
    eye = torch.eye(size)
    return Sequence(
        Fixed(weight, bias), Parallel(Identity(size), FixedSnake(size), combine="concat"),
        Fixed(torch.cat((eye, -eye), dim=1)[:, :, None], torch.ones(size)))


def normal(codes: int) -> Sequence:
    """Numbers of -1 ... 1, all equally likely -> normal ones: atanh(u) / .851."""
    eye, ones = torch.eye(codes), torch.ones(2 * codes)
    half = 0.5 / NORMAL_TO_UNIFORM
    return Sequence(
        Fixed(torch.cat((eye, -eye))[:, :, None], ones), Log(2 * codes, NEAREST),
        Fixed(half * torch.cat((eye, -eye), dim=1)[:, :, None]))


def uniform(codes: int) -> Sequence:
    """The inverse of `normal`, but for the ends."""
    scale = torch.full((codes,), NORMAL_TO_UNIFORM)
    return Sequence(FixedEach(scale, torch.zeros(codes)), Tanh(codes))


class Plan(Sequence):
    """Features -> a chunk's plan [width], of which `spelt_out` makes latents: a perceptron with
    gated residual layers (document 003, section 4: the decoder of the second VAE)."""

    def __init__(self, config: LoopConfig, features: int) -> None:
        width = config.width
        unit = [Residual(LeakyReLU(width), Conv1d(width, 2 * width, 1), GatedUnit(2 * width),
                         Conv1d(width, width, 1)) for _ in range(config.layers)]
        super().__init__(Conv1d(features, width, 1), *unit, LeakyReLU(width))


def spelt_out(config: LoopConfig) -> Sequence:
    """A chunk's plan -> means of its latents, frame by frame, then as many log_stds in
    `LOG_STD_RANGE`, all of standardised latents."""
    size = config.chunk * config.latents
    low, high = (torch.full((2 * size,), MOST_MEAN * sign) for sign in (-1, 1))
    low[size:], high[size:] = LOG_STD_RANGE
    return Sequence(Conv1d(config.width, 2 * size, 1), *between(low, high))


class WindowEncoder(nn.Module):
    """Latents of a window, which begins at a bar line -> mean and log_std of its code: one, or one
    for each half, quarter, ... of it. Windows do not see each other."""

    LOG_STD_RANGE = (-6.0, 2.0)

    def __init__(self, config: LoopConfig) -> None:
        super().__init__()
        width, self.codes = config.window_width, config.codes
        self.first = Conv1d(config.latents, width, config.chunk, stride=config.chunk)
        self.mixing = nn.ModuleList(
            Residual(LeakyReLU(width), Conv1d(width, width, 1), LeakyReLU(width),
                     Conv1d(width, width, 1)) for _ in range(config.levels + 1))
        self.halving = nn.ModuleList(Sequence(LeakyReLU(width), Conv1d(width, width, 2, stride=2))
                                     for _ in range(config.levels))
        self.heads = nn.ModuleList(Sequence(LeakyReLU(width), Conv1d(width, 2 * self.codes, 1))
                                   for _ in range(config.levels + 1))
        # Of each length: what makes its codes, over all that was learnt, standard normal ones.
        self.whiten = nn.ModuleList(Measured(self.codes) for _ in range(config.levels + 1))

    def layers(self, level: int) -> list[Streaming]:
        """From latents to the parameters of codes, of which each stands for 2^level chunks."""
        found: list[Streaming] = [self.first]
        for i in range(level):
            found += [self.mixing[i], self.halving[i]]  # type: ignore[list-item]
        return [*found, self.mixing[level], self.heads[level]]  # type: ignore[list-item]

    def forward(self, z: Tensor, level: int, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
        """`z` [batch, latents, frames] -> mean, log_std, each [batch, codes, codes in z], before
        they are whitened. `dropout`: share of numbers between layers that training leaves out."""
        *layers, head = self.layers(level)
        for layer in layers:
            z = layer(z, layer.init_state(z.shape[0], z.dtype, z.device))[0]
            z = nn.functional.dropout(z, dropout, self.training)
        z = head(z, head.init_state(z.shape[0], z.dtype, z.device))[0]
        mean, log_std = z.chunk(2, dim=1)
        return mean, log_std.clamp(*self.LOG_STD_RANGE)


def chunk_noise(config: LoopConfig, chunk_seconds: float) -> Streaming:
    """Conditions -> noise for a chunk's latents, variance 1: of the place in the bar, of a running
    count, or between both as `variation` says."""
    count, size = len(config.labels), config.chunk * config.latents
    phase, tempo = config.place(PHASE), config.place(TEMPO)
    seconds = torch.zeros(1, count, 1)
    seconds[0, tempo] = -log(2.0)
    # In a bar at the usual tempo.
    chunks = torch.tensor([log(bar_seconds(USUAL_BPM) / chunk_seconds)])
    number = Parallel(Channels(count, phase, phase + 1),
                      Sequence(Fixed(seconds, chunks), Exp(1)), combine="product")
    warmth = Sequence(Control(count, TEMPERATURE), Fixed(torch.ones(size, 1, 1)))
    locked = Parallel(Sequence(number, KeyedNoise(size)), warmth, combine="product")
    free = Sequence(Fixed(torch.zeros(2 * size, count, 1)), LatentSample(size))
    at, spread = config.place(VARIATION), torch.ones(size, 1, 1)
    moving = torch.zeros(1, count, 1)
    moving[0, at] = 1.0
    # Nothing of the other kind at either end, exactly: the root of the floor is taken off.
    root = [Sequence(Sqrt(1, FLOOR), FixedEach(torch.ones(1), -torch.ones(1) * FLOOR**0.5),
                     Fixed(spread)) for _ in range(2)]
    return Parallel(
        Parallel(locked, Sequence(Fixed(-moving, torch.ones(1)), root[0]), combine="product"),
        Parallel(free, Sequence(Fixed(moving), root[1]), combine="product"))
