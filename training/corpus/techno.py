"""Techno loops: `render_loop` makes one.

Loop `index` of a seed depends on nothing but those two numbers: not on how many loops are asked
for, nor on the sample rate (the same music, sampled more finely). The same installation gives the
same bytes; another processor's tanh and sine may differ in a last bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.corpus import mastering, mixing, writing
from training.corpus.circle import through
from training.corpus.draw import between, stream
from training.corpus.instruments import INSTRUMENTS
from training.corpus.patterns import Clock, Hit, written
from training.corpus.styles import Song, draw_song


def _arranged(seed: int, index: int, song: Song) -> dict[str, list[Hit]]:
    """What each instrument of the song plays; the order is that of the list of instruments."""
    return {
        name: instrument.pattern(stream(seed, index, f"{name} pattern"), song)
        for name, instrument in INSTRUMENTS.items()
        if name in song.instruments
    }


def _mixed(
    seed: int, index: int, song: Song, parts: dict[str, list[Hit]], clock: Clock, channels: int
) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """Sum of all parts with their effects [channels, samples], and what each part was."""
    space = mixing.draw_space(stream(seed, index, "space"))
    scatter = mixing.scatter(clock, stream(seed, index, "scatter"))
    kicks = [clock.at(hit.step) for hit in parts.get("kick", [])]
    release = round(song.duck_s * clock.sample_rate_hz)
    duck = mixing.ducking(kicks, clock.samples, song.duck, release)
    dry = np.zeros((channels, clock.samples))
    to_room, to_echo = np.zeros_like(dry), np.zeros_like(dry)
    voices: dict[str, Any] = {"space": asdict(space)}
    for name, hits in parts.items():
        instrument = INSTRUMENTS[name]
        rng = stream(seed, index, f"{name} sound")
        spec = instrument.draw(rng)
        level_db = between(rng, *instrument.level_db)
        room, echo = between(rng, *instrument.reverb), between(rng, *instrument.delay)
        pan = between(rng, -instrument.pan, instrument.pan)
        sound = instrument.sound(spec, hits, clock, stream(seed, index, f"{name} noise"))
        sound = sound * 10 ** (level_db / 20) * (duck if instrument.ducked else 1.0)
        stem = mixing.placed(sound, pan, instrument.width, channels, scatter)
        dry += stem
        to_room += room * stem
        to_echo += echo * stem
        voices[name] = {"pattern": written(hits, clock.steps), "level_db": level_db, "room": room,
                        "echo": echo, "pan": pan, **asdict(spec)}
    for side in range(channels):
        response = mixing.echo_response(space, clock, float(side))
        echoes = through(to_echo[side], response)
        room_noise = stream(seed, index, f"room {side}")
        rooms = through(to_room[side] + 0.3 * echoes,
                        mixing.room_response(space, clock, room_noise))
        dry[side] += echoes + 1.5 * rooms
    return dry, voices


def render_loop(
    seed: int, index: int, sample_rate_hz: int = 16000, channels: int = 1
) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """Loop `index` of a seed: (float32 audio [channels, samples], its row of the metadata)."""
    writing.check_request(seed, index, sample_rate_hz, channels)
    song = draw_song(stream(seed, index, "song"))
    clock = Clock(song.bpm, song.bars, song.swing, sample_rate_hz)
    parts = _arranged(seed, index, song)
    mix, voices = _mixed(seed, index, song, parts, clock, channels)
    audio = mastering.finished(mix, song.tilt_db, song.crest_db, sample_rate_hz)
    kicks_s = sorted(clock.at(hit.step) / sample_rate_hz for hit in parts.get("kick", []))
    row = {
        "file": writing.LOOPS.file(index),
        "seed": seed,
        "index": index,
        "style": song.style,
        "bpm": round(15.0 / clock.step_s, 4),
        "bars": song.bars,
        "key": song.key.name,
        "swing": song.swing,
        "instruments": " ".join(parts),
        "kick_pattern": voices["kick"]["pattern"] if "kick" in voices else "",
        "kick_times_s": " ".join(f"{time_s:.5f}" for time_s in kicks_s),
        "sample_rate_hz": sample_rate_hz,
        "channels": channels,
        "samples": clock.samples,
        "duration_s": round(clock.samples / sample_rate_hz, 6),
        "rms_dbfs": round(float(10 * np.log10(np.mean(audio**2))), 2),
        "crest_db": round(mastering.crest_db(audio), 2),
        "duck": song.duck,
        "duck_s": song.duck_s,
        "tilt_db": song.tilt_db,
        "voices": json.dumps(voices, separators=(",", ":")),
    }
    return audio.astype(np.float32), row


def write_corpus(
    out_dir: Path, minutes: float, seed: int = 0, sample_rate_hz: int = 16000, channels: int = 1,
    progress: Callable[[float], None] | None = None,
) -> list[Path]:
    """Fills `out_dir` with at least `minutes` of loops, see `writing.write_corpus`."""
    render = partial(render_loop, seed, sample_rate_hz=sample_rate_hz, channels=channels)
    request = ("techno", seed, sample_rate_hz, channels)
    return writing.write_corpus(Path(out_dir), minutes, render, writing.LOOPS, request, progress)
