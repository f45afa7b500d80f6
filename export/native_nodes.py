"""What a method lowers to: native operations, the rows they write and the views they read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from export.native_file import FloatArray, pack_dense

CONVS = ("conv", "depthwise")


@dataclass(eq=False)
class Root:
    """Rows that some operation writes (or the method's input). `home`: the concat that holds it."""

    channels: int
    rows: int
    home: Root | None = None
    offset: int = 0
    dense: bool = False  # must fill its buffer's rows alone: phases are written side by side


@dataclass(eq=False)
class View:
    """What an operation reads: channels of a root, perhaps some rows late."""

    root: Root
    first: int
    channels: int
    delay: int = 0

    def is_whole(self) -> bool:
        return self.first == 0 and self.channels == self.root.channels and self.delay == 0


@dataclass(eq=False)
class Node:
    """One native operation. `params` are fields of the op record."""

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
    state_words: int = 0

    @property
    def phases(self) -> int:
        return int(self.params.get("phases", 1))

    def reads(self) -> list[View]:
        """Everything it reads."""
        return [*self.inputs, *(v for v in (self.pre, self.post) if v is not None)]

    def history(self, view: View) -> int:
        """Past rows of `view`'s root that this operation looks at."""
        back = 0
        if self.kind in CONVS and view is self.inputs[0]:
            span = (self.params["kernel"] - 1) * self.params["dilation"] + 1
            back = max(0, span - self.params["stride"])
        return back + view.delay

    def packed(self) -> FloatArray | None:
        """Its weights as the kernels read them."""
        if not self.runs:
            return None
        if self.kind == "depthwise":
            return pack_dense(*self.runs[0])
        if self.gate:
            weight, bias = self.runs[0]
            order = gate_order(weight.shape[1] // 2)
            return pack_dense(weight[:, order], None if bias is None else bias[order])
        return np.concatenate([pack_dense(w, b) for w, b in self.runs])


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
