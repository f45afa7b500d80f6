"""Networks of published shapes with random weights, made of this project's streaming layers.

One case = the listed layers in order, each causal with its cache, a leaky ReLU (0.2) after each. A
layer is fed from the one before where channels and frames agree, otherwise from a fixed buffer of
the right shape: so a case falls into *segments*, chains with an input of their own, which run one
after the other and stand as the methods `segment0`, `segment1`, ... of one model. Where a kernel of
3 is followed by a kernel of 1 or 3 without dilation and both keep the channels, the pair's input
is added to its output.
"""

from __future__ import annotations

import json
from collections.abc import Sequence as List
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import wavenet
from benchmarks.loop_models import SETTINGS, loop_model, played
from benchmarks.nam import NamWaveNet
from benchmarks.two_tier import two_tier
from engine.boards.cost import MethodCost, OpCost, method_cost
from engine.description import Attribute
from engine.errors import ConfigError, nearest
from engine.layers import (
    GRU,
    LSTM,
    Categorical,
    Conv1d,
    Embed,
    LeakyReLU,
    Loop,
    Residual,
    Sequence,
    Streaming,
)
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain

SHAPES = Path(__file__).with_name("shapes.json")
SLOPE = 0.2
# Cases beside the networks of shapes.json: (blocks, what runs), at 48 kHz.
SMALL_RATE_HZ = 48000
SMALL_BLOCKS = {"nam-a1": (16, 64), "lstm-16": (256,), "gru-8": (256,)}
# These draw from their own output, sample by sample, and have no peers that play files
# (shape_loop.py): the published network; one of 149 kMAC a sample; two rates; a draw of 256 classes
# and an embedding alone; models of loops, chunk by chunk.
WAVENETS = {"ar-wavenet/1": wavenet.Sizes(),
            "ar-wavenet-149k/1": wavenet.Sizes(stacks=2, layers=9, skip=64, end=64)}
LOOPS = (*WAVENETS, "ar-two-tier/64", "ar-draw/64", *SETTINGS)


@dataclass(frozen=True)
class Layer:
    """A convolution as shapes.json lists it; `frames` per block at the output."""

    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    dilation: int
    frames: int

    @property
    def in_frames(self) -> int:
        """Frames of one block at the input."""
        return self.frames * self.stride

    @property
    def macs_per_block(self) -> int:
        """Multiply-accumulates of one block."""
        return self.in_channels * self.out_channels * self.kernel * self.frames

    def build(self) -> list[Streaming]:
        """The convolution and its activation."""
        conv = Conv1d(self.in_channels, self.out_channels, self.kernel, self.stride, self.dilation)
        return [conv, LeakyReLU(self.out_channels, SLOPE)]


@dataclass(frozen=True)
class Segment:
    """A chain of layers with an input of its own: [in_channels, in_frames] per block."""

    chain: Streaming
    in_frames: int


class ShapeModel(Model):
    """A case as a model: each segment is a method, run once per block of `block_samples`."""

    family: ClassVar[str] = "shape"

    def __init__(
        self, name: str, rate_hz: int, block_samples: int, segments: List[Segment],
        attributes: tuple[Attribute, ...] = (),
    ) -> None:
        super().__init__()
        self._declared = attributes
        self.name, self.block_samples = name, block_samples
        self.config = ModelConfig(sample_rate_hz=rate_hz)
        self.segments = segments
        self.layers = torch.nn.ModuleList(segment.chain for segment in segments)
        self.in_channels = [segment.chain.in_channels for segment in segments]
        self.in_frames = [segment.in_frames for segment in segments]
        self.eval().requires_grad_(False)

    def chains(self) -> dict[str, Chain]:
        return {f"segment{index}": Chain.of(
            segment.chain,
            inputs=tuple(f"in {i}" for i in range(segment.chain.in_channels)),
            outputs=tuple(f"out {i}" for i in range(segment.chain.out_channels)),
            in_ratio=self.block_samples // segment.in_frames,
        ) for index, segment in enumerate(self.segments)}

    def declared_attributes(self) -> tuple[Attribute, ...]:
        return self._declared

    def inputs(self) -> list[NDArray[np.float32]]:
        """The segments' fixed inputs, [in_channels, in_frames] each: noise at -12 dBFS."""
        rng = np.random.default_rng(0)
        return [
            np.float32(0.25) * rng.standard_normal(shape, dtype=np.float32)
            for shape in zip(self.in_channels, self.in_frames, strict=True)
        ]

    def cost(self) -> MethodCost:
        """Operations of all segments."""
        ops: list[OpCost] = []
        for name, method in self.methods.items():
            rate = self.sample_rate_hz / method.in_ratio
            ops += method_cost(self.graph(name), rate).ops
        return MethodCost(self.name, tuple(ops))


@lru_cache(maxsize=1)
def _networks() -> dict[str, Any]:
    return json.loads(SHAPES.read_text("utf-8"))["networks"]  # type: ignore[no-any-return]


def case_names() -> list[str]:
    """Every case, as `network/block`."""
    small = [f"{name}/{block}" for name, sizes in SMALL_BLOCKS.items() for block in sizes]
    return [*_networks(), *small, *LOOPS]


def published_mmacs(name: str) -> float | None:
    """Million multiply-accumulates per block as published; None for the small cases."""
    return _networks()[name]["mmac_per_block"] if name in _networks() else None


def layers_of(name: str) -> list[Layer]:
    """The convolutions of a network that cost something."""
    return [layer for layer in (Layer(*row) for row in _networks()[name]["layers"])
            if layer.frames]


def build_case(name: str, seed: int = 0) -> ShapeModel:
    """The model of a case, with random weights."""
    if name not in case_names():
        raise ConfigError(f"unknown case {name!r}{nearest(name, case_names())}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in _networks():
            network = _networks()[name]
            return ShapeModel(name, network["sample_rate_hz"], network["block_samples"],
                              segments_of(layers_of(name)))
        if name in WAVENETS:
            return wavenet_case(WAVENETS[name], name)
        if name in LOOPS:
            return _loop_case(name)
        kind, _, block = name.partition("/")
        return ShapeModel(name, SMALL_RATE_HZ, int(block), [Segment(_small(kind), int(block))])


def is_loop(model: ShapeModel) -> bool:
    """Whether a case goes on from its own output."""
    return any(isinstance(part, Loop) for part in model.modules())


def wavenet_case(sizes: wavenet.Sizes, name: str = "ar-wavenet/1") -> ShapeModel:
    """An autoregressive network, one sample a block."""
    return ShapeModel(name, wavenet.RATE_HZ, 1, [Segment(wavenet.wavenet(sizes), 1)],
                      wavenet.ATTRIBUTES)


def _loop_case(name: str) -> ShapeModel:
    """Two rates; no network at all: what was drawn chooses a row of logits; a model of loops."""
    kind, _, block = name.partition("/")
    if name in SETTINGS:
        model = loop_model(name)
        whole = Sequence(*model.layers_of(played(model)))
        return ShapeModel(name, model.sample_rate_hz, int(block), [Segment(whole, 1)],
                          model.declared_attributes())
    if kind == "ar-two-tier":
        loop = two_tier()
    else:
        loop = Loop(Embed(256, 256, 2 * torch.randn(256, 256)), Categorical(256))
    attributes = tuple(a for a in wavenet.ATTRIBUTES if a.name in loop.uses)
    return ShapeModel(name, wavenet.RATE_HZ, int(block), [Segment(loop, int(block))], attributes)


def _small(kind: str) -> Streaming:
    """An amp model, or a recurrent one with a dense layer behind it."""
    if kind == "nam-a1":
        return NamWaveNet()
    recurrent = LSTM(1, 16) if kind == "lstm-16" else GRU(1, 8)
    return Sequence(recurrent, Conv1d(recurrent.out_channels, 1, 1))


def segments_of(layers: List[Layer]) -> list[Segment]:
    """Layers chained while channels and frames agree, residual pairs put together."""
    segments: list[Segment] = []
    chain: list[Streaming] = []
    first = before = layers[0]
    index = 0
    while index < len(layers):
        layer = layers[index]
        if chain and (layer.in_channels, layer.in_frames) != (before.out_channels, before.frames):
            segments.append(Segment(Sequence(*chain), first.in_frames))
            chain, first = [], layer
        if index + 1 < len(layers) and is_pair(layer, layers[index + 1]):
            chain.append(Residual(*layer.build(), *layers[index + 1].build()))
            index += 1
        else:
            chain += layer.build()
        before = layers[index]
        index += 1
    return [*segments, Segment(Sequence(*chain), first.in_frames)]


def is_pair(a: Layer, b: Layer) -> bool:
    """Two convolutions with a shortcut around them: kernel 3, then 1 or 3 without dilation."""
    keeps = a.in_channels == a.out_channels == b.in_channels == b.out_channels
    return (keeps and a.frames == b.frames and a.stride == b.stride == b.dilation == 1
            and a.kernel == 3 and b.kernel in (1, 3))
