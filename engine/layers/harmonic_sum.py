"""Harmonics of one phase, summed: what training does the most of, with as little kept as may be."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi
from typing import Any

import torch
from torch import Tensor

TURN = 2**32  # a whole turn of a phase
CHUNK_SINES = 2**17  # at once: they stay in a processor's cache


def harmonic_sum(phases: Tensor, amplitudes: Tensor, earlier: Tensor, rise: Tensor) -> Tensor:
    """Of the fundamental's phases, int64 [batch, frames * ratio], and amplitudes at the end of each
    frame and of the one before, [batch, count, frames], the sound [batch, frames, ratio].

    An amplitude that is 0 in both frames is passed over, and has no gradient: exp(x) * 0 has none
    either, however it came to its 0."""
    batch, _, frames = amplitudes.shape
    pair = torch.stack((amplitudes, earlier), dim=1).permute(0, 3, 1, 2).flatten(0, 1)
    ramps = torch.stack((rise, -rise + 1.0))
    turns = phases.to(torch.int32).reshape(batch * frames, len(rise))  # the lower 32 bits
    y: Tensor = _Sum.apply(turns, pair, ramps)
    return y.unflatten(0, (batch, frames))


def _chunks(turns: Tensor, pair: Tensor) -> Iterator[tuple[Tensor, slice, Tensor]]:
    """Frames in which anything sounds, the harmonics that do, and their sines [frames, harmonics,
    ratio]. Frames with the same harmonics come together."""
    heard = pair.ne(0).any(dim=1)  # [frames, count]; what is not a number is heard
    place = torch.arange(1, heard.shape[1] + 1, dtype=torch.int32, device=heard.device)
    top = (heard * place).amax(dim=1)
    order = torch.argsort(top)[int((top == 0).sum()) :]
    at = 0
    while at < len(order):
        # Sorted: the last of them has the most.
        size = max(1, CHUNK_SINES // (turns.shape[1] * int(top[order[at]])))
        rows = order[at : at + size]
        sounding = heard[rows].any(dim=0).nonzero()
        part = slice(int(sounding[0]), int(sounding[-1]) + 1)
        # Whole numbers of 32 bits wrap around at a whole turn, as phases do.
        turned = turns[rows].unsqueeze(1) * place[part].unsqueeze(1)
        yield rows, part, turned.to(pair.dtype).mul_(2 * pi / TURN).sin_()
        at += size


class _Sum(torch.autograd.Function):
    """Sines are made again for the gradient: nothing is kept but phases and amplitudes."""

    @staticmethod
    def forward(ctx: Any, turns: Tensor, pair: Tensor, ramps: Tensor) -> Tensor:
        ctx.save_for_backward(turns, pair, ramps)
        y = pair.new_zeros(turns.shape)
        for rows, part, waves in _chunks(turns, pair):
            y[rows] = (torch.bmm(pair[rows, :, part], waves) * ramps).sum(dim=1)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        turns, pair, ramps = ctx.saved_tensors
        each = torch.zeros_like(pair)
        for rows, part, waves in _chunks(turns, pair):
            split = grad[rows].unsqueeze(1) * ramps
            each[rows, :, part] = torch.bmm(split, waves.transpose(1, 2))
        return None, each, None
