"""The autoregressive case in PyTorch as an honest user writes it for speed: every layer keeps its
past in a ring, so that a sample costs one product per layer and none is done twice.

Both taps of a layer and both halves of its gate are one matrix, the sum of all skip connections is
one product of all layers' outputs side by side, results go into memory that is there already, and
the uniform numbers of the draws are made thousands at a time. They are those of the runtime's
noise, so that both draw the same classes.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.case_runner import CaseRunner, FloatArray
from benchmarks.shapes import ShapeModel
from benchmarks.wavenet import Stacks
from engine.layers import Categorical, Conv1d, Embed, Loop, Sequence

DRAWS = 4096  # uniform numbers made at a time


class PyTorchLoop(CaseRunner):
    """One sample for each `play`."""

    backend = "pytorch-loop"

    def __init__(self, model: ShapeModel, threads: int = 1) -> None:
        torch.set_num_threads(threads)
        loop = model.segments[0].chain
        assert isinstance(loop, Loop)
        assert isinstance(loop.net, Sequence)
        assert isinstance(loop.draw, Categorical)
        embed, stacks, _, end, _, logits = loop.net
        assert isinstance(embed, Embed)
        assert isinstance(stacks, Stacks)
        self._table, self._draw = embed.table, loop.draw
        wide = stacks.in_channels
        # [oldest tap | newest tap] -> both halves of the gate
        self._dilated = [conv.weight.permute(0, 2, 1).reshape(2 * wide, 2 * wide).contiguous()
                         for conv in _convs(stacks.dilated)]
        self._onward = [conv.weight[:, :, 0].contiguous() for conv in _convs(stacks.onward)]
        self._skip = torch.cat([conv.weight[:, :, 0] for conv in _convs(stacks.skips)], dim=1)
        self._head = [(conv.weight[:, :, 0].contiguous(), conv.bias) for conv in (end, logits)]
        self._rings = [list(torch.zeros(d, wide)) for d in stacks.dilations]
        self._taps = torch.zeros(2 * wide)
        self._past, self._now = self._taps[:wide], self._taps[wide:]
        self._sums = torch.zeros(2 * wide)
        self._a, self._b = self._sums[:wide], self._sums[wide:]
        self._all = torch.zeros(len(stacks.dilations) * wide)
        self._each = list(self._all.view(-1, wide))
        self._n, self._drawn = 0, 0
        self._uniforms: list[float] = []

    def _next_uniform(self) -> float:
        at = self._n % DRAWS
        if at == 0:
            counter = torch.full((1, 1), float(self._n))
            bits, _ = self._draw._uniforms(torch.zeros(1, 1, DRAWS), counter,
                                           {"seed": torch.zeros(1)})
            self._uniforms = (bits.flatten() // 256 * 2.0**-24).tolist()
        return self._uniforms[at]

    def _sample(self) -> int:
        now = self._now
        now.copy_(self._table[self._drawn])
        last = len(self._onward)
        for index, ring in enumerate(self._rings):
            slot = ring[self._n % len(ring)]  # written as long ago as the layer is dilated
            self._past.copy_(slot)
            slot.copy_(now)
            torch.mv(self._dilated[index], self._taps, out=self._sums)
            z = torch.mul(self._a.tanh_(), self._b.sigmoid_(), out=self._each[index])
            if index < last:
                now.addmv_(self._onward[index], z)
        x = torch.mv(self._skip, self._all)
        for weight, bias in self._head:
            x = torch.addmv(bias, weight, x.relu_())
        weights = (x - x.max()).exp_().cumsum(0)
        u = self._next_uniform()
        drawn = int(torch.searchsorted(weights, u * weights[-1], right=True))
        return min(drawn, len(weights) - 1)

    def play(self, index: int) -> object:
        with torch.inference_mode():
            self._drawn = self._sample()
        self._n += 1
        return self._drawn

    def outputs(self) -> list[FloatArray]:
        return [np.array([[self._drawn]], np.float32)]


def _convs(layers: object) -> list[Conv1d]:
    return list(layers)  # type: ignore[call-overload,no-any-return]
