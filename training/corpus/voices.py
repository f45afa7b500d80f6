"""What sustained and ringing instruments are made of, given their pitch at every sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.corpus.circle import Audio, frequencies_hz
from training.corpus.draw import between, log_between, pick
from training.corpus.filters import bandpass, highpass, lowpass, s_plane
from training.corpus.oscillators import HIGHEST, decay

Rng = np.random.Generator


@dataclass(frozen=True)
class Timbre:
    """A family member: its partials, what shapes them, how it starts, and the noise it makes."""

    family: str
    slope: float  # partial k has level k ** -slope
    even: float  # level of even partials: a stopped pipe has almost none
    comb: float  # where along the string it is bowed or plucked, 0: nowhere
    uneven_db: float  # each partial's own deviation
    formants: tuple[tuple[float, float, float], ...]  # (Hz, q, level)
    attack_s: float
    release_s: float
    bright: float  # how much of the upper partials comes and goes with loudness
    breath: float
    breath_hz: float
    air_hz: float  # above this the instrument and the room around it give little
    ring_s: float = 0.0  # 0: sustained; else it dies by 60 dB, upper partials sooner
    damping: float = 0.0
    stiff: float = 0.0  # partial k stands at k sqrt(1 + stiff k²)
    bar: tuple[float, ...] = ()  # partials of a bar or bell, in place of the harmonic ones


VOWELS = {"a": (800, 1150, 2900), "e": (400, 1900, 2600), "i": (300, 2250, 3000),
          "o": (450, 800, 2700), "u": (330, 700, 2600)}
BARS = ((1.0, 4.0, 10.0), (1.0, 3.0, 6.2), (1.0, 2.0, 3.0, 4.2, 5.43), (1.0, 2.756, 5.404))


def _formants(rng: Rng, count: int, low_hz: float, high_hz: float, level: float
              ) -> tuple[tuple[float, float, float], ...]:
    return tuple((log_between(rng, low_hz, high_hz), log_between(rng, 2, 12),
                  between(rng, 0.2, 1) * level) for _ in range(count))


def draw_timbre(rng: Rng, family: str) -> Timbre:
    """One instrument of a family."""
    def timbre(slope: tuple[float, float], even: tuple[float, float], attack_s: tuple[float, float],
               breath: tuple[float, float], **more: object) -> Timbre:
        given: dict[str, object] = {
            "comb": 0.0, "uneven_db": between(rng, 1, 5), "formants": (),
            "release_s": log_between(rng, 0.05, 0.5), "bright": between(rng, 0.2, 1),
            "breath_hz": log_between(rng, 900, 5000),
            "air_hz": log_between(rng, 3000, 15000), **more}
        return Timbre(family, between(rng, *slope), between(rng, *even),
                      attack_s=log_between(rng, *attack_s), breath=log_between(rng, *breath),
                      **given)  # type: ignore[arg-type]

    if family == "bowed":
        return timbre((0.7, 1.3), (0.7, 1), (0.04, 0.3), (0.01, 0.1), comb=between(rng, 0.06, 0.2),
                      formants=_formants(rng, 5, 250, 3800, 1.5))
    if family == "blown":
        return timbre((1.2, 2.6), (0.3, 1), (0.03, 0.15), (0.02, 0.25),
                      formants=_formants(rng, 2, 500, 2500, 0.8))
    if family == "brass":
        return timbre((0.6, 1.4), (0.9, 1), (0.03, 0.12), (0.003, 0.02),
                      formants=_formants(rng, 2, 400, 1800, 1.5), bright=between(rng, 0.8, 1.6))
    if family == "reed":
        return timbre((0.6, 1.5), pick(rng, ((0.03, 0.2), (0.7, 1.0))), (0.015, 0.08),
                      (0.004, 0.04), formants=_formants(rng, 3, 600, 3500, 1.2))
    if family == "voice":
        first, second, third = VOWELS[pick(rng, tuple(VOWELS))]
        size = between(rng, 0.9, 1.2)
        return timbre((1.1, 1.8), (0.9, 1), (0.03, 0.2), (0.01, 0.12), formants=(
            (first * size, 7.0, 3.0), (second * size, 9.0, between(rng, 0.8, 2.4)),
            (third * size, 10.0, between(rng, 0.3, 1.2)), (3700 * size, 10.0, 0.3)))
    if family == "organ":
        return timbre((0.2, 1.2), (0.2, 1), (0.008, 0.06), (0.002, 0.02), uneven_db=6.0,
                      bright=0.0)
    if family == "plucked":
        return timbre((0.5, 1.6), (1, 1), (0.0008, 0.004), (0.02, 0.3),
                      comb=between(rng, 0.05, 0.5), formants=_formants(rng, 3, 90, 2000, 0.7),
                      ring_s=log_between(rng, 1.5, 9), damping=between(rng, 0.3, 1.0),
                      stiff=log_between(rng, 1e-5, 3e-4))
    return timbre((1.2, 2.4), (1, 1), (0.0008, 0.003), (0.01, 0.15), uneven_db=3.0,
                  ring_s=log_between(rng, 1.2, 8), damping=between(rng, 0.3, 0.9),
                  bar=pick(rng, BARS))


FAMILIES = ("bell", "blown", "bowed", "brass", "organ", "plucked", "reed", "voice")


def _places(timbre: Timbre, count: int) -> Audio:
    """Partials over the fundamental [count]."""
    if timbre.bar:
        return np.asarray(timbre.bar)
    order = np.arange(1, count + 1)
    return np.asarray(order * np.sqrt((1 + timbre.stiff * order**2) / (1 + timbre.stiff)))


def _levels(timbre: Timbre, ratios: Audio, own: Rng) -> Audio:
    """Of each partial before the formants [count]."""
    level = ratios**-timbre.slope * 10 ** (own.normal(0, timbre.uneven_db, 512)[: len(ratios)] / 20)
    if timbre.bar:
        return level
    order = np.arange(1, len(ratios) + 1)
    level = np.where(order % 2 == 0, timbre.even * level, level)
    if timbre.comb:
        level = level * (0.15 + 0.85 * np.abs(np.sin(np.pi * order * timbre.comb)))
    level[0] = max(level[0], 0.4 * level.max())  # a pitch that no one could hear is no label
    return level


def _partials(timbre: Timbre, hz: Audio, dark: Audio, rate: int, own: Rng, since_s: Audio
              ) -> tuple[Audio, Audio]:
    """All partials, before the instrument's body, RMS 1, and the fundamental, peak 1 [samples]."""
    top_hz = min(HIGHEST * rate, 16000.0)
    ratios = _places(timbre, max(1, int(top_hz / hz.min())))
    levels = _levels(timbre, ratios, own)
    turns = np.cumsum(hz) / rate
    one = np.exp(2j * np.pi * turns)
    sound, harmonic = np.zeros(len(hz)), np.ones(len(hz), dtype=np.complex128)
    quiet = 3e-5 * levels.max()
    exact = bool(timbre.bar) or timbre.stiff > 0.0
    starts = own.random(512)
    for order, (ratio, level) in enumerate(zip(ratios, levels, strict=True)):
        if not exact:
            harmonic = harmonic * one  # the next power: far cheaper than another sine
        if level < quiet or ratio * hz.min() > top_hz:
            continue
        wave = (np.sin(2 * np.pi * ratio * turns) if exact
                else (harmonic * np.exp(2j * np.pi * starts[order])).imag)
        gain = level * np.exp(-timbre.bright * 0.35 * (ratio - 1) ** 0.7 * dark)
        # Where a glide carries a partial out of reach it fades instead of folding down.
        gain = gain * np.clip((top_hz / (ratio * hz) - 1.0) * 12.0, 0.0, 1.0)
        if timbre.ring_s:
            gain = gain * decay(since_s, timbre.ring_s * ratio**-timbre.damping)
        sound += gain * wave
    return sound / (np.sqrt(np.mean(sound**2)) + 1e-12), one.real


def sounded(timbre: Timbre, hz: Audio, loud: Audio, rate: int, own: Rng, noise: Rng,
            struck_s: tuple[float, ...] = (0.0,)) -> Audio:
    """A sound whose fundamental is `hz` and whose loudness is `loud` [samples], peak 1.

    `own` says how this instrument differs from others, `noise` is what its breath is made of;
    `struck_s` is when a ringing one is plucked.
    """
    time_s = np.arange(len(hz)) / rate
    since_s = time_s - np.asarray(struck_s)[
        np.maximum(0, np.searchsorted(struck_s, time_s, side="right") - 1)]
    dark = 1.0 - np.clip(loud, 0.0, 1.0)
    sound, fundamental = _partials(timbre, hz, dark, rate, own, since_s)
    breath = noise.standard_normal(len(hz)) * (0.6 + 0.4 * fundamental)  # air comes in puffs
    if timbre.ring_s:
        breath *= decay(since_s, 0.08)
    spectrum = np.fft.rfft(np.stack([sound, breath]), 1 << (2 * len(hz) - 1).bit_length())
    bins = frequencies_hz(2 * (spectrum.shape[-1] - 1), rate)
    at = s_plane(bins, timbre.breath_hz, rate)
    spectrum[1] *= bandpass(at, 0.6) * lowpass(at / 2.5)
    body = np.ones(len(bins), dtype=np.complex128) * (0.4 if timbre.formants else 1.0)
    for centre_hz, q, level in timbre.formants:
        body += level * bandpass(s_plane(bins, centre_hz, rate), q)
    air = lowpass(s_plane(bins, timbre.air_hz, rate)) * highpass(s_plane(bins, 30.0, rate))
    wet = np.fft.irfft(spectrum * body * air)[:, : len(hz)]
    hiss = wet[1] / (np.sqrt(np.mean(wet[1] ** 2)) + 1e-12) * np.sqrt(np.mean(wet[0] ** 2))
    out = (wet[0] + timbre.breath * hiss) * loud
    return np.asarray(out / np.abs(out).max())
