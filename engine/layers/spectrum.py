"""Sound to the logarithm of its spectrum's magnitudes, and back.

    sound   | 0 ... hop - 1 | hop ... 2 hop - 1 | ...
    frame   |       0       |         1         | ...   n is of the `fft` samples that end with
                                                        sample (n + 1) hop - 1
    sound   | of frame -1   | of frame 0, ...   | ...   a frame later, from its window's beginning:
                                                        `fft` samples later in all
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import inf, pi
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from engine.layers.base import Attributes, Shape, State, Streaming
from engine.layers.noise import MASK, SEED, frame_numbers, noise_bits, stream_keys
from engine.layers.transform import Transform, check_window, hann, transform_macs

if TYPE_CHECKING:
    from engine.graph import Builder, Value

FLOOR = 1e-5
LOG_RANGE = (-16.0, 4.0)  # of a bin that is played; the least is silence
LEVELS = 256  # in 1 of a logarithm
QUIET_LEVELS = 1768  # 1e-3: that far below the loudest, phases are random
TURN, HALF_WORD = 2**32, 2**16
# A phase's change per level, in parts of TURN: the window is as a Gaussian of .25645 fft^2 (Prusa
# and Sondergaard 2016). PER_BIN, times fft / hop: over frequency with the slope in time, half for
# each of two bins. PER_FRAME, divided by that: over time with the slope in frequency, half for each
# of two frames.
PER_BIN, PER_FRAME = 171192, 2603019
NOISE_SCALE = (0.5 / ((256**2 - 1) / 3)) ** 0.5  # of the sum of four bytes to a variance of 1/2


class Spectrum(Streaming):
    """[batch, 1, time] -> [batch, fft / 2 + 1, time / hop]: natural logarithms of the magnitudes of
    the spectrum under a periodic Hann window, over the window's sum; of `floor` where they are
    smaller. A sine of amplitude a in the middle of a bin is log(a / 2) there.

    fft: a power of two from 128 to 4096; hop: a quarter, an eighth or a sixteenth of it."""

    window: Tensor

    def __init__(self, fft: int, hop: int, floor: float = FLOOR) -> None:
        super().__init__(1, fft // 2 + 1)
        check_window("Spectrum", fft, hop)
        if not 1e-15 <= floor <= 1:
            raise ValueError(f"Spectrum: floor={floor:g} must be from 1e-15 to 1")
        self.fft, self.hop, self.floor = fft, hop, floor
        self.register_buffer("window", hann(fft), persistent=False)
        self.transform = Transform(fft)

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.hop)

    @property
    def lookahead(self) -> Fraction:
        """A frame is what the middle of its window sounds like."""
        return Fraction(self.fft, 2)

    @property
    def receptive_field(self) -> float:
        return self.fft - 1

    def macs_per_frame(self) -> float:
        return (transform_macs(self.fft) + 80.0 * self.out_channels) / self.hop

    def state_shapes(self) -> list[Shape]:
        return [(1, self.fft - 1 - self.hop)]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        both = torch.cat((state[0], x), dim=2)
        # Not even looked at: the window begins with 0.
        windows = F.pad(both.squeeze(1).unfold(1, self.fft - 1, self.hop), (1, 0))
        re, im = self.transform.bins(windows * self.window.to(x.dtype))  # [batch, frames, bins]
        power = (re.square() + im.square()) * (2.0 / self.fft) ** 2
        # Of the power and not its root, so that silence has no infinite gradient.
        logs = torch.log(power.clamp_min(self.floor**2)) * 0.5
        return logs.transpose(1, 2), (both[:, :, self.hop + 1 - self.fft :],)

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op(
            "spectrum", x, channels=self.out_channels, ratio=self.hop, lookahead=self.lookahead,
            attributes={"fft": self.fft, "ratio": self.hop, "floor": self.floor},
            state_shapes=self.state_shapes(), macs_per_frame=self.macs_per_frame())


class Resynth(Streaming):
    """Logarithms of magnitudes, as of `Spectrum`, to sound: [batch, 2 * (fft / 2 + 1), frames] ->
    [batch, 1, frames * hop]. The channels are bins of a tone, then bins of noise, whose values are
    random complex numbers: the spectrum of what is heard has a mean square of exp(2 x).

    A tone's phases are integrated from the slopes of its magnitudes (Prusa, Balazs and Sondergaard,
    "A noniterative method for reconstruction of phase from STFT magnitude", 2017; in real time:
    Prusa and Sondergaard 2016), with a frame of lookahead and without a queue. Each bin belongs to
    the peak of its own frame that it rises to (regions of influence, as in Beauregard, Harish and
    Wyse, "Single pass spectrogram inversion", 2015); peaks go on from the frame before, the others
    follow theirs along frequency. What is 1e-3 of the loudest has random phases. Logarithms are
    held from -16 to 4, where the least, and what is no number, is silence, and rounded to 1 / 256.

    Levels, slopes, peaks and phases are whole numbers. So all C programs have the same bits, and
    others the same sound, to 1e-5, of logarithms that lie on the grid. Of logarithms that another
    program's arithmetic has made they may not: one that is rounded otherwise may move a peak to
    another bin, whose phase stays another one for good. Magnitudes agree then, and samples do not.

    Gradients reach magnitudes, as if nothing were rounded; phases have none. fft: a power of two
    from 128 to 4096; hop: a quarter, an eighth or a sixteenth of it. The player's attribute `seed`
    gives other noise."""

    window: Tensor
    bin: Tensor

    def __init__(self, fft: int, hop: int, seed: int = 4) -> None:
        super().__init__(fft + 2, 1)
        check_window("Resynth", fft, hop)
        self.fft, self.hop, self.seed = fft, hop, seed
        self.bins, self.overlap = fft // 2 + 1, fft // hop
        self.register_buffer("window", hann(fft), persistent=False)
        self.register_buffer("bin", torch.arange(self.bins), persistent=False)
        self.transform = Transform(fft)

    @property
    def ratio(self) -> Fraction:
        return Fraction(1, self.hop)

    @property
    def lookahead(self) -> Fraction:
        """Half a window from its middle to its end, where its hop is complete; a frame of
        lookahead makes up for the hop in which it came."""
        return Fraction(self.overlap, 2)

    @property
    def receptive_field(self) -> float:
        return inf

    @property
    def may_use(self) -> tuple[str, ...]:
        return (SEED,)

    def macs_per_frame(self) -> float:
        return transform_macs(self.fft) + 200.0 * self.bins

    def state_shapes(self) -> list[Shape]:
        """Frames so far; levels of the last two, of the last one's noise; phases, their upper and
        lower 16 bits; what later samples have so far."""
        return [(1,), (self.bins, 2), (self.bins, 1), (2, self.bins), (self.fft - self.hop,)]

    def forward(self, x: Tensor, state: State, attributes: Attributes | None = None
                ) -> tuple[Tensor, State]:
        counter, tones, noises, words, overlap = state
        levels = _levels(x)
        tones = torch.cat((tones, levels[:, : self.bins]), dim=2)  # [batch, bins, 2 + frames]
        noises = torch.cat((noises, levels[:, self.bins :]), dim=2)
        numbers, counter = frame_numbers(counter, x)
        keys = stream_keys(x.shape[0], (attributes or {}).get(SEED), x.device)
        bits = noise_bits(numbers, 2 * self.bins, self.seed, keys)
        first, second = bits[:, : self.bins], bits[:, self.bins :]
        phases = self._phases(tones.detach().to(torch.int64), words, first ^ second)
        upper = phases.ge(TURN // 2).to(torch.int64)
        angle = (phases - upper * TURN).to(x.dtype) * (2 * pi / TURN)
        tone = _amplitudes(tones[:, :, 1:-1])
        # Windows that overlap at random add up to less than those of one sound.
        noise = _amplitudes(noises[:, :, :-1]) * (NOISE_SCALE * self.overlap**0.5)
        re = tone * torch.cos(angle) + noise * _byte_sums(first).to(x.dtype)
        im = tone * torch.sin(angle) + noise * _byte_sums(second).to(x.dtype)
        y, overlap = self._overlap_add(re, im, overlap)
        last = phases[:, :, -1]
        halves = (torch.div(last, HALF_WORD, rounding_mode="floor"), last & (HALF_WORD - 1))
        words = torch.stack(halves, dim=1).to(x.dtype)
        return y, (counter, tones[:, :, -2:], noises[:, :, -1:], words, overlap)

    def _phases(self, levels: Tensor, words: Tensor, others: Tensor) -> Tensor:
        """Of a tone, int64 [batch, bins, frames]. `levels`: with two frames before; `others`:
        phases of what is quiet."""
        before, here, after = levels[:, :, :-2], levels[:, :, 1:-1], levels[:, :, 2:]
        rise = after - before
        along = (rise[:, 1:] + rise[:, :-1]).cumsum(dim=1) * -(PER_BIN * self.overlap)
        along = F.pad(along, (0, 0, 1, 0))  # over frequency, from the first bin
        slope = here[:, 2:] - here[:, :-2] + before[:, 2:] - before[:, :-2]
        slope = F.pad(slope, (0, 0, 1, 1)) * (PER_FRAME // self.overlap)
        step = slope + (self.bin * (TURN // self.overlap)).unsqueeze(1) - along
        peaks = self._peaks(here)
        step = (step.gather(1, peaks) + along) & MASK
        loudest = torch.maximum(here, before).max(dim=1, keepdim=True)[0]
        goes_on = here.ge(loudest - (QUIET_LEVELS - 1)).to(torch.int64)
        step = step * goes_on + others * (-goes_on + 1)
        whole = words.to(torch.int64)
        run = _scripted_phases() if torch.jit.is_tracing() else _run_phases
        return run(  # type: ignore[no-any-return]
            whole[:, 0] * HALF_WORD + whole[:, 1], peaks, step, goes_on)

    def _peaks(self, here: Tensor) -> Tensor:
        """The peak that each bin belongs to, int64 [batch, bins, frames]. Of equal neighbours the
        upper one is nearer to the peak."""
        up = here[:, 1:].ge(here[:, :-1]).to(torch.int64)  # bins that rise from the one below
        up, next_up = F.pad(up, (0, 0, 1, 0), value=1.0), F.pad(up, (0, 0, 0, 1))
        region = F.pad(((-up[:, :-1] + 1) * up[:, 1:]).cumsum(dim=1), (0, 0, 1, 0))
        # One peak in each region, so peaks in order are the peaks of all regions.
        other = -(up * (-next_up + 1)) + 1
        place = self.bin.unsqueeze(1) + other * self.bins
        return place.sort(dim=1)[0].gather(1, region)

    def _overlap_add(self, re: Tensor, im: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
        """Complex values [batch, bins, frames], and what samples have before, to samples."""
        middle = (self.bin % 2 * -2 + 1).to(re.dtype)  # phases are those of the window's middle
        frames = self.transform.windows(re.transpose(1, 2) * middle, im.transpose(1, 2) * middle)
        frames = frames * (self.window.to(re.dtype) * gain(self.overlap))
        parts = frames.unflatten(2, (self.overlap, self.hop))  # [batch, frames, overlap, hop]
        later = self.overlap - 1
        before = overlap.unflatten(1, (later, self.hop))
        y = torch.cat((before, torch.zeros_like(parts[:, :, 0])), dim=1)
        for k in range(self.overlap):
            y = y + F.pad(parts[:, :, k], (0, 0, k, later - k))
        return y[:, :-later].flatten(1).unsqueeze(1), y[:, -later:].flatten(1)

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op(
            "resynth", x, channels=1, ratio=Fraction(1, self.hop), lookahead=self.lookahead,
            attributes={"fft": self.fft, "ratio": self.hop, "seed": self.seed,
                        "seed_attribute": SEED},
            state_shapes=self.state_shapes(), macs_per_frame=self.macs_per_frame())


def gain(overlap: int) -> float:
    """Of what is added: Spectrum divides by the window's sum, the inverse transform by its size,
    and squared windows add up to 3 / 8 of their number."""
    return 0.5 / (0.375 * overlap)


def exponentials(overlap: int) -> NDArray[np.float32]:
    """Amplitudes of levels as the C runtime has them: of those below 1, and of whole nepers with
    the gain."""
    steps = np.exp(np.arange(LEVELS) / LEVELS)
    nepers = np.exp(np.arange(32) + LOG_RANGE[0]) * gain(overlap)
    return np.concatenate((steps, nepers)).astype(np.float32)


def _levels(x: Tensor) -> Tensor:
    """Whole numbers from 0; gradients pass."""
    low, high = LOG_RANGE
    held = torch.where(x.ge(low), x, torch.zeros_like(x) + low).clamp(max=high)  # no number: low
    exact = held * LEVELS
    return exact + (exact.round() - exact).detach() - low * LEVELS


def _amplitudes(levels: Tensor) -> Tensor:
    return torch.exp(levels * (1 / LEVELS) + LOG_RANGE[0]) * levels.gt(0).to(levels.dtype)


def _byte_sums(bits: Tensor) -> Tensor:
    """Of the four bytes of whole numbers, around 0: close to normal."""
    total = (bits & 255) - 510
    for place in (2**8, 2**16, 2**24):
        total = total + (torch.div(bits, place, rounding_mode="floor") & 255)
    return total


def _run_phases(phase: Tensor, peaks: Tensor, step: Tensor, goes_on: Tensor) -> Tensor:
    """Frame after frame: `phase` [batch, bins] before the first; all others [batch, bins, frames].
    """
    found = torch.zeros_like(step)
    for frame in range(step.size(2)):
        before = phase.gather(1, peaks[:, :, frame]) * goes_on[:, :, frame]
        phase = (before + step[:, :, frame]) & 0xFFFFFFFF
        found[:, :, frame].copy_(phase)
    return found


@cache
def _scripted_phases() -> Any:
    """The same for a trace, which would keep as many frames as it was made with."""
    return torch.jit.script(_run_phases)
