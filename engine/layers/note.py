"""A gate, and what is said with it: held from one rising edge to the next, with the time since."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.layers.base import Shape, State, Streaming

if TYPE_CHECKING:
    from engine.graph import Builder, Value

THRESHOLD = 0.5  # above it a gate is open
OLDEST = 4095


class Note(Streaming):
    """[batch, 1 + values, time]: a gate, then values -> [batch, values + 1, time]: the values of
    the frame in which the gate last rose above a half, then its age, the frames since then: 0 in
    that frame, `most` at most. Before the first gate values are 0 and the age is `most`.

    Nothing is rounded: what comes out are numbers that went in, and counts."""

    def __init__(self, values: int, most: int = OLDEST) -> None:
        super().__init__(1 + values, values + 1)
        if values < 1 or not 1 <= most < 2**24:
            raise ValueError("Note: wants a value at least, and `most` from 1 to 2^24 - 1, got "
                             f"{values} and {most}")
        self.values, self.most = values, most

    @property
    def receptive_field(self) -> float:
        return inf

    def state_shapes(self) -> list[Shape]:
        """Whether the gate was open; the values that are held, and `most` less the age."""
        return [(1,), (self.out_channels,)]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        open_before, held = state[0].unsqueeze(2), state[1].unsqueeze(2)
        is_open = x[:, :1].gt(THRESHOLD).to(x.dtype)
        edge = is_open * (-torch.cat((open_before, is_open[:, :, :-1]), dim=2) + 1)
        count = edge.cumsum(dim=2)  # of edges so far in this block
        place = torch.ones_like(edge).cumsum(dim=2)  # 1, 2, ...
        # Sorted, with all others behind them, edges are in their order.
        edges = (place + (-edge + 1) * place[:, :, -1:]).sort(dim=2)[0]
        begun = count.gt(0)
        last = edges.gather(2, (count - 1).clamp(min=0).to(torch.int64))
        index = (last - 1).clamp(min=0) * begun.to(x.dtype)
        values = x[:, 1:].gather(2, index.to(torch.int64).expand(-1, self.values, -1))
        values = torch.where(begun, values, held[:, :-1])
        age = torch.where(begun, place - last, place - held[:, -1:] + self.most)
        age = age.clamp(max=float(self.most))
        after = torch.cat((values, -age + self.most), dim=1)[:, :, -1]
        return torch.cat((values, age), dim=1), (is_open[:, :, -1], after)

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op("note", x, channels=self.out_channels, attributes={"most": self.most},
                        state_shapes=self.state_shapes())
