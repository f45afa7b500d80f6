"""The one list of instruments: how each is drawn, sequenced, sounded and placed in the mix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from training.corpus import acid, drums, lines, noises, patterns, percussion, synth
from training.corpus.circle import Audio, add
from training.corpus.oscillators import normal
from training.corpus.patterns import Clock, Hit
from training.corpus.styles import Song

Rng = np.random.Generator
Range = tuple[float, float]


@dataclass(frozen=True)
class Instrument:
    """A row of the list. Levels are peaks in decibels below the kick; sends are linear gains."""

    draw: Callable[[Rng], Any]
    pattern: Callable[[Rng, Song], list[Hit]]
    sound: Callable[[Any, list[Hit], Clock, Rng], Audio]  # one loop, peak 1
    level_db: Range
    reverb: Range = (0.0, 0.12)
    delay: Range = (0.0, 0.0)
    pan: float = 0.0  # how far off the middle it may stand, 1 is one side only
    width: float = 0.0  # stereo only: how much of it spreads to both sides
    ducked: bool = False


def _struck(
    stroke: Callable[[Any, int, Rng], Audio], variants: int
) -> Callable[[Any, list[Hit], Clock, Rng], Audio]:
    """A drum on the circle. A few strokes are made and taken in turn: no two hats are equal."""

    def loop(spec: Any, hits: list[Hit], clock: Clock, noise: Rng) -> Audio:
        made: dict[tuple[int, int], Audio] = {}
        out = np.zeros(clock.samples)
        for turn, hit in enumerate(hits):
            which = (turn % variants, hit.pitch)
            if which not in made:
                own = spec
                if hit.pitch:
                    own = replace(spec, tune_hz=spec.tune_hz * 2.0 ** (hit.pitch / 12))
                made[which] = stroke(own, clock.sample_rate_hz, noise)
            add(out, clock.at(hit.step), made[which], hit.velocity)
        return normal(out)

    return loop


def _played(spec: synth.Synth, hits: list[Hit], clock: Clock, noise: Rng) -> Audio:
    """Notes of a synthesiser on the circle; equal notes are made once."""
    made: dict[tuple[int, float], Audio] = {}
    out = np.zeros(clock.samples)
    for hit in hits:
        which = (hit.pitch, hit.length)
        if which not in made:
            held_s = hit.length * clock.step_s
            made[which] = synth.note(spec, hit.pitch, held_s, clock.sample_rate_hz, noise)
        add(out, clock.at(hit.step), made[which], hit.velocity)
    return normal(out)


def _acid(spec: acid.Acid, hits: list[Hit], clock: Clock, noise: Rng) -> Audio:
    return acid.line(spec, hits, clock)


def _unpitched(
    pattern: Callable[[Rng, int], list[Hit]],
) -> Callable[[Rng, Song], list[Hit]]:
    """A drum pattern whose strokes are all at the drum's own pitch."""
    return lambda rng, song: [replace(hit, pitch=0) for hit in pattern(rng, song.bars)]


def _in_key(pattern: Callable[..., list[Hit]]) -> Callable[[Rng, Song], list[Hit]]:
    return lambda rng, song: pattern(rng, song.key, song.bars)


def _kick(rng: Rng, song: Song) -> list[Hit]:
    return patterns.kick_pattern(rng, song.bars, song.kick_feel)


def _below_kick(rng: Rng, song: Song) -> list[Hit]:
    """The rumble answers each beat, whether or not the kick leaves one out."""
    return patterns.repeated([Hit(step, 1.0) for step in (0, 4, 8, 12)], song.bars)


def _toms(rng: Rng, song: Song) -> list[Hit]:
    return patterns.scattered(rng, song.bars)


scattered = _unpitched(patterns.scattered)
offbeats = _unpitched(patterns.offbeats)
sixteenths = _unpitched(patterns.sixteenths)
backbeat = _unpitched(patterns.backbeat)
metal = _struck(percussion.metal, 3)
skin = _struck(percussion.skin, 2)
bell = _struck(percussion.bell, 1)

INSTRUMENTS: dict[str, Instrument] = {
    "kick": Instrument(drums.draw_kick, _kick, _struck(drums.kick, 1), (-1, 0), (0, 0.02)),
    "rumble": Instrument(noises.draw_rumble, _below_kick, noises.rumble, (-13, -6), (0, 0),
                         ducked=True),
    "clap": Instrument(drums.draw_clap, backbeat, _struck(drums.clap, 3), (-12, -5), (0.03, 0.3),
                       (0, 0.1), 0.1, 0.4),
    "snare": Instrument(drums.draw_snare, backbeat, _struck(drums.snare, 2), (-12, -4),
                        (0.02, 0.25), pan=0.1, width=0.2),
    "hat_closed": Instrument(percussion.draw_closed_hat, sixteenths, metal, (-20, -9), pan=0.3),
    "hat_open": Instrument(percussion.draw_open_hat, offbeats, metal, (-20, -10), pan=0.3,
                           width=0.2),
    "ride": Instrument(percussion.draw_ride, offbeats, metal, (-22, -13), pan=0.4, width=0.3),
    "shaker": Instrument(percussion.draw_shaker, sixteenths, metal, (-22, -13), pan=0.5),
    "rim": Instrument(percussion.draw_rim, scattered, skin, (-16, -7), (0, 0.3), (0, 0.25), 0.5),
    "tom": Instrument(percussion.draw_tom, _toms, skin, (-13, -6), (0, 0.2), (0, 0.1), 0.4),
    "conga": Instrument(percussion.draw_conga, _toms, skin, (-15, -8), (0, 0.25), (0, 0.2), 0.5),
    "cowbell": Instrument(percussion.draw_cowbell, scattered, bell, (-20, -12), (0, 0.2),
                          pan=0.4),
    "blip": Instrument(percussion.draw_blip, _toms, bell, (-19, -10), (0, 0.4), (0, 0.5), 0.7),
    "bass": Instrument(synth.draw_bass, _in_key(lines.bass_line), _played, (-11, -4), (0, 0.02),
                       ducked=True),
    "acid": Instrument(acid.draw_acid, _in_key(lines.acid_line), _acid, (-12, -4), (0, 0.1),
                       (0, 0.3), 0.1, ducked=True),
    "stab": Instrument(synth.draw_stab, _in_key(lines.stab_line), _played, (-14, -6), (0.02, 0.4),
                       (0.05, 0.6), 0.2, 0.6, True),
    "arp": Instrument(synth.draw_arp, _in_key(lines.arp_line), _played, (-17, -9), (0.02, 0.3),
                      (0.05, 0.5), 0.4, 0.3, True),
    "pad": Instrument(synth.draw_pad, _in_key(lines.pad_line), _played, (-20, -11), (0.05, 0.4),
                      width=0.8, ducked=True),
    "texture": Instrument(noises.draw_texture, scattered, noises.texture, (-34, -18), (0, 0.2),
                          width=0.8, ducked=True),
}
