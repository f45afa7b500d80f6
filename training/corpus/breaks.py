"""The corpus "breaks": a bar or two of a played drum kit in a room, on tape, 80 to 180 BPM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.corpus import kit, mastering, mixing, writing
from training.corpus.circle import Audio, add, frequencies_hz, through
from training.corpus.draw import between, chance, log_between, pick, stream
from training.corpus.filters import highpass, lowpass, s_plane
from training.corpus.patterns import Clock, Hit
from training.corpus.playing import FEELS, Feel, Part, beat, by_hand
from training.corpus.styles import smooth_bpm

NAMES = writing.Names("break")
Rng = np.random.Generator
LAYERS = 5  # strengths at which a drum is recorded; level follows the stroke exactly


@dataclass(frozen=True)
class Piece:
    """Where one piece of the kit stands: its draw, level in dB below the kick, place, ring."""

    draw: Callable[[Rng], Any]
    level_db: tuple[float, float]
    pan: float = 0.0
    ring_s: tuple[float, float] = (0.0, 0.0)  # plates only
    room: float = 1.0


KIT: dict[str, Piece] = {
    "kick": Piece(kit.draw_bass_drum, (-1, 0), room=0.35),
    "snare": Piece(kit.draw_snare_drum, (-5, 0), 0.08),
    "tom": Piece(kit.draw_tom_tom, (-6, -1), 0.5),
    "tom_high": Piece(kit.draw_tom_tom, (-6, -1), -0.2),
    "hat_closed": Piece(kit.draw_hat, (-17, -8), -0.45, (0.06, 0.2)),
    "hat_open": Piece(kit.draw_hat, (-17, -8), -0.45, (0.5, 1.2)),
    "ride": Piece(kit.draw_crash, (-18, -10), 0.5, (0.8, 1.6)),
    "crash": Piece(kit.draw_crash, (-13, -6), -0.3, (1.5, 3.0)),
}
CHOKED_BY = {"hat_open": ("hat_closed", "hat_open")}


@dataclass(frozen=True)
class Tape:
    """What the break was recorded on, and what it was sampled with."""

    wow: float  # share by which the speed sways
    turns: int  # sways in the whole loop
    low_hz: float
    high_hz: float
    hiss_db: float  # below the loop's RMS
    sampled_hz: float  # 0: not sampled; else the rate of a sampler without filters


def draw_tape(rng: Rng) -> Tape:
    """From a clean studio to a cassette of a sampler of a record."""
    return Tape(between(rng, 0, 0.0015), int(rng.integers(1, 4)), log_between(rng, 25, 90),
                log_between(rng, 6500, 18000), between(rng, -62, -34),
                log_between(rng, 14000, 30000) if chance(rng, 0.3) else 0.0)


def _strikes(name: str, hits: list[Hit], clock: Clock, rng: Rng, noise: Rng, others: Part,
             steps_s: float, spec: Any) -> Audio:
    """One piece of the kit around the loop [samples]; a stroke is made anew for its strength."""
    piece, rate = KIT[name], clock.sample_rate_hz
    ring_s = between(rng, *piece.ring_s) if piece.ring_s[1] else 0.0
    made: dict[tuple[int, int], Audio] = {}
    out = np.zeros(clock.samples)
    closers = [hit.step for other in CHOKED_BY.get(name, ()) for hit in others.get(other, [])]
    for turn, hit in enumerate(hits):
        layer = min(LAYERS - 1, int(hit.velocity * LAYERS))
        which = (layer, turn % 3)
        if which not in made:
            strength = (layer + 0.5) / LAYERS
            made[which] = (kit.plate(spec, strength, ring_s, rate, noise) if ring_s
                           else kit.drum(spec, strength, rate, noise))
        sound = made[which]
        later = [(step - hit.step) % clock.steps for step in closers if step != hit.step]
        if later:
            sound = _choked(sound, min(later) * steps_s, rate)
        add(out, clock.at(hit.step), sound, hit.velocity**1.4)
    return out


def _choked(sound: Audio, after_s: float, rate: int) -> Audio:
    """Cut short by the foot."""
    stop, fade = max(1, round(after_s * rate)), round(0.02 * rate)
    if stop + fade >= len(sound):
        return sound
    out = sound[: stop + fade].copy()
    out[stop:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(fade) / fade)
    return out


def _taped(mix: Audio, tape: Tape, clock: Clock, noises: list[Rng]) -> Audio:
    """`mix` [channels, samples] as it comes off the tape; everything still closes on itself."""
    rate, samples = clock.sample_rate_hz, clock.samples
    place = np.arange(samples, dtype=np.float64)
    if tape.sampled_hz and tape.sampled_hz < 0.95 * rate:
        count = round(tape.sampled_hz * samples / rate)  # whole, so that the loop closes
        held = np.floor(np.floor(place * count / samples) * samples / count).astype(np.int64)
        mix = np.round(mix[:, held] * 2048) / 2048  # twelve bits
    depth = tape.wow * samples / (2 * np.pi * tape.turns)
    place += depth * np.sin(2 * np.pi * tape.turns * place / samples)
    left = np.floor(place).astype(np.int64)
    part = place - left
    a, b, c, d = (mix[:, (left + shift) % samples] for shift in (-1, 0, 1, 2))
    mix = b + 0.5 * part * (c - a + part * (2 * a - 5 * b + 4 * c - d
                                            + part * (3 * (b - c) + d - a)))
    bins_hz = frequencies_hz(samples, rate)
    band = highpass(s_plane(bins_hz, tape.low_hz, rate)) * lowpass(
        s_plane(bins_hz, tape.high_hz, rate))
    level = np.sqrt(np.mean(mix**2)) * 10 ** (tape.hiss_db / 20)
    hiss = np.stack([noise.standard_normal(samples) for noise in noises])
    return through(mix + level * hiss, band)


def _kit_in_room(seed: int, index: int, played: Part, clock: Clock, channels: int
                 ) -> tuple[Audio, dict[str, Any]]:
    """All pieces before the room they share [channels, samples], and what each was."""
    rng = stream(seed, index, "room")
    space = mixing.Space(log_between(rng, 0.15, 1.4), log_between(rng, 80, 250),
                         log_between(rng, 3500, 11000), between(rng, 0, 12), 3.0, 0.0, 300, 3000)
    amount = log_between(rng, 0.05, 0.5)
    dry = np.zeros((channels, clock.samples))
    send = np.zeros(clock.samples)
    voices: dict[str, Any] = {"space": {"room_s": space.room_s, "room": amount}}
    scatter = mixing.scatter(clock, stream(seed, index, "scatter"))
    hats = stream(seed, index, "hats sound")  # closed and open are one pair
    pair = kit.draw_hat(hats)
    for name, hits in played.items():
        piece, own = KIT[name], stream(seed, index, f"{name} sound")
        spec = pair if name.startswith("hat") else piece.draw(own)
        level_db = between(own, *piece.level_db)
        sound = _strikes(name, hits, clock, own, stream(seed, index, f"{name} noise"), played,
                         clock.step_s, spec) * 10 ** (level_db / 20)
        dry += mixing.placed(sound, piece.pan, 0.1, channels, scatter)
        send += piece.room * sound
        voices[name] = {"level_db": level_db, **asdict(spec), "strokes": [
            [round(clock.at(hit.step) / clock.sample_rate_hz, 5), hit.velocity] for hit in hits]}
    for side in range(channels):
        noise = stream(seed, index, f"room {side}")
        wet = through(send, mixing.room_response(space, clock, noise))
        dry[side] += amount * wet * np.sqrt(np.mean(send**2) / np.mean(wet**2))
    return dry, voices


def _draw_feel(rng: Rng) -> tuple[str, Feel]:
    name = pick(rng, tuple(FEELS))
    return name, FEELS[name]


def render_break(
    seed: int, index: int, sample_rate_hz: int = 48000, channels: int = 1
) -> tuple[writing.Sound, dict[str, Any]]:
    """Break `index` of a seed: (float32 audio [channels, samples], its row of the metadata).

    Its end touches its beginning, like that of every loop of this project.
    """
    writing.check_request(seed, index, sample_rate_hz, channels)
    rng = stream(seed, index, "break")
    style, feel = _draw_feel(rng)
    bars = pick(rng, (1, 2, 2))
    bpm = smooth_bpm(between(rng, *feel.bpm), bars)
    swing = between(rng, *feel.swing)
    loose_ms, late_ms = between(rng, 2.0, 7.0), between(rng, *feel.late_ms)
    tilt_db, crest_db = between(rng, -4.5, -2.0), between(rng, 9.0, 17.0)
    clock = Clock(bpm, bars, swing, sample_rate_hz)
    played = by_hand(rng, beat(rng, feel, bars), clock.bars * 240.0 / bpm / clock.steps, loose_ms,
                     late_ms)
    mix, voices = _kit_in_room(seed, index, played, clock, channels)
    tape = draw_tape(stream(seed, index, "tape"))
    mix = mix / np.abs(mix).max()
    mix = _taped(mix, tape, clock, [stream(seed, index, f"hiss {s}") for s in range(channels)])
    audio = mastering.finished(mix, tilt_db, crest_db, sample_rate_hz)
    row = writing.row_of(
        NAMES.file(index), seed, index, audio, sample_rate_hz, {"tape": asdict(tape), **voices},
        style=style, bpm=round(15.0 / clock.step_s, 4), bars=bars, swing=swing,
        loose_ms=loose_ms, snare_late_ms=late_ms, tilt_db=tilt_db,
        instruments=" ".join(played))
    return audio.astype(np.float32), row
