"""Autoregression: a network that reads what was drawn from its own output a frame before.

    x (conditions) ----+-> net -> draw --+--> y
                       |                 |
    y, a frame late ---+<----------------+

The C runtime, ONNX and nn~ run this frame by frame too; here it is slow and plain. Training and
scoring know every y beforehand and run all frames at once: `Loop.teacher`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.layers.base import (
    Attributes,
    Shape,
    State,
    Streaming,
    all_may_use,
    all_uses,
    call,
    chain_granularity,
    chain_state_shapes,
    run_chain,
)
from engine.layers.conv import Delay

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class Past(Delay):
    """The input some frames before: what a network wants to know of the past, not a late answer.

    In contrast to `Delay` it has no lookahead, so nothing beside it is delayed to meet it."""

    @property
    def lookahead(self) -> Fraction:
        return Fraction(0)


class Loop(Streaming):
    """y[n] = draw(net(x[n], y[n - 1])), y[-1] = 0.

    `net` takes the conditions and what is fed back, in this order, and gives what `draw` draws
    from; both keep the frame rate. A net that takes only what is fed back has no conditions: the
    loop's one input channel then says how long to go on, and is not read.

    Parts of the net may run at lower rates, whose frames end with the last of the fast ones: what
    comes back from there goes through a `Past` of (stride - 1) frames, for a fast frame cannot know
    what a slow one makes of its successors.

    With `gate` the last condition is 1 where what is drawn counts and 0 where nothing is to come:
    y[n] = gate[n] * draw(...), which is also what the net reads. A `gate` of 2 is two conditions,
    of which the second is added to that: a class for nothing need not be number 0."""

    def __init__(self, net: Streaming, draw: Streaming, gate: int = 0) -> None:
        if net.out_channels != draw.in_channels:
            raise ValueError(f"Loop: the net gives {net.out_channels} channels, the draw takes "
                             f"{draw.in_channels}")
        if net.ratio != 1 or draw.ratio != 1:
            raise ValueError("Loop: the net must keep the frame rate")
        conditions = net.in_channels - draw.out_channels
        if conditions < 0:
            raise ValueError(f"Loop: {draw.out_channels} channels are fed back, the net takes "
                             f"{net.in_channels}")
        if gate and (draw.out_channels != 1 or not 0 < gate <= min(2, conditions)):
            raise ValueError("Loop: a gate is one or two of the conditions, for one channel")
        super().__init__(max(1, conditions), draw.out_channels)
        self.conditions, self.gate = conditions, gate
        # What an exporter puts in place of the plain loop below.
        self.scripted: Callable[..., tuple[Tensor, State]] | None = None
        self.net, self.draw = net, draw

    # --- what is known without running anything ---------------------------------------------

    @property
    def uses(self) -> tuple[str, ...]:
        return all_uses((self.net, self.draw))

    @property
    def may_use(self) -> tuple[str, ...]:
        return all_may_use((self.net, self.draw))

    @property
    def granularity(self) -> int:
        return chain_granularity((self.net, self.draw))

    @property
    def receptive_field(self) -> float:
        return inf

    def macs_per_frame(self) -> float:
        return self.net.macs_per_frame() + self.draw.macs_per_frame()

    def state_shapes(self) -> list[Shape]:
        return [(self.out_channels, 1), *chain_state_shapes((self.net, self.draw))]

    @cached_property
    def _step(self) -> int:
        return self.granularity

    # --- running ----------------------------------------------------------------------------

    def forward(
        self, x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        if self.scripted is not None:
            return self.scripted(x, state, attributes)
        step = self._step
        outputs = []
        for at in range(0, x.shape[2], step):
            y, state = self.group(x[:, :, at : at + step], state, attributes)
            outputs.append(y)
        return torch.cat(outputs, dim=2), state

    def group(
        self, x: Tensor, state: State, attributes: Attributes | None
    ) -> tuple[Tensor, State]:
        """The smallest block: one frame, or as many as the slowest part of the net needs. Then the
        block is run once for each of its frames, those still unknown being 0: by the time they
        would be read they are known."""
        last, inner = state[0], state[1:]
        step = self._step
        if step == 1:
            y, inner = self._run(x, last, inner, attributes)
            return y, (y, *inner)
        known = last.expand(-1, -1, step) * 0
        for frame in range(step):
            y, after = self._run(x, torch.cat((last, known[:, :, :-1]), dim=2), inner, attributes)
            if not torch.jit.is_tracing() and not torch.equal(y[:, :, :frame], known[:, :, :frame]):
                raise ValueError("Loop: a frame reads what is drawn after it; put a Past layer "
                                 "behind what comes back from a lower rate")
            known = torch.cat((y[:, :, : frame + 1], known[:, :, frame + 1 :]), dim=2)
        return known, (known[:, :, -1:], *after)

    def _run(
        self, x: Tensor, fed: Tensor, state: State, attributes: Attributes | None
    ) -> tuple[Tensor, State]:
        y, state = run_chain((self.net, self.draw), self._joined(x, fed), state, attributes)
        return self.gated(x, y), state

    def gated(self, x: Tensor, y: Tensor) -> Tensor:
        """What was drawn, where the conditions `x` let it be."""
        if self.gate:
            y = y * x[:, self._factor : self._factor + 1]
        if self.gate == 2:
            y = y + x[:, self._factor + 1 :]
        return y

    @property
    def _factor(self) -> int:
        """Which condition multiplies what is drawn."""
        return self.conditions - self.gate

    def silence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Where nothing is to come [batch, 1, time], and what comes instead."""
        if not self.gate:
            return torch.zeros_like(x[:, :1], dtype=torch.bool), torch.zeros_like(x[:, :1])
        factor = x[:, self._factor : self._factor + 1]
        return factor == 0, x[:, self._factor + 1 :] if self.gate == 2 else torch.zeros_like(factor)

    def _joined(self, x: Tensor | None, fed: Tensor) -> Tensor:
        if not self.conditions:
            return fed
        if x is None:
            raise ValueError(f"Loop: the net takes {self.conditions} conditions, none were given")
        return torch.cat((x, fed), dim=1)

    def teacher(
        self, x: Tensor | None, y: Tensor, attributes: Attributes | None = None
    ) -> Tensor:
        """What the net gives for the conditions `x` when `y` [batch, out_channels, time] has been
        drawn: all frames at once, from fresh state, with gradients."""
        fed = F.pad(y, (1, 0))[:, :, :-1]
        state = self.net.init_state(y.shape[0], y.dtype, y.device)
        return call(self.net, self._joined(x, fed), state, attributes)[0]

    def forced(
        self, x: Tensor, y: Tensor, state: State, attributes: Attributes | None
    ) -> tuple[Tensor, State]:
        """A block in which `y` [batch, out_channels, time] is read back, whatever is drawn: what
        is, before any gate, and the state after. Noise goes on as if it had been `y`."""
        fed = torch.cat((state[0], y[:, :, :-1]), dim=2)
        drawn, inner = run_chain((self.net, self.draw), self._joined(x, fed), state[1:], attributes)
        return drawn, (y[:, :, -1:], *inner)

    # --- what it becomes --------------------------------------------------------------------

    def lower(self, build: Builder, x: Value) -> Value:
        with build.loop():
            fed = build.feed(self.out_channels, like=x)
            joined = fed
            if self.conditions:
                joined = build.op("concat", x, fed, channels=x.channels + fed.channels)
            with build.scope("net"):
                y = self.net.lower(build, joined)
            with build.scope("draw"):
                y = self.draw.lower(build, y)
                for kind, at in zip(("mul", "add")[: self.gate], (0, 1), strict=False):
                    start = self._factor + at
                    y = build.op(kind, y, build.op("slice", x, channels=1, attributes={
                        "start": start, "stop": start + 1}), attributes={"exact": True})
            build.close_feed(fed, y)
        return y
