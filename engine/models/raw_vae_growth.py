"""Weights of a waveform autoencoder for one with harmonics, without them, or with two channels.

What is grown plays as the smaller one did, but for its noise: both channels the sound that one
played, from the mean of what comes in. Training then draws the sides apart. What loses its
harmonics plays on as if there were no pitch: nothing is clear, and the note is middle C.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.models.raw_vae_tones import widened

if TYPE_CHECKING:
    from engine.models.raw_vae_config import RawVAEConfig

Weights = dict[str, Tensor]
FIRST_OF_DECODER = "decoder.layers.0.weight"
FIRST_OF_ENCODER = "encoder.layers.2.weight"
SATURATED = "encoder.layers.1.branches.1.layers.0.weight"


def grown(theirs: Weights, before: RawVAEConfig, own: Weights, after: RawVAEConfig,
          heads: int) -> Weights:
    """`theirs`, of a model of shape `before`, as weights for one of shape `after`, which has `own`
    now; `heads`: number of the decoder's layer that plays bands."""
    state = dict(theirs)
    if after.coded < before.coded:
        state = {name: value for name, value in state.items() if not name.startswith("tones.")}
        state[FIRST_OF_DECODER] = state[FIRST_OF_DECODER][:, : after.coded]
    elif after.coded > before.coded:
        state[FIRST_OF_DECODER] = widened(state[FIRST_OF_DECODER], after.coded)
        state = {**{name: value for name, value in own.items() if name.startswith("tones.")},
                 **state}
    if after.channels != before.channels:
        _hear_both(state)
        wave = f"decoder.layers.{heads}.branches.0.layers.0."
        for part in ("weight", "bias"):  # the first half is gated by the second
            state[wave + part] = torch.cat(
                [half for halves in state[wave + part].chunk(2) for half in (halves, halves)])
    noise = f"decoder.layers.{heads}.branches.1.layers.0."
    if after.noise and (after.channels, after.shared_noise) != (before.channels,
                                                                before.shared_noise):
        _share_noise(state, noise, before, after)
    return state


def _hear_both(state: Weights) -> None:
    """The encoder hears the mean of both channels: bands, then their saturated copies, of each."""
    state[SATURATED] = torch.cat([state[SATURATED]] * 2)
    plain, saturated = state[FIRST_OF_ENCODER].chunk(2, dim=1)
    state[FIRST_OF_ENCODER] = 0.5 * torch.cat((plain, plain, saturated, saturated), dim=1)


def _share_noise(state: Weights, noise: str, before: RawVAEConfig, after: RawVAEConfig) -> None:
    """As loud as it was: each channel's own noise, and half of its power shared if any is."""
    weight, bias = state[noise + "weight"], state[noise + "bias"]
    if before.channels == 1:
        weight, bias = torch.cat([weight] * 2), torch.cat([bias] * 2)
    if after.shared_noise:
        # An envelope is far below 1, where a sigmoid is an exponential. What is shared is as loud
        # as the channels' own are on average.
        common = [torch.stack(part.chunk(2)).mean(dim=0) for part in (weight, bias)]
        weight = torch.cat((weight, common[0]))
        bias = torch.cat((bias, common[1])) - 0.5 * log(2)
    state[noise + "weight"], state[noise + "bias"] = weight, bias
