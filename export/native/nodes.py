"""What a method lowers to: native operations, the rows they write and the views they read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.ops import CORE, CoreOp
from export.native.file import FloatArray, clean
from export.native.pack import (
    bfloat16,
    pack_bfloat16,
    pack_dense,
    pack_integer_depthwise,
    pack_integers,
)

CONVS = tuple(op.name for op in CORE.values() if op.is_convolution)


@dataclass(eq=False)
class Root:
    """Rows that some operation writes (or the method's input). `home`: the concat that holds it."""

    channels: int
    rows: int
    home: Root | None = None
    offset: int = 0
    dense: bool = False  # must fill its buffer's rows alone: phases are written side by side
    scale: float = 0.0  # of an outermost root: 0 holds float32, else int16 that stand for x * scale


@dataclass(eq=False)
class View:
    """What an operation reads: channels of a root, perhaps some rows late."""

    root: Root
    first: int
    channels: int
    delay: int = 0

    def is_whole(self) -> bool:
        return self.first == 0 and self.channels == self.root.channels and self.delay == 0


@dataclass(frozen=True)
class Integers:
    """Weights of one run as whole numbers: w = planes[0] (+ 256 * planes[1]), each int8
    [taps * in, outputs]. `step` [outputs]: real value of one unit of the sum; `bias` [outputs] in
    such units, the sum starts there."""

    planes: tuple[NDArray[np.int8], ...]
    step: FloatArray
    bias: NDArray[np.int32]


@dataclass(eq=False)
class Node:
    """One native operation. `params` are fields of the op record; what reads nothing has no
    inputs."""

    kind: str
    name: str
    inputs: list[View]
    out: Root
    act: str = "linear"
    slope: float = 1.0
    params: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    pre: View | None = None
    post: View | None = None
    gate: bool = False
    bias: FloatArray | None = None
    runs: list[tuple[FloatArray, FloatArray | None]] = field(default_factory=list)
    extra: FloatArray | None = None  # snake: a, 1/a
    table: FloatArray | None = None  # embed: [rows, channels]
    dtype: str = "float32"  # of its weights: float32, bfloat16, int8, int16 (two planes)
    integers: list[Integers] = field(default_factory=list)  # one per run, where weights are whole
    loop: bool = False  # runs row by row, with the others of the loop
    exact: bool = False  # its weights are constants, which no file rounds

    @property
    def core(self) -> CoreOp:
        """What the runtime's list says of it."""
        return CORE[self.kind]

    @property
    def state_words(self) -> int:
        """Words of the state that are its own."""
        sizes = (int(self.params.get(name, 1)) for name in ("kernel", "stride", "groups", "phases"))
        return self.core.state_words(sum(v.channels for v in self.inputs[:1]), self.out.channels,
                                     *sizes)

    @property
    def phases(self) -> int:
        return int(self.params.get("phases", 1))

    @property
    def steps(self) -> int:
        """How often per smallest block a loop runs it."""
        if self.kind in CONVS:
            return self.inputs[0].root.rows // int(self.params["stride"])
        return self.out.rows

    def reads(self) -> list[View]:
        """Everything it reads."""
        return [*self.inputs, *(v for v in (self.pre, self.post) if v is not None)]

    def history(self, view: View) -> int:
        """Past rows of `view`'s root that this operation looks at."""
        back = 0
        if self.core.reads_past and view is self.inputs[0]:
            span = (self.params["kernel"] - 1) * self.params.get("dilation", 1) + 1
            back = max(0, span - self.params.get("stride", 1))
        return back + view.delay

    def played(self, index: int) -> FloatArray:
        """Weights of a run as real numbers that the file plays: rounded where `dtype` rounds."""
        weight = self.runs[index][0]
        return bfloat16(weight) if self.dtype == "bfloat16" else weight

    def packed(self) -> NDArray[np.uint8] | None:
        """Its weights as the kernels read them."""
        if self.table is not None:
            return np.ascontiguousarray(clean(self.table)).astype("<f4").view(np.uint8).reshape(-1)
        if not self.runs:
            return None
        return np.concatenate([self._packed_run(index) for index in range(len(self.runs))])

    def _packed_run(self, index: int) -> NDArray[np.uint8]:
        weight, bias = self.runs[index]
        order = gate_order(weight.shape[1] // 2) if self.gate else list(range(weight.shape[1]))
        if self.integers:
            return self._packed_integers(self.integers[index], order)
        weight = clean(weight)[:, order]
        bias = None if bias is None else clean(bias)[order]
        if self.dtype == "bfloat16":
            return pack_bfloat16(weight, bias)
        return pack_dense(weight, bias).astype("<f4").view(np.uint8)

    def _packed_integers(self, whole: Integers, order: list[int]) -> NDArray[np.uint8]:
        planes = [plane[:, order] for plane in whole.planes]
        step, bias = whole.step[order], whole.bias[order]
        if self.kind == "depthwise":
            return pack_integer_depthwise(planes, step, bias)
        side = self.inputs[1].channels if len(self.inputs) > 1 else 0
        kernel = self.params["kernel"]
        per_tap = (len(planes[0]) - side) // kernel
        return pack_integers(planes, step, bias, [per_tap] * kernel + [side] * bool(side))


def gate_order(half: int) -> list[int]:
    """Outputs of a gated conv in the order of its panels: 32 of a, the 32 of b beside them, ..."""
    order: list[int] = []
    for first in range(0, half, 32):
        part = range(first, min(first + 32, half))
        order += [*part, *(half + i for i in part)]
    return order


@dataclass
class Program:
    """A method ready to be laid out."""

    input: View
    output: View
    nodes: list[Node]
    fed: list[View] = field(default_factory=list)  # what a loop reads back, a row late


def outermost(root: Root) -> tuple[Root, int]:
    """The root whose memory holds `root`, and at which channel."""
    first = 0
    while root.home is not None:
        first += root.offset
        root = root.home
    return root, first
