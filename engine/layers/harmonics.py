"""A harmonic tone from its pitch and its spectral envelope, with phases that are whole numbers."""

from __future__ import annotations

from fractions import Fraction
from math import inf, pi
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.layers.base import Shape, State, Streaming
from engine.layers.harmonic_sum import TURN, harmonic_sum
from engine.layers.pitch import MIDDLE_C_HZ

if TYPE_CHECKING:
    from engine.graph import Builder, Value

PITCH_RANGE = (-10.0, 8.0)  # octaves from middle C
PITCH_STEPS = 2**18  # in an octave: .005 cents
# 2^x of x = n / PITCH_STEPS from 0 to 1, in 2^-30: a weighted fit of our own, within .0002 cents,
# and exact at both ends.
EXP2 = (1073741824, 744266013, 257869054, 59934846, 9654009, 2017902)
NYQUIST = TURN // 2
FINE = 2**16  # a step between frames, in parts of a phase
LOG_RANGE = (-16.0, 4.0)  # of the envelope
NYQUIST_FADE = 0.025  # of the sample rate, below its half
CROSSOVER_HZ = (800.0, 1300.0)
CLARITY = (0.6, 0.85)
PIECE_FRAMES = 512  # at once: all harmonics of a long sound would fill the memory


class Harmonics(Streaming):
    """Pitch, clarity and the logarithm of an envelope over frequency, one frame for `ratio`
    samples -> a sound: [batch, 2 + bands, frames] -> [batch, 1, frames * ratio].

    Up to `count` harmonics of the pitch (octaves from middle C). Band b is centred at (b + 1/2) of
    `bands` equal parts of all frequencies up to half the sample rate; a harmonic is as strong as
    exp of the line between the two centres beside it. Harmonics fade in over `crossover_hz` and
    out towards half the sample rate, and all of them with clarity (`clear`). Pitch and amplitudes
    move in straight lines to what a frame says, which they reach with its last sample; from rest
    amplitudes come from zero.

    The fundamental's phase is a whole number of 32 bits, its step per sample another one, and
    harmonic k has k times that phase: nothing drifts, and every backend has the same phases. The
    pitch is rounded to 1 / 2^18 octave. Gradients reach the envelope and clarity, not the pitch."""

    number: Tensor
    band: Tensor
    rise: Tensor
    octave: Tensor
    octave_steps: Tensor
    place: Tensor

    def __init__(self, bands: int, ratio: int, rate_hz: float, count: int = 64,
                 crossover_hz: tuple[float, float] = CROSSOVER_HZ,
                 clear: tuple[float, float] = CLARITY) -> None:
        super().__init__(2 + bands, 1)
        if bands < 2 or ratio < 1 or count < 1 or not rate_hz > 4 * MIDDLE_C_HZ:
            raise ValueError(f"Harmonics: bands={bands}, ratio={ratio}, count={count} and "
                             f"rate_hz={rate_hz:g} make no sound")
        if not (crossover_hz[0] < crossover_hz[1] and clear[0] < clear[1]):
            raise ValueError(f"Harmonics: crossover_hz={crossover_hz} and clear={clear} must rise")
        self.bands, self.hop, self.rate_hz, self.count = bands, ratio, rate_hz, count
        self.middle_c = round(TURN * MIDDLE_C_HZ / rate_hz)  # its step per sample
        self.crossover = (crossover_hz[0] / rate_hz, crossover_hz[1] / rate_hz)
        self.clear = clear
        octaves = range(int(PITCH_RANGE[1] - PITCH_RANGE[0]) + 1)
        low = -int(PITCH_RANGE[0])
        steps = [min((self.middle_c << n) >> low, NYQUIST) for n in octaves]
        for name, values in (  # the first of them says what is real
            ("rise", torch.arange(1, ratio + 1, dtype=torch.float32) / ratio),
            ("number", torch.arange(1, count + 1)), ("octave_steps", torch.tensor(steps)),
            ("octave", torch.arange(len(steps))), ("place", torch.arange(1, ratio + 1)),
        ):
            self.register_buffer(name, values, persistent=False)

    @property
    def ratio(self) -> Fraction:
        return Fraction(1, self.hop)

    @property
    def receptive_field(self) -> float:
        return inf

    def macs_per_frame(self) -> float:
        return self.count * (8.0 * self.hop + 16.0)

    def state_shapes(self) -> list[Shape]:
        """Amplitudes; phase and step, each as its upper and its lower 16 bits."""
        return [(self.count, 1), (4,)]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if torch.jit.is_tracing() or x.shape[2] <= PIECE_FRAMES:
            return self._piece(x, state)
        rows = []
        for part in x.split(PIECE_FRAMES, dim=2):
            y, state = self._piece(part, state)
            rows.append(y)
        return torch.cat(rows, dim=2), state

    def _piece(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        before, words = state
        phase, last = _joined(words)  # each [batch, 1]
        steps = self._steps(x[:, 0])  # [batch, frames]
        first = torch.where(last.gt(0), last, steps[:, :1])
        phases = self._phases(phase, torch.cat((first, steps[:, :-1]), dim=1), steps)
        amplitudes = self._amplitudes(steps, x[:, 1], x[:, 2:])  # [batch, count, frames]
        earlier = torch.cat((before, amplitudes[:, :, :-1]), dim=2)
        rise = self.rise.to(x.dtype)
        if torch.jit.is_tracing():
            y = self._all(phases, amplitudes, earlier, rise)
        else:
            y = harmonic_sum(phases, amplitudes, earlier, rise)
        after = _split(phases[:, -1:], steps[:, -1:], x.dtype)
        return y.flatten(1).unsqueeze(1), (amplitudes[:, :, -1:], after)

    def _steps(self, pitch: Tensor) -> Tensor:
        """Steps of the fundamental's phase per sample: whole numbers, where gradients end."""
        low, high = PITCH_RANGE
        floor = torch.zeros_like(pitch) + low
        pitch = torch.where(pitch.ge(low), pitch, floor).clamp(max=high)  # not a number: lowest
        number = ((pitch * PITCH_STEPS).round() + -low * PITCH_STEPS).to(torch.int64)
        octave = torch.div(number, PITCH_STEPS, rounding_mode="floor")
        part = number & (PITCH_STEPS - 1)
        factor = torch.zeros_like(part) + EXP2[-1]
        for coefficient in EXP2[-2::-1]:
            factor = torch.div(factor * part, PITCH_STEPS, rounding_mode="floor") + coefficient
        same = octave.unsqueeze(2).eq(self.octave).to(torch.int64)
        base = (same * self.octave_steps).sum(dim=2)
        return torch.div(factor * base, 2**30, rounding_mode="floor").clamp(max=NYQUIST)

    def _phases(self, phase: Tensor, before: Tensor, steps: Tensor) -> Tensor:
        """Of the fundamental, [batch, frames * ratio]. Steps move in a straight line."""
        slope = torch.div((steps - before) * FINE, self.hop, rounding_mode="trunc").unsqueeze(2)
        each = before.unsqueeze(2) * FINE + slope * self.place
        each = torch.div(each, FINE, rounding_mode="floor")
        return (phase + each.flatten(1).cumsum(dim=1)) & (TURN - 1)

    def _all(self, phases: Tensor, amplitudes: Tensor, earlier: Tensor, rise: Tensor) -> Tensor:
        """`harmonic_sum` of operations that TorchScript knows, whatever sounds."""
        waves = self._waves(phases, rise.dtype).unflatten(2, (-1, self.hop))
        waves = waves.permute(0, 2, 3, 1)  # [batch, frames, ratio, count]
        up, down = (torch.matmul(waves, part.transpose(1, 2).unsqueeze(3)).squeeze(3)
                    for part in (amplitudes, earlier))
        return up * rise + down * (-rise + 1.0)  # [batch, frames, ratio]

    def _waves(self, phases: Tensor, dtype: torch.dtype) -> Tensor:
        """Sines of all harmonics, [batch, count, samples]."""
        turned = (phases.unsqueeze(1) * self.number.unsqueeze(1)) & (TURN - 1)
        upper = turned.ge(TURN // 2).to(torch.int64)
        return torch.sin((turned - upper * TURN).to(dtype) * (2 * pi / TURN))

    def levels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of each harmonic its frequency, in parts of the sample rate, and the logarithm of its
        amplitude before anything fades: [batch, frames, count] each. What training compares."""
        return self._lines(self._steps(x[:, 0]), x[:, 2:])

    def _lines(self, steps: Tensor, envelope: Tensor) -> tuple[Tensor, Tensor]:
        base = steps.to(envelope.dtype) * (1.0 / TURN)
        frequency = base.unsqueeze(2) * self.number.to(base.dtype)  # [batch, frames, count]
        place = (frequency * (2.0 * self.bands) - 0.5).clamp(0.0, self.bands - 1.0)
        lower = place.detach().to(torch.int64).clamp(max=max(self.bands - 2, 0))
        share = place - lower.to(place.dtype)
        bands = envelope.transpose(1, 2)
        low = bands.gather(2, lower)
        high = bands.gather(2, (lower + 1).clamp(max=self.bands - 1))
        return frequency, low * (-share + 1.0) + high * share

    def _amplitudes(self, steps: Tensor, clarity: Tensor, envelope: Tensor) -> Tensor:
        frequency, line = self._lines(steps, envelope)
        low, high = self.crossover
        gain = _smooth((frequency - low) * (1.0 / (high - low)))
        gain = gain * ((-frequency + 0.5) * (1.0 / NYQUIST_FADE)).clamp(0.0, 1.0)
        start, end = self.clear
        gain = gain * _smooth((clarity - start) * (1.0 / (end - start))).unsqueeze(2)
        return (torch.exp(line.clamp(*LOG_RANGE)) * gain).transpose(1, 2)

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op(
            "harmonics", x, channels=1, ratio=Fraction(1, self.hop),
            attributes={"bands": self.bands, "count": self.count, "ratio": self.hop,
                        "middle_c": self.middle_c, "octave_steps": self.octave_steps.tolist(),
                        "crossover": self.crossover, "clear": self.clear},
            state_shapes=self.state_shapes(), macs_per_frame=self.macs_per_frame())


def _smooth(x: Tensor) -> Tensor:
    """From 0 to 1 without corners."""
    x = x.clamp(0.0, 1.0)
    return x * x * (-2.0 * x + 3.0)


def _joined(words: Tensor) -> tuple[Tensor, Tensor]:
    """Phase and step, int64 [batch, 1], of their halves [batch, 4]."""
    whole = words.to(torch.int64)
    return whole[:, :1] * FINE + whole[:, 1:2], whole[:, 2:3] * FINE + whole[:, 3:]


def _split(phase: Tensor, step: Tensor, dtype: torch.dtype) -> Tensor:
    """The other way round."""
    halves = [part for word in (phase, step) for part in (
        torch.div(word, FINE, rounding_mode="floor"), word & (FINE - 1))]
    return torch.cat(halves, dim=1).to(dtype)
