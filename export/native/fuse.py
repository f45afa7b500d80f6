"""Fuses neighbours while a graph is walked: looks back at the operations already there.

    conv1d -> leaky_relu                 one conv with the activation inside
    conv1d -> gated                      one conv whose outputs alternate between both halves
    add(conv1d, y) [-> tanh]             y added inside, before the activation if one follows
    add(conv1d, 1x1 conv1d)              the second becomes one more tap of the first
    add(add(1x1, 1x1), 1x1), ...         one convolution of all inputs side by side (skip sums)
    concat                               its parts are written side by side where they are made;
                                         nothing is made that is only taken apart again
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from engine.graph import Graph, Op, Value
from engine.ops import KINDS
from export.native.nodes import CONVS, Node, Root, View


class Fusing:
    """The operations collected so far, and those that may melt into an earlier one."""

    def __init__(self, graph: Graph, in_rows: int) -> None:
        self.graph = graph
        self.in_rows = in_rows
        self.uses = _count_uses(graph)
        self.nodes: list[Node] = []
        self.views: dict[int, View] = {}
        self.made_by: dict[Root, Node] = {}
        self.collected: set[Root] = set()  # inputs side by side of a sum of many convolutions
        self.joined: set[Root] = set()  # concats, which may be part of a wider one
        self.apart: dict[Root, list[View]] = {}  # those that need not be made, and their parts
        self.loop = False  # whether operations that are looked at run row by row

    def _root(self, value: Value) -> Root:
        rows = self.in_rows / value.ratio
        if rows.denominator != 1:
            raise ValueError(f"{self.graph.method}: a stream has {rows} rows per smallest block")
        return Root(value.channels, int(rows))

    @staticmethod
    def _whole(root: Root) -> View:
        return View(root, 0, root.channels)

    def _emit(self, node: Node) -> View:
        node.loop = self.loop
        self.nodes.append(node)
        self.made_by[node.out] = node
        return self._whole(node.out)

    def _single(self, op: Op, index: int, view: View) -> Node | None:
        """The conv that made an input which nobody else reads."""
        node = self.made_by.get(view.root)
        alone = self.uses[op.inputs[index].index] == 1 and view.is_whole()
        if node is None or not alone or node.kind not in CONVS or view.root.home is not None:
            return None
        if node.loop != op.loop:
            return None
        return node

    def _is_movable(self, view: View) -> bool:
        """Whether what makes these rows may write them side by side with others."""
        root = view.root
        return (view.is_whole() and root.home is None and not root.dense
                and (root in self.made_by or root in self.joined))

    def _concat(self, op: Op, *inputs: View) -> View:
        out = self._root(op.output)
        if self._taken_apart(op):
            self.apart[out] = list(inputs)
            return self._whole(out)
        at = 0
        for view in inputs:
            root = view.root
            if not self._is_movable(view):
                copy = Node("copy", op.name, [view], Root(view.channels, root.rows))
                root = self._emit(copy).root
            root.home, root.offset = out, at
            at += view.channels
        self.joined.add(out)
        return self._whole(out)

    def _taken_apart(self, op: Op) -> bool:
        """Whether all that reads a concat takes channels of one part of it."""
        edges = list(accumulate((value.channels for value in op.inputs), initial=0))
        readers = self.graph.readers(op.output)
        return op.output != self.graph.output and bool(readers) and all(
            reader.kind == "slice" and any(
                first <= reader.attributes["start"] and reader.attributes["stop"] <= end
                for first, end in pairwise(edges)) for reader in readers)

    def _act(self, op: Op, view: View) -> View:
        conv = self._single(op, 0, view)
        alpha = op.weights.get("alpha")
        slope = float(op.attributes.get("slope", op.attributes.get("floor", 1.0)))
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

    def _add(self, op: Op, *inputs: View) -> View:
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
        return self._emit(Node("add", op.name, [*inputs], self._root(op.output),
                               exact=is_exact(op)))

    def _mul(self, op: Op, *inputs: View) -> View:
        return self._emit(Node("mul", op.name, [*inputs], self._root(op.output),
                               exact=is_exact(op)))

    def _merge(self, op: Op, inputs: Sequence[View]) -> View | None:
        """Two convolutions of which one looks at the newest row only: one sum over both."""
        convs = [self._single(op, i, view) for i, view in enumerate(inputs)]
        for main, side in (convs, convs[::-1]):
            if main is None or side is None or main is side:
                continue
            if not (_is_plain(main) and _is_plain(side) and len(side.inputs) == 1):
                continue
            if main.exact != side.exact:
                continue
            if side.params["kernel"] != 1 or side.params["stride"] != 1:
                continue
            if len(main.inputs) == 1 and main.inputs[0].root not in self.collected:
                main.inputs.append(side.inputs[0])
            elif not self._collect(main, side):
                continue
            self._add_weights(main, side)
            return self._whole(main.out)
        return None

    def _add_weights(self, main: Node, side: Node) -> None:
        """`main` becomes the sum of both, where the inputs of both are there."""
        (weight, bias), (more, more_bias) = main.runs[0], side.runs[0]
        known = [b.astype(np.float64) for b in (bias, more_bias) if b is not None]
        main.runs = [(np.concatenate([weight, more]),
                      sum(known).astype(np.float32) if known else None)]  # type: ignore[union-attr]
        place = max(self.nodes.index(main), self.nodes.index(side))
        self.nodes[place] = main
        del self.nodes[self.nodes.index(main if self.nodes.index(main) != place else side)]

    def _collect(self, main: Node, side: Node) -> bool:
        """Puts the input of `side` beside those of `main`, a sum of 1x1 convolutions, so that they
        are one. False where rows cannot be made side by side."""
        if main.params["kernel"] != 1 or main.params["stride"] != 1:
            return False
        last = side.inputs[0]
        known = main.inputs[0].root in self.collected
        parts = [last] if known else [*main.inputs, last]
        if len({view.root for view in parts}) < len(parts):
            return False
        if not all(self._is_movable(view) and view.root in self.made_by
                   and self.made_by[view.root].loop == main.loop
                   for view in parts):
            return False
        out = main.inputs[0].root if known else Root(0, last.root.rows)
        for view in parts:
            view.root.home, view.root.offset = out, out.channels
            out.channels += view.channels
        main.inputs = [self._whole(out)]
        self.collected.add(out)
        return True

    def _later_first(self, inputs: Sequence[View]) -> list[int]:
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
        readers = self.graph.readers(op.output)
        if len(readers) != 1 or self.graph.output == op.output:
            return False
        core = KINDS[readers[0].kind].core
        return core is not None and core.fuses and core.takes_act


def is_exact(op: Op) -> bool:
    """Whether no export may round what it works with."""
    return bool(op.attributes.get("exact", False))


def _is_plain(conv: Node) -> bool:
    """A dense convolution with nothing before or after its sum."""
    return (conv.kind == "conv" and conv.act == "linear" and not conv.gate and conv.pre is None
            and conv.post is None and conv.params["groups"] == 1 and conv.phases == 1)


def _is_inside(root: Root, outer: Root) -> bool:
    while root.home is not None:
        root = root.home
        if root is outer:
            return True
    return False


def _count_uses(graph: Graph) -> dict[int, int]:
    uses: dict[int, int] = {graph.output.index: 1}
    for op in graph.ops:
        for index in op.reads():
            uses[index] = uses.get(index, 0) + 1
    return uses
