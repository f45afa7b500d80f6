"""A method of a model, written once: layers one after the other.

    Chain.of(guard, ("encoder", encoder), inputs=("audio",), outputs=names, out="latents")

Running it, its states, its graph and everything that a `Method` declares (ratios, lookahead,
receptive field, smallest block) are worked out from the layers here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, inf, lcm

from torch import Tensor

from engine.description import Method
from engine.graph import Builder, Graph
from engine.layers import Streaming
from engine.layers.base import (
    Attributes,
    Shape,
    State,
    all_uses,
    chain_granularity,
    chain_lookahead,
    chain_ratio,
    chain_receptive_field,
    chain_state_shapes,
    run_chain,
)

Link = Streaming | tuple[str, Streaming]


@dataclass(frozen=True)
class Chain:
    """Layers by name, and what goes in and comes out. Names scope the operations of a graph; a
    layer without one stands for itself. Not a module: weights belong to the model."""

    names: tuple[str, ...]
    layers: tuple[Streaming, ...]
    inputs: tuple[str, ...]  # a label for each input channel
    outputs: tuple[str, ...]
    in_ratio: int = 1  # audio samples per input frame
    role: str = ""
    ranges: tuple[tuple[float, float], ...] = ()  # of each input, where the layers hold it in one

    @classmethod
    def of(
        cls, *links: Link, inputs: tuple[str, ...], outputs: tuple[str, ...], in_ratio: int = 1,
        role: str = "", ranges: tuple[tuple[float, float], ...] = (),
    ) -> Chain:
        """From layers, or pairs of a name and a layer."""
        pairs = [link if isinstance(link, tuple) else ("", link) for link in links]
        names, layers = zip(*pairs, strict=True)
        return cls(names, layers, inputs, outputs, in_ratio, role, ranges)

    @property
    def uses(self) -> tuple[str, ...]:
        """Attributes that the method reads."""
        return all_uses(self.layers)

    def method(self, name: str) -> Method:
        """What players are told."""
        out_ratio = self.in_ratio * chain_ratio(self.layers)
        if out_ratio.denominator != 1:
            raise ValueError(f"method {name}: {out_ratio} audio samples per output frame; a "
                             "method cannot give more than one frame per sample")
        field = chain_receptive_field(self.layers)
        block = chain_granularity(self.layers) * self.in_ratio
        said = lcm(self.in_ratio, int(out_ratio))  # what the ratios ask for by themselves
        return Method(
            name, self.layers[0].in_channels, self.in_ratio, self.layers[-1].out_channels,
            int(out_ratio), self.inputs, self.outputs,
            ceil(chain_lookahead(self.layers) * self.in_ratio),
            inf if field == inf else ceil(Fraction(field) * self.in_ratio),
            1 if said % block == 0 else block, self.role, self.ranges,
        )

    def state_shapes(self) -> list[Shape]:
        """Shapes of the state tensors, without the batch axis."""
        return chain_state_shapes(self.layers)

    def step(self, x: Tensor, state: State, attributes: Attributes) -> tuple[Tensor, State]:
        """One block, [batch, in_channels, frames] -> [batch, out_channels, frames']."""
        return run_chain(self.layers, x, state, attributes)

    def graph(self, name: str) -> Graph:
        """The method as a flat list of operations."""
        build = Builder(name, self.layers[0].in_channels)
        x = build.input
        for scope, layer in zip(self.names, self.layers, strict=True):
            if scope:
                with build.scope(scope):
                    x = layer.lower(build, x)
            else:
                x = layer.lower(build, x)
        return build.finish(x)
