"""A graph of layers becomes a list of native operations: views resolved, neighbours fused.

    conv1d -> leaky_relu                 one conv with the activation inside
    conv1d -> gated                      one conv whose outputs alternate between both halves
    add(conv1d, y) [-> tanh]             y added inside, before the activation if one follows
    add(conv1d, 1x1 conv1d)              the second becomes one more tap of the first
    slice, delay                         no operation: another view of the same rows
    concat                               its parts are written side by side where they are made
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from engine.graph import Graph, Op, Value
from export.native_file import FloatArray, pack_dense

ACTS = ("leaky_relu", "elu", "tanh", "sigmoid", "snake")
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


class Lowering:
    """Walks a graph once and collects nodes; fusing looks back at the nodes already there."""

    def __init__(self, graph: Graph, in_rows: int) -> None:
        self.graph = graph
        self.in_rows = in_rows
        self.uses = _count_uses(graph)
        self.nodes: list[Node] = []
        self.views: dict[int, View] = {}
        self.made_by: dict[Root, Node] = {}

    def run(self) -> Program:
        """The whole graph."""
        source = self._root(self.graph.input)
        self.views[self.graph.input.index] = self._whole(source)
        for op in self.graph.ops:
            inputs = [self.views[v.index] for v in op.inputs]
            self.views[op.output.index] = self._op(op, inputs)
        out = self.views[self.graph.output.index]
        if out.root is source:  # nothing writes the output: copy, so that input and output differ
            out = self._emit(Node("copy", "output", [out], Root(out.channels, out.root.rows)))
        return Program(self._whole(source), out, self.nodes)

    def _root(self, value: Value) -> Root:
        rows = self.in_rows / value.ratio
        if rows.denominator != 1:
            raise ValueError(f"{self.graph.method}: a stream has {rows} rows per smallest block")
        return Root(value.channels, int(rows))

    @staticmethod
    def _whole(root: Root) -> View:
        return View(root, 0, root.channels)

    def _emit(self, node: Node) -> View:
        self.nodes.append(node)
        self.made_by[node.out] = node
        return self._whole(node.out)

    def _op(self, op: Op, inputs: list[View]) -> View:
        kind = op.kind
        if kind == "slice":
            start, stop = op.attributes["start"], op.attributes["stop"]
            return View(inputs[0].root, inputs[0].first + start, stop - start, inputs[0].delay)
        if kind == "delay":
            view = inputs[0]
            return View(view.root, view.first, view.channels, view.delay + op.attributes["frames"])
        if kind == "concat":
            return self._concat(op, inputs)
        if kind in ACTS:
            return self._act(op, inputs[0])
        if kind in ("add", "mul"):
            return self._sum(op, inputs)
        return getattr(self, f"_{kind}")(op, inputs[0])

    def _single(self, op: Op, index: int, view: View) -> Node | None:
        """The conv that made an input which nobody else reads."""
        node = self.made_by.get(view.root)
        alone = self.uses[op.inputs[index].index] == 1 and view.is_whole()
        if node is None or not alone or node.kind not in CONVS or view.root.home is not None:
            return None
        return node

    def _concat(self, op: Op, inputs: list[View]) -> View:
        out = self._root(op.output)
        at = 0
        for view in inputs:
            root = view.root
            movable = (view.is_whole() and root.home is None and not root.dense
                       and root in self.made_by)
            if not movable:
                copy = Node("copy", op.name, [view], Root(view.channels, root.rows))
                root = self._emit(copy).root
            root.home, root.offset = out, at
            at += view.channels
        return self._whole(out)

    def _act(self, op: Op, view: View) -> View:
        conv = self._single(op, 0, view)
        alpha = op.weights.get("alpha")
        slope = float(op.attributes.get("slope", 1.0))
        if conv is not None and conv.act == "linear" and conv.post is None and not conv.gate:
            conv.act, conv.slope = op.kind, slope
            if alpha is not None:
                wide = np.tile(alpha, conv.phases)
                conv.extra = np.concatenate([wide, (1 / wide.astype(np.float64)).astype("f4")])
            return view
        node = Node("map", op.name, [view], self._root(op.output), act=op.kind, slope=slope)
        if alpha is not None:
            inverse = (1 / alpha.astype(np.float64)).astype(np.float32)
            node.extra = np.concatenate([alpha, inverse])
        return self._emit(node)

    def _gated(self, op: Op, view: View) -> View:
        conv = self._single(op, 0, view)
        act = "tanh" if op.attributes["activation"] == "tanh" else "linear"
        out = self._root(op.output)
        if (conv is not None and conv.kind == "conv" and conv.act == "linear"
                and conv.post is None and conv.params["groups"] == 1 and conv.phases == 1):
            conv.gate, conv.act = True, act
            del self.made_by[conv.out]
            conv.out, conv.name = out, f"{conv.name} + gated"
            self.made_by[out] = conv
            return self._whole(out)
        return self._emit(Node("gated", op.name, [view], out, act=act))

    def _sum(self, op: Op, inputs: list[View]) -> View:
        if op.kind == "add":
            merged = self._merge(op, inputs)
            if merged is not None:
                return merged
            for index in self._later_first(inputs):
                conv, other = self._single(op, index, inputs[index]), inputs[1 - index]
                if conv is not None and self._may_add(conv, other):
                    if conv.act == "linear" and self._act_follows(op):
                        conv.pre = other
                    else:
                        conv.post = other
                    return inputs[index]
        return self._emit(Node(op.kind, op.name, inputs, self._root(op.output)))

    def _merge(self, op: Op, inputs: list[View]) -> View | None:
        """Two convolutions of which one looks at the newest row only: one sum over both."""
        convs = [self._single(op, i, view) for i, view in enumerate(inputs)]
        for main, side in (convs, convs[::-1]):
            if main is None or side is None or main is side:
                continue
            plain = all(c.kind == "conv" and c.act == "linear" and not c.gate and c.pre is None
                        and c.post is None and len(c.inputs) == 1 and c.params["groups"] == 1
                        and c.phases == 1 for c in (main, side))
            if not plain or side.params["kernel"] != 1 or side.params["stride"] != 1:
                continue
            (weight, bias), (more, more_bias) = main.runs[0], side.runs[0]
            known = [b.astype(np.float64) for b in (bias, more_bias) if b is not None]
            main.runs = [(np.concatenate([weight, more]),
                          sum(known).astype(np.float32) if known else None)]  # type: ignore[union-attr]
            main.inputs.append(side.inputs[0])
            place = max(self.nodes.index(main), self.nodes.index(side))
            self.nodes[place] = main  # where both inputs are there
            del self.nodes[self.nodes.index(main if self.nodes.index(main) != place else side)]
            return self._whole(main.out)
        return None

    def _later_first(self, inputs: list[View]) -> list[int]:
        place = {id(node.out): i for i, node in enumerate(self.nodes)}
        return sorted((0, 1), key=lambda i: -place.get(id(inputs[i].root), -1))

    def _may_add(self, conv: Node, other: View) -> bool:
        if conv.phases != 1 or conv.pre is not None or conv.post is not None or conv.gate:
            return False
        if other.root is conv.out:
            return False
        maker = self._maker(other.root)
        return maker is None or maker < self.nodes.index(conv)

    def _maker(self, root: Root) -> int | None:
        """Index of the last node that writes to `root` or into it, if it is a concat."""
        places = [i for i, node in enumerate(self.nodes)
                  if node.out is root or _is_inside(node.out, root)]
        return max(places, default=None)

    def _act_follows(self, op: Op) -> bool:
        readers = [other for other in self.graph.ops if op.output in other.inputs]
        return (len(readers) == 1 and self.graph.output != op.output
                and readers[0].kind in (*ACTS, "gated"))

    # --- operations that stand for themselves ---------------------------------------------------

    def _guard(self, op: Op, view: View) -> View:
        return self._emit(Node("guard", op.name, [view], self._root(op.output)))

    def _affine(self, op: Op, view: View) -> View:
        names = {"attr_a": op.attributes["scale"], "attr_b": op.attributes["bias"]}
        return self._emit(Node("affine", op.name, [view], self._root(op.output), attributes=names))

    def _noise_multiply(self, op: Op, view: View) -> View:
        return self._emit(Node("noise", op.name, [view], self._root(op.output),
                               params={"seed": op.attributes["seed"]}, state_words=1))

    def _latent_sample(self, op: Op, view: View) -> View:
        return self._emit(Node(
            "gaussian", op.name, [view], self._root(op.output),
            params={"seed": op.attributes["seed"]}, state_words=1,
            attributes={"attr_a": op.attributes["temperature"]},
        ))

    def _conv1d(self, op: Op, view: View) -> View:
        weight, bias = op.weights["weight"], op.weights.get("bias")  # [out, in / groups, kernel]
        groups, kernel = op.attributes["groups"], op.attributes["kernel_size"]
        out, per_group, _ = weight.shape
        depthwise = groups == out == view.channels and groups > 1
        params = {"kernel": kernel, "stride": op.attributes["stride"],
                  "dilation": op.attributes["dilation"], "groups": groups, "phases": 1}
        taps = weight.transpose(2, 1, 0).reshape(kernel * per_group, out)  # [taps * in, out]
        if depthwise:
            runs = [(taps, bias)]
        else:
            size = out // groups
            runs = [(taps[:, g * size : (g + 1) * size],
                     None if bias is None else bias[g * size : (g + 1) * size])
                    for g in range(groups)]
        return self._emit(Node("depthwise" if depthwise else "conv", op.name, [view],
                               self._root(op.output), params=params, runs=runs))

    def _conv_transpose1d(self, op: Op, view: View) -> View:
        weight, bias = op.weights["weight"], op.weights.get("bias")  # [in, out / groups, kernel]
        groups, stride = op.attributes["groups"], op.attributes["stride"]
        channels, size, kernel = weight.shape
        taps, per_group = ceil(kernel / stride), channels // groups
        # Polyphase: output row n * stride + p sums taps j * stride + p over rows n - j, oldest
        # (largest j) first.
        padded = np.zeros((channels, size, taps * stride), np.float32)
        padded[:, :, :kernel] = weight
        phases = padded.reshape(channels, size, taps, stride)[:, :, ::-1]
        phases = phases.transpose(2, 0, 3, 1)  # [taps, in, phase, out / groups]
        runs: list[tuple[FloatArray, FloatArray | None]] = []
        for g in range(groups):
            part = phases[:, g * per_group : (g + 1) * per_group]
            part = part.reshape(taps * per_group, stride, size)
            b = None if bias is None else bias[g * size : (g + 1) * size]
            if groups == 1:
                runs.append((part.reshape(-1, stride * size),
                             None if b is None else np.tile(b, stride)))
            else:
                runs += [(part[:, p], b) for p in range(stride)]
        out = self._root(op.output)
        out.dense = stride > 1
        params = {"kernel": taps, "stride": 1, "dilation": 1, "groups": groups, "phases": stride}
        return self._emit(Node("conv", op.name, [view], out, params=params, runs=runs))

    def _recurrent(self, op: Op, view: View, gates: int) -> tuple[View, Root]:
        """The input part of all gates as a conv, with every bias that can be added up front."""
        hidden = op.attributes["hidden"]
        bias = op.weights["bias_ih"].astype(np.float64)
        bias_hh = op.weights["bias_hh"].astype(np.float64)
        known = 4 * hidden if gates == 4 else 2 * hidden  # gru: n's hidden one stays inside r * (.)
        bias[:known] += bias_hh[:known]
        params = {"kernel": 1, "stride": 1, "dilation": 1, "groups": 1, "phases": 1}
        rows = view.root.rows
        first = Node("conv", f"{op.name}/input", [view], Root(gates * hidden, rows), params=params,
                     runs=[(np.ascontiguousarray(op.weights["weight_ih"].T),
                            bias.astype(np.float32))])
        return self._emit(first), self._root(op.output)

    def _lstm(self, op: Op, view: View) -> View:
        sums, out = self._recurrent(op, view, 4)
        return self._emit(Node("lstm", op.name, [sums], out, state_words=2 * out.channels,
                               runs=[(op.weights["weight_hh"].T, None)]))

    def _gru(self, op: Op, view: View) -> View:
        sums, out = self._recurrent(op, view, 3)
        h, weight = out.channels, op.weights["weight_hh"].T  # [h, 3h]
        return self._emit(Node("gru", op.name, [sums], out, state_words=2 * h, runs=[
            (weight[:, : 2 * h], None), (weight[:, 2 * h :], op.weights["bias_hh"][2 * h :])]))


def _is_inside(root: Root, outer: Root) -> bool:
    while root.home is not None:
        root = root.home
        if root is outer:
            return True
    return False


def _count_uses(graph: Graph) -> dict[int, int]:
    uses: dict[int, int] = {graph.output.index: 1}
    for op in graph.ops:
        for value in op.inputs:
            uses[value.index] = uses.get(value.index, 0) + 1
    return uses
