"""What kernels cost in instructions: the figures behind `Kernels` in engine/boards/board.py.

    python -m tests.firmware.kernel_counts [m7|aarch64] [float32|bf16w|q16x8 ...]

Counts single layers in the emulator, at sixteen frames and at one, and takes them apart: per MAC,
per number put out, per activation, per call.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence as Several
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.emulated import count_file
from engine.layers import (
    ELU,
    Conv1d,
    Exp,
    GatedUnit,
    LeakyReLU,
    Log,
    Sequence,
    Sigmoid,
    Snake,
    Softplus,
    Sqrt,
    Tanh,
)
from engine.layers.base import Streaming
from engine.ops import ACTS, CORE, DTYPES
from tests.firmware.formats import file_in

CHANNELS = 64
FRAMES = (16, 1)
LAYERS = {"leaky_relu": LeakyReLU, "elu": ELU, "tanh": Tanh, "sigmoid": Sigmoid, "snake": Snake,
          "exp": Exp, "log": Log, "sqrt": Sqrt, "softplus": Softplus}


@dataclass(frozen=True)
class Line:
    """Instructions of a layer per frame, at sixteen frames and at one."""

    many: float
    once: float

    def minus(self, other: Line, parts: float) -> tuple[float, float]:
        """What the difference to another layer is for each of so many parts."""
        return (self.many - other.many) / parts, (self.once - other.once) / parts


def counted(device: str, dtype: str, *layers: Streaming) -> Line:
    """Instructions of `layers` per frame, without those of the convolution that feeds them."""
    torch.manual_seed(0)
    first = layers[0].in_channels
    net = Sequence(Conv1d(1, first, 1), *layers).eval().requires_grad_(False)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.tudor"
        path.write_bytes(file_in(net, dtype))
        spent = []
        for frames in FRAMES:
            ops = [op for op in count_file(device, path, "forward", [frames]).ops
                   if op.kind in ("conv", "depthwise", "map", "gated")]
            spent.append(sum(op.per_sample for op in ops[1:]))
    return Line(*spent)


def report(device: str, dtype: str) -> None:
    """Print all figures of one number format."""
    c = CHANNELS

    def dense(channels: int, kernel: int, *more: Streaming) -> Line:
        return counted(device, dtype, Conv1d(channels, channels, kernel), *more)

    def filters(kernel: int) -> Line:
        return counted(device, dtype, Conv1d(c, c, kernel, groups=c))

    one, three, small = dense(c, 1), dense(c, 3), dense(4, 1)
    mac = three.minus(one, 2 * c * c)
    print(f"{device} {dtype}: at {FRAMES[0]} frames, and at one")
    print(f"  dense, per MAC            {_pair(mac)}")
    print(f"  dense, per number         {_pair(_rest(one, mac, c * c, c))} with the call's part")
    print(f"  4 channels, whole         {_pair((small.many, small.once))}: nearly all the call's")
    thin, thick = filters(1), filters(5)
    each = thick.minus(thin, 4 * c)
    print(f"  depthwise, per MAC        {_pair(each)}")
    print(f"  depthwise, per number     {_pair(_rest(thin, each, c, c))} with the call's part")
    for name, layer in LAYERS.items():
        units = ACTS[name].cost
        more = dense(c, 1, layer(c)).minus(one, c)
        print(f"  {name:12} per number   {_pair(more)}, per unit {_pair(_over(more, units))}")
    gate_units = CORE["gated"].output_cost + ACTS["tanh"].cost
    gate = counted(device, dtype, Conv1d(c, 2 * c, 1), GatedUnit(2 * c)).minus(
        counted(device, dtype, Conv1d(c, 2 * c, 1)), c)
    print(f"  gated tanh   per number   {_pair(gate)}, per unit {_pair(_over(gate, gate_units))}")


def _rest(line: Line, mac: tuple[float, float], macs: int, numbers: int) -> tuple[float, float]:
    return (line.many - mac[0] * macs) / numbers, (line.once - mac[1] * macs) / numbers


def _over(pair: tuple[float, float], parts: float) -> tuple[float, float]:
    return pair[0] / parts, pair[1] / parts


def _pair(values: Several[float]) -> str:
    return f"{values[0]:8.2f} {values[1]:8.2f}"


if __name__ == "__main__":
    for asked in sys.argv[2:] or DTYPES:
        report(sys.argv[1] if len(sys.argv) > 1 else "m7", asked)
