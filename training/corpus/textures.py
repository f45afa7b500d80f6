"""The corpus "textures": rain, wind, fire, water, vinyl, bowed metal, drones, grains, machines.

Each is some seconds long, evolves, closes on itself, and in stereo its sides are drawn apart above
the bass. What makes one is an entry of `TEXTURES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from training.corpus import mixing, writing
from training.corpus.circle import Audio, add, frequencies_hz, smooth_length, through
from training.corpus.draw import between, chance, log_between, pick, stream
from training.corpus.filters import bandpass, highpass, lowpass, s_plane
from training.corpus.layers import Scene, coloured, drops, moving_band, specks, wander
from training.corpus.oscillators import HIGHEST, normal, oscillate, seconds
from training.corpus.patterns import Clock

NAMES = writing.Names("texture")
Rng = np.random.Generator
LIVES = 7  # of bowed metal: groups of modes that come and go together


def _rain(scene: Scene, side: int) -> Audio:
    """A bed of far drops, near ones on leaves or tin, and gusts."""
    heavy = scene.draw("drops_per_s", 120, 3500)
    low_hz = scene.draw("drop_low_hz", 300, 1800)
    gusts = 0.35 + 0.65 * wander(scene, "gusts", 1, 4)
    ring_ms = scene.draw("ring_ms", 2, 14)
    near = drops(scene, "near", side, heavy, (low_hz, 6.0 * low_hz), (0.4 * ring_ms, ring_ms),
                 scene.draw("rise", 0.01, 0.6), gusts)
    bed = coloured(scene, "bed", side, scene.draw("bed_fall_db", 0.5, 4.5, log=False),
                   scene.draw("bed_low_hz", 80, 900), 15000) * gusts
    return near / np.sqrt(np.mean(near**2)) + scene.draw("bed", 0.2, 1.6) * bed


def _wind(scene: Scene, side: int) -> Audio:
    """Air past edges: bands of noise that wander, some of them nearly whistling."""
    out = 0.5 * coloured(scene, "air", side, scene.draw("fall_db", 5, 9, log=False), 30, 3500)
    out *= 0.4 + 0.6 * wander(scene, "force", 1, 3)
    for layer in range(3):
        curve = wander(scene, f"wind {layer}", 1, 5)
        centre_hz = scene.draw(f"centre_{layer}_hz", 130, 900) * 2.0 ** (1.6 * curve)
        hiss = scene.noise(f"wind {layer}", side).standard_normal(scene.samples)
        q = scene.draw(f"q_{layer}", 1.0, 18.0)
        band = moving_band(scene, hiss, centre_hz, q) * np.sqrt(q) * (0.15 + curve**2)
        out += (0.9, 0.5, 0.25)[layer] * band / np.sqrt(np.mean(band**2))
    return out


def _fire(scene: Scene, side: int) -> Audio:
    """Crackle in bursts over a rumble, and hiss of sap."""
    bursts = wander(scene, "bursts", 1, 24) ** 2
    per_s = scene.draw("crackles_per_s", 25, 320)
    cracks = drops(scene, "crack", side, per_s, (700, 7000), (1, scene.draw("ring_ms", 3, 12)),
                   0.0, bursts)
    flame = coloured(scene, "flame", side, 6.0, 40, 900) * (0.5 + wander(scene, "flame", 2, 30))
    sap = coloured(scene, "sap", side, 1.0, 1500, 12000) * wander(scene, "sap", 1, 8)
    return (cracks / np.sqrt(np.mean(cracks**2)) + scene.draw("flame", 0.2, 1.2) * flame
            + scene.draw("sap", 0.03, 0.3) * sap)


def _water(scene: Scene, side: int) -> Audio:
    """A stream or surf: swells of noise, and bubbles that rise as they close."""
    swell = wander(scene, "swell", 1, int(scene.draw("swells", 2, 7)))
    bubbles = drops(scene, "bubble", side, scene.draw("bubbles_per_s", 30, 900), (350, 3800),
                    (6, 60), 0.25, 0.2 + 0.8 * swell)
    hiss = scene.noise("water", side).standard_normal(scene.samples)
    cutoff_hz = scene.draw("cutoff_hz", 500, 3000) * 2.0 ** (2.0 * swell)
    body = moving_band(scene, hiss, cutoff_hz, 0.7, "low") * (0.15 + 0.85 * swell)
    return (bubbles / np.sqrt(np.mean(bubbles**2))
            + scene.draw("body", 0.3, 2.0) * body / np.sqrt(np.mean(body**2)))


def _vinyl(scene: Scene, side: int) -> Audio:
    """A run-out groove: dust, a scratch once a turn, rumble and hiss."""
    turns = max(1, round(scene.duration_s * pick(scene.rng, (33.3, 45.0)) / 60))
    dust = through(specks(scene, "dust", side, scene.draw("dust_per_s", 8, 160), 3.0),
                   lowpass(s_plane(scene.bins(), 5000.0, scene.rate)))
    ticks = np.zeros(scene.samples)
    shape = stream(scene.seed, scene.index, "scratch")
    for place, size in zip(shape.random(3), shape.standard_normal(3), strict=True):
        for turn in range(turns):
            ticks[int((place + turn) / turns * scene.samples) % scene.samples] += size
    ticks = through(ticks, bandpass(s_plane(scene.bins(), 2500.0, scene.rate), 0.5))
    rumble = coloured(scene, "rumble", side, 7.0, 18, 250)
    hiss = coloured(scene, "hiss", side, scene.draw("hiss_fall_db", 2, 6, log=False), 60, 12000)
    return (2.0 * normal(dust) + normal(ticks) * scene.draw("scratch", 0.05, 0.6)
            + scene.draw("rumble", 0.03, 0.3) * rumble + scene.draw("hiss", 0.02, 0.25) * hiss)


def _bowed(scene: Scene, side: int) -> Audio:
    """Metal or glass under a bow: narrow lines of noise at inharmonic places, each its own life."""
    shape = stream(scene.seed, scene.index, "modes")
    lowest_hz, count = scene.draw("lowest_hz", 70, 520), int(scene.draw("modes", 8, 40))
    stretch, fall = scene.draw("stretch", 1.05, 2.0), scene.draw("fall", 0.5, 1.6)
    width = scene.draw("width", 0.0004, 0.012)
    bins = scene.bins()
    # Modes that are excited together share what becomes of them.
    groups = np.zeros((LIVES, len(bins)), dtype=np.complex128)
    for mode in range(count):
        hz = lowest_hz * (1 + mode) ** stretch * float(np.exp(shape.normal(0, 0.03)))
        if hz > min(16000.0, HIGHEST * scene.rate):
            break
        own = scene.noise(f"line {mode}", side if mode % 3 == 0 else 0)
        near = np.abs(bins - hz) < 30 * width * hz + 3
        around = (bins[near] - hz) / (width * hz + 0.15)
        values = own.standard_normal((2, len(around)))
        line = (values[0] + 1j * values[1]) / (1.0 + around**2)
        line *= (1 + mode) ** -fall * scene.samples / np.sqrt(2 * np.sum(np.abs(line) ** 2))
        groups[mode % LIVES, near] += line
    out = np.zeros(scene.samples)
    for group, sound in enumerate(np.fft.irfft(groups, scene.samples)):
        out += sound * wander(scene, f"life {group}", 1, 4) ** 2
    rub = coloured(scene, "rub", side, 2.0, 2.0 * lowest_hz, 9000) * wander(scene, "rub", 1, 12)
    return out + scene.draw("rub", 0.003, 0.08) * rub


def _drone(scene: Scene, side: int) -> Audio:
    """A chord of beating waves behind a filter that opens and closes."""
    root_hz = scene.draw("root_hz", 36, 150)
    chord = pick(scene.rng, ((1, 1.5), (1, 2), (1, 1.5, 2, 2.25), (1, 1.2, 1.5), (1, 1.25, 1.875),
                             (1, 1.06), (1, 1.333, 2.0)))
    wave = pick(scene.rng, ("saw", "saw", "pulse", "square", "triangle"))
    shape = stream(scene.seed, scene.index, f"voices {side}")
    out = np.zeros(scene.samples)
    for number, ratio in enumerate(chord):
        for _ in range(3):
            hz = root_hz * ratio * 2.0 ** (shape.normal(0, 7) / 1200)
            hz = round(hz * scene.duration_s) / scene.duration_s  # whole periods around the loop
            voice = oscillate(wave, hz, scene.samples, scene.rate, shape.random())
            out += voice * (0.3 + 0.7 * wander(scene, f"voice {number}", 1, 3))
    opening = wander(scene, "opening", 1, 4)
    cutoff_hz = scene.draw("cutoff_hz", 150, 900) * 2.0 ** (scene.draw("span", 0.5, 3.5) * opening)
    air = coloured(scene, "air", side, 4.0, 150, 8000) * opening
    return moving_band(scene, out, cutoff_hz, 0.9, "low") + scene.draw("air", 0.005, 0.1) * air


def _grains(scene: Scene, side: int) -> Audio:
    """A cloud of windowed grains around a moving pitch, tonal, noisy or metallic."""
    shape = scene.noise("grains", side)
    per_s, length_ms = scene.draw("grains_per_s", 15, 180), scene.draw("length_ms", 12, 260)
    centre_hz, spread = scene.draw("centre_hz", 120, 1800), scene.draw("octaves", 0.05, 2.2)
    wave = pick(scene.rng, ("sine", "triangle", "saw", "noise", "fm"))
    density, pitch = 0.15 + 0.85 * wander(scene, "density", 1, 5), wander(scene, "pitch", 1, 4)
    scale = scene.draw("semitones", 0.5, 5)
    out = np.zeros(scene.samples)
    for _ in range(int(per_s * scene.duration_s)):
        place, keep, off, length = shape.random(), shape.random(), shape.normal(), shape.random()
        start = int(place * scene.samples)
        time_s = seconds(length_ms / 1000 * (0.4 + 1.2 * length), scene.rate)
        if keep > density[start]:
            continue
        note = round(12 * spread * off / scale) * scale / 12 + 1.5 * (pitch[start] - 0.5)
        hz = float(np.clip(centre_hz * 2.0**note, 40.0, 0.2 * scene.rate))
        if wave == "noise":
            tone = shape.standard_normal(len(time_s)) * np.sin(2 * np.pi * hz * time_s)
        elif wave == "fm":
            tone = np.sin(2 * np.pi * hz * time_s + 2.0 * np.sin(2 * np.pi * 1.41 * hz * time_s))
        else:
            tone = oscillate(wave, hz, len(time_s), scene.rate, length)
        window = np.sin(np.pi * np.arange(len(time_s)) / len(time_s)) ** 2
        add(out, start, tone * window, 0.3 + 0.7 * place)
    return out + 1e-4 * shape.standard_normal(scene.samples)


def _machine(scene: Scene, side: int) -> Audio:
    """Hum, a motor's harmonics that hunt a little, a fan, a rattle."""
    turn_hz = scene.draw("turn_hz", 14, 130)
    turn_hz = round(turn_hz * scene.duration_s) / scene.duration_s
    sway = scene.draw("sway", 0.1, 2.5) * (wander(scene, "speed", 1, 3) - 0.5)
    phase = turn_hz * np.arange(scene.samples) / scene.rate + sway
    shape = stream(scene.seed, scene.index, "partials")
    out = np.zeros(scene.samples)
    for partial in range(1, 24):
        size = shape.exponential() * partial ** -scene.noted.setdefault(
            "fall", between(scene.rng, 0.4, 1.3))
        out += size * np.sin(2 * np.pi * (partial * phase + shape.random()))
    fan = coloured(scene, "fan", side, scene.draw("fan_fall_db", 2, 7, log=False), 60, 11000)
    fan *= 1.0 + 0.7 * np.sin(2 * np.pi * phase)
    clatter = specks(scene, "rattle", side, scene.draw("rattles_per_s", 1, 40), 1.5)
    clatter = normal(through(clatter, bandpass(s_plane(
        scene.bins(), scene.draw("rattle_hz", 500, 4000), scene.rate), 6.0)))
    return (out / np.sqrt(np.mean(out**2)) + scene.draw("fan", 0.1, 1.5) * fan
            + scene.draw("rattle", 0.2, 4.0) * clatter)


TEXTURES: dict[str, Callable[[Scene, int], Audio]] = {
    "bowed": _bowed, "drone": _drone, "fire": _fire, "grains": _grains, "machine": _machine,
    "rain": _rain, "vinyl": _vinyl, "water": _water, "wind": _wind,
}


def render_texture(
    seed: int, index: int, sample_rate_hz: int = 48000, channels: int = 2
) -> tuple[writing.Sound, dict[str, Any]]:
    """Texture `index` of a seed: (float32 audio [channels, samples], its row of the metadata).

    Kinds take turns. Its end touches its beginning.
    """
    writing.check_request(seed, index, sample_rate_hz, channels)
    kind = tuple(TEXTURES)[index % len(TEXTURES)]
    rng = stream(seed, index, "texture")
    seconds_long, rms_db = between(rng, 4.0, 12.0), between(rng, -26, -17)
    width = between(rng, 0.2, 1.0)
    room = log_between(rng, 0.4, 4.0) if chance(rng, 0.5) else 0.0
    samples = smooth_length(round(seconds_long * sample_rate_hz))
    sides = []
    for side in range(channels):
        # Each side draws the same decisions, and its own noise.
        scene = Scene(seed, index, samples, sample_rate_hz, stream(seed, index, "scene"))
        sides.append(TEXTURES[kind](scene, side))
    audio = _finished(np.stack(sides), width, rms_db, sample_rate_hz,
                      [stream(seed, index, f"room {side}") for side in range(channels)], room)
    row = writing.row_of(NAMES.file(index), seed, index, audio, sample_rate_hz,
                         {kind: {"width": width, "room_s": room, **scene.noted}}, kind=kind)
    return audio.astype(np.float32), row


def _finished(sides: Audio, width: float, rms_db: float, rate: int, noises: list[Rng],
              room_s: float) -> Audio:
    """Sides drawn together below 200 Hz and by `width` above, a room, and the level."""
    samples = sides.shape[-1]
    bins = frequencies_hz(samples, rate)
    if room_s:
        space = mixing.Space(room_s, 200, 7000, 15, 3.0, 0.0, 300, 3000)
        clock = Clock(240.0 * rate / samples, 1, 0.0, rate)
        wet = [through(side, mixing.room_response(space, clock, noise))
               for side, noise in zip(sides, noises, strict=True)]
        sides = sides + 0.4 * np.stack(wet)
    if len(sides) == 2:
        middle, apart = 0.5 * (sides[0] + sides[1]), 0.5 * (sides[0] - sides[1])
        high = highpass(s_plane(bins, 200.0, rate))
        apart = width * through(apart, high * high)
        sides = np.stack([middle + apart, middle - apart])
    low_cut = highpass(s_plane(bins, 24.0, rate))
    sides = through(sides, low_cut * low_cut)
    sides = sides * (10 ** (rms_db / 20) / np.sqrt(np.mean(sides**2)))
    # What pops out further than a converter reaches is pressed, softly, and only that.
    over = np.maximum(np.abs(sides) - 0.5, 0.0)
    return np.asarray(np.where(over > 0, np.sign(sides) * (0.5 + 0.38 * np.tanh(over / 0.38)),
                               sides))
