"""Sequence, residual and parallel: layers made of layers, aligned in time by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.layers.base import (
    Attributes,
    Shape,
    State,
    Streaming,
    all_may_use,
    all_uses,
    call,
    chain_granularity,
    chain_lookahead,
    chain_oldest,
    chain_ratio,
    chain_receptive_field,
    chain_state_shapes,
    run_chain,
    split_state,
)
from engine.layers.conv import Delay

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class Composite(Streaming):
    """Layers made of layers, over which it iterates: what they use and remember is theirs."""

    def __iter__(self) -> Iterator[Streaming]:
        raise NotImplementedError

    @property
    def uses(self) -> tuple[str, ...]:
        return all_uses(self)

    @property
    def may_use(self) -> tuple[str, ...]:
        return all_may_use(self)

    def state_shapes(self) -> list[Shape]:
        return chain_state_shapes(self)


class Sequence(Composite):
    """Layers one after the other."""

    def __init__(self, *layers: Streaming) -> None:
        if not layers:
            raise ValueError("Sequence: needs at least one layer")
        for before, after in pairwise(layers):
            if before.out_channels != after.in_channels:
                raise ValueError(
                    f"Sequence: {type(before).__name__} gives {before.out_channels} channels, "
                    f"{type(after).__name__} takes {after.in_channels}"
                )
        super().__init__(layers[0].in_channels, layers[-1].out_channels)
        self.layers = nn.ModuleList(layers)

    def __iter__(self):  # type: ignore[no-untyped-def]  # ModuleList forgets its element type
        return iter(self.layers)

    @property
    def ratio(self) -> Fraction:
        return chain_ratio(self)

    @property
    def granularity(self) -> int:
        return chain_granularity(self)

    @property
    def lookahead(self) -> Fraction:
        return chain_lookahead(self)

    @property
    def receptive_field(self) -> float:
        return chain_receptive_field(self)

    def oldest(self, frame: int) -> float:
        return chain_oldest(self, frame)

    def macs_per_frame(self) -> float:
        rate, total = Fraction(1), 0.0
        for layer in self:
            total += layer.macs_per_frame() / float(rate)
            rate *= layer.ratio
        return total

    def forward(
        self, x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        return run_chain(self, x, state, attributes)

    def lower(self, build: Builder, x: Value) -> Value:
        for index, layer in enumerate(self):
            with build.scope(f"{index}"):
                x = layer.lower(build, x)
        return x


class Parallel(Composite):
    """The same input through several branches, whose outputs are added, multiplied or stacked.

    Branches may differ in lookahead; the early ones are delayed to meet the latest:

        in -+- conv, lookahead 3 ----------+
            +- conv, lookahead 0 - delay 3 -+--> sum
    """

    COMBINE = ("sum", "product", "concat")

    def __init__(self, *branches: Streaming, combine: str = "sum") -> None:
        if not branches:
            raise ValueError("Parallel: needs at least one branch")
        if combine not in self.COMBINE:
            raise ValueError(f"Parallel: combine is one of {self.COMBINE}, got {combine!r}")
        first = branches[0]
        for branch in branches[1:]:
            if branch.in_channels != first.in_channels or branch.ratio != first.ratio:
                raise ValueError("Parallel: branches must share input channels and ratio")
            if combine != "concat" and branch.out_channels != first.out_channels:
                raise ValueError(f"Parallel: combine={combine!r} needs equal output channels")
        out = sum(b.out_channels for b in branches) if combine == "concat" else first.out_channels
        super().__init__(first.in_channels, out)
        self.combine = combine
        latest = max(branch.lookahead for branch in branches)
        self.branches = nn.ModuleList(_delayed(branch, latest) for branch in branches)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.branches)

    @property
    def ratio(self) -> Fraction:
        return self.branches[0].ratio  # type: ignore[return-value]

    @property
    def granularity(self) -> int:
        return lcm(*(branch.granularity for branch in self))

    @property
    def lookahead(self) -> Fraction:
        return max(branch.lookahead for branch in self)

    @property
    def receptive_field(self) -> float:
        return self.granularity - self.oldest(0)

    def oldest(self, frame: int) -> float:
        return min(branch.oldest(frame) for branch in self)

    def macs_per_frame(self) -> float:
        return sum(branch.macs_per_frame() for branch in self)

    def forward(
        self, x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        new: State = ()
        outputs = []
        for branch, own in zip(self, split_state(state, self), strict=True):
            y, own = call(branch, x, own, attributes)
            outputs.append(y)
            new += own
        if self.combine == "concat":
            return torch.cat(outputs, dim=1), new
        total = outputs[0]
        for y in outputs[1:]:
            total = total + y if self.combine == "sum" else total * y
        return total, new

    def lower(self, build: Builder, x: Value) -> Value:
        outputs = []
        for index, branch in enumerate(self):
            with build.scope(f"branch{index}"):
                outputs.append(branch.lower(build, x))
        if len(outputs) == 1:
            return outputs[0]
        if self.combine == "concat":
            return build.op("concat", *outputs, channels=self.out_channels)
        total = outputs[0]
        for y in outputs[1:]:
            total = build.op("add" if self.combine == "sum" else "mul", total, y)
        return total


class Identity(Streaming):
    """Passes its input on; the shortcut of a residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x, state

    def lower(self, build: Builder, x: Value) -> Value:
        return x


class Residual(Parallel):
    """x + branch(x), the shortcut delayed by the branch's lookahead."""

    def __init__(self, *layers: Streaming) -> None:
        branch = layers[0] if len(layers) == 1 else Sequence(*layers)
        if branch.ratio != 1 or branch.in_channels != branch.out_channels:
            raise ValueError(
                "Residual: the branch must keep rate and channels, got ratio "
                f"{branch.ratio}, {branch.in_channels} -> {branch.out_channels} channels"
            )
        super().__init__(branch, Identity(branch.in_channels), combine="sum")


def _delayed(branch: Streaming, latest: Fraction) -> Streaming:
    """`branch` made late enough to match a lookahead of `latest` input frames."""
    missing = latest - branch.lookahead
    if not missing:
        return branch
    at_output = missing / branch.ratio
    if at_output.denominator == 1:
        return Sequence(branch, Delay(branch.out_channels, int(at_output)))
    if missing.denominator == 1:
        return Sequence(Delay(branch.in_channels, int(missing)), branch)
    raise ValueError(
        f"Parallel: a branch would have to be delayed by {missing} input frames "
        f"({at_output} output frames); neither is whole. Change a lookahead."
    )
