"""Does a loop go on rightly from what it has made? Checked where its end is no draw that has a
probability (`export/replay.py`) but numbers, which two backends round apart and then go on from.

    file        y0  y1  y2 ...                  its own past
    float64     net(y0) -> y1'  net(y0, y1) -> y2' ...       y' - y is what is judged

What stands behind such a loop and cannot be taken back (a decoder) is judged by itself: the file's
own method that ends at the loop says what went in.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.errors import TudorError
from engine.layers.base import run_chain
from engine.models.base import Model
from engine.models.looped import Looped, flat


def feeds_back(model: Model, method: str) -> bool:
    """Whether a method is a loop whose end is no draw."""
    parts = Looped.of(model, method)
    return parts is not None and not parts.draws


def ends_at_loop(model: Model, method: str) -> str:
    """The method whose output says what the loop of `method` made: `method` itself if its own can
    be taken back."""
    parts = Looped.of(model, method)
    assert parts is not None
    for name in (method, *model.methods):
        other = Looped.of(model, name)
        if other is None or other.loop is not parts.loop:
            continue
        try:
            other.drawn(torch.zeros(1, other.method.out_channels, other.method.out_frames,
                                    dtype=torch.float64))
        except TudorError:
            continue
        return name
    raise TudorError(f"{method}: no method says what its loop makes, so it cannot be verified")


@torch.no_grad()
def gone_on(model: Model, method: str, x: Tensor, y: Tensor, attributes: Mapping[str, Tensor]
            ) -> Tensor:
    """What `method` makes of conditions `x` [in_channels, frames] frame by frame when before each
    it has made `y` [out_channels, frames']: as `y`. `model` is in float64."""
    parts = Looped.of(model, method)
    assert parts is not None
    known = parts.drawn(y[None].double())
    given = parts.given(x[None].double(), known, attributes)
    made = run_chain((parts.loop.draw,), given, (), attributes)[0]
    return run_chain(parts.behind, made, (), attributes)[0][0]


@torch.no_grad()
def sounded(model: Model, method: str, ends: str, z: Tensor, attributes: Mapping[str, Tensor]
            ) -> Tensor:
    """What `method` makes of the output `z` [channels, frames] of `ends`, which is its beginning,
    from fresh state, in the precision of `model`."""
    first = len(flat(model.layers_of(ends)))
    rest = flat(model.layers_of(method))[first:]
    precision = next(model.parameters()).dtype
    state = tuple(part for layer in rest for part in layer.init_state(1, precision, "cpu"))
    return run_chain(rest, z[None].to(precision), state, attributes)[0][0]
