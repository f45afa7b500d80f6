"""What a model costs before it runs: arithmetic, weights and state of each operation.

Everything here is counted from the lowered `Graph`, so the figures are those of the model as it
was written; a backend that fuses or pads does other work, but never needs less arithmetic.
One MAC (multiply-accumulate) is two floating-point operations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.description import Description
from engine.graph import Graph, Op, repeats

FLOAT_BYTES = 4


@dataclass(frozen=True)
class OpCost:
    """Cost of one operation, per second of audio where it is a rate."""

    name: str
    kind: str
    in_channels: int
    out_channels: int
    frame_rate_hz: float  # of the output
    macs_per_second: float
    weights_bytes: int  # as float32
    state_bytes: int  # of one stream, as float32
    delay_seconds: float = 0.0  # by which its output is later than the method's input
    shares: bool = False  # its weights are those of an operation before


@dataclass(frozen=True)
class MethodCost:
    """Cost of one method: its operations in running order."""

    method: str
    ops: tuple[OpCost, ...]

    @property
    def macs_per_second(self) -> float:
        """Multiply-accumulates per second of audio."""
        return sum(op.macs_per_second for op in self.ops)

    @property
    def weights_bytes(self) -> int:
        """Bytes of weights that one block reads at least once."""
        return sum(op.weights_bytes for op in self.ops if not op.shares)

    @property
    def state_bytes(self) -> int:
        """Bytes carried from block to block, for one stream."""
        return sum(op.state_bytes for op in self.ops)

    def macs_per_block(self, block_seconds: float) -> float:
        """Multiply-accumulates in a block that lasts `block_seconds`."""
        return self.macs_per_second * block_seconds


def op_cost(op: Op, input_rate_hz: float) -> OpCost:
    """`input_rate_hz`: frames per second of the method's input."""
    return OpCost(
        name=op.name,
        kind=op.kind,
        in_channels=sum(value.channels for value in op.inputs) if op.kind == "concat"
        else op.inputs[0].channels,
        out_channels=op.output.channels,
        frame_rate_hz=input_rate_hz / float(op.output.ratio),
        macs_per_second=op.macs_per_input_frame() * input_rate_hz,
        weights_bytes=op.weight_count * FLOAT_BYTES,
        state_bytes=op.state_count * FLOAT_BYTES,
        delay_seconds=float(op.output.delay) / input_rate_hz,
    )


def method_cost(graph: Graph, input_rate_hz: float) -> MethodCost:
    """Costs of a lowered method whose input has `input_rate_hz` frames per second."""
    return MethodCost(graph.method, tuple(
        replace(op_cost(op, input_rate_hz), shares=back > 0)
        for op, back in zip(graph.ops, repeats(op.weights_key for op in graph.ops), strict=True)))


def described_cost(description: Description, method: str | None = None) -> MethodCost:
    """Costs of a method of a model file, worked out by building its family from its description.

    Needs PyTorch, because the layers say what they lower to; the weights play no part."""
    from engine.models.registry import build

    spec = description.method(method)
    graph = build(description.family, description.config).graph(spec.name)
    return method_cost(graph, description.sample_rate_hz / spec.in_ratio)
