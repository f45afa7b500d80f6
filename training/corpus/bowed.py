"""Violins: notes played on a bowed string with a body around it. No two notes are the same.

    string: one period per note, read at a pitch that trembles and jitters  \
    bow: noise that comes with the slips of the string                       > body > room
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.hearing.frames import fast_size
from engine.scores.timed import Note
from training.corpus.circle import Audio, frequencies_hz
from training.corpus.draw import between, log_between
from training.corpus.filters import bandpass, highpass, lowpass, s_plane
from training.corpus.oscillators import HIGHEST, note_hz

Rng = np.random.Generator
CONTROL_HZ = 500  # of vibrato and drift, which are slower than that
RELEASE_S = 0.09  # until a string that nobody bows is silent
LEVELS_DB = 20.0  # between the velocities 0 and 1
BODY_S = 0.25  # of ringing: the sharpest mode has lost 60 dB long before


@dataclass(frozen=True)
class Violin:
    """An instrument and its player's hand."""

    modes: tuple[tuple[float, float, float], ...]  # of the body: Hz, q, level
    direct: float  # what passes beside the modes
    bow_place: float  # share of the string between bridge and bow
    bright_hz: float  # above it partials fall faster, played at half strength
    hiss: float  # of the bow
    hiss_hz: float
    jitter: float  # of one period, a share
    vibrato_cents: float
    vibrato_hz: float
    tuning_cents: float  # spread about the right pitch


def draw_violin(rng: Rng) -> Violin:
    """The air's mode, two of the plates, and the hills above them."""
    modes = [(between(rng, 265, 310), between(rng, 3, 6), between(rng, 0.8, 1.7)),
             (between(rng, 430, 500), between(rng, 4, 8), between(rng, 1.0, 1.8)),
             (between(rng, 530, 640), between(rng, 4, 8), between(rng, 1.2, 2.0))]
    for low, high, count, level in ((650, 1500, 12, 0.7), (1500, 2300, 10, 0.5),
                                    (2300, 3600, 16, 0.6), (3600, 8000, 16, 0.5)):
        modes += [(log_between(rng, low, high), log_between(rng, 10, 30),
                   level * between(rng, 0.4, 1.2)) for _ in range(count)]
    return Violin(tuple(modes), between(rng, 0.25, 0.45), between(rng, 0.07, 0.14),
                  log_between(rng, 3500, 6000), log_between(rng, 0.14, 0.3),
                  log_between(rng, 1500, 3000), log_between(rng, 0.0012, 0.003),
                  between(rng, 3, 12), between(rng, 4.8, 6.2), between(rng, 1, 3))


def bowed(notes: Sequence[Note], violin: Violin, samples: int, rate: int, rng: Rng) -> Audio:
    """`notes` in a sound of so many samples, before the room; full scale is a note at full
    strength, nearly."""
    string, bow = np.zeros(samples), np.zeros(samples)
    for note in notes:
        start = round(note.onset_s * rate)
        tone, rough = _stroke(note, violin, rate, rng)
        length = max(0, min(len(tone), samples - start))
        string[start : start + length] += tone[:length]
        bow[start : start + length] += rough[:length]
    return _through_body(string, bow * rng.standard_normal(samples), violin, rate)


def _stroke(note: Note, violin: Violin, rate: int, rng: Rng) -> tuple[Audio, Audio]:
    """The string's movement and the strength of the bow's noise [samples]."""
    samples = round((note.duration_s + RELEASE_S) * rate)
    time_s = np.arange(samples) / rate
    hz = _pitch_hz(note, violin, time_s, rng)
    turns = np.cumsum(hz) / rate + rng.random()
    turns += _unsteady(turns, violin.jitter, rng)
    loud = _strength(note, time_s, rng)
    table = _period(note.velocity, violin, float(hz.max()), rate, rng)
    place = (turns - np.floor(turns)) * (len(table) - 1)
    left = place.astype(np.int64)
    tone = table[left] + (place - left) * (table[left + 1] - table[left])
    # The string slips once a period; the noise is strongest then, and as the bow takes hold.
    slips = 0.35 + 0.65 * np.cos(np.pi * (turns - np.floor(turns))) ** 4
    bite = 1 + (0.8 if note.slurred else 2.5) * np.exp(-time_s / 0.025)
    shimmer = 1 + _unsteady(turns, 0.06, rng)
    return tone * loud * shimmer, violin.hiss * slips * bite * loud


def _pitch_hz(note: Note, violin: Violin, time_s: Audio, rng: Rng) -> Audio:
    """The note's frequency [samples]: a finger that comes to rest, vibrato once a note is long
    enough for it, and a drift of a cent or two."""
    coarse = np.arange(0, time_s[-1] + 2 / CONTROL_HZ, 1 / CONTROL_HZ)
    depth = violin.vibrato_cents * rng.uniform(0.6, 1.3) * np.clip((coarse - 0.15) / 0.25, 0, 1)
    if note.duration_s < 0.3:
        depth *= 0
    speed = violin.vibrato_hz * rng.uniform(0.93, 1.07)
    cents = rng.normal(0, violin.tuning_cents) + depth * np.sin(
        2 * np.pi * (speed * coarse + rng.random()))
    cents += rng.normal(0, 8) * np.exp(-coarse / 0.03)
    drift = np.cumsum(rng.normal(0, 0.12, len(coarse)))
    cents += drift - np.linspace(0, drift[-1], len(drift))
    return note_hz(note.pitch) * 2 ** (np.interp(time_s, coarse, cents) / 1200)


def _unsteady(turns: Audio, spread: float, rng: Rng) -> Audio:
    """A deviation drawn once a period, with straight lines between [samples]."""
    periods = turns - np.floor(turns[0])
    drawn = spread * rng.standard_normal(int(periods[-1]) + 3)
    left = periods.astype(np.int64)
    return np.asarray(drawn[left] + (periods - left) * (drawn[left + 1] - drawn[left]))


def _strength(note: Note, time_s: Audio, rng: Rng) -> Audio:
    """How hard the bow moves the string [samples]."""
    attack_s = rng.uniform(0.006, 0.015) if note.slurred else rng.uniform(0.012, 0.05)
    attack_s = min(attack_s, note.duration_s / 3)
    off_s = np.maximum(time_s - note.duration_s, 0)
    fall = np.exp(-off_s / rng.uniform(0.012, 0.02))
    fall *= 0.5 + 0.5 * np.cos(np.pi * np.clip(off_s / RELEASE_S, 0, 1))  # silent at the end
    swell = 1 + rng.uniform(-0.15, 0.35) * min(1.0, note.duration_s / 0.5) * np.sin(
        np.pi * np.clip(time_s / note.duration_s, 0, 1))
    gain = 10 ** ((note.velocity - 1) * LEVELS_DB / 20)
    return np.asarray(gain * np.clip(time_s / attack_s, 0, 1) ** 0.7 * fall * swell)


def _period(velocity: float, violin: Violin, highest_hz: float, rate: int, rng: Rng) -> Audio:
    """One period of the string [size + 1, the last repeats the first], RMS 1: a sawtooth, less what
    has a node under the bow. A stronger note has more of the upper partials."""
    count = max(1, int(HIGHEST * rate / highest_hz))
    order = np.arange(1, count + 1)
    beta = violin.bow_place * rng.uniform(0.85, 1.15)
    level = (0.12 + np.abs(np.sin(np.pi * order * beta))) / (np.pi * order * beta) * order**0.2
    bright_hz = violin.bright_hz * 2 ** (1.2 * (velocity - 0.5)) * rng.uniform(0.85, 1.15)
    level /= 1 + (order * highest_hz / bright_hz) ** 2
    level *= 10 ** (rng.normal(0, 1.5, count) / 20)
    size = max(256, 1 << (8 * count - 1).bit_length())
    spectrum = np.zeros(size // 2 + 1, dtype=np.complex128)
    spectrum[1 : count + 1] = -1j * level * np.exp(1j * rng.normal(0, 0.5, count))
    period = np.fft.irfft(spectrum, size)
    period /= np.sqrt(np.mean(period**2))
    return np.append(period, period[0])


def _through_body(string: Audio, noise: Audio, violin: Violin, rate: int) -> Audio:
    """Both through the modes of the body [samples]."""
    bins = frequencies_hz(2 * round(BODY_S * rate / 2), rate)
    body = np.full(len(bins), violin.direct, dtype=np.complex128)
    for number, (centre_hz, q, level) in enumerate(violin.modes):
        if centre_hz < 0.45 * rate:
            body += (-1) ** number * level * bandpass(s_plane(bins, centre_hz, rate), q)
    body *= highpass(s_plane(bins, 160.0, rate), 0.8)
    hiss = body * highpass(s_plane(bins, violin.hiss_hz, rate), 0.6)
    hiss *= lowpass(s_plane(bins, 9000.0, rate), 0.7)
    size = fast_size(len(string) + 2 * len(bins))
    wet = sum(np.fft.rfft(sound, size) * np.fft.rfft(np.fft.irfft(response), size)
              for sound, response in ((string, body), (noise, hiss)))
    return np.fft.irfft(wet, size)[: len(string)]
