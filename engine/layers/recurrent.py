"""GRU and LSTM, one layer each; stack them in a `Sequence`."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from torch import Tensor, nn

from engine.layers.base import Shape, State, Streaming

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class Recurrent(Streaming):
    """A unidirectional recurrence over time; state tensors are [batch, hidden]."""

    op = ""
    state_count = 1

    def __init__(self, in_channels: int, hidden: int, cell: nn.RNNBase) -> None:
        super().__init__(in_channels, hidden)
        self.cell: nn.RNNBase = cell

    @property
    def receptive_field(self) -> float:
        return inf

    def macs_per_frame(self) -> float:
        return float(sum(p.numel() for p in self.cell.parameters() if p.ndim == 2))

    def state_shapes(self) -> list[Shape]:
        return [(self.out_channels,)] * self.state_count

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        hidden = tuple(s.unsqueeze(0).contiguous() for s in state)  # each [1, batch, hidden]
        y, after = self.cell(x.transpose(1, 2), hidden if self.state_count > 1 else hidden[0])
        after = after if self.state_count > 1 else (after,)
        return y.transpose(1, 2), tuple(s.squeeze(0) for s in after)

    def lower(self, build: Builder, x: Value) -> Value:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return build.op(
            self.op, x, channels=self.out_channels, attributes={"hidden": self.out_channels},
            weights={name: getattr(self.cell, f"{name}_l0") for name in names},
            state_shapes=self.state_shapes(), macs_per_frame=self.macs_per_frame(),
        )


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al. 2014), gate order reset, update, new as in PyTorch."""

    op = "gru"

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__(in_channels, hidden, nn.GRU(in_channels, hidden, batch_first=True))


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter 1997), gate order input, forget, cell, output; the
    state is (h, c)."""

    op = "lstm"
    state_count = 2

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__(in_channels, hidden, nn.LSTM(in_channels, hidden, batch_first=True))
