"""Pitches of one to three notes that sound together, frame by frame. Nothing has gradients.

One: the product's tracker (YIN). Several: where YIN is not clear, the strongest of a grid of
pitches by the sum of a whitened spectrum at their harmonics, which are then taken away before the
next is looked for (after Klapuri 2006). Told: the truth, for what no tracker could better.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.layers import PitchTrack
from engine.layers.pitch import MIDDLE_C_HZ
from scripts.heads.sounds import HOP, RATE

WINDOW, SIZE = 1536, 4096  # samples, zero-padded to
LOWEST_HZ, HIGHEST_HZ, STEPS = 55.0, 1320.0, 120  # a grid of so many steps an octave
PARTIALS, TOP_HZ = 20, 5000.0
LOBE = 4  # bins on either side of a partial
BIN_HZ = RATE / SIZE
CLEAR = 0.95  # of YIN: one pitch is all there is
LEAST = (0.15, 0.3)  # salience against the first voice's: not there, there


def one(audio: Tensor, truth: Tensor, hop: int, voices: int) -> Tensor:
    """Pitch and clarity by the product's own tracker: [pieces, 2, frames]."""
    return PitchTrack(hop, float(RATE)).offline(audio[:, None])


def told(audio: Tensor, truth: Tensor, hop: int, voices: int) -> Tensor:
    """The true pitches, at the end of each frame."""
    return truth[:, : 2 * voices, hop // HOP - 1 :: hop // HOP]


def several(audio: Tensor, truth: Tensor, hop: int, voices: int) -> Tensor:
    """[pieces, 2 * voices, frames]: the same voice stays with a note from frame to frame."""
    single = one(audio, truth, hop, 1)
    frames = audio.shape[1] // hop
    rows = F.pad(audio, (WINDOW - hop, 0)).unfold(1, WINDOW, hop)[:, :frames]
    hertz, clarity = strongest(rows.reshape(-1, WINDOW), voices)
    shape = (len(audio), frames, voices)
    pitch = torch.log2(hertz / MIDDLE_C_HZ).reshape(shape)
    clarity = clarity.reshape(shape)
    alone = single[:, 1] > CLEAR
    pitch[..., 0] = torch.where(alone, single[:, 0], pitch[..., 0])
    clarity[..., 0] = torch.where(alone, single[:, 1], clarity[..., 0])
    clarity[..., 1:] *= ~alone[..., None]
    return followed(pitch, clarity)


def followed(pitch: Tensor, clarity: Tensor) -> Tensor:
    """Voices in the order in which they move least; one that is not heard holds its pitch."""
    pieces, frames, voices = pitch.shape
    orders = torch.tensor(list(permutations(range(voices))))
    last, out = pitch[:, 0].clone(), torch.zeros(pieces, 2 * voices, frames)
    for n in range(frames):
        tried = pitch[:, n][:, orders]  # [pieces, orders, voices]
        there = clarity[:, n][:, orders]
        moved = ((tried - last[:, None]).abs().clamp(max=0.2) * there).sum(dim=2)
        best = orders[moved.argmin(dim=1)]
        now, heard = pitch[:, n].gather(1, best), clarity[:, n].gather(1, best)
        last = torch.where(heard > 0.1, now, last)
        out[:, 0::2, n], out[:, 1::2, n] = last, heard
    return out


@lru_cache(maxsize=1)
def _grid() -> tuple[Tensor, Tensor]:
    """Pitches in Hz, and what each weighs of every bin: [pitches, bins]."""
    count = round(STEPS * float(torch.log2(torch.tensor(HIGHEST_HZ / LOWEST_HZ))))
    hertz = LOWEST_HZ * 2 ** (torch.arange(count) / STEPS)
    number = torch.arange(1, PARTIALS + 1)
    partial = hertz[:, None] * number
    weight = (hertz[:, None] + 52) / (partial + 320) * (partial < TOP_HZ)
    weights = torch.zeros(count, SIZE // 2 + 1)
    weights.scatter_add_(1, (partial / BIN_HZ).round().long().clamp(max=SIZE // 2), weight)
    return hertz, weights


def strongest(rows: Tensor, voices: int) -> tuple[Tensor, Tensor]:
    """Pitches in Hz and how sure each is, [frames, voices], of windows [frames, samples]."""
    parts = [_strongest(part, voices) for part in rows.split(2048)]
    return torch.cat([a for a, _ in parts]), torch.cat([b for _, b in parts])


def _strongest(rows: Tensor, voices: int) -> tuple[Tensor, Tensor]:
    window = torch.hann_window(WINDOW)
    loud = torch.fft.rfft(rows * window, SIZE).abs() * (2 / window.sum())
    level = torch.log(loud + 1e-5)
    near = F.avg_pool1d(loud.square()[:, None], 129, 1, 64, count_include_pad=False)[:, 0].sqrt()
    white = loud / (near + 1e-4) ** 0.67
    white[:, int(TOP_HZ / BIN_HZ) :] = 0
    grid, weights = _grid()
    found, sure, first = [], [], None
    for _ in range(voices):
        salience = F.max_pool1d(white[:, None], 3, 1, 1)[:, 0] @ weights.T
        best, at = salience.max(dim=1)
        hertz = _refined(level, loud, grid[at])
        first = best if first is None else first
        found.append(hertz)
        sure.append(((best / (first + 1e-6) - LEAST[0]) / (LEAST[1] - LEAST[0])).clamp(0, 1))
        white = white * (1 - 0.9 * _lobes(hertz))
    heard = (rows.square().mean(dim=1) > 1e-6).float()
    tonal = _tonal(level, found)
    return torch.stack(found, dim=1), torch.stack(sure, dim=1) * (heard * tonal)[:, None]


def _lobes(hertz: Tensor) -> Tensor:
    """1 near the partials of a pitch, else 0: [frames, bins]."""
    place = torch.arange(SIZE // 2 + 1) * BIN_HZ / hertz[:, None]
    number = place.round().clamp(min=1)
    return ((place - number).abs() * hertz[:, None] < LOBE * BIN_HZ).float()


def _refined(level: Tensor, loud: Tensor, hertz: Tensor) -> Tensor:
    """A pitch by the peaks that lie nearest to its partials, weighted by how strong they are."""
    for count in (4, 10, PARTIALS):
        number = torch.arange(1, count + 1)
        partial = hertz[:, None] * number
        middle = (partial / BIN_HZ).round().long().clamp(LOBE, SIZE // 2 - LOBE - 1)
        around = middle[:, :, None] + torch.arange(-3, 4)
        values = level.gather(1, around.flatten(1)).reshape(around.shape)
        top = around.gather(2, values.argmax(dim=2, keepdim=True))[..., 0]
        a, b, c = (level.gather(1, top + k) for k in (-1, 0, 1))
        shift = 0.5 * (a - c) / (a - 2 * b + c).clamp(max=-1e-6)
        peak = (b >= a) & (b >= c) & (partial < TOP_HZ)
        weight = loud.gather(1, top).sqrt() * peak
        measured = (top + shift.clamp(-0.5, 0.5)) * BIN_HZ
        total = (weight * number.square()).sum(dim=1)
        better = (weight * number * measured).sum(dim=1) / total.clamp_min(1e-9)
        hertz = torch.where((total > 0) & ((better / hertz).log2().abs() < 0.03), better, hertz)
    return hertz


def _tonal(level: Tensor, found: list[Tensor]) -> Tensor:
    """Whether the spectrum stands above its neighbourhood at the partials of the pitches."""
    inside = torch.stack([_lobes(hertz) for hertz in found]).amax(dim=0)
    low, high = round(100 / BIN_HZ), round(2500 / BIN_HZ)
    power = (2 * level).exp()[:, low:high]
    share = (power * inside[:, low:high]).sum(dim=1) / power.sum(dim=1).clamp_min(1e-12)
    chance = inside[:, low:high].mean(dim=1)
    return (((share - chance) / (1 - chance + 1e-3) - 0.45) / 0.25).clamp(0, 1)
