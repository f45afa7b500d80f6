"""What a model does by itself: clicks at its start, how latents sound that stand still or glide."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.description import Method
from engine.players.base import Player
from training.evaluation.latent_play import decode, encode
from training.evaluation.spectra import hann
from training.evaluation.texture import modulation

FloatArray = NDArray[np.float32]
START_SECONDS = 0.5  # silence that is played from a fresh state
CLICK = 10 ** (-60 / 20)  # what is louder counts as a click
QUIET = 1e-10  # floor of levels: -200 dB
HELD = 4  # sounds that are held
SETTLE_SECONDS, HELD_SECONDS = 0.5, 1.0
HELD_LOW_HZ = 700.0
BINS = 2  # on either side of a multiple of the frame rate
SILENT_POWER = 1e-12


def standing_figures(player: Player, audio: FloatArray) -> dict[str, float | None]:
    """Clicks and, of a model with latents, how those of `audio` sound when they are held, and when
    they glide from one to the next."""
    found: dict[str, float | None] = dict(_clicks(player, audio))
    coder = player.description.coder
    if coder is not None:
        points = _points(player, audio)
        found["held_at_frame_rate"] = _held(player, points, coder[1])
        found["swept_modulation"] = _swept(player, points, coder[1])
    return found


def _clicks(player: Player, audio: FloatArray) -> dict[str, float]:
    """Silence in: the peak after a fresh start and after a reset in the midst of a sound, how long
    it stays above -60 dBFS, and what is heard later."""
    name, unit = player.description.main.name, player.description.main.in_frames
    rate = player.sample_rate_hz
    half = -(-round(START_SECONDS * rate) // unit) * unit
    silence = np.zeros((audio.shape[0], half), np.float32)
    player.reset()  # the delay is part of what a listener hears
    started = np.abs(player.process(name, silence)).max(axis=0)
    idle = np.abs(player.process(name, silence)).max()
    player.process(name, np.ascontiguousarray(np.resize(audio, silence.shape)))
    player.reset()
    after = np.abs(player.process(name, silence)).max()
    loud = np.flatnonzero(started > CLICK)
    return {"start_dbfs": _decibels(started.max()),
            "start_ms": 1000 * (float(loud[-1]) + 1) / rate if len(loud) else 0.0,
            "reset_dbfs": _decibels(after), "idle_dbfs": _decibels(idle)}


def _decibels(peak: Any) -> float:
    return 20 * float(np.log10(max(float(peak), QUIET)))


def _points(player: Player, audio: FloatArray) -> FloatArray:
    """Latents from the louder half of a sound's frames: [latents, HELD]."""
    latents = encode(player, audio)
    size = audio.shape[1] // latents.shape[1]
    level = np.square(audio[:, : size * latents.shape[1]]).mean(axis=0)
    ranked = np.argsort(-level.reshape(-1, size).mean(axis=1), kind="stable")
    return latents[:, ranked[[len(ranked) * i // (2 * HELD) for i in range(HELD)]]]


def _held(player: Player, points: FloatArray, spec: Method) -> float | None:
    """Share of the energy above `HELD_LOW_HZ` that lies at multiples of the frame rate: 1 for a
    buzz, a few hundredths for noise. None if nothing is heard there."""
    rate, shares = player.sample_rate_hz, []
    frames = round((SETTLE_SECONDS + HELD_SECONDS) * rate / spec.in_ratio)
    for point in points.T:
        sound = decode(player, np.repeat(point[:, None], frames, axis=1)).mean(axis=0)
        size = round(HELD_SECONDS * rate / spec.in_ratio) * spec.in_ratio
        power = np.square(np.abs(np.fft.rfft(sound[-size:] * hann(size)))) / size**2
        low = int(HELD_LOW_HZ * size / rate)
        if power[low:].sum() < SILENT_POWER:
            continue
        places = np.arange(low, len(power))
        step = size // spec.in_ratio  # bins between multiples of the frame rate
        near = np.abs((places + step // 2) % step - step // 2) <= BINS
        shares.append(float(power[low:][near].sum() / power[low:].sum()))
    return float(np.mean(shares)) if shares else None


def _swept(player: Player, points: FloatArray, spec: Method) -> float | None:
    """How deeply the sound moves at the frame rate while latents glide, a second each way."""
    frames = round(player.sample_rate_hz / spec.in_ratio)
    way = np.linspace(0, 1, frames, endpoint=False, dtype=np.float32)
    ends = np.concatenate((points, points[:, :1]), axis=1)
    path = np.concatenate([a[:, None] + (b - a)[:, None] * way
                           for a, b in zip(ends.T, ends.T[1:], strict=False)], axis=1)
    depth = modulation(decode(player, path), player.sample_rate_hz, spec.in_ratio)
    return depth if np.isfinite(depth) else None
