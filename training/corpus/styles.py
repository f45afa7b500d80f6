"""What a loop is before its first note: style, tempo, key, swing, and who plays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.corpus.circle import smooth_length
from training.corpus.draw import between, chance, pick
from training.corpus.harmony import Key, draw_key


@dataclass(frozen=True)
class Style:
    """A corner of techno: ranges, and how probable each instrument is."""

    weight: float
    bpm: tuple[float, float]
    swing: float  # the most it swings
    duck: tuple[float, float]  # how deep the kick presses the rest down
    feels: dict[str, float]  # kinds of kick pattern, by weight
    plays: dict[str, float]  # instruments, by probability


FOUR = {"four": 6.0, "four and more": 3.0}

STYLES: dict[str, Style] = {
    "peak": Style(3, (128, 140), 0.12, (0.4, 0.9), FOUR, {
        "kick": 0.97, "rumble": 0.6, "clap": 0.6, "hat_closed": 0.8, "hat_open": 0.8, "ride": 0.35,
        "rim": 0.2, "tom": 0.2, "blip": 0.2, "bass": 0.35, "acid": 0.15, "stab": 0.45, "arp": 0.25,
        "pad": 0.3, "texture": 0.4}),
    "acid": Style(3, (122, 142), 0.2, (0.0, 0.6), FOUR, {
        "kick": 0.95, "clap": 0.6, "snare": 0.2, "hat_closed": 0.75, "hat_open": 0.7, "rim": 0.2,
        "tom": 0.15, "cowbell": 0.15, "acid": 1.0, "bass": 0.1, "stab": 0.15, "pad": 0.15,
        "texture": 0.15}),
    "minimal": Style(2.5, (120, 130), 0.33, (0.0, 0.5), {**FOUR, "half": 1.0}, {
        "kick": 0.92, "clap": 0.45, "hat_closed": 0.75, "hat_open": 0.4, "shaker": 0.45, "rim": 0.5,
        "conga": 0.4, "blip": 0.55, "bass": 0.6, "stab": 0.25, "texture": 0.35}),
    "dub": Style(2.5, (120, 128), 0.25, (0.2, 0.8), FOUR, {
        "kick": 0.95, "clap": 0.3, "hat_closed": 0.6, "hat_open": 0.5, "shaker": 0.4, "rim": 0.3,
        "bass": 0.6, "stab": 0.95, "pad": 0.5, "texture": 0.7}),
    "industrial": Style(2, (130, 145), 0.08, (0.3, 0.95), {**FOUR, "broken": 2.0}, {
        "kick": 0.98, "rumble": 0.65, "snare": 0.4, "clap": 0.35, "hat_closed": 0.7,
        "hat_open": 0.5, "ride": 0.4, "tom": 0.35, "blip": 0.4, "acid": 0.2, "stab": 0.2,
        "texture": 0.75}),
    "electro": Style(2, (120, 138), 0.15, (0.0, 0.5), {"broken": 6.0, "half": 1.0}, {
        "kick": 0.97, "snare": 0.75, "clap": 0.35, "hat_closed": 0.85, "hat_open": 0.4,
        "cowbell": 0.35, "tom": 0.25, "blip": 0.35, "bass": 0.7, "acid": 0.15, "arp": 0.5,
        "pad": 0.4, "stab": 0.2}),
    "house": Style(2, (120, 130), 0.33, (0.2, 0.8), FOUR, {
        "kick": 0.96, "clap": 0.8, "hat_closed": 0.7, "hat_open": 0.85, "shaker": 0.5, "conga": 0.4,
        "rim": 0.3, "cowbell": 0.2, "bass": 0.8, "stab": 0.6, "pad": 0.3}),
    "trance": Style(1.5, (132, 145), 0.05, (0.5, 0.95), FOUR, {
        "kick": 0.95, "clap": 0.6, "hat_closed": 0.6, "hat_open": 0.8, "ride": 0.3, "bass": 0.9,
        "arp": 0.8, "acid": 0.2, "pad": 0.65, "stab": 0.2}),
    "tool": Style(2, (122, 142), 0.3, (0.0, 0.4), {**FOUR, "broken": 3.0, "half": 1.0}, {
        "kick": 0.85, "clap": 0.5, "snare": 0.4, "hat_closed": 0.8, "hat_open": 0.6, "ride": 0.3,
        "shaker": 0.4, "rim": 0.5, "tom": 0.5, "conga": 0.5, "cowbell": 0.3, "blip": 0.35}),
    "break": Style(1.5, (120, 145), 0.33, (0.0, 0.4), {"half": 3.0, "broken": 1.0}, {
        "kick": 0.35, "clap": 0.2, "hat_closed": 0.55, "hat_open": 0.3, "shaker": 0.35, "rim": 0.3,
        "blip": 0.35, "tom": 0.2, "bass": 0.3, "acid": 0.2, "stab": 0.5, "arp": 0.55, "pad": 0.6,
        "texture": 0.5}),
}
STRUCK = ("kick", "clap", "snare", "hat_closed", "rim", "tom", "conga", "shaker", "arp")
BODIES = ("kick", "rumble", "tom", "conga", "bass", "acid", "stab", "pad")
TEMPO_RATE_HZ = 16000


def smooth_bpm(bpm: float, bars: int) -> float:
    """The nearest tempo whose loop transforms quickly at 16 kHz and its multiples.

    Such tempos lie about a quarter of a percent apart, so none is out of reach.
    """
    samples = smooth_length(round(240.0 * bars * TEMPO_RATE_HZ / bpm))
    return 240.0 * bars * TEMPO_RATE_HZ / samples


@dataclass(frozen=True)
class Song:
    """What all parts of one loop share."""

    style: str
    bpm: float
    bars: int
    swing: float
    key: Key
    kick_feel: str
    duck: float
    duck_s: float
    tilt_db: float  # of the finished loop's power density, per octave
    crest_db: float  # the bus is driven until peaks stand no higher than this above RMS
    instruments: tuple[str, ...]


def draw_song(rng: np.random.Generator) -> Song:
    """The decisions that come before any instrument's own."""
    name = pick(rng, tuple(STYLES), [style.weight for style in STYLES.values()])
    style = STYLES[name]
    bars = pick(rng, (1, 2, 4), (1, 3, 2))
    bpm = smooth_bpm(between(rng, *style.bpm), bars)
    swing = between(rng, 0.04, style.swing) if chance(rng, 0.5) and style.swing > 0.04 else 0.0
    chosen = {player for player, odds in style.plays.items() if chance(rng, odds)}
    # A loop of nothing but sustained sounds would hold no beat to learn.
    if not chosen.intersection(STRUCK):
        chosen |= {"hat_closed", "rim"}
    # Nor does a loop of nothing but cymbals: some body, and never one player alone.
    if not chosen.intersection(BODIES):
        chosen.add("tom")
    if len(chosen) < 2:
        chosen.add("hat_closed")
    return Song(
        style=name,
        bpm=bpm,
        bars=bars,
        swing=swing,
        key=draw_key(rng),
        kick_feel=pick(rng, tuple(style.feels), tuple(style.feels.values())),
        duck=between(rng, *style.duck),
        duck_s=between(rng, 0.12, 0.4),
        tilt_db=between(rng, -5.5, -2.5),
        crest_db=between(rng, 9.5, 15.0),
        instruments=tuple(sorted(chosen)),
    )
