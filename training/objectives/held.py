"""Latents that stand still, or glide: taught to sound like a freeze of the moment they come from.

From sound a decoder only ever hears latents that move from frame to frame. Held ones make its
waveform heads play one frame over and over: a buzz at the frame rate. So in a part of every batch
the latents of one frame are held, or glide to those of another, and the target is noise with the
spectrum of the sound there, which glides likewise. By the energy score (`energy.py`) the noise
heads learn to play it, each time otherwise, and the waveform heads to keep still.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.models.coded import Coded
from training.data.base import Shard
from training.objectives.aligned import windows_of
from training.objectives.controls import Grid
from training.objectives.described import grid_of
from training.objectives.energy import compare

WINDOW_SECONDS = 0.064  # of the spectrum that is frozen
HELD_SECONDS, SETTLE_SECONDS = 0.5, 0.1  # what is compared, after so long
SHARE = 0.25  # of the crops
GLIDES = 0.5  # of these


def held_score(
    model: Coded, coded: Tensor, audio: Tensor, linear_weight: float, shard: Shard
) -> Tensor:
    """Energy scores of such stretches, summed as for sound; see `stretches`."""
    z, target, start = stretches(coded, audio, grid_of(model), shard)
    draws = tuple(sound[..., start:] for sound in model.draws(z, 2))
    found = compare(draws, target, windows=windows_of(model.ratio))
    return found.score + linear_weight * found.linear_score


def stretches(
    mean: Tensor, audio: Tensor, grid: Grid, shard: Shard = Shard(),  # noqa: B008
) -> tuple[Tensor, Tensor, int]:
    """From latents and controls `mean` [batch, coded, frames] of `audio` [batch, channels,
    samples]: such as stand still or glide [held, coded, frames], what they should sound like
    [held, channels, samples], and from which sample on. No gradients reach the encoder."""
    rate, ratio = grid.rate_hz, grid.ratio
    count = max(1, round(SHARE * len(audio)))
    settle, length = (max(1, round(s * rate / ratio)) for s in (SETTLE_SECONDS, HELD_SECONDS))
    places = shard.draw(torch.rand, (len(audio), 2), device=audio.device)[:count]
    glides = shard.draw(torch.rand, (len(audio),), device=audio.device)[:count] < GLIDES
    noise = shard.draw(torch.randn, (len(audio), 2, audio.shape[1], length * ratio),
                       device=audio.device)[:count]
    at = (places * mean.shape[2]).long().clamp_max(mean.shape[2] - 1)
    at[:, 1] = torch.where(glides, at[:, 1], at[:, 0])
    way = torch.linspace(0, 1, length, device=audio.device, dtype=mean.dtype)
    way = torch.cat((way.new_zeros(settle), way))
    own = mean[:count].detach()
    ends = [own.gather(2, at[:, i, None, None].expand(-1, own.shape[1], 1)) for i in range(2)]
    gains = _gains(audio[:count].float(), grid, at, length * ratio)
    if audio.shape[1] == 2:  # one noise for both channels: how wide it is, is in the gains
        noise = noise[:, :, :1]
    frozen = torch.fft.irfft(torch.fft.rfft(noise) * gains, length * ratio)
    over = torch.linspace(0, 1, length * ratio, device=audio.device)
    target = (1 - over).sqrt() * frozen[:, 0] + over.sqrt() * frozen[:, 1]
    return ends[0] + (ends[1] - ends[0]) * way, target, settle * ratio


def _gains(audio: Tensor, grid: Grid, at: Tensor, samples: int) -> Tensor:
    """What makes white noise of `samples` samples sound like frames `at` [batch, 2] of `audio`
    [batch, channels, time]: [batch, 2, channels, bins], complex for two channels."""
    size = max(2 * round(WINDOW_SECONDS * grid.rate_hz / 2), 2 * grid.ratio)
    window = torch.hann_window(size, device=audio.device)
    frames = grid.windows(audio.flatten(0, 1), size)  # [batch * channels, frames, size]
    frames = frames.unflatten(0, audio.shape[:2])
    places = at[:, :, None, None].expand(-1, -1, audio.shape[1], size)
    found = frames.transpose(1, 2).gather(1, places) * window
    spectra = torch.fft.rfft(found)
    magnitude = spectra.abs() / window.square().sum().sqrt()
    shape = magnitude.shape
    wide = F.interpolate(magnitude.flatten(0, 1), samples // 2 + 1, mode="linear",
                         align_corners=True).unflatten(0, shape[:2])
    if shape[2] != 2:
        return wide
    # What lies between the channels, bin by bin, stays as it was in that frame.
    turns = torch.polar(torch.ones_like(magnitude), spectra.angle() - spectra[:, :, :1].angle())
    places = torch.linspace(0, shape[3] - 1, samples // 2 + 1, device=wide.device).round().long()
    return wide * turns[..., places]
