"""Methods that play loops from conditions of place and tempo, in fewer bits.

    conditions    made-up codes at several tempi, in turn: phase runs, knobs and styles stand
                  anywhere in their ranges, bars vary or not; held out: other codes, tempi, knobs
    decode        latents that the coder inside makes of audio; of a model that hears none, those
                  that it makes itself
    feeding back  a loop that goes on from numbers, without a draw, is played by the float32 model
                  in the C runtime, and what it made is noted: both versions then go on from there
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.description import Method
from engine.errors import TudorError
from engine.models.loops_parts import RANGES
from engine.players.base import load
from engine.scores.loops import PHASE, TEMPO, bar_seconds, code_places, made_up_code
from engine.scores.loops import conditions as bars_of
from export.native.forced import Forced, end_of
from export.native.nodes import Program
from export.native.simulate import Simulator
from export.quantise.recordings import CALIBRATION_SECONDS, HELD_OUT_SECONDS, FloatArray
from export.quantise.sensitivity import SAME_DB, decibels, error_ratio

PIECES = 8  # each with a code and a tempo of its own
SLOWEST_BPM, FASTEST_BPM = 90.0, 180.0
CALIBRATION_SEED, HELD_OUT_SEED = 2000, 3000
USUAL_EVERY = 4  # so many pieces one has its knobs in the middle


def loop_conditions(spec: Method, rate_hz: int, held_out: bool, most_frames: int) -> FloatArray:
    """What a method that plays loops hears [in_channels, frames], `most_frames` at most."""
    seconds = HELD_OUT_SECONDS if held_out else CALIBRATION_SECONDS
    row_seconds = spec.in_ratio / rate_hz
    each = max(1, ceil(min(most_frames, seconds / row_seconds) / PIECES))
    seed = HELD_OUT_SEED if held_out else CALIBRATION_SEED
    rng = np.random.default_rng(seed)
    count = len(code_places(spec.input_labels))
    settings = {label: _settings(label, rng) for label in spec.input_labels
                if label in RANGES and label not in (PHASE, TEMPO)}
    parts = []
    for number in range(PIECES):
        bpm = float(rng.uniform(SLOWEST_BPM, FASTEST_BPM))
        part = bars_of(spec.input_labels, spec.in_ratio, rate_hz,
                       each * row_seconds / bar_seconds(bpm), bpm,
                       made_up_code(count, seed + number), float(rng.integers(0, 16)) / 4)
        for at, label in enumerate(spec.input_labels):
            if label in settings:
                part[at] = settings[label][number]
        parts.append(part[:, :each])
    whole = np.concatenate(parts, axis=1)
    return np.ascontiguousarray(whole[:, : whole.shape[1] // spec.in_frames * spec.in_frames])


def _settings(label: str, rng: np.random.Generator) -> FloatArray:
    """What a condition stands at in each piece: as usual in some, elsewhere all over its range.
    A range from 0 on is that of a switch."""
    low, high = RANGES[label]
    if low == 0:
        return np.where(np.arange(PIECES) % 2, high, low).astype(np.float32)
    places = (rng.permutation(PIECES) + rng.random(PIECES)) / PIECES
    places[::USUAL_EVERY] = 0.5
    return (low + (high - low) * places).astype(np.float32)


@torch.no_grad()
def both(program: Program, attributes: Mapping[str, Tensor], heard: Forced
         ) -> tuple[Tensor, Tensor]:
    """What the float32 and the quantised model make after the same past: rows of the loop, or what
    layers behind it make of them."""
    exact = Simulator(program, attributes, dtype=torch.float32).run(heard)
    return exact, Simulator(program, attributes, annotated=True).run(heard)


@torch.no_grad()
def check_rows(program: Program, method: str, attributes: Mapping[str, Tensor], heard: Forced,
               path: Path) -> None:
    """The figures come from a simulation: told what the file made (`heard`) while it played by
    itself, the simulated model must make the same, and the same of it behind the loop."""
    end = end_of(program)
    assert end is not None
    played = Simulator(program, attributes, annotated=True)
    played.run(heard)
    output = torch.from_numpy(load(path).process(method, heard.x.numpy()))
    same = {"goes on": error_ratio(heard.drawn, played.made(end)),
            "puts out": error_ratio(output, played.real(program.output))}
    for what, noise in same.items():
        if decibels(1.0, noise) < SAME_DB:
            raise TudorError(f"{method}: the file {what} otherwise than its own arithmetic says "
                             f"(SNR {decibels(1.0, noise):.1f} dB); please report this")
