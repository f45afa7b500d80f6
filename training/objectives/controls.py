"""Controls beside the latents: what they are measured as, and how a model is taught to say them
and to obey them.

    audio -> encoder -> latents ------------------------------> decoder -> target
                     -> controls (loss: what is measured) + offset  ^      as much louder, higher

In some crops a control is moved by a random offset and the target sounds the way that asks for,
while the encoder hears the original: nothing but the control can tell the decoder so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log2

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.description import Method
from engine.hearing import frames
from engine.layers.pitch import MIDDLE_C_HZ
from training.data.base import Shard
from training.evaluation.measures import LOUDNESS_FLOOR

LOUDNESS_SECONDS = 0.016  # window, at least two latent frames
# As in `measures.loudness_db`, so that the two agree: the sum over a Hann window's bins.
HANN_GAIN = 1.5
PITCH_HZ = (50.0, 1000.0)
PITCH_WINDOW_SECONDS = 0.025
PITCH_RATE_HZ = 8000  # at least; faster audio is decimated
APERIODIC = 0.15  # a frame whose difference function stays above this has no pitch
PITCH_FLOOR_DB = -50.0  # nor has one more quiet than this
OFFSET_SHARE = 0.5  # of the crops, for each control
LARGEST_DB = 12.0  # offsets of loudness
LARGEST_OCTAVES = 7 / 12  # of pitch
PEAK = 0.99  # of a target that was made louder
GRAIN_SECONDS, SEARCH_SECONDS = 0.03, 0.01  # of transposition: hop, and alignment to either side


@dataclass(frozen=True)
class Grid:
    """Where latent frames lie: frame k decodes to what was heard in samples
    k * ratio - late ... (k + 1) * ratio - late, since encoding answers `late` samples late."""

    rate_hz: int
    ratio: int
    late: int

    @classmethod
    def of(cls, rate_hz: int, encode: Method) -> Grid:
        return cls(rate_hz, encode.out_ratio, encode.lookahead_samples)

    def windows(self, x: Tensor, size: int, step: int = 1) -> Tensor:
        """`size` samples around the middle of every frame's sound, zeros beyond the ends: `x`
        [batch, samples], of which only every `step`-th was kept -> [batch, frames, size]."""
        ratio, frames = self.ratio // step, x.shape[1] // (self.ratio // step)
        first = round((self.ratio / 2 - self.late) / step) - size // 2
        before, after = max(0, -first), max(0, first + (frames - 1) * ratio + size - x.shape[1])
        return F.pad(x, (before, after))[:, first + before :].unfold(1, size, ratio)[:, :frames]


def a_weighting(hertz: Tensor) -> Tensor:
    """Factor on amplitudes (IEC 61672-1), 1 at 1 kHz, 0 at 0 Hz; float64."""
    return torch.as_tensor(frames.a_weighting(hertz.double().numpy()))


@lru_cache(maxsize=8)
def _gains(size: int, rate_hz: int) -> Tensor:
    """Of every bin of an FFT of `size` samples; crops are all of one length."""
    return a_weighting(torch.fft.rfftfreq(size, 1 / rate_hz))


def weighted(x: Tensor, rate_hz: int) -> Tensor:
    """[..., samples] as loud as the ear finds it: A-weighted without delay."""
    samples = x.shape[-1]
    size = samples + rate_hz // 16  # room for the filter to ring into
    bins = torch.fft.rfft(x, size) * _gains(size, rate_hz).to(x)
    return torch.fft.irfft(bins, size)[..., :samples]


def loudness(x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """A-weighted level of each frame of `x` [batch, samples] in bels (dB / 10), from -7 on, and
    that every frame has one: each [batch, frames]."""
    size = max(round(LOUDNESS_SECONDS * grid.rate_hz), 2 * grid.ratio)
    window = torch.hann_window(size, device=x.device, dtype=x.dtype)
    frames = grid.windows(weighted(x, grid.rate_hz).square(), size)
    power = HANN_GAIN * (frames @ (window / window.sum()))
    return power.clamp_min(LOUDNESS_FLOOR).log10(), torch.ones_like(power, dtype=torch.bool)


def pitch(x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Pitch of each frame of `x` [batch, samples] in octaves from middle C, and whether it has
    one: each [batch, frames]. YIN (de Cheveigne and Kawahara 2002), steps 1 to 5: the first lag
    whose normalised difference has a minimum below a threshold."""
    step = min(grid.ratio, 2 ** max(0, int(log2(grid.rate_hz / PITCH_RATE_HZ))))
    x, rate = _decimated(x, step), grid.rate_hz / step
    least, most = int(rate / PITCH_HZ[1]), round(rate / PITCH_HZ[0]) + 1
    size = 64 * ceil((PITCH_WINDOW_SECONDS * rate + most) / 64)  # a length that an FFT likes
    width = size - most
    frames = grid.windows(x, size, step)  # [batch, frames, size]
    spectrum = torch.fft.rfft(frames)
    own = torch.fft.rfft(frames[..., :width], size)
    products = torch.fft.irfft(spectrum * own.conj(), size)[..., : most + 1]
    sums = F.pad(frames.square().cumsum(dim=-1), (1, 0))
    energy = sums[..., width:] - sums[..., : most + 1]  # of the window at each lag
    difference = (energy[..., :1] + energy - 2 * products).clamp_min(0)[..., 1:]  # lags 1 ... most
    lags = torch.arange(1, most + 1, device=x.device, dtype=x.dtype)
    normal = difference * lags / difference.cumsum(dim=-1).clamp_min(1e-12)
    inner, before, after = normal[..., 1:-1], normal[..., :-2], normal[..., 2:]
    dips = (inner < before) & (inner <= after) & (inner < APERIODIC) & (lags[1:-1] >= least)
    loud = sums[..., -1] > size * 10 ** (PITCH_FLOOR_DB / 10)
    at = dips.int().argmax(dim=-1, keepdim=True)  # the first
    a, b, c = (part.gather(-1, at).squeeze(-1) for part in (before, inner, after))
    shift = 0.5 * (a - c) / (a - 2 * b + c).clamp_min(1e-9)  # the parabola's lowest point
    lag = lags[1:-1][at.squeeze(-1)] + shift.clamp(-0.5, 0.5)
    return torch.log2(rate / lag / MIDDLE_C_HZ), dips.any(dim=-1) & loud


def _decimated(x: Tensor, step: int) -> Tensor:
    """Every `step`-th sample of what lies below the new Nyquist frequency."""
    if step == 1:
        return x
    samples = x.shape[-1] // step
    return torch.fft.irfft(torch.fft.rfft(x[..., : samples * step])[..., : samples // 2 + 1],
                           samples) / step


MEASURES: dict[str, Callable[[Tensor, Grid], tuple[Tensor, Tensor]]] = {
    "loudness": loudness, "pitch": pitch}
UNITS = {"loudness": ("dB", 10.0), "pitch": ("semitones", 12.0)}  # people's, and how many


@dataclass(frozen=True)
class ControlLoss:
    """What a batch teaches: the decoder's controls [batch, controls, frames] and what it should
    make of them [batch, channels, samples]; the encoder's error, and figures for the log."""

    values: Tensor
    target: Tensor
    loss: Tensor
    figures: dict[str, Tensor]


def control_loss(
    names: tuple[str, ...], grid: Grid, predicted: Tensor, audio: Tensor,
    shard: Shard = Shard(),  # noqa: B008
) -> ControlLoss:
    """From the encoder's controls `predicted` [batch, controls, frames] of `audio` [batch,
    channels, samples]. Gradients of the loss reach `predicted`; those of the sound do not, so that
    the decoder cannot bend what controls mean."""
    with torch.autocast(audio.device.type, enabled=False):
        predicted, mono = predicted.float(), audio.mean(dim=1).float()
        losses, figures = [], {}
        for index, name in enumerate(names):
            with torch.no_grad():
                wanted, known = MEASURES[name](mono, grid)
            error = (predicted[:, index] - wanted).abs()
            losses.append(torch.where(known, error, 0).sum() / known.sum().clamp_min(1))
            unit, size = UNITS[name]
            figures[f"{name}_error_{unit.lower()}"] = size * losses[-1].detach()
        with torch.no_grad():
            values, target = predicted.detach().clone(), audio
            if "pitch" in names:
                target = _higher(values[:, names.index("pitch")], target, grid.rate_hz,
                                 shard)
            if "loudness" in names:
                target = _louder(values[:, names.index("loudness")], target, shard)
    return ControlLoss(values, target, torch.stack(losses).sum(), figures)


def _louder(values: Tensor, audio: Tensor, shard: Shard) -> Tensor:
    """Move loudness `values` [batch, frames] of some crops in place; the target they ask for."""
    def drawn() -> Tensor:
        return shard.draw(torch.rand, (len(audio),), device=audio.device)

    room = 20 * torch.log10(PEAK / audio.abs().amax(dim=(1, 2)).clamp_min(1e-3))
    decibels = torch.minimum(LARGEST_DB * (2 * drawn() - 1), room.clamp_min(0))
    decibels = torch.where(drawn() < OFFSET_SHARE, decibels, 0)
    values += decibels[:, None] / 10
    return audio * 10 ** (decibels[:, None, None] / 20)


def _higher(values: Tensor, audio: Tensor, rate_hz: int, shard: Shard) -> Tensor:
    """Move pitch `values` [batch, frames] of some crops in place, all by the same; the target they
    ask for, which is as loud as it was."""
    moved = shard.draw(torch.rand, (len(audio),), device=audio.device) < OFFSET_SHARE
    wish = LARGEST_OCTAVES * (2 * float(torch.rand(())) - 1)
    if not bool(moved.any()):
        return audio
    original = audio[moved]
    found, octaves = transposed(original, rate_hz, wish)
    power = [weighted(part, rate_hz).square().mean(dim=(1, 2), keepdim=True).clamp_min(1e-12)
             for part in (original, found)]
    room = PEAK / found.abs().amax(dim=(1, 2), keepdim=True).clamp_min(1e-6)
    target = audio.clone()
    target[moved] = found * torch.minimum((power[0] / power[1]).sqrt(), room)
    values[moved] += octaves
    return target


def transposed(audio: Tensor, rate_hz: int, octaves: float) -> tuple[Tensor, float]:
    """`audio` [batch, channels, samples] higher by about `octaves` at the same tempo, and by how
    much exactly. Resampled, then brought to its old length by overlapping grains, each from where
    it continues the last one best (WSOLA, Verhelst and Roelands 1993)."""
    samples = audio.shape[-1]
    size = 32 * max(1, round(samples * 2**-octaves / 32))  # a length that an FFT likes
    fast = torch.fft.irfft(torch.fft.rfft(audio), size) * (size / samples)
    hop, search = round(GRAIN_SECONDS * rate_hz), round(SEARCH_SECONDS * rate_hz)
    edge = hop + search
    fast = F.pad(fast, (edge, edge + 3 * hop))  # nominal grain k begins at k * hop * size / samples
    mono = fast.mean(dim=1)
    window = torch.hann_window(2 * hop, device=audio.device, dtype=audio.dtype)
    count = samples // hop + 2
    out = audio.new_zeros(*audio.shape[:2], (count + 1) * hop)
    reach = torch.arange(2 * hop, device=audio.device)
    starts = None  # of the last grain, [batch]
    for k in range(count):
        nominal = search + min(round(k * hop * size / samples), size)
        if starts is None:
            starts = torch.full((len(audio),), nominal, device=audio.device)
        else:
            last = mono.gather(1, (starts + hop)[:, None] + reach[:hop])  # how it would go on
            region = mono[:, nominal - search : nominal + search + hop].unfold(1, hop, 1)
            alike = (region @ last[:, :, None]).squeeze(2)
            alike = alike / region.square().sum(dim=2).add(1e-9).sqrt()
            starts = nominal - search + alike.argmax(dim=1)
        places = (starts[:, None] + reach)[:, None].expand(-1, audio.shape[1], -1)
        out[..., k * hop : (k + 2) * hop] += fast.gather(2, places) * window
    return out[..., hop : hop + samples], log2(samples / size)
