"""Plays a lowered method in PyTorch, node by node, whole signals from fresh state.

Two ways through the same nodes:

    float       weights as they were trained, rows as real numbers: the reference
    annotated   as a quantised file plays: whole numbers where a root has a scale or a node has
                integer weights, float32 elsewhere, rounded where the C runtime rounds

Calibration watches the first, reports compare both. With `maths` that gives the bits of the C
polynomials (the tests have it) the second is the file, bit for bit.

A method with a loop is told what it drew (`forced.py`), and played all rows at once as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from export.native.forced import (
    Forced,
    Signal,
    ahead,
    end_of,
    judged,
    judged_end,
    writes,
)
from export.native.maths import Maths
from export.native.nodes import Node, Program, Root, View, outermost
from export.native.simulate_ops import Operations
from export.native.sums import joined, run_sums

INT16_RANGE = (-32768.0, 32767.0)
TINY = 2.0**-60  # float32 rows below this are stored as 0, as the runtime does

Watch = Callable[[Node, Tensor], None]


class Simulator(Operations):
    """One signal through one method. `watch` sees every node with what it wrote, as real numbers
    [channels, time]; `before` sees a convolution's sum before anything else happens to it."""

    def __init__(self, program: Program, attributes: Mapping[str, Tensor], annotated: bool = False,
                 dtype: torch.dtype = torch.float64, maths: Any = Maths,
                 watch: Watch | None = None, before: Watch | None = None) -> None:
        self.program = program
        self.annotated = annotated
        self.dtype = torch.float32 if annotated else dtype
        self.attributes = {k: v.to(self.dtype) for k, v in attributes.items()}
        self.maths, self.watch, self.before = maths, watch, before
        self._rows: dict[Root, Tensor] = {}  # outermost root -> [channels, time]
        self._units = 0
        self._last = _last_readers(program)
        self._ahead = ahead(program)

    def start(self, signal: Signal) -> None:
        """Put the input [channels, time] in place; its length is whole smallest blocks. With it
        come the draws of a loop."""
        self._rows = {}
        x = signal.x if isinstance(signal, Forced) else signal
        self._units, rest = divmod(x.shape[1], self.program.input.root.rows)
        if rest or not self._units:
            raise ValueError(f"{x.shape[1]} rows are not whole blocks")
        self._rows[outermost(self.program.input.root)[0]] = x.to(self.dtype)
        if self.program.fed:
            self._force(signal)

    def _force(self, signal: Signal) -> None:
        """Put the draws where the loop reads them, and into whatever is made of them alone."""
        fed = self.program.fed[0]
        if not isinstance(signal, Forced) or len(self.program.fed) > 1 or not fed.is_whole():
            raise ValueError("a method with a loop is simulated with the draws of that loop alone")
        rows = self._units * outermost(fed.root)[0].rows
        if signal.drawn.shape != (fed.channels, rows):
            raise ValueError(f"{list(signal.drawn.shape)} draws, wanted {[fed.channels, rows]}")
        self._store(fed.root, signal.drawn.to(self.dtype))
        for at in self._ahead:
            node = self.program.nodes[at]
            self._store(node.out, self._play(node))

    @torch.no_grad()
    def run(self, signal: Signal) -> Tensor:
        """[in_channels, time] -> [out_channels, time'] of the method. Where a loop draws: what it
        draws from, [channels, rows of the loop]; where it ends without a draw and nothing learnt
        is behind it: what it makes after the rows that were given."""
        self.start(signal)
        for at in range(len(self.program.nodes)):
            self.step(at)
        end = judged_end(self.program)
        return self.real(judged(self.program)) if end is None else self.made(end)

    def made(self, end: Node) -> Tensor:
        """What the end of a loop makes after the rows that were given."""
        return self._rounded(end.out, self._play(end))[1]

    def step(self, at: int) -> None:
        """Node number `at`; then rows that nobody reads any more are let go."""
        node = self.program.nodes[at]
        if at in self._ahead or writes(node, self.program.fed):
            y = self.real(View(node.out, 0, node.out.channels))  # was given
            if self.before is not None and node.core.is_convolution:
                self._play(node)
        else:
            y = self._store(node.out, self._play(node))
        if self.watch is not None:
            self.watch(node, y)
        for root in self._last.get(at, ()):
            self._rows.pop(root, None)

    # --- rows -----------------------------------------------------------------------------------

    def real(self, view: View) -> Tensor:
        """What a view holds, as numbers of `dtype`: [channels, time]."""
        rows = self.window(view)
        scale = self.scale_of(view.root)
        return rows * torch.tensor(scale, dtype=self.dtype) if scale else rows

    def scale_of(self, root: Root) -> float:
        """Scale of the whole numbers in `root`; 0 where there are real ones."""
        return outermost(root)[0].scale if self.annotated else 0.0

    def window(self, view: View) -> Tensor:
        """What a view holds, as kept: whole numbers where its root has a scale."""
        top, first = outermost(view.root)
        first += view.first
        rows = self._rows[top][first : first + view.channels]
        return F.pad(rows, (view.delay, 0))[:, : rows.shape[1]] if view.delay else rows

    def _rounded(self, root: Root, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows as `root` keeps them, and as real numbers."""
        scale = self.scale_of(root)
        if not scale:
            kept = torch.where(y.abs() >= TINY, y, torch.zeros_like(y))
            return kept, kept
        inverse = torch.tensor(1.0, dtype=torch.float32) / torch.tensor(scale, dtype=torch.float32)
        kept = (y * inverse).round().clamp(*INT16_RANGE)
        return kept, kept * torch.tensor(scale, dtype=torch.float32)

    def _store(self, root: Root, y: Tensor) -> Tensor:
        """Put rows into their place, rounded as the place asks; returns them as real numbers."""
        top, first = outermost(root)
        kept, real = self._rounded(root, y)
        if root is top:
            self._rows[top] = kept
            return real
        if top not in self._rows:
            self._rows[top] = kept.new_zeros(top.channels, self._units * top.rows)
        self._rows[top][first : first + root.channels] = kept
        return real

    # --- nodes ----------------------------------------------------------------------------------

    def _play(self, node: Node) -> Tensor:
        if node.core.is_convolution:
            return self._conv(node)
        if node.kind == "control":
            return self._control(node, self._units * node.out.rows)
        x = self.real(node.inputs[0])
        return getattr(self, f"_{node.kind}")(node, x)  # type: ignore[no-any-return]

    def _act(self, node: Node, x: Tensor) -> Tensor:
        act, maths = node.act, self.maths
        if act == "linear":
            return x
        if act == "leaky_relu":
            return torch.where(x > 0, x, x * torch.tensor(node.slope, dtype=x.dtype))
        if act == "elu":
            return maths.elu(x, node.slope)  # type: ignore[no-any-return]
        if act == "log":
            return maths.log(x, node.slope)  # type: ignore[no-any-return]
        if act == "sqrt":
            return maths.sqrt(x.clamp_min(node.slope))  # type: ignore[no-any-return]
        if act == "snake":
            count = node.out.channels  # with phases, the same again for each
            a, inverse = torch.as_tensor(node.extra).to(x.dtype).reshape(2, -1, 1)[:, :count]
            return maths.snake(x, a, inverse)  # type: ignore[no-any-return]
        return getattr(maths, act)(x)  # type: ignore[no-any-return]

    def _conv(self, node: Node) -> Tensor:
        y = self.sums(node)
        if self.before is not None:
            self.before(node, y)
        if node.pre is not None:
            y = y + self.real(node.pre)
        if node.gate:
            a, b = y.chunk(2)
            y = self._act(node, a) * self.maths.sigmoid(b)
        else:
            y = self._act(node, y)
        return y if node.post is None else y + self.real(node.post)

    def sums(self, node: Node) -> Tensor:
        """What a convolution adds up, bias included: [channels, time'] as real numbers."""
        whole = self.annotated and bool(node.integers)
        return self._integer_sums(node) if whole else self._float_sums(node)

    def _float_sums(self, node: Node) -> Tensor:
        inputs = [self.real(view) for view in node.inputs]
        parts = []
        for index, (weight, bias) in enumerate(node.runs):
            w = torch.as_tensor(node.played(index) if self.annotated else weight).to(self.dtype)
            y = run_sums(node, index, w, inputs)
            if bias is not None:
                y = y + torch.as_tensor(bias).to(self.dtype)[:, None]
            parts.append(y)
        return joined(node, parts)

    def _integer_sums(self, node: Node) -> Tensor:
        """Exact: whole numbers in float64, whose sums stay far below 2^53."""
        inputs = [self.window(view).double() for view in node.inputs]
        parts = []
        for index, run in enumerate(node.integers):
            sums = [run_sums(node, index, torch.as_tensor(plane).double(), inputs)
                    for plane in run.planes]
            sums[0] = sums[0] + torch.as_tensor(run.bias).double()[:, None]
            y = sums[0].float()
            if len(sums) > 1:
                y = self.maths.fma(torch.tensor(256.0), sums[1].float(), y)
            parts.append(y * torch.as_tensor(run.step)[:, None])
        return joined(node, parts)


def _last_readers(program: Program) -> dict[int, list[Root]]:
    """For each node, the outermost roots that nobody reads after it."""
    last: dict[Root, int] = {}
    for at, node in enumerate(program.nodes):
        for root in (node.out, *(view.root for view in node.reads())):
            last[outermost(root)[0]] = at
    end = end_of(program)
    for kept in (program.output, judged(program), *(end.reads() if end else ())):
        last.pop(outermost(kept.root)[0], None)
    done: dict[int, list[Root]] = {}
    for root, at in last.items():
        done.setdefault(at, []).append(root)
    return done
