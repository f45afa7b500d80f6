"""Plays a lowered method in PyTorch, node by node, whole signals from fresh state.

Two ways through the same nodes:

    float       weights as they were trained, rows as real numbers: the reference
    annotated   as a quantised file plays: whole numbers where a root has a scale or a node has
                integer weights, float32 elsewhere, rounded where the C runtime rounds

Calibration watches the first, reports compare both. With `maths` that gives the bits of the C
polynomials (the tests have it) the second is the file, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.layers.draw import Categorical, Draw, LogisticMixture
from engine.layers.noise import LatentSample, frame_numbers, stream_keys, uniform
from engine.layers.pointwise import INPUT_LIMIT, Exp
from export.native.nodes import Node, Program, Root, View, outermost
from export.native.sums import joined, run_sums

INT16_RANGE = (-32768.0, 32767.0)
TINY = 2.0**-60  # float32 rows below this are stored as 0, as the runtime does

Watch = Callable[[Node, Tensor], None]


class Maths:
    """Activations as PyTorch has them. `fma` multiplies and adds; a caller may round it once."""

    tanh = staticmethod(torch.tanh)
    sigmoid = staticmethod(torch.sigmoid)
    softplus = staticmethod(F.softplus)
    sqrt = staticmethod(torch.sqrt)

    @staticmethod
    def exp(x: Tensor) -> Tensor:
        return torch.exp(x.clamp_max(Exp.LIMIT))

    @staticmethod
    def log(x: Tensor, floor: float) -> Tensor:
        return torch.log(x.clamp_min(floor))

    @staticmethod
    def elu(x: Tensor, slope: float) -> Tensor:
        return torch.where(x > 0, x, slope * torch.expm1(x.clamp_max(0)))

    @staticmethod
    def snake(x: Tensor, a: Tensor, inverse: Tensor) -> Tensor:
        return x + torch.sin(x * a).square() * inverse

    @staticmethod
    def fma(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return a * b + c


class Simulator:
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

    def start(self, x: Tensor) -> None:
        """Put the input [channels, time] in place; its length is whole smallest blocks."""
        self._rows = {}
        self._units, rest = divmod(x.shape[1], self.program.input.root.rows)
        if rest or not self._units:
            raise ValueError(f"{x.shape[1]} rows are not whole blocks")
        self._rows[outermost(self.program.input.root)[0]] = x.to(self.dtype)

    @torch.no_grad()
    def run(self, x: Tensor) -> Tensor:
        """[in_channels, time] -> [out_channels, time'] of the method."""
        self.start(x)
        for at in range(len(self.program.nodes)):
            self.step(at)
        return self.real(self.program.output)

    def step(self, at: int) -> None:
        """Node number `at`; then rows that nobody reads any more are let go."""
        node = self.program.nodes[at]
        y = self._play(node)
        y = self._store(node.out, y)
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

    def _store(self, root: Root, y: Tensor) -> Tensor:
        """Put rows into their place, rounded as the place asks; returns them as real numbers."""
        top, first = outermost(root)
        scale = self.scale_of(root)
        if scale:
            inverse = torch.tensor(1.0, dtype=torch.float32) / torch.tensor(
                scale, dtype=torch.float32)
            kept = (y * inverse).round().clamp(*INT16_RANGE)
            real = kept * torch.tensor(scale, dtype=torch.float32)
        else:
            kept = real = torch.where(y.abs() >= TINY, y, torch.zeros_like(y))
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

    def _copy(self, node: Node, x: Tensor) -> Tensor:
        return x

    _quantise = _dequantise = _copy

    def _guard(self, node: Node, x: Tensor) -> Tensor:
        return torch.nan_to_num(x, 0, 0, 0).clamp(-INPUT_LIMIT, INPUT_LIMIT)

    def _map(self, node: Node, x: Tensor) -> Tensor:
        return self._act(node, x)

    def _gated(self, node: Node, x: Tensor) -> Tensor:
        a, b = x.chunk(2)
        return self._act(node, a) * self.maths.sigmoid(b)

    def _add(self, node: Node, x: Tensor) -> Tensor:
        return x + self.real(node.inputs[1])

    def _mul(self, node: Node, x: Tensor) -> Tensor:
        return x * self.real(node.inputs[1])

    def _affine(self, node: Node, x: Tensor) -> Tensor:
        scale, bias = (self.attributes[node.attributes[key]][:, None]
                       for key in ("attr_a", "attr_b"))
        return self.maths.fma(scale, x, bias)  # type: ignore[no-any-return]

    def _norm(self, node: Node, x: Tensor) -> Tensor:
        """Sums in the order of the channels, as the runtime adds; rounded once where it fuses."""
        count, fma = torch.tensor(float(len(x)), dtype=x.dtype), self.maths.fma
        weight, bias = torch.as_tensor(node.extra).to(x.dtype).reshape(2, -1, 1)
        if node.gate:
            mean = torch.zeros_like(x[0])
            for row in x:
                mean = mean + row
            x = x - mean / count
        square = torch.zeros_like(x[0])
        for row in x:
            square = fma(row, row, square)
        factor = 1 / self.maths.sqrt(square / count + torch.tensor(node.slope, dtype=x.dtype))
        return fma(x * factor, weight, bias)  # type: ignore[no-any-return]

    def _attention(self, node: Node, x: Tensor) -> Tensor:
        """Sums in the order in which the runtime adds: channels ascending, rows oldest first."""
        window, heads, maths = node.params["kernel"], node.params["groups"], self.maths
        q, k, v = x.unflatten(0, (3, heads, -1))  # each [heads, size, time]
        size, time = q.shape[1:]
        k, v = (F.pad(part, (window - 1, 0)).unfold(2, window, 1) for part in (k, v))
        valid = torch.arange(window - 1, -1, -1) <= torch.arange(time)[:, None]  # [time, window]
        scores = torch.zeros_like(k[:, 0])  # [heads, time, window]
        for c in range(size):
            scores = maths.fma(q[:, c, :, None].expand_as(scores), k[:, c], scores)
        one = torch.tensor(1.0, dtype=x.dtype)
        scores = scores * (one / maths.sqrt(torch.tensor(float(size), dtype=x.dtype)))
        largest = torch.where(valid, scores, -torch.inf).amax(dim=2, keepdim=True)
        weight = torch.where(valid, maths.exp(scores - largest), 0 * one)
        total, mean = torch.zeros_like(weight[:, :, 0]), torch.zeros_like(q)
        for j in range(window):
            total = total + weight[:, :, j]
            mean = maths.fma(weight[:, None, :, j].expand_as(mean), v[..., j], mean)
        return (mean * (one / total)[:, None]).flatten(0, 1)

    def _frames(self, x: Tensor) -> Tensor:
        return frame_numbers(torch.zeros(1, 1, dtype=torch.float64), x[None])[0]

    def _noise(self, node: Node, x: Tensor) -> Tensor:
        keys = self._keys(node, x)
        return x * uniform(self._frames(x), len(x), node.params["seed"], x.dtype, keys)[0]

    def _keys(self, node: Node, x: Tensor) -> Tensor:
        return stream_keys(1, self.attributes.get(node.attributes["attr_seed"]), x.device)

    def _gaussian(self, node: Node, x: Tensor) -> Tensor:
        mean, log_std = x.chunk(2)
        count = len(mean) * LatentSample.ROUNDS
        keys = self._keys(node, x)
        u = uniform(self._frames(x), count, node.params["seed"], x.dtype, keys)[0]
        a, b, c, d = u.chunk(4)
        g = ((a + b) + (c + d)) * torch.tensor(0.75**0.5, dtype=x.dtype)
        temperature = self.attributes[node.attributes["attr_a"]]
        spread = temperature * self.maths.exp(log_std.clamp(*LatentSample.LOG_STD_RANGE))
        return self.maths.fma(spread, g, mean)  # type: ignore[no-any-return]

    def _categorical(self, node: Node, x: Tensor) -> Tensor:
        names, each = node.attributes, len(x) // node.out.channels
        return self._drawn(Categorical(each, node.out.channels, node.params["seed"],
                                       names["attr_a"], names["attr_b"],
                                       names.get("attr_seed", "")), x)

    def _logistic_mixture(self, node: Node, x: Tensor) -> Tensor:
        names, parts = node.attributes, len(x) // node.out.channels // 3
        return self._drawn(LogisticMixture(parts, node.out.channels, node.slope,
                                           node.params["seed"], names["attr_a"],
                                           names.get("attr_seed", "")), x)

    def _drawn(self, layer: Draw, x: Tensor) -> Tensor:
        y, _ = layer(x[None], layer.init_state(1, x.dtype), self.attributes)
        return y[0]  # type: ignore[no-any-return]

    def _embed(self, node: Node, x: Tensor) -> Tensor:
        table = torch.as_tensor(node.table).to(x.dtype)
        return table[(x[0].nan_to_num(0).clamp(0, len(table) - 1) + 0.5).long()].T

    def _lstm(self, node: Node, x: Tensor) -> Tensor:
        """`x`: input parts of gates i, f, g, o, biases included."""
        weight = torch.as_tensor(node.runs[0][0]).to(self.dtype)  # [hidden, 4 * hidden]
        h = cell = x.new_zeros(node.out.channels)
        rows = []
        for sums in x.T:
            i, f, g, o = (sums + h @ weight).chunk(4)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(cell)
            rows.append(h)
        return torch.stack(rows, dim=1)

    def _gru(self, node: Node, x: Tensor) -> Tensor:
        """`x`: input parts of gates r, z, n."""
        (rz, _), (fresh, fresh_bias) = node.runs
        rz_weight, n_weight, n_bias = (torch.as_tensor(w).to(self.dtype)
                                       for w in (rz, fresh, fresh_bias))
        hidden = node.out.channels
        h = x.new_zeros(hidden)
        rows = []
        for sums in x.T:
            r, z = torch.sigmoid(sums[: 2 * hidden] + h @ rz_weight).chunk(2)
            n = torch.tanh(sums[2 * hidden :] + r * (h @ n_weight + n_bias))
            h = n + z * (h - n)
            rows.append(h)
        return torch.stack(rows, dim=1)


def _last_readers(program: Program) -> dict[int, list[Root]]:
    """For each node, the outermost roots that nobody reads after it."""
    last: dict[Root, int] = {}
    for at, node in enumerate(program.nodes):
        for root in (node.out, *(view.root for view in node.reads())):
            last[outermost(root)[0]] = at
    last.pop(outermost(program.output.root)[0], None)
    done: dict[int, list[Root]] = {}
    for root, at in last.items():
        done.setdefault(at, []).append(root)
    return done
