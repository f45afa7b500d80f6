"""The corpus "notes": notes over five octaves, labelled with the pitch of every moment."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from training.corpus import melody, writing
from training.corpus.circle import Audio
from training.corpus.draw import between, chance, log_between, stream
from training.corpus.hits import in_a_room
from training.corpus.voices import FAMILIES, Timbre, draw_timbre, sounded

NAMES = writing.Names("note")
HOP_S = 0.01  # between two labels; the first is that of the file's first sample
REACH = {"bell": (60.0, 93.0), "bowed": (33.0, 93.0), "blown": (55.0, 93.0),
         "brass": (38.0, 82.0), "voice": (38.0, 84.0)}  # MIDI pitches; the rest play all


def _loudness(timbre: Timbre, tune: melody.Melody, samples: int, rate: int, swell: float
              ) -> Audio:
    """Attack, a swell or fade, a dip between two notes, release [samples], at most 1."""
    time_s = np.arange(samples) / rate
    loud = np.clip(time_s / timbre.attack_s, 0.0, 1.0)
    loud = 0.5 - 0.5 * np.cos(np.pi * loud)
    if not timbre.ring_s:
        loud *= 1.0 - abs(swell) * np.clip(
            (1 - time_s / tune.duration_s) if swell > 0 else time_s / tune.duration_s, 0, 1)
        for start_s in tune.starts_s[1:]:
            loud *= 1.0 - 0.35 * np.exp(-((time_s - start_s) / 0.04) ** 2)
    left = np.clip((time_s[-1] - time_s) / timbre.release_s, 0.0, 1.0)
    return np.asarray(loud * (0.5 - 0.5 * np.cos(np.pi * left)))


def labels_hz(curve: Audio, rate: int) -> str:
    """The fundamental every `HOP_S`, as text: six digits are a thousandth of a cent."""
    hz = melody.hertz(curve[np.round(np.arange(0, len(curve) / rate, HOP_S) * rate).astype(int)
                            .clip(0, len(curve) - 1)])
    return " ".join(f"{value:.7g}" for value in hz)


def render_note(
    seed: int, index: int, sample_rate_hz: int = 48000, channels: int = 1,
    soundfont: Path | None = None,
) -> tuple[writing.Sound, dict[str, Any]]:
    """Note or phrase `index` of a seed: (float32 audio [channels, samples], its metadata row).

    `f0_hz` in the row is what the sound was made from, not what was measured in it. Families take
    turns. With a soundfont, fluidsynth plays the same notes and bends.
    """
    writing.check_request(seed, index, sample_rate_hz, channels)
    family = FAMILIES[index % len(FAMILIES)]
    rng = stream(seed, index, "note")
    tune = melody.draw_melody(rng, *REACH.get(family, (melody.LOWEST, melody.HIGHEST)))
    timbre = draw_timbre(rng, family)
    swell, rms_db = between(rng, -0.7, 0.7), between(rng, -24, -16)
    room = log_between(rng, 0.04, 0.3) if chance(rng, 0.4) else 0.0
    room_s = log_between(rng, 0.2, 1.5)
    samples = round((tune.duration_s + timbre.release_s) * sample_rate_hz)
    curve = melody.semitones(tune, samples, sample_rate_hz, stream(seed, index, "drift"))
    more: dict[str, Any] = {"melody": asdict(tune)}
    if soundfont is None:
        loud = _loudness(timbre, tune, samples, sample_rate_hz, swell)
        sound = sounded(timbre, melody.hertz(curve), loud, sample_rate_hz,
                        stream(seed, index, "timbre"), stream(seed, index, "breath"),
                        tune.starts_s)
        more |= {family: {"swell": swell, "room": room, "room_s": room_s, **asdict(timbre)}}
    else:
        from training.corpus.soundfont import played

        program, sound = played(soundfont, family, tune, curve, sample_rate_hz, rng)
        more |= {"soundfont": {"file": soundfont.name, "program": program}}
    audio = np.stack([sound] * channels)
    if room and soundfont is None:
        noises = [stream(seed, index, f"room {side}") for side in range(channels)]
        audio = in_a_room(sound, room_s, room, sample_rate_hz, noises)[:, :samples]
        fade = min(samples // 4, round(0.05 * sample_rate_hz))
        audio[:, -fade:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(fade) / fade)
    audio = audio * min(10 ** (rms_db / 20) / np.sqrt(np.mean(audio**2)),
                        0.89 / np.abs(audio).max())
    row = writing.row_of(
        NAMES.file(index), seed, index, audio, sample_rate_hz, more, family=family,
        pitch=tune.pitches[0], pitches=" ".join(map(str, tune.pitches)),
        starts_s=" ".join(map(str, tune.starts_s)), vibrato_cents=tune.vibrato_cents,
        f0_hop_s=HOP_S, f0_hz=labels_hz(curve, sample_rate_hz))
    return audio.astype(np.float32), row
