"""How high a sound is, frame by frame: YIN inside a network, without gradient."""

from __future__ import annotations

from fractions import Fraction
from math import inf, log, log2
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.layers.base import Shape, State, Streaming
from engine.scores.conditions import MIDDLE_C_HZ as MIDDLE_C_HZ

if TYPE_CHECKING:
    from engine.graph import Builder, Value

WINDOW_SECONDS, LOWEST_HZ = 0.064, 40.0
COARSE_RATE_HZ = 8000.0  # at least; lags are looked for at that rate
THRESHOLD = 0.12  # a frame whose difference function dips below this is clear
FLOOR = 1e-7  # mean square below which nothing has a pitch: -70 dB
SMOOTH_HZ = 8000.0  # what lies above is taken away: there a parabola is no likeness of a dip
LEAST_LAG = 2  # of the decimated sound
TINY = 1e-20
# With `octave_check`: twice the lag counts if its dip is that much less deep in difference, and the
# first one is no mere lag between samples, whose difference is a share of how sharply it bends.
DOUBLE_SHARE, BEND_SHARE, DOUBLE_REACH = 0.5, 0.2, 2
PIECE_FRAMES = 64  # at once: differences at all lags of a long sound would fill the memory
PIECE_DIFFERENCES = 2**16  # at once: they stay in a processor's cache


class PitchTrack(Streaming):
    """Pitch in octaves from middle C and clarity from 0 to 1, a frame for every `ratio` samples:
    [batch, 1, time] -> [batch, 2, time / ratio]. No gradient passes.

    YIN (de Cheveigne and Kawahara 2002): the lag at which the newest part of the window differs
    least from what came before, as a share of the mean over all shorter lags. It is found in
    decimated sound and then looked for again in its neighbourhood at the full rate, between
    samples by a parabola. Where no dip is below `threshold` the last pitch is held, and clarity
    says how far the frame was from being clear. Differences are summed frame by frame, so the
    compared part is whole frames long.

    A note whose fundamental is weak nearly repeats after half its period. With `octave_check` twice
    the lag is looked at too, and is the period if the sound is much more like itself then.

    A pitch is that of the mean of the compared part and what it is compared with, so about
    (window - lags + lag) / 2 samples old."""

    smooth: Tensor
    lag: Tensor
    sample: Tensor
    near: Tensor

    def __init__(self, ratio: int, rate_hz: float, window: int | None = None,
                 lags: int | None = None, threshold: float = THRESHOLD,
                 step: int | None = None, taps: int | None = None, late: int = 0,
                 octave_check: bool = False) -> None:
        """`window` and `lags` in samples; `step` from one lag to the next; `taps` of the filter
        before: None, what the rate asks for. `late`: samples of its lateness that count as
        lookahead, so that beside a layer that looks as far ahead it is not delayed further."""
        super().__init__(1, 2)
        window = round(WINDOW_SECONDS * rate_hz) if window is None else window
        lags = round(rate_hz / LOWEST_HZ) if lags is None else lags
        if ratio < 1 or rate_hz <= MIDDLE_C_HZ or lags >= window:
            raise ValueError(f"PitchTrack: ratio={ratio}, rate_hz={rate_hz:g} and window={window} "
                             f"leave nothing to compare over lags={lags}")
        step = _decimation(rate_hz, ratio) if step is None else step
        self.late, self.octave_check = late, octave_check
        self.hop, self.rate_hz, self.threshold, self.step = ratio, rate_hz, threshold, step
        self.lags = lags // step  # of the decimated sound
        self.hops = max(1, round((window - lags) / ratio))  # compared, in frames
        if self.lags < LEAST_LAG + 2:
            raise ValueError(f"PitchTrack: lags={lags} are too few at {rate_hz:g} Hz")
        least = 2 * step if step > 1 else 1  # so that dips of high notes are as wide as a lag
        self.taps = 2 * max(least, round(rate_hz / SMOOTH_HZ)) - 1 if taps is None else taps
        rise = torch.arange(1.0, self.taps // 2 + 2)
        smooth = torch.cat((rise, rise.flip(0)[1:])) / len(rise) ** 2
        self.register_buffer("smooth", smooth.reshape(1, 1, -1), persistent=False)
        self.register_buffer("lag", torch.arange(1.0, self.lags + 1), persistent=False)
        self.register_buffer("sample", torch.arange(self.compared), persistent=False)
        near = torch.arange(-DOUBLE_REACH, DOUBLE_REACH + 1)
        self.register_buffer("near", near, persistent=False)

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.hop)

    @property
    def lookahead(self) -> Fraction:
        return Fraction(self.late)

    @property
    def receptive_field(self) -> float:
        return inf

    @property
    def compared(self) -> int:
        """Samples of the newest part, which is compared."""
        return self.hops * self.hop

    @property
    def window(self) -> int:
        """Samples that a frame looks at, beside the pitch that is held."""
        return self.compared + self.lags * self.step + self.taps - 1

    def macs_per_frame(self) -> float:
        coarse = self.lags * (self.hop // self.step + self.hops)
        fine = (2 * self.step + 1) * self.compared + self.taps * self.window
        return (coarse + fine) / self.hop

    def state_shapes(self) -> list[Shape]:
        return [(1, self.window - self.hop), (1,)]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        x = x.detach()
        if torch.jit.is_tracing() or x.shape[2] <= PIECE_FRAMES * self.hop:
            return self._piece(x, state)
        rows = []
        for part in x.split(PIECE_FRAMES * self.hop, dim=2):
            y, state = self._piece(part, state)
            rows.append(y)
        return torch.cat(rows, dim=2), state

    def _piece(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        past, held = state
        both = torch.cat((past, x), dim=2)
        sound = F.conv1d(both, self.smooth.to(x.dtype)).squeeze(1)  # [batch, samples]
        at, depth, clear = self._dip(self._normal_difference(sound))
        octaves, loud, sane = self._refined(sound, at)
        clear = clear * loud * sane  # [batch, frames], 0 or 1
        pitch = _last(octaves, clear, held)
        clarity = (-depth + 1.0).clamp(0.0, 1.0) * loud
        after = (both[:, :, self.hop - self.window :], pitch[:, -1:])
        return torch.stack((pitch, clarity), dim=1), after

    def _normal_difference(self, sound: Tensor) -> Tensor:
        """[batch, frames, lags 1 ... lags] of the decimated sound."""
        coarse = sound[:, self.step - 1 :: self.step]
        rows = coarse.unfold(1, self.lags + 1, 1)  # [batch, time, lags + 1], the newest last
        rows = rows.unflatten(1, (-1, self.hop // self.step))
        if torch.jit.is_tracing():
            parts = _square_differences(rows)  # [batch, hops, lags]
        else:
            count = max(1, PIECE_DIFFERENCES // (rows.shape[2] * rows.shape[3]))
            parts = torch.stack([torch.cat([_square_differences(piece)
                                            for piece in stream.split(count)]) for stream in rows])
        difference = parts.unfold(1, self.hops, 1).sum(dim=3).flip(2)
        total = difference.cumsum(dim=2).clamp_min(TINY)
        return difference * self.lag.to(sound.dtype) / total

    def _dip(self, normal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The lag of the first dip that is deep enough, or 2 * `LEAST_LAG`; the least that was
        found, between samples; whether there was one: each [batch, frames]."""
        count = self.lags - LEAST_LAG  # lags LEAST_LAG ... lags - 1
        before, here, after = (normal[:, :, LEAST_LAG - 2 + k : LEAST_LAG - 2 + k + count]
                               for k in range(3))
        zero, one = torch.zeros_like(here), torch.ones_like(here)
        dips = torch.where(here.lt(before), here.le(after).to(here.dtype), zero)
        bend = torch.where(dips.gt(0), before - 2 * here + after, one)
        depth = (here - (before - after).square() / bend * 0.125).clamp_min(0.0)
        depth = torch.where(dips.gt(0), depth, one)
        least = depth.min(dim=2, keepdim=True)[0]
        places = -self.lag[:count].to(here.dtype) + (count + 1)  # count ... 1
        first = torch.where(depth.lt(self.threshold), places, zero).max(dim=2, keepdim=True)[0]
        clear = first.gt(0).to(here.dtype)
        at = ((-first + (count + LEAST_LAG)) * clear + 2 * LEAST_LAG * (-clear + 1.0))
        index = (at - LEAST_LAG).clamp(0, count - 1).to(torch.int64)
        found = torch.where(clear.gt(0), depth.gather(2, index), least)
        if self.octave_check:
            at, found = self._doubled(depth, bend, at, found, clear)
        return at.squeeze(2), found.squeeze(2), clear.squeeze(2)

    def _doubled(self, depth: Tensor, bend: Tensor, at: Tensor, found: Tensor, clear: Tensor
                 ) -> tuple[Tensor, Tensor]:
        """Lag and depth of twice the first dip, where that is the period."""
        count = depth.shape[2]
        first = (at - LEAST_LAG).to(torch.int64)
        places = first * 2 + LEAST_LAG + self.near  # [batch, frames, 5]
        inside = places.lt(count)
        tried = depth.gather(2, places.clamp(max=count - 1))
        least, which = torch.where(inside, tried, torch.ones_like(tried)).min(dim=2, keepdim=True)
        sharp = bend.gather(2, first)
        better = torch.where(found.gt(sharp * BEND_SHARE), least.lt(found * DOUBLE_SHARE).to(
            clear.dtype) * clear, torch.zeros_like(clear)).gt(0)
        twice = (places.gather(2, which) + LEAST_LAG).to(at.dtype)
        return torch.where(better, twice, at), torch.where(better, least, found)

    def _refined(self, sound: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Octaves of a lag of the decimated sound; whether there is any sound, and whether they
        are a number."""
        step, size = self.step, self.compared
        newest = sound.unfold(1, size + self.lags * step, self.hop)[:, :, -size:]
        frames = torch.cumsum(torch.ones_like(at, dtype=torch.int64), dim=1) - 1
        start = frames * self.hop + self.lags * step - step * at.to(torch.int64)
        places = self.sample + start.unsqueeze(2)  # [batch, frames, size]
        loud = newest.square().sum(dim=2).ge(FLOOR * size).to(sound.dtype)
        sums = []
        for offset in range(-step, step + 1):
            past = sound.gather(1, (places - offset).flatten(1)).unflatten(1, (-1, size))
            sums.append((newest - past).square().sum(dim=2))
        below = torch.stack(sums[1:-1], dim=2).min(dim=2)[1]  # [batch, frames]
        table = torch.stack(sums, dim=2)
        a, b, c = (table.gather(2, (below + k).unsqueeze(2)).squeeze(2) for k in range(3))
        bend = a - 2 * b + c
        shift = torch.where(bend.gt(0), 0.5 * (a - c) / bend.clamp_min(TINY), torch.zeros_like(a))
        lag = step * at + (below - (step - 1)).to(at.dtype) + shift.clamp(-0.5, 0.5)
        sane = lag.ge(1.0)
        lag = torch.where(sane, lag, torch.ones_like(lag))
        octaves = torch.log(lag) * (-1.0 / log(2)) + log2(self.rate_hz / MIDDLE_C_HZ)
        return octaves, loud, sane.to(at.dtype)

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op(
            "pitch_track", x, channels=2, ratio=self.hop,
            attributes={"lags": self.lags, "hops": self.hops, "ratio": self.hop, "step": self.step,
                        "taps": self.taps, "window": self.window, "threshold": self.threshold,
                        "octaves": log2(self.rate_hz / MIDDLE_C_HZ),
                        "octave_check": int(self.octave_check)},
            state_shapes=self.state_shapes(), macs_per_frame=self.macs_per_frame(),
            lookahead=self.late)


def _square_differences(rows: Tensor) -> Tensor:
    """[..., time, lags + 1] -> [..., lags], of the newest, which comes last, and each other."""
    away = rows[..., -1:] - rows[..., :-1]
    return (away * away).sum(dim=-2)


def _decimation(rate_hz: float, ratio: int) -> int:
    """The largest power of two that leaves `COARSE_RATE_HZ` and divides a frame."""
    step = 1
    while rate_hz / (2 * step) >= COARSE_RATE_HZ and ratio % (2 * step) == 0:
        step *= 2
    return step


def _last(values: Tensor, valid: Tensor, before: Tensor) -> Tensor:
    """`values` [batch, frames] where `valid`, else the last valid one; before the first, `before`
    [batch, 1]."""
    number = torch.cumsum(torch.ones_like(valid[:1]), dim=1)  # 1 ... frames
    past = number.unsqueeze(1).le(number.unsqueeze(2)).to(valid.dtype)  # [1, frames, frames]
    latest = (past * (number * valid).unsqueeze(1)).max(dim=2)[0]
    return torch.cat((before, values), dim=1).gather(1, latest.to(torch.int64))
