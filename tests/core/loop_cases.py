"""Small autoregressive networks, untrained: every way in which a loop can be made."""

from __future__ import annotations

from collections.abc import Callable

import torch

from engine.description import Attribute
from engine.layers import (
    ELU,
    GRU,
    LSTM,
    Categorical,
    Channels,
    Conv1d,
    ConvTranspose1d,
    Embed,
    GatedUnit,
    Guard,
    KeyedNoise,
    LeakyReLU,
    LogisticMixture,
    Loop,
    NoiseMultiply,
    Parallel,
    Past,
    Residual,
    Sequence,
    Streaming,
    Tanh,
    mu_law_table,
)

CLASSES = 33
ATTRIBUTES = {a.name: a for a in (
    Attribute("temperature", 1, 0.9, 0.0, 4.0, "spread of what is drawn"),
    Attribute("top_p", 1, 0.95, 0.0, 1.0, "share of the likeliest classes"),
    Attribute("seed", 1, 5.0, 0.0, 16777215.0, "another number, another sound"),
)}


def _gated_layer(channels: int, dilation: int) -> Streaming:
    return Residual(Conv1d(channels, 2 * channels, 2, dilation=dilation), GatedUnit(2 * channels),
                    Conv1d(channels, channels, 1))


def wavenet(conditions: int = 2, channels: int = 20, classes: int = CLASSES) -> Streaming:
    """Conditions and a class's number -> embedding -> dilated gated layers -> logits -> a class;
    outside the loop its sample."""
    first = Parallel(
        Sequence(Channels(conditions + 1, 0, conditions), Conv1d(conditions, channels, 1)),
        Sequence(Channels(conditions + 1, conditions, conditions + 1), Embed(classes, channels)))
    layers = [_gated_layer(channels, 2**i) for i in range(4)]
    net = Sequence(first, *layers, LeakyReLU(channels, 0.0), Conv1d(channels, classes, 1))
    return Sequence(Guard(conditions), Loop(net, Categorical(classes)),
                    Embed(classes, 1, mu_law_table(classes)))


def tiers(channels: int = 12) -> Streaming:
    """No conditions; three rates: frames of 4 and of 8 samples tell a small net what was played."""
    slowest = Sequence(Conv1d(channels, channels, 2, stride=2), Tanh(channels),
                       ConvTranspose1d(channels, channels, 2, 2), Past(channels, 1))
    slow = Sequence(Conv1d(1, channels, 8, stride=4), ELU(channels),
                    Parallel(slowest, Conv1d(channels, channels, 1)),
                    ConvTranspose1d(channels, channels, 4, 4), Past(channels, 3))
    net = Sequence(Parallel(slow, Conv1d(1, channels, 3)), Tanh(channels), Conv1d(channels, 12, 1))
    return Loop(net, LogisticMixture(4))


def recurrent() -> Streaming:
    """What else may stand in a loop, two channels drawn side by side, and layers around it."""
    net = Sequence(Conv1d(5, 6, 3, groups=1), GRU(6, 8), NoiseMultiply(8), LSTM(8, 6),
                   Conv1d(6, 6, 3, groups=6), Conv1d(6, 12, 2, groups=2), GatedUnit(12, "linear"),
                   Conv1d(6, 14, 1))
    return Sequence(ConvTranspose1d(1, 3, 4, 2), Loop(net, Categorical(7, 2, top_p="share")),
                    Conv1d(2, 1, 3, stride=2))


def keyed(channels: int = 10) -> Streaming:
    """The class that was drawn is the number of the noise that the next one is drawn by."""
    net = Sequence(Parallel(Sequence(Channels(2, 0, 1), Conv1d(1, channels, 2)),
                            Sequence(Channels(2, 1, 2), KeyedNoise(channels, seed=4))),
                   Tanh(channels), Conv1d(channels, CLASSES, 1))
    return Sequence(Loop(net, Categorical(CLASSES)), Embed(CLASSES, 1, mu_law_table(CLASSES)))


LOOPS: dict[str, Callable[[], Streaming]] = {
    "loop": wavenet, "loop_tiers": tiers, "loop_recurrent": recurrent, "loop_keyed": keyed,
}


def attributes_of(net: Streaming) -> dict[str, Attribute]:
    """Those that a network reads."""
    known = {**ATTRIBUTES, "share": Attribute("share", 1, 1.0, 0.0, 1.0, "as top_p")}
    return {name: known[name] for name in net.uses}


def values_of(net: Streaming, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Their defaults."""
    return {a.name: torch.full((a.size,), a.default, dtype=dtype)
            for a in attributes_of(net).values()}
