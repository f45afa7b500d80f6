"""Loops from another hand than the corpus: other synthesis, other styles, 70 to 180 BPM. Nothing
here uses `training.corpus`; what a model does with these loops says what it does with strangers.

    python -m benchmarks.quality.other_loops FOLDER --minutes 10 --seed 0

Electro of FM tones, plucked strings (Karplus and Strong 1983), swung breakbeats of modal drums,
granular clouds, ambient pads of many partials.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, lfilter, sosfilt

Audio = np.ndarray
PENTATONIC = (0, 3, 5, 7, 10, 12, 15, 17)


class Desk:
    """A loop being made: its time, its chance, and the tape that sounds are laid on."""

    def __init__(self, seed: int, index: int, rate_hz: int) -> None:
        self.rng = np.random.default_rng((seed, index, 77))
        self.rate = rate_hz
        self.bpm = self.rng.uniform(70, 180)
        self.step_s = 15 / self.bpm
        self.steps = 32 if self.bpm > 110 else 16
        self.tape = np.zeros(round(self.steps * self.step_s * rate_hz))
        self.root_hz = 55 * 2 ** (self.rng.integers(12) / 12)

    def lay(self, sound: Audio, at_s: float, gain: float) -> None:
        """Add a sound; what lasts beyond the end comes round to the beginning."""
        first = round(at_s * self.rate)
        places = (first + np.arange(len(sound))) % len(self.tape)
        np.add.at(self.tape, places, gain * sound)

    def time(self, seconds: float) -> Audio:
        return np.arange(round(seconds * self.rate)) / self.rate

    def pitch(self, octave: int = 0) -> float:
        return self.root_hz * 2 ** (octave + self.rng.choice(PENTATONIC) / 12)

    def band(self, sound: Audio, low_hz: float, high_hz: float) -> Audio:
        top = min(high_hz, 0.45 * self.rate)
        return sosfilt(butter(2, (min(low_hz, top / 2), top), "band", fs=self.rate, output="sos"),
                       sound)


def fm(desk: Desk, hertz: float, seconds: float, ratio: float, index: float) -> Audio:
    """Two operators, the index falling faster than the level."""
    t = desk.time(seconds)
    bend = index * np.exp(-6 * t / seconds) * np.sin(2 * np.pi * ratio * hertz * t)
    return np.exp(-4 * t / seconds) * np.sin(2 * np.pi * hertz * t + bend)


def plucked(desk: Desk, hertz: float, seconds: float, damping: float) -> Audio:
    """A burst of noise in a loop of one period with a two-point average."""
    period = max(2, round(desk.rate / hertz))
    burst = np.zeros(round(seconds * desk.rate))
    burst[:period] = desk.rng.uniform(-1, 1, min(period, len(burst)))
    loop = np.zeros(period + 2)
    loop[0], loop[period], loop[period + 1] = 1, -0.5 * damping, -0.5 * damping
    return lfilter([1.0], loop, burst)


def drum(desk: Desk, modes_hz: list[float], seconds: float, noise: float) -> Audio:
    """A struck membrane: decaying modes, the first one falling in pitch, and some noise."""
    t = desk.time(seconds)
    sound = np.zeros(len(t))
    for number, hertz in enumerate(modes_hz):
        fall = 1 + 0.6 * np.exp(-40 * t) if number == 0 else 1.0
        phase = 2 * np.pi * np.cumsum(hertz * fall * np.ones(len(t))) / desk.rate
        sound += np.exp(-(5 + 4 * number) * t / seconds) * np.sin(phase) / (1 + number)
    return sound + noise * np.exp(-9 * t / seconds) * desk.rng.standard_normal(len(t))


def grains(desk: Desk, count: int, low_hz: float, high_hz: float) -> None:
    """A cloud of short windows of filtered noise and of sines, thrown over the whole tape."""
    for _ in range(count):
        size = desk.rng.uniform(0.01, 0.12)
        t = desk.time(size)
        if desk.rng.random() < 0.5:
            body = np.sin(2 * np.pi * desk.rng.uniform(low_hz, high_hz) * t)
        else:
            centre = desk.rng.uniform(low_hz, high_hz)
            body = desk.band(desk.rng.standard_normal(len(t)), centre, 1.5 * centre)
        desk.lay(np.hanning(len(t)) * body, desk.rng.uniform(0, 99), desk.rng.uniform(0.05, 0.5))


def electro(desk: Desk) -> None:
    """FM basses and bells over a sparse machine beat."""
    ratio, index = desk.rng.choice([0.5, 1.0, 1.5, 2.0, 3.5]), desk.rng.uniform(1, 8)
    for step in range(desk.steps):
        at = step * desk.step_s
        if step % 8 in (0, 6):
            desk.lay(drum(desk, [52, 110], 0.3, 0.02), at, 0.9)
        if step % 8 == 4:
            desk.lay(desk.band(drum(desk, [190], 0.2, 1.0), 300, 5000), at, 0.5)
        if desk.rng.random() < 0.4:
            desk.lay(fm(desk, desk.pitch(), 2 * desk.step_s, ratio, index), at, 0.35)
        if desk.rng.random() < 0.2:
            desk.lay(fm(desk, desk.pitch(3), 0.6, 3.53, 2), at, 0.15)


def strings(desk: Desk) -> None:
    """An arpeggio of plucked strings, no drums."""
    damping = desk.rng.uniform(0.985, 0.999)
    for step in range(desk.steps):
        if desk.rng.random() < 0.65:
            octave = int(desk.rng.integers(1, 4))
            desk.lay(plucked(desk, desk.pitch(octave), 1.5, damping), step * desk.step_s,
                     desk.rng.uniform(0.15, 0.5))


def breakbeat(desk: Desk) -> None:
    """Syncopated, swung drums with ghost notes."""
    swing = desk.rng.uniform(0.1, 0.35)
    kicks = desk.rng.choice([0, 2, 3, 6, 7, 10, 11], 4, replace=False)
    for step in range(desk.steps):
        at = (step + (swing if step % 2 else 0)) * desk.step_s
        place = step % 16
        if place in kicks or place == 0:
            desk.lay(drum(desk, [65, 140, 210], 0.22, 0.15), at, 0.8)
        if place in (4, 12) or desk.rng.random() < 0.15:
            loud = 0.7 if place in (4, 12) else 0.12
            desk.lay(drum(desk, [185, 330, 480], 0.18, 0.7), at, loud)
        hat = desk.band(desk.rng.standard_normal(round(0.05 * desk.rate)), 5000, 16000)
        desk.lay(hat * np.exp(-60 * desk.time(0.05)[: len(hat)]), at, desk.rng.uniform(0.1, 0.4))


def cloud(desk: Desk) -> None:
    """Granular weather."""
    low = desk.rng.uniform(150, 1500)
    grains(desk, round(25 * len(desk.tape) / desk.rate), low, low * desk.rng.uniform(2, 5))


def pad(desk: Desk) -> None:
    """Chords of detuned partials that come and go, with little else."""
    t = np.arange(len(desk.tape)) / desk.rate
    length = len(desk.tape) / desk.rate
    for hertz in (desk.pitch(1), desk.pitch(1), desk.pitch(2)):
        for partial in range(1, 12):
            own = round(hertz * partial * (1 + desk.rng.normal(0, 0.002)) * length) / length
            if own < 0.45 * desk.rate:
                turn = desk.rng.integers(1, 4) / length
                swell = 0.5 - 0.5 * np.cos(2 * np.pi * (turn * t + desk.rng.random()))
                wave = np.sin(2 * np.pi * (own * t + desk.rng.random()))
                desk.tape += swell * wave / partial**1.5
    if desk.rng.random() < 0.5:
        grains(desk, 20, 2000, 6000)


STYLES: dict[str, Callable[[Desk], None]] = {
    "electro": electro, "strings": strings, "breakbeat": breakbeat, "cloud": cloud, "pad": pad,
}


def render(seed: int, index: int, rate_hz: int = 16000) -> tuple[Audio, str, float]:
    """Loop `index` of `seed`: (float32 [samples], style, BPM)."""
    desk = Desk(seed, index, rate_hz)
    style = list(STYLES)[index % len(STYLES)]
    STYLES[style](desk)
    if style in ("electro", "strings") and desk.rng.random() < 0.3:
        grains(desk, 30, 800, 3000)
    driven = np.tanh(desk.rng.uniform(0.8, 2.5) * desk.tape / max(np.abs(desk.tape).max(), 1e-9))
    level = 10 ** (desk.rng.uniform(-6, -0.5) / 20)
    return (level * driven / np.abs(driven).max()).astype(np.float32), style, desk.bpm


def write_loops(folder: Path, minutes: float, seed: int, rate_hz: int = 16000) -> list[Path]:
    """Whole loops of at least so many minutes together, as WAV files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    made = 0.0
    while made < 60 * minutes:
        audio, style, _ = render(seed, len(paths), rate_hz)
        paths.append(folder / f"{len(paths):04d}_{style}.wav")
        soundfile.write(paths[-1], audio, rate_hz)
        made += len(audio) / rate_hz
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample-rate-hz", type=int, default=16000)
    given = parser.parse_args()
    paths = write_loops(given.folder, given.minutes, given.seed, given.sample_rate_hz)
    print(f"{len(paths)} loops in {given.folder}")


if __name__ == "__main__":
    main()
