"""The acid line: one oscillator that glides, through a resonant filter that is swept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.corpus.circle import Audio, add, wrap
from training.corpus.draw import between, chance, log_between, pick
from training.corpus.filters import frame_times_s, hop_samples, swept
from training.corpus.oscillators import faded, normal, note_hz, oscillate
from training.corpus.patterns import Clock, Hit


@dataclass(frozen=True)
class Acid:
    """The knobs of the silver box, and two more."""

    wave: str
    cutoff_hz: float
    resonance: float
    sweep_octaves: float
    decay_ms: float
    accent: float  # how much more an accent opens the filter
    glide_ms: float
    drift_octaves: float  # the hand on the cutoff, once around the loop
    drift_turn: float  # where in the loop the hand is highest
    drive_db: float


def draw_acid(rng: np.random.Generator) -> Acid:
    """From a rubbery bass to a scream."""
    return Acid(
        wave=pick(rng, ("saw", "saw", "square")),
        cutoff_hz=log_between(rng, 110, 800),
        resonance=between(rng, 1.2, 3.6),
        sweep_octaves=between(rng, 0.8, 3.6),
        decay_ms=log_between(rng, 60, 600),
        accent=between(rng, 0.2, 1.2),
        glide_ms=between(rng, 30, 80),
        drift_octaves=between(rng, 0, 1.1),
        drift_turn=between(rng, 0, 1),
        drive_db=between(rng, 0, 26) if chance(rng, 0.7) else 0.0,
    )


def _phrases(hits: list[Hit]) -> list[list[Hit]]:
    """Notes bound by slides, each group played in one breath."""
    phrases: list[list[Hit]] = []
    for hit in sorted(hits, key=lambda one: one.step):
        bound = phrases and phrases[-1][-1].slide
        if bound and phrases[-1][-1].step + 2 >= hit.step:
            phrases[-1].append(hit)
        else:
            phrases.append([hit])
    return phrases


def _phrase(spec: Acid, phrase: list[Hit], clock: Clock) -> Audio:
    """One breath: the pitch glides from note to note, the oscillator never restarts [samples]."""
    rate = clock.sample_rate_hz
    start = clock.at(phrase[0].step)
    begins = [(clock.at(hit.step) - start) % clock.samples for hit in phrase]
    last = phrase[-1]
    # A slide with nothing to slide into is held for its whole step.
    length = begins[-1] + round((1.0 if last.slide else last.length) * clock.step_s * rate)
    pitch = np.empty(length)
    level = np.empty(length)
    now = float(phrase[0].pitch)
    for hit, begin, end in zip(phrase, begins, [*begins[1:], length], strict=True):
        since_s = np.arange(end - begin) / rate
        # The pitch voltage charges a capacitor: exponential, in semitones.
        pitch[begin:end] = hit.pitch + (now - hit.pitch) * np.exp(-since_s * 4000 / spec.glide_ms)
        level[begin:end] = 0.6 + 0.4 * hit.velocity
        now = float(hit.pitch)
    hertz = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    # Low notes carry few cycles: the table must hold the harmonics of the highest pitch reached.
    sound = oscillate(spec.wave, np.minimum(hertz, note_hz(108)), length, rate)
    return faded(sound * level, rate, 0.0012, 0.006)


def _cutoff_hz(spec: Acid, phrases: list[list[Hit]], clock: Clock) -> Audio:
    """The cutoff around the loop [frames]: each phrase fires the envelope, accents fire it more."""
    rate = clock.sample_rate_hz
    times_s = frame_times_s(clock.samples, rate)
    loop_s = clock.samples / rate
    octaves = np.zeros(len(times_s))
    heads = sorted((clock.at(phrase[0].step) / rate, phrase[0].velocity) for phrase in phrases)
    # Twice around: the second time the last note of the loop still decays over its first steps.
    for begin_s, velocity in [(at - loop_s, level) for at, level in heads] + heads:
        since_s = times_s - begin_s
        loud = velocity >= 0.9
        depth = spec.sweep_octaves * (1.0 + spec.accent if loud else 1.0)
        decay_s = spec.decay_ms / 1000 * (0.6 if loud else 1.0)
        live = since_s >= -0.5 * hop_samples(rate) / rate
        shape = depth * np.exp(-np.maximum(0.0, since_s) * 3.0 / decay_s)
        octaves = np.where(live, shape, octaves)
    turn = times_s / loop_s - spec.drift_turn
    drift = spec.drift_octaves * np.cos(2 * np.pi * turn)
    return np.asarray(spec.cutoff_hz * 2.0 ** (np.minimum(octaves, 5.0) + drift))


def line(spec: Acid, hits: list[Hit], clock: Clock) -> Audio:
    """The whole line on the circle of the loop [clock.samples], peak 1."""
    dry = np.zeros(clock.samples)
    phrases = _phrases(hits)
    for phrase in phrases:
        add(dry, clock.at(phrase[0].step), _phrase(spec, phrase, clock))
    cutoff_hz = _cutoff_hz(spec, phrases, clock)
    wet = normal(wrap(swept(dry, cutoff_hz, spec.resonance, clock.sample_rate_hz), clock.samples))
    gain = 10 ** (spec.drive_db / 20)
    return normal(np.tanh(gain * wet)) if gain > 1.0 else wet
