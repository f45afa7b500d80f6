"""The drum kit of a band: skins, wires and plates that answer to how hard they are struck.

A blow's strength changes the colour as well as the level: harder is brighter, and sharper at the
start. `training.corpus.drums` and `percussion` hold the drums of machines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.corpus.circle import Audio, frequencies_hz
from training.corpus.draw import between, log_between
from training.corpus.filters import audible_hz, bandpass, s_plane, shape
from training.corpus.oscillators import HIGHEST, decay, faded, seconds

# Frequencies of an ideal circular membrane over its lowest.
SKIN_RATIOS = (1.0, 1.594, 2.136, 2.296, 2.653, 2.918, 3.156, 3.501, 3.600, 3.652, 4.060, 4.154)
MOST_HZ = 20000.0


@dataclass(frozen=True)
class Drum:
    """A skin over air, what strikes it, and the wires below it if it has any."""

    tune_hz: float
    decay_ms: float
    damping: float  # modes die as ratio ** -damping: cloth and tape deaden the high ones first
    body: float  # level of the modes above the lowest
    bend: float  # how much sharper a hard blow starts
    beater_hz: float  # above this a soft beater excites little
    strike: float  # level of the blow itself, noise of a few ms
    wires: float = 0.0
    wires_ms: float = 100.0
    wires_hz: float = 1000.0
    wires_high_hz: float = 9000.0


def draw_bass_drum(rng: np.random.Generator) -> Drum:
    """From a pillow in a small drum to an open one of 26 inches."""
    return Drum(log_between(rng, 41, 74), log_between(rng, 130, 650), between(rng, 0.8, 2.2),
                between(rng, 0.05, 0.35), between(rng, 0.1, 0.9), log_between(rng, 150, 600),
                log_between(rng, 0.08, 0.5))


def draw_snare_drum(rng: np.random.Generator) -> Drum:
    """From a deep marching drum to a piccolo, wires tight or loose."""
    return Drum(log_between(rng, 150, 290), log_between(rng, 70, 330), between(rng, 0.4, 1.3),
                between(rng, 0.3, 0.9), between(rng, 0.02, 0.2), log_between(rng, 900, 3500),
                between(rng, 0.2, 0.9), log_between(rng, 0.25, 1.2), log_between(rng, 90, 340),
                log_between(rng, 350, 1900), log_between(rng, 6000, 14000))


def draw_tom_tom(rng: np.random.Generator) -> Drum:
    """From a floor tom to a bongo."""
    return Drum(log_between(rng, 68, 260), log_between(rng, 180, 1100), between(rng, 0.5, 1.4),
                between(rng, 0.15, 0.6), between(rng, 0.03, 0.3), log_between(rng, 800, 3600),
                log_between(rng, 0.25, 1.0))


def draw_hand_drum(rng: np.random.Generator) -> Drum:
    """Congas, darbukas, tablas: small, tuned, slapped."""
    return Drum(log_between(rng, 85, 480), log_between(rng, 80, 800), between(rng, 0.2, 1.2),
                between(rng, 0.2, 1.0), between(rng, 0.0, 0.25), log_between(rng, 500, 4000),
                between(rng, 0.05, 0.6))


def draw_rimshot(rng: np.random.Generator) -> Drum:
    """Stick on rim, wood block, claves: high, hard and short."""
    return Drum(log_between(rng, 380, 1500), log_between(rng, 20, 110), between(rng, 0.1, 0.8),
                between(rng, 0.5, 1.2), 0.0, log_between(rng, 2500, 8000), between(rng, 0.1, 0.7))


def drum(spec: Drum, velocity: float, rate: int, noise: np.random.Generator) -> Audio:
    """One blow [samples] of a strength above 0 to 1, peak 1."""
    places = noise.uniform(0.3, 1.0, len(SKIN_RATIOS))  # where it was struck
    length_s = max(spec.decay_ms, spec.wires_ms if spec.wires else 0.0) / 1000
    time_s = seconds(1.1 * length_s + 0.03, rate)
    bend_s = 0.012 + 0.02 * spec.decay_ms / 1000
    bend = spec.bend * velocity * bend_s
    turns = spec.tune_hz * (time_s + bend * (1 - np.exp(-time_s / bend_s)))
    soft_hz = spec.beater_hz * (0.35 + 0.65 * velocity)
    sound = np.zeros(len(time_s))
    for order, (ratio, place) in enumerate(zip(SKIN_RATIOS, places, strict=True)):
        if ratio * spec.tune_hz > HIGHEST * rate:
            break
        level = 1.0 if order == 0 else spec.body * place
        level /= 1.0 + (ratio * spec.tune_hz / soft_hz) ** 2
        dies_s = spec.decay_ms / 1000 * ratio**-spec.damping
        live = min(len(time_s), int(1.3 * dies_s * rate) + 1)
        sound[:live] += level * np.sin(2 * np.pi * ratio * turns[:live]) * decay(
            time_s[:live], dies_s)
    sound /= np.abs(sound).max()
    bright_hz = min(3000.0 + 13000.0 * velocity, MOST_HZ)
    hiss = noise.standard_normal(len(time_s))
    blow = shape(hiss * decay(time_s, 0.012 + 4.0 / spec.beater_hz), rate,
                 ("lowpass", float(audible_hz(4.0 * soft_hz + 800.0, rate)), 0.7),
                 ("highpass", 1.2 * spec.tune_hz, 0.7))
    sound += spec.strike * velocity**0.5 * blow / np.abs(blow).max()
    if spec.wires:
        # The lower skin throws the wires off, they fall back a moment later and rattle on.
        rattle = decay(time_s, spec.wires_ms / 1000) * (1 - 0.7 * np.exp(-time_s / 0.004))
        wires = shape(noise.standard_normal(len(time_s)) * rattle, rate,
                      ("highpass", spec.wires_hz, 0.8), ("bandpass", 2.6 * spec.wires_hz, 0.35),
                      ("lowpass", float(audible_hz(min(spec.wires_high_hz, bright_hz), rate)), 0.7))
        sound += spec.wires * wires / np.abs(wires).max()
    return _struck(sound, rate)


@dataclass(frozen=True)
class Plate:
    """Bronze: many modes that share no harmonics, and more of them than can be told apart."""

    low_hz: float
    peak_hz: float  # the octaves around this are the loudest
    rise_db: float  # per octave, below the peak
    fall_db: float  # per octave, above it
    decay_s: float  # at 1 kHz
    damping: float  # decays go as frequency ** -damping
    build_ms: float  # how long the high octaves take to fill
    modes: int
    ring: float  # level of the modes over that of the dense rest
    stick: float
    bell: float  # level of the lowest mode, that of the dome in the middle


def _draw_plate(rng: np.random.Generator, peak_hz: tuple[float, float],
                decay_s: tuple[float, float], build_ms: tuple[float, float],
                bell: tuple[float, float], rise_db: tuple[float, float],
                ring: tuple[float, float]) -> Plate:
    return Plate(log_between(rng, 220, 600), log_between(rng, *peak_hz), between(rng, *rise_db),
                 between(rng, 2, 9), log_between(rng, *decay_s), between(rng, 0.15, 0.7),
                 between(rng, *build_ms), int(rng.integers(30, 90)), log_between(rng, *ring),
                 between(rng, 0.05, 0.5), log_between(rng, *bell))


def draw_hat(rng: np.random.Generator) -> Plate:
    """A pair of hats; how long they ring is up to the foot."""
    return _draw_plate(rng, (5000, 13000), (0.5, 1.6), (0.3, 3), (0.05, 0.9), (3, 8), (0.5, 4.0))


def draw_crash(rng: np.random.Generator) -> Plate:
    """Crashes, splashes, rides, chinas."""
    return _draw_plate(rng, (4000, 11000), (0.7, 5.0), (1, 25), (0.2, 2.0),
                       (2.5, 6), (0.8, 7.0))


def plate(spec: Plate, velocity: float, open_s: float, rate: int,
          noise: np.random.Generator) -> Audio:
    """One blow [samples], peak 1, damped to silence within `open_s`."""
    tunes = noise.random(spec.modes)
    sizes, phases = noise.uniform(0.2, 1.0, spec.modes), noise.random(spec.modes)
    time_s = seconds(min(open_s, 1.3 * spec.decay_s), rate)
    tilt_db = 6.0 * (1.0 - velocity)  # a soft blow leaves the top octaves asleep

    def level(hz: float) -> float:
        off = np.log2(hz / spec.peak_hz)
        slope = spec.rise_db if off < 0 else -spec.fall_db - tilt_db
        return float(10 ** (slope * off / 20))

    def shaped(hz: float) -> Audio:
        dies_s = min(spec.decay_s * (hz / 1000) ** -spec.damping, open_s)
        fills_s = spec.build_ms / 1000 * min(1.0, hz / 8000)
        return np.asarray(decay(time_s, dies_s) * (1 - np.exp(-time_s / (fills_s + 2e-4))))

    top_hz = min(MOST_HZ, HIGHEST * rate)
    ringing, dense = np.zeros(len(time_s)), np.zeros(len(time_s))
    for tune, size, phase in zip(tunes, sizes, phases, strict=True):
        hz = spec.low_hz * (top_hz / spec.low_hz) ** tune
        ringing += size * level(hz) * shaped(hz) * np.sin(2 * np.pi * (hz * time_s + phase))
    lowest = shaped(spec.low_hz) * np.sin(2 * np.pi * spec.low_hz * time_s)
    hiss = noise.standard_normal(len(time_s))
    edges = spec.low_hz * 2.0 ** (np.arange(int(2 * np.log2(top_hz / spec.low_hz)) + 1) / 2)
    size = 1 << (2 * len(hiss) - 1).bit_length()
    bins_hz, spectrum = frequencies_hz(size, rate), np.fft.rfft(hiss, size)
    for centre_hz in 1.19 * edges:
        response = bandpass(s_plane(bins_hz, centre_hz, rate), 2.5)
        band = np.fft.irfft(spectrum * response, size)[: len(hiss)]
        dense += level(centre_hz) * shaped(centre_hz) * band
    tick = shape(hiss * decay(time_s, 0.006), rate, ("bandpass", min(4500.0, 0.4 * rate), 0.6))
    loud = [np.sqrt(np.mean(part**2)) + 1e-12 for part in (ringing, dense)]
    sound = spec.ring * ringing / loud[0] + dense / loud[1]
    sound /= np.abs(sound).max()
    sound += 0.3 * spec.bell * lowest + spec.stick * velocity * tick / np.abs(tick).max()
    return _struck(sound, rate)


def _struck(sound: Audio, rate: int) -> Audio:
    """A short fade at both ends, peak 1."""
    out = faded(sound, rate, attack_s=0.0003, fade_s=0.012)
    return out / np.abs(out).max()
