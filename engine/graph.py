"""What a model lowers to: one flat list of stateful operations per method.

Every streaming layer appends its operations to a `Builder`; costs, the native compiler and the
layer tables read the finished `Graph`. Nothing here needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.ops import KINDS

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Value:
    """A stream between operations. `ratio`: method input frames per frame of this stream;
    `delay`: method input frames by which it is later than nominal."""

    index: int
    channels: int
    ratio: Fraction
    delay: Fraction = Fraction(0)


@dataclass(frozen=True)
class Op:
    """One operation. `macs_per_frame` counts per frame of the first input."""

    kind: str
    name: str
    inputs: tuple[Value, ...]
    output: Value
    attributes: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, FloatArray] = field(default_factory=dict)
    state_shapes: tuple[tuple[int, ...], ...] = ()
    macs_per_frame: float = 0.0
    loop: bool = False  # runs row by row, with the others of the loop

    @property
    def weight_count(self) -> int:
        """Numbers stored for this operation."""
        return sum(w.size for w in self.weights.values())

    @property
    def state_count(self) -> int:
        """Numbers carried from block to block, per stream."""
        return sum(int(np.prod(shape)) for shape in self.state_shapes)

    @property
    def weights_key(self) -> tuple[tuple[Any, ...], ...]:
        """Where its weights lie: the same for operations that share all of theirs, () for none."""
        return tuple((name, w.__array_interface__["data"][0], w.shape)
                     for name, w in sorted(self.weights.items()))

    def reads(self) -> tuple[int, ...]:
        """Numbers of the values that it reads."""
        if self.kind == "feed":
            return (self.attributes["source"],)
        core = KINDS[self.kind].core
        if core is not None and core.inputs == 0:  # of what it stands behind only the rate
            return ()
        return tuple(value.index for value in self.inputs)

    def macs_per_input_frame(self) -> float:
        """Multiply-accumulates per frame of the *method's* input."""
        return self.macs_per_frame / float(self.inputs[0].ratio)


@dataclass(frozen=True)
class Graph:
    """A method as operations in the order in which they run."""

    method: str
    input: Value
    output: Value
    ops: tuple[Op, ...]

    def readers(self, value: Value) -> list[Op]:
        """Operations that read a value, in order; a `feed` reads what it is fed."""
        return [op for op in self.ops if value.index in op.reads()]

    @property
    def loop(self) -> tuple[Op, ...]:
        """The operations that run row by row, in order."""
        return tuple(op for op in self.ops if op.loop)

    def macs_per_input_frame(self) -> float:
        """Multiply-accumulates per frame of the method's input."""
        return sum(op.macs_per_input_frame() for op in self.ops)

    @property
    def state_count(self) -> int:
        """Numbers carried from block to block, per stream."""
        return sum(op.state_count for op in self.ops)

    @property
    def weight_count(self) -> int:
        """Numbers stored, those that operations share once."""
        known = repeats(op.weights_key for op in self.ops)
        return sum(op.weight_count for op, back in zip(self.ops, known, strict=True) if not back)


def repeats(keys: Iterable[object]) -> list[int]:
    """For each of some operations' weights, in order, how many before it the same stood first: 0
    for those that are new, and for what is empty."""
    first: dict[object, int] = {}
    return [at - first.setdefault(key, at) if key else 0 for at, key in enumerate(keys)]


class Builder:
    """Collects operations while layers are lowered in running order."""

    def __init__(self, method: str, in_channels: int) -> None:
        self.method = method
        self._next = 1
        self._path: list[str] = []
        self.input = Value(0, in_channels, Fraction(1))
        self.ops: list[Op] = []
        self._in_loop = False

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Operations emitted inside carry `name` in their path."""
        self._path.append(name)
        try:
            yield
        finally:
            self._path.pop()

    @contextmanager
    def loop(self) -> Iterator[None]:
        """Operations emitted inside run row by row, so that a `feed` may read what a later one
        wrote a row before. A method has one such loop at most."""
        if any(op.loop for op in self.ops) or self._in_loop:
            raise ValueError(f"{self.method}: a method has one loop at most")
        self._in_loop = True
        yield
        self._in_loop = False
        for op in self.ops:
            if op.kind == "feed" and "source" not in op.attributes:
                raise ValueError(f"{op.name}: nothing was fed to it; call Builder.close_feed")

    def feed(self, channels: int, like: Value) -> Value:
        """Rows of a value that is still to be made, each one row late and zeros at first; it has
        the rate of `like`. `close_feed` says which value."""
        if not self._in_loop:
            raise ValueError(f"{self.method}: feed stands inside a loop")
        return self.op("feed", like, channels=channels, state_shapes=[(channels, 1)])

    def close_feed(self, fed: Value, source: Value) -> None:
        """What `fed` reads: `source`, made inside the same loop."""
        feed = next(op for op in self.ops if op.output is fed)
        inside = any(op.loop and op.kind != "feed" and op.output is source for op in self.ops)
        if not inside or (source.channels, source.ratio) != (fed.channels, fed.ratio):
            raise ValueError(f"{feed.name}: what is fed back must be made in the loop, with "
                             f"{fed.channels} channels and its rate")
        feed.attributes["source"] = source.index

    def op(
        self,
        kind: str,
        *inputs: Value,
        channels: int | None = None,
        ratio: Fraction | int = 1,
        attributes: dict[str, Any] | None = None,
        weights: dict[str, Any] | None = None,
        state_shapes: list[tuple[int, ...]] | None = None,
        macs_per_frame: float = 0.0,
        lookahead: Fraction | int = 0,
    ) -> Value:
        """Append an operation and return the stream it makes.

        `channels` defaults to those of the first input; `ratio` is input frames per output frame;
        `lookahead` is how much later than its inputs, which are equally late, the output is, in
        frames of the first; `weights` may hold torch tensors or arrays, absent ones (None) are left
        out."""
        if kind not in KINDS:
            raise ValueError(f"unknown operation {kind!r}; engine/core/ops.inc lists them")
        first = inputs[0]
        delay = max(value.delay for value in inputs) + lookahead * first.ratio
        output = Value(self._next, channels or first.channels, first.ratio * ratio, delay)
        self._next += 1
        self.ops.append(Op(
            kind=kind,
            name="/".join([*self._path, kind]),
            inputs=inputs,
            output=output,
            attributes=dict(attributes or {}),
            weights={k: _array(w) for k, w in (weights or {}).items() if w is not None},
            state_shapes=tuple(state_shapes or ()),
            macs_per_frame=macs_per_frame,
            loop=self._in_loop,
        ))
        return output

    def finish(self, output: Value) -> Graph:
        """Close the graph at `output`."""
        return Graph(self.method, self.input, output, tuple(self.ops))


def _array(weight: Any) -> FloatArray:
    if hasattr(weight, "detach"):
        weight = weight.detach().cpu().numpy()
    return np.ascontiguousarray(weight, dtype=np.float32)
