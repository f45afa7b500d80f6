"""The layers of textures, all around a loop: slow curves, moving bands, specks, drops, colours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.corpus.circle import Audio, frequencies_hz, through, wrap
from training.corpus.draw import between, log_between, stream
from training.corpus.filters import bandpass, highpass, lowpass, s_plane
from training.corpus.oscillators import HIGHEST, decay, seconds

Rng = np.random.Generator
SHAPES = 12  # of drops in one texture


@dataclass(frozen=True)
class Scene:
    """What the sounds of one texture share. Decisions come from `rng`, which is the same at every
    rate; noise from a stream of its own for every layer and side."""

    seed: int
    index: int
    samples: int
    rate: int
    rng: Rng
    noted: dict[str, Any] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Of the whole."""
        return self.samples / self.rate

    def bins(self) -> Audio:
        """Frequencies of the loop's transform."""
        return frequencies_hz(self.samples, self.rate)

    def noise(self, layer: str, side: int) -> Rng:
        """A stream for the samples of one layer on one side."""
        return stream(self.seed, self.index, f"{layer} {side}")

    def draw(self, name: str, low: float, high: float, log: bool = True) -> float:
        """A parameter, kept for the metadata."""
        value = (log_between if log else between)(self.rng, low, high)
        self.noted[name] = value
        return value


def wander(scene: Scene, name: str, slowest: int = 1, fastest: int = 6) -> Audio:
    """A slow curve around the loop between 0 and 1 [samples]."""
    turn = np.arange(scene.samples) / scene.samples
    noise = stream(scene.seed, scene.index, f"{name} curve")
    curve = np.zeros(scene.samples)
    for cycles in range(slowest, fastest + 1):
        curve += noise.normal(0, 1 / cycles**0.7) * np.sin(
            2 * np.pi * (cycles * turn + noise.random()))
    span = curve.max() - curve.min()
    return np.asarray((curve - curve.min()) / span)


def moving_band(scene: Scene, hiss: Audio, cutoff_hz: Audio, q: float, kind: str = "band") -> Audio:
    """Noise through a filter whose cutoff moves [samples]: cross-faded between fixed ones."""
    place = 2.0 * np.log2(cutoff_hz)
    spectrum, out = np.fft.rfft(hiss), np.zeros(scene.samples)
    for step in range(int(np.floor(place.min())), int(np.ceil(place.max())) + 1):
        weight = np.maximum(0.0, 1.0 - np.abs(place - step))
        if weight.any():
            s = s_plane(scene.bins(), 2.0 ** (step / 2), scene.rate)
            response = bandpass(s, q) if kind == "band" else lowpass(s, q)
            out += weight * np.fft.irfft(spectrum * response, scene.samples)
    return out


def specks(scene: Scene, layer: str, side: int, per_s: float, steep: float,
           density: Audio | None = None) -> Audio:
    """Impulses at random places, few large and many small ones [samples]."""
    noise = scene.noise(layer, side)
    count = max(1, int(noise.poisson(per_s * scene.duration_s)))
    places, sizes = noise.random(count), noise.standard_normal(count)
    keep = noise.random(count)
    out = np.zeros(scene.samples)
    where = (places * scene.samples).astype(np.int64) % scene.samples
    size = np.sign(sizes) * np.abs(sizes) ** steep
    if density is not None:
        size = np.where(keep < density[where], size, 0.0)
    np.add.at(out, where, size)
    return out


def coloured(scene: Scene, layer: str, side: int, fall_db: float, low_hz: float,
             high_hz: float) -> Audio:
    """Noise that falls by so much per octave between two limits [samples], RMS 1."""
    bins = np.maximum(scene.bins(), 10.0)
    gain = 10 ** (-fall_db * np.log2(bins / 1000) / 20)
    band = highpass(s_plane(bins, low_hz, scene.rate)) * lowpass(
        s_plane(bins, high_hz, scene.rate))
    sound = through(scene.noise(layer, side).standard_normal(scene.samples), gain * band)
    return np.asarray(sound / np.sqrt(np.mean(sound**2)))


def drops(scene: Scene, layer: str, side: int, per_s: float, hz: tuple[float, float],
          ring_ms: tuple[float, float], rise: float, density: Audio | None = None) -> Audio:
    """Many short damped tones, of a dozen shapes [samples]: drops, bubbles, pebbles."""
    rng = stream(scene.seed, scene.index, f"{layer} shapes")
    total = np.zeros(scene.samples // 2 + 1, dtype=np.complex128)
    for shape in range(SHAPES):
        tune_hz, ring_s = log_between(rng, *hz), log_between(rng, *ring_ms) / 1000
        time_s = seconds(1.2 * ring_s, scene.rate)
        bend = 1.0 + rise * time_s / ring_s  # a closing bubble rises
        ring = np.sin(2 * np.pi * np.minimum(tune_hz * bend, HIGHEST * scene.rate) * time_s)
        ring *= decay(time_s, ring_s) * np.minimum(1.0, time_s / 0.0004)
        hits = specks(scene, f"{layer}{shape}", side, per_s / SHAPES, 2.2, density)
        total += np.fft.rfft(hits) * np.fft.rfft(wrap(ring, scene.samples))
    return np.fft.irfft(total, scene.samples)
