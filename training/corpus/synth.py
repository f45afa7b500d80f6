"""A subtractive (and frequency-modulating) voice for basses, stabs, arpeggios and pads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.corpus.circle import Audio
from training.corpus.draw import between, chance, log_between, pick
from training.corpus.filters import frame_times_s, swept
from training.corpus.harmony import draw_chord
from training.corpus.oscillators import faded, normal, note_hz, oscillate, seconds


@dataclass(frozen=True)
class Synth:
    """One patch. Frequencies in Hz, times in ms, cutoff movement in octaves."""

    wave: str
    unison: int
    detune_cents: float
    sub: float  # a sine one octave below
    fm_ratio: float
    fm_index: float
    filter: str  # "ladder" (24 dB per octave) or "state" (12)
    cutoff_hz: float
    resonance: float
    sweep_octaves: float
    sweep_ms: float
    wobble_octaves: float  # slow movement of the cutoff over the note
    attack_ms: float
    decay_ms: float
    sustain: float
    release_ms: float
    drive_db: float
    chord: tuple[int, ...] = (0,)  # semitones above the written pitch


def _patch(rng: np.random.Generator, **own: Any) -> Synth:
    """What all patches draw alike, with `own` instead where a role asks for it."""
    modulated = own.get("wave") == "fm"
    drawn: dict[str, Any] = {
        "wave": "saw",
        "unison": pick(rng, (1, 2, 3)),
        "detune_cents": log_between(rng, 3, 25),
        "sub": 0.0,
        "fm_ratio": pick(rng, (0.5, 1.0, 1.0, 2.0, 3.0, 1.41, 3.5, 7.0)) if modulated else 0.0,
        "fm_index": between(rng, 0.4, 4.5) if modulated else 0.0,
        "filter": pick(rng, ("ladder", "state")),
        "resonance": between(rng, 0, 2.4),
        "wobble_octaves": 0.0,
        "drive_db": between(rng, 0, 14) if chance(rng, 0.4) else 0.0,
    }
    return Synth(**{**drawn, **own})


def draw_bass(rng: np.random.Generator) -> Synth:
    """Sines that only the chest hears, up to growling unisons."""
    return _patch(
        rng,
        wave=pick(rng, ("sine", "triangle", "saw", "saw", "square", "pulse", "fm")),
        unison=pick(rng, (1, 1, 1, 2, 3)),
        sub=between(rng, 0, 0.9),
        cutoff_hz=log_between(rng, 110, 900),
        sweep_octaves=between(rng, 0, 3),
        sweep_ms=log_between(rng, 40, 300),
        attack_ms=between(rng, 0.8, 4),
        decay_ms=log_between(rng, 120, 900),
        sustain=between(rng, 0, 0.9),
        release_ms=log_between(rng, 15, 90),
    )


def draw_stab(rng: np.random.Generator) -> Synth:
    """Short chords: dub, rave, house organ, metal."""
    return _patch(
        rng,
        wave=pick(rng, ("saw", "saw", "saw", "square", "pulse", "organ", "fm", "triangle")),
        cutoff_hz=log_between(rng, 200, 2500),
        sweep_octaves=between(rng, 0, 3.5),
        sweep_ms=log_between(rng, 50, 400),
        attack_ms=log_between(rng, 0.8, 12),
        decay_ms=log_between(rng, 70, 600),
        sustain=between(rng, 0, 0.3),
        release_ms=log_between(rng, 30, 350),
        chord=draw_chord(rng),
    )


def draw_arp(rng: np.random.Generator) -> Synth:
    """Plucks, bells, sequences."""
    return _patch(
        rng,
        wave=pick(rng, ("saw", "square", "pulse", "triangle", "fm", "fm", "sine")),
        cutoff_hz=log_between(rng, 300, 3500),
        sweep_octaves=between(rng, 0, 3),
        sweep_ms=log_between(rng, 30, 250),
        attack_ms=log_between(rng, 0.6, 6),
        decay_ms=log_between(rng, 60, 450),
        sustain=between(rng, 0, 0.4),
        release_ms=log_between(rng, 20, 300),
    )


def draw_pad(rng: np.random.Generator) -> Synth:
    """Slow clouds behind the beat."""
    return _patch(
        rng,
        wave=pick(rng, ("saw", "saw", "square", "pulse", "triangle", "organ", "fm")),
        unison=pick(rng, (2, 3, 4)),
        detune_cents=log_between(rng, 6, 30),
        cutoff_hz=log_between(rng, 250, 2500),
        sweep_octaves=between(rng, -1, 1),
        sweep_ms=log_between(rng, 600, 3000),
        wobble_octaves=between(rng, 0, 1.5),
        attack_ms=log_between(rng, 60, 900),
        decay_ms=between(rng, 1000, 4000),
        sustain=between(rng, 0.6, 1.0),
        release_ms=log_between(rng, 200, 1200),
        chord=draw_chord(rng),
    )


def envelope(spec: Synth, time_s: Audio, held_s: float) -> Audio:
    """Amplitude of a note that is held so long: attack, decay to the sustain, release [samples]."""
    attack_s = spec.attack_ms / 1000
    rise = np.clip(time_s / attack_s, 0.0, 1.0)
    since_s = np.maximum(0.0, time_s - attack_s)
    fall = spec.sustain + (1 - spec.sustain) * np.exp(-since_s * (4600 / spec.decay_ms))
    end = np.exp(-np.maximum(0.0, time_s - held_s) * (5000 / spec.release_ms))
    # A squared sine, since a straight rise has a corner that is heard on low notes.
    return np.asarray(np.sin(0.5 * np.pi * rise) ** 2 * fall * end)


def _waves(
    spec: Synth, hertz: float, samples: int, sample_rate_hz: int, phases: np.random.Generator
) -> Audio:
    """The oscillators of one pitch [samples]."""
    sound = np.zeros(samples)
    starts = phases.random(spec.unison + 1)
    for number in range(spec.unison):
        spread = 0.0 if spec.unison == 1 else 2.0 * number / (spec.unison - 1) - 1.0
        own_hz = hertz * 2.0 ** (spread * spec.detune_cents / 1200)
        if spec.wave == "fm":
            room = max(0.0, (0.45 * sample_rate_hz / own_hz - 1.0) / spec.fm_ratio - 1.0)
            time_s = np.arange(samples) / sample_rate_hz
            index = min(room, spec.fm_index) * np.exp(-time_s * (3000 / spec.sweep_ms))
            turns = own_hz * time_s + starts[number]
            bend = index * np.sin(2 * np.pi * spec.fm_ratio * own_hz * time_s)
            sound += np.sin(2 * np.pi * turns + bend)
        else:
            sound += oscillate(spec.wave, own_hz, samples, sample_rate_hz, starts[number])
    sound /= np.sqrt(spec.unison)
    if spec.sub > 0.0:
        below_hz = 0.5 * hertz if hertz > 75.0 else hertz  # nothing below what speakers move
        sound += spec.sub * oscillate("sine", below_hz, samples, sample_rate_hz)
    return sound


def note(
    spec: Synth, pitch: int, held_s: float, sample_rate_hz: int, phases: np.random.Generator
) -> Audio:
    """One note or chord, held so long, with its release and the ringing of its filter [samples]."""
    time_s = seconds(held_s + 1.2 * spec.release_ms / 1000, sample_rate_hz)
    samples = len(time_s)
    sound = np.zeros(samples)
    for above in spec.chord:
        sound += _waves(spec, note_hz(pitch + above), samples, sample_rate_hz, phases)
    sound = faded(sound * envelope(spec, time_s, held_s), sample_rate_hz, 0.0, 0.01)
    gain = 10 ** (spec.drive_db / 20)
    if gain > 1.0:  # before the filter, which then softens what the overdrive has added
        sound = np.tanh(gain * normal(sound))
    frames_s = frame_times_s(samples, sample_rate_hz)
    octaves = spec.sweep_octaves * np.exp(-frames_s * (3000 / spec.sweep_ms))
    octaves -= spec.wobble_octaves * np.cos(2 * np.pi * frames_s / frames_s[-1])
    # Half the keyboard follows: higher notes open the filter, as a player would.
    follow = 0.5 * (pitch - 45) / 12
    cutoff_hz = spec.cutoff_hz * 2.0 ** (octaves + max(0.0, follow))
    return swept(sound, cutoff_hz, spec.resonance, sample_rate_hz, spec.filter)
