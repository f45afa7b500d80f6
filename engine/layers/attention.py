"""Attention over the newest frames: a window that moves along, so a stream may last for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.layers.base import Shape, State, Streaming
from engine.layers.combine import Residual, Sequence
from engine.layers.conv import Conv1d
from engine.layers.norm import RMSNorm
from engine.layers.pointwise import LeakyReLU

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class Attention(Streaming):
    """softmax(q k / sqrt(size)) v for each head, over the last `window` frames, the present one
    among them (Vaswani et al. 2017, equation 1).

    The input stacks q, k and v, [batch, 3 * channels, time]; heads are neighbouring channels. The
    state is k and v of the `window - 1` frames before, oldest first, and how many of them there
    are: frames before the start are left out, whatever stands in their place."""

    age: Tensor
    never: Tensor
    nothing: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        if heads < 1 or channels % heads:
            raise ValueError(f"Attention: heads={heads} must divide channels={channels}")
        if window < 2:
            raise ValueError(f"Attention: window must be at least 2 frames, got {window}")
        super().__init__(3 * channels, channels)
        self.heads, self.window = heads, window
        age = torch.arange(window - 1, -1, -1, dtype=torch.float32)  # of each place in the window
        self.register_buffer("age", age, persistent=False)
        self.register_buffer("never", torch.tensor(-1e30), persistent=False)
        self.register_buffer("nothing", torch.tensor(0.0), persistent=False)

    @property
    def receptive_field(self) -> float:
        return self.window

    def macs_per_frame(self) -> float:
        return 2.0 * self.out_channels * self.window

    def state_shapes(self) -> list[Shape]:
        return [(2 * self.out_channels, self.window - 1), (1,)]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        channels, size = self.out_channels, self.out_channels // self.heads
        past, count = state
        frames = torch.cumsum(torch.ones_like(x[:1, :1, :]), dim=2)  # 1 ... time
        there = count.unsqueeze(2) + frames  # [batch, 1, time]: rows from the start to each
        # Places of the window that hold a frame: those younger than all there are.
        valid = (self.age + -(there + -1).unsqueeze(3)).le(0.0)  # [batch, 1, time, window]
        both = torch.cat((past, x[:, channels:]), dim=2)  # [batch, 2 * channels, window - 1 + time]
        rows = both.unfold(2, self.window, 1)  # [batch, 2 * channels, time, window]
        k, v = (part.unflatten(1, (self.heads, size)) for part in rows.chunk(2, dim=1))
        q = x[:, :channels].unflatten(1, (self.heads, size)).unsqueeze(4)
        scores = (q * k).sum(dim=2) * size**-0.5  # [batch, heads, time, window]
        weight = torch.softmax(torch.where(valid, scores, self.never), dim=3).unsqueeze(2)
        v = torch.where(valid.unsqueeze(1), v, self.nothing)
        y = (weight * v).sum(dim=4).flatten(1, 2)  # [batch, channels, time]
        after = there[:, :, -1].clamp(max=float(self.window - 1))
        return y, (both[:, :, -(self.window - 1) :], after)

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op(
            "attention", x, channels=self.out_channels,
            attributes={"heads": self.heads, "window": self.window},
            state_shapes=self.state_shapes(), macs_per_frame=self.macs_per_frame(),
        )


class CausalAttention(Sequence):
    """Attention with its projections: q, k and v from each frame, and the heads mixed again."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__(Conv1d(channels, 3 * channels, 1), Attention(channels, heads, window),
                         Conv1d(channels, channels, 1))


class TransformerStack(Sequence):
    """A causal transformer (Vaswani et al. 2017, section 3.1, the norms first as in Xiong et al.
    2020): in each layer h = h + attention(norm(h)), then h = h + perceptron(norm(h)), each frame by
    itself; last a norm. Where in time a frame stands is for its channels to say."""

    WIDER = 2  # the perceptron inside than the frames

    def __init__(self, width: int, layers: int, heads: int, window: int) -> None:
        inner = self.WIDER * width
        each = [(Residual(RMSNorm(width), CausalAttention(width, heads, window)),
                 Residual(RMSNorm(width), Conv1d(width, inner, 1), LeakyReLU(inner),
                          Conv1d(inner, width, 1))) for _ in range(layers)]
        super().__init__(*(part for layer in each for part in layer), RMSNorm(width))
