"""The corpus "drums": single strokes by class, of machines and of a band's kit, both synthesised,
or of the kits of a soundfont."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.corpus import drums, genres, kit, percussion, writing
from training.corpus.circle import Audio
from training.corpus.draw import between, chance, log_between, pick, stream
from training.corpus.filters import audible_hz, shape
from training.corpus.font_kit import kit_stroke
from training.corpus.oscillators import decay, seconds

Rng = np.random.Generator
# A way to make a stroke: (its name, what draws the parameters, what strikes).
Way = tuple[str, Callable[[Rng], Any], Callable[[Any, float, int, Rng], Audio]]
TAIL_S = 0.01  # of silence behind every stroke, so that none ends in a step


def _machine(name: str, draw: Callable[[Rng], Any],
             stroke: Callable[[Any, int, Rng], Audio]) -> Way:
    return name, draw, lambda spec, _, rate, noise: stroke(spec, rate, noise)


def _acoustic(name: str, draw: Callable[[Rng], kit.Drum]) -> Way:
    return name, draw, kit.drum


def _bronze(name: str, draw: Callable[[Rng], kit.Plate], low_s: float, high_s: float) -> Way:
    def stroke(spec: kit.Plate, velocity: float, rate: int, noise: Rng) -> Audio:
        return kit.plate(spec, velocity, log_between(noise, low_s, high_s), rate, noise)

    return name, draw, stroke


def _wide_kick(rng: Rng) -> drums.Kick:
    """Beyond techno: lower and longer (hip-hop, jungle) and higher and drier (footwork)."""
    return replace(drums.draw_kick(rng), tune_hz=log_between(rng, 30, 72),
                   decay_ms=log_between(rng, 90, 1500))


def _wide_snare(rng: Rng) -> drums.Snare:
    return replace(drums.draw_snare(rng), tune_hz=log_between(rng, 110, 420),
                   tone_ms=log_between(rng, 35, 320), noise=between(rng, 0.25, 1.5),
                   noise_ms=log_between(rng, 50, 600), noise_hz=log_between(rng, 500, 5000))


def _wide_tom(rng: Rng) -> percussion.Skin:
    return replace(percussion.draw_tom(rng), tune_hz=log_between(rng, 55, 300),
                   decay_ms=log_between(rng, 100, 1100))


CLASSES: dict[str, tuple[Way, ...]] = {
    "clap": (_machine("hands", drums.draw_clap, drums.clap),),
    "conga": (_machine("machine", percussion.draw_conga, percussion.skin),
              _acoustic("hand drum", kit.draw_hand_drum)),
    "cowbell": (_machine("machine", percussion.draw_cowbell, percussion.bell),),
    "cymbal": (_machine("machine", percussion.draw_ride, percussion.metal),
               _bronze("crash", kit.draw_crash, 0.6, 3.0),
               _bronze("splash", kit.draw_crash, 0.3, 1.0)),
    "hat_closed": (_machine("machine", percussion.draw_closed_hat, percussion.metal),
                   _bronze("hats", kit.draw_hat, 0.05, 0.25)),
    "hat_open": (_machine("machine", percussion.draw_open_hat, percussion.metal),
                 _bronze("hats", kit.draw_hat, 0.35, 1.4)),
    "kick": (_machine("machine", _wide_kick, drums.kick),
             _acoustic("bass drum", kit.draw_bass_drum)),
    "perc": (_machine("blip", percussion.draw_blip, percussion.bell),
             _acoustic("block", kit.draw_rimshot),
             _acoustic("hand drum", kit.draw_hand_drum)),
    "rim": (_machine("machine", percussion.draw_rim, percussion.skin),
            _acoustic("stick", kit.draw_rimshot)),
    "shaker": (_machine("beads", percussion.draw_shaker, percussion.metal),),
    "snare": (_machine("machine", _wide_snare, drums.snare),
              _acoustic("snare drum", kit.draw_snare_drum),
              _acoustic("snare drum", kit.draw_snare_drum)),
    "tom": (_machine("machine", _wide_tom, percussion.skin),
            _acoustic("tom-tom", kit.draw_tom_tom)),
}
ORDER = tuple(CLASSES)
NAMES = writing.Names("hit", ORDER)
OF_GENRES = writing.Names("hit", ORDER, groups=tuple(genres.GENRES))
MACHINES = ("beads", "blip", "hands", "machine")  # ways that are no band's kit


def in_a_room(sound: Audio, size_s: float, level: float, rate: int, noises: list[Rng]) -> Audio:
    """`sound` [samples] and a room around it, one per noise [len(noises), samples + room]."""
    time_s = seconds(size_s, rate)
    samples = len(sound) + len(time_s)
    size = 1 << (samples - 1).bit_length()
    heard = []
    for noise in noises:
        tail = noise.standard_normal(len(time_s)) * decay(time_s, size_s)
        tail[: round(0.003 * rate)] = 0.0  # the walls are a metre away at least
        tail = shape(tail, rate, ("lowpass", float(audible_hz(6500.0, rate)), 0.6),
                     ("highpass", 180.0, 0.7))
        wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)[:samples]
        # By power: a room is as loud as the walls make it, whatever was struck.
        wet *= level * np.sqrt(np.sum(sound**2) / (np.sum(wet**2) + 1e-12))
        wet[: len(sound)] += sound
        heard.append(wet)
    return np.stack(heard)


def _trimmed(sound: Audio, rate: int) -> Audio:
    """[channels, samples] without offset and what lies 66 dB below the peak at the end, faded,
    then silence."""
    longer = np.pad(sound, ((0, 0), (0, round(0.08 * rate))))
    sound = np.stack([shape(side, rate, ("highpass", 22.0, 0.7)) for side in longer])
    loud = np.flatnonzero(np.abs(sound).max(axis=0) > 5e-4 * np.abs(sound).max())
    kept = sound[:, : int(loud[-1]) + 1].copy()
    fall = min(kept.shape[-1] // 2, round(0.01 * rate))
    kept[:, -fall:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fall + 1) / fall)
    return np.pad(kept, ((0, 0), (0, round(TAIL_S * rate))))


def _way(rng: Rng, of_class: str, genre: str) -> Way:
    """How a stroke is made: of a genre by machine or kit as often as that has it."""
    ways = CLASSES[of_class]
    if not genre:
        return pick(rng, ways)
    machine = [name in MACHINES for name, *_ in ways]
    kit_share = genres.GENRES[genre].kit if not all(machine) and any(machine) else 0.5
    return pick(rng, ways, [(1 - kit_share) / sum(machine) if made else
                            kit_share / (len(ways) - sum(machine)) for made in machine])


def render_hit(
    seed: int, index: int, sample_rate_hz: int = 48000, channels: int = 1,
    of_genres: tuple[str, ...] = (), soundfont: Path | None = None,
) -> tuple[writing.Sound, dict[str, Any]]:
    """Stroke `index` of a seed: (float32 audio [channels, samples], its row of the metadata).

    Classes take turns, so that every corpus holds as many of each; then genres, if there are any.
    With a soundfont its kits are struck in place of the synthesis.
    """
    writing.check_request(seed, index, sample_rate_hz, channels)
    of_class = ORDER[index % len(ORDER)]
    genre = of_genres[index // len(ORDER) % len(of_genres)] if of_genres else ""
    rng = stream(seed, index, "hit")
    name, draw, stroke = _way(rng, of_class, genre)
    spec = draw(rng)
    velocity = between(rng, 0.25, 1.0)
    drive_db = between(rng, 0, 14) if chance(rng, 0.2) else 0.0
    room = log_between(rng, 0.03, 0.5) if chance(rng, 0.5) else 0.0
    room_s = log_between(rng, 0.12, 0.9)
    peak_db = between(rng, -6, -1)
    grain_db = between(rng, -58, -30)
    more: dict[str, Any] = {}
    treatment = None
    if genre:
        own = stream(seed, index, "genre")
        spec = genres.of_genre(spec, genre, of_class, own)
        treatment = genres.draw_treatment(genre, own)
        drive_db, room, room_s = treatment.drive_db, treatment.room, treatment.room_s
        more = {"genre": genre}
    made = asdict(spec)
    if soundfont is None:
        sound = stroke(spec, velocity, sample_rate_hz, stream(seed, index, "noise"))
    else:
        name, sound = kit_stroke(soundfont, of_class, genre, velocity, sample_rate_hz,
                                 stream(seed, index, "kit"))
        made = {"soundfont": soundfont.name}
    if drive_db:
        gain = 10 ** (drive_db / 20)
        sound = np.tanh(gain * sound) / np.tanh(gain)
    # Tape, transformers and converters add noise that is loud where the sound is loud: no recorded
    # kick or tom is as smooth as a formula.
    hiss = stream(seed, index, "grain").standard_normal(len(sound))
    sound = sound * (1.0 + 10 ** (grain_db / 20) * hiss)
    if treatment is not None:
        sound = genres.treated(sound, treatment, sample_rate_hz)
    if room:
        noises = [stream(seed, index, f"room {side}") for side in range(channels)]
        audio = in_a_room(sound, room_s, room, sample_rate_hz, noises)
    else:
        audio = np.stack([sound] * channels)
    audio = _trimmed(audio, sample_rate_hz)
    audio *= 10 ** (peak_db / 20) / np.abs(audio).max()
    voices = {of_class: {"way": name, "drive_db": drive_db, "grain_db": grain_db, "room": room,
                         "room_s": room_s, **({} if treatment is None else asdict(treatment)),
                         **made}}
    file = OF_GENRES.file(index, of_class, genre) if genre else NAMES.file(index, of_class)
    row = writing.row_of(file, seed, index, audio, sample_rate_hz, voices, kind=of_class, **more,
                         way=name, velocity=velocity)
    return audio.astype(np.float32), row
