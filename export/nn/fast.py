"""Convolutions as matrix products, for LibTorch and short blocks.

LibTorch has a fast convolution, but not for one stream and few frames: there it walks channel by
channel, and a dilated layer of 64 channels on two frames takes 100 us instead of 10. Gathering the
windows and multiplying them by the weight matrix is never much slower and often far faster:

    x [batch, C, time] --unfold--> windows [batch, frames, K * C] --linear--> [batch, frames, out]

Only calls of `torch.conv1d` and `torch.conv_transpose1d` during tracing are replaced, whichever
layer makes them; the result differs from the library's by rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Layout = Callable[[Tensor], Tensor]


class MatrixConvolutions(TorchFunctionMode):
    """While active, convolutions are computed by `torch.nn.functional.linear`.

    The re-ordered weights are kept in `holder` as buffers: made in a first, eager run (`record`),
    found again under the tracer, which then sees them as the module's own."""

    def __init__(self, holder: nn.Module, record: bool) -> None:
        super().__init__()
        self.holder, self.record = holder, record
        if record:
            holder.relaid, holder.shapes = {}, {}  # type: ignore[assignment]
        # (identity of the weight, kind of order) -> its buffer's name
        self.known: dict[tuple[int, str], str] = holder.relaid  # type: ignore[assignment]
        # Under the tracer, shapes are traced values; plain integers come from the first run.
        self.shapes: dict[int, tuple[int, ...]] = holder.shapes  # type: ignore[assignment]

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        y = None
        if func in (torch.conv1d, torch.conv_transpose1d):
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            if self.record:
                self.shapes[id(weight)] = tuple(weight.shape)
            if id(weight) in self.shapes:
                replace = self._conv1d if func is torch.conv1d else self._conv_transpose1d
                y = replace(*args, **kwargs)
        return func(*args, **kwargs) if y is None else y

    def _weight(self, weight: Tensor, kind: str, layout: Layout) -> Tensor | None:
        """`weight` in another order; None when it is no fixed weight of the model."""
        key = (id(weight), kind)
        if self.record and key not in self.known:
            self.known[key] = name = f"relaid_{len(self.known)}"
            self.holder.register_buffer(name, layout(weight.detach()).clone().contiguous())
        return getattr(self.holder, self.known[key]) if key in self.known else None

    def _conv1d(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
        padding: Any = 0, dilation: Any = 1, groups: int = 1,
    ) -> Tensor | None:
        step, gap = _one(stride), _one(dilation)
        if padding not in (0, (0,), [0]) or x.dim() != 3:
            return None
        out, inside, taps = self.shapes[id(weight)]
        if groups > 1:
            if (inside, taps, step) != (1, 1, 1) or out != groups or bias is not None:
                return None
            factor = self._weight(weight, "factor", lambda w: w.reshape(out, 1))
            return None if factor is None else x * factor
        matrix = self._weight(weight, "conv", lambda w: w.permute(0, 2, 1).reshape(out, -1))
        return None if matrix is None else _windows_times(x, matrix, bias, taps, step, gap)

    def _conv_transpose1d(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
        padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
    ) -> Tensor | None:
        """The polyphase form: each frame gives `stride` samples from itself and its past.

        With P = kernel / stride, P - 1 frames of zeros on either side let the kernel ring out."""
        step = _one(stride)
        inside, out, kernel = self.shapes[id(weight)]
        plain = (padding, output_padding, _one(dilation), groups) == (0, 0, 1, 1)
        if not plain or kernel % step:
            return None
        phases = kernel // step

        def polyphase(w: Tensor) -> Tensor:
            # [in, out, P, step] -> [step, out, P, in]; the window's first frame is its oldest.
            w = w.reshape(inside, out, phases, step).flip(2).permute(3, 1, 2, 0)
            return w.reshape(step * out, phases * inside)

        matrix = self._weight(weight, "transposed", polyphase)
        if matrix is None:
            return None
        if phases > 1:
            x = F.pad(x, (phases - 1, phases - 1))
        y = _windows_times(x, matrix, None, phases, 1, 1)  # [batch, step * out, frames]
        # Time outermost, then the step within a frame: in this memory order the two are one axis.
        y = y.transpose(1, 2).unflatten(2, (step, out)).flatten(1, 2).transpose(1, 2)
        return y if bias is None else y + bias.unsqueeze(1)


def _one(value: Any) -> int:
    return int(value[0]) if isinstance(value, (tuple, list)) else int(value)


def _windows_times(
    x: Tensor, matrix: Tensor, bias: Tensor | None, taps: int, step: int, gap: int
) -> Tensor:
    """`x` [batch, in, time], `matrix` [out, taps * in] -> [batch, out, frames].

    The result lies time-major in memory, which the next product likes."""
    if taps == 1 and step == 1:
        windows = x.transpose(1, 2)
    else:
        windows = x.unfold(2, (taps - 1) * gap + 1, step)  # [batch, in, frames, span]
        if gap > 1:
            windows = windows[..., ::gap]
        windows = windows.permute(0, 2, 3, 1).flatten(2)  # [batch, frames, taps * in]
    return F.linear(windows, matrix, bias).transpose(1, 2)
