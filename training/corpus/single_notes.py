"""The corpus "instruments": single notes by instrument, each held, of our own synthesis or of a
soundfont.

Of our own an instrument is a family of timbres (bell, bowed, ...), and every note another member of
it. Of a soundfont it is what General MIDI calls so.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from training.corpus import writing
from training.corpus.draw import between, stream
from training.corpus.font_notes import font_note
from training.corpus.notes import REACH
from training.corpus.voices import FAMILIES, draw_timbre, sounded

SECONDS, RELEASE_S = 2.0, 0.1
LOWEST, HIGHEST = 24, 84  # MIDI pitches
PEAK = 0.8
# Programs of General MIDI, from 0, and the pitches that each plays in an orchestra or a band.
PROGRAMS: dict[str, tuple[int, int, int]] = {
    "accordion": (21, 53, 84), "bass": (32, 24, 60), "cello": (42, 36, 76), "choir": (52, 43, 84),
    "clarinet": (71, 50, 84), "electric_piano": (4, 28, 84), "flute": (73, 60, 84),
    "guitar": (24, 40, 84), "horn": (60, 34, 77), "marimba": (12, 45, 84), "oboe": (68, 58, 84),
    "piano": (0, 24, 84), "saxophone": (65, 49, 80), "strings": (48, 28, 84),
    "trumpet": (56, 52, 84), "violin": (40, 55, 84)}
NAMES = writing.Names("note", tuple(sorted({*PROGRAMS, *FAMILIES})))


def render_single(
    seed: int, index: int, sample_rate_hz: int = 48000, channels: int = 1,
    soundfont: Path | None = None,
) -> tuple[writing.Sound, dict[str, Any]]:
    """Note `index` of a seed: (float32 audio [channels, samples], its row of the metadata).

    Instruments take turns, so that every corpus holds as many notes of each. With a soundfont its
    instruments play in place of the synthesis.
    """
    writing.check_request(seed, index, sample_rate_hz, channels)
    order = tuple(PROGRAMS) if soundfont is not None else FAMILIES
    name = order[index % len(order)]
    rng = stream(seed, index, "single note")
    velocity = between(rng, 0.25, 1.0)
    share = float(rng.random())
    more: dict[str, Any]
    if soundfont is not None:
        program, low, high = PROGRAMS[name]
        asked = low + int(share * (high - low + 1))
        pitch, velocity, sound = font_note(soundfont, program, low, high, asked, velocity,
                                           sample_rate_hz)
        more = {"soundfont": soundfont.name, "program": program}
    else:
        first, last = REACH.get(name, (LOWEST, HIGHEST))
        low, high = max(LOWEST, round(first)), min(HIGHEST, round(last))
        pitch = low + int(share * (high - low + 1))
        timbre = draw_timbre(rng, name)
        samples = round((SECONDS + RELEASE_S) * sample_rate_hz)
        time_s = np.arange(samples) / sample_rate_hz
        rise = 0.5 - 0.5 * np.cos(np.pi * np.clip(time_s / timbre.attack_s, 0, 1))
        fall = np.clip((time_s[-1] - time_s) / RELEASE_S, 0, 1)
        loud = rise * (0.5 - 0.5 * np.cos(np.pi * fall)) * (0.4 + 0.6 * velocity)
        hz = np.full(samples, 440 * 2 ** ((pitch - 69) / 12))
        sound = sounded(timbre, hz, loud, sample_rate_hz, stream(seed, index, "timbre"),
                        stream(seed, index, "breath"))
        more = asdict(timbre)
    audio = np.stack([PEAK * sound / max(float(np.abs(sound).max()), 1e-9)] * channels)
    row = writing.row_of(NAMES.file(index, name), seed, index, audio, sample_rate_hz,
                         {name: more}, kind=name, pitch=pitch, velocity=round(velocity, 4))
    return audio.astype(np.float32), row
