"""A delay line that is read between its samples, at a place that moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.layers.base import Shape, State, Streaming

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class FractionalDelay(Streaming):
    """Two channels, a sound and a lag in samples -> the sound of so long ago: [batch, 2, time] ->
    [batch, 1, time].

    A lag below `least` is taken as many times as it must be to exceed that, so that a short period
    stays one; of what that makes, `ahead` samples are taken off, and of more than `most` the rest.
    Between two samples lies a straight line. Zeros before the beginning; gradients reach both.
    Lags below 1, and what is no number, count as 1.

    For a sound that is drawn from its own past it is the pitch predictor of speech coders (for
    example Valin and Skoglund 2019), told the pitch; fed back, the string of Karplus and Strong
    (1983)."""

    def __init__(self, least: int, most: int, ahead: int = 0) -> None:
        super().__init__(2, 1)
        if not 0 <= ahead <= least <= most or least < 1:
            raise ValueError(f"FractionalDelay: ahead={ahead}, least={least} and most={most} must "
                             "not fall, the first not be negative and the second not 0")
        self.least, self.most, self.ahead = least, most, ahead

    @property
    def rows(self) -> int:
        """Samples that it looks at, the newest included."""
        return self.most - self.ahead + 2

    @property
    def receptive_field(self) -> float:
        return self.rows

    def state_shapes(self) -> list[Shape]:
        return [(1, self.rows - 1)]

    def back(self, lag: Tensor) -> Tensor:
        """How many samples before the newest it reads."""
        lag = torch.where(lag.ge(1.0), lag, torch.ones_like(lag))  # not a number: 1
        one = torch.ones_like(lag)
        times = torch.where(lag.lt(self.least), _floor(float(self.least) * one / lag) + 1.0, one)
        return ((lag * times).clamp(max=float(self.most)) - float(self.ahead)).clamp(min=0.0)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        before = self.rows - 1
        past = torch.cat((state[0], x[:, :1]), dim=2)  # [batch, 1, before + time]
        back = self.back(x[:, 1:])
        whole = _floor(back)
        newest = torch.arange(x.shape[2], device=x.device) + before
        place = newest - whole.to(torch.int64)
        late, early = past.gather(2, place), past.gather(2, place - 1)
        return late + (back - whole) * (early - late), (past[:, :, -before:],)

    def lower(self, build: Builder, x: Value) -> Value:
        sound, lag = (build.op("slice", x, channels=1, attributes={"start": at, "stop": at + 1})
                      for at in (0, 1))
        return build.op("fractional_delay", sound, lag, channels=1, attributes={
            "least": self.least, "most": self.most, "ahead": self.ahead},
            state_shapes=self.state_shapes())


def _floor(x: Tensor) -> Tensor:
    """By operations that files for nn~ may have; a number over a tensor would be a reciprocal."""
    return torch.div(x, 1.0, rounding_mode="floor")
