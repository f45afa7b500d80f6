"""`rtf-bench --device m7|aarch64 --instrument`: instructions of a whole callback of the instrument
(firmware/common) around a native file, and of its parts, counted in an emulator.

Every part is counted in a run of its own, so that counting disturbs nothing else. Controls move in
every callback, as converters' noise moves them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engine.boards.board import board_named
from engine.boards.schedule import reduced
from engine.description import DECODE, EFFECT, ENCODE
from engine.errors import ConfigError
from engine.players.native_model import NativeFile
from firmware.host.build import target_named
from firmware.simulate_rack import count_rack, events

BOARD_HZ = 48000
SETTLED_MS = 160  # the model has faded in
COUNTED_MS = 48  # at least, and whole frames
WAYS = {"effect": "knob1 wet\nknob2 output\ncv1 input\n",
        "bend": "knob1 latent 1\nknob2 latent 2\nknob3 swap\nknob4 wet\n"
                "cv1 latent 3\ncv2 latent 4\ncv3 spread 1\ncv4 spread 2\n"}
ROLES_OF = {"effect": (EFFECT,), "bend": (ENCODE, DECODE)}
# What is counted, and what of it is counted apart (rack_counts.c).
PARTS = ("block", "player", "model", "ops", "input", "controls", "attributes", "latents", "mix",
         "output")


@dataclass(frozen=True)
class Part:
    """Instructions per callback."""

    name: str
    average: float
    worst: float


@dataclass(frozen=True)
class InstrumentCounts:
    """A callback's instructions. `parts` add up to the callback."""

    file: str
    device: str
    way: str
    block_samples: int
    sample_rate_hz: int
    slices: int
    callback: Part
    model: Part  # calls of the runtime
    parts: list[Part]

    @property
    def around_model(self) -> float:
        """Instructions per callback of everything but the model."""
        return self.callback.average - self.model.average

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"figures": "instructions counted in an emulator, not time", **asdict(self),
                "around_model": self.around_model}


def count_instrument(
    device: str, path: Path, way: str = "effect", block: int = 48,
    say: Callable[[str], None] = lambda _: None,
) -> InstrumentCounts:
    """Count callbacks of `block` samples at 48 kHz, one channel in and out."""
    target, file = target_named(device), NativeFile(path)
    if way not in WAYS:
        raise ConfigError(f"unknown way {way!r}; it is one of {', '.join(WAYS)}")
    frames = [spec.frame_samples for name, spec in file.methods.items()
              if file.roles[name] in ROLES_OF[way]]
    if not frames:
        raise ConfigError(f"{path} has no method for the way {way!r}")
    up, down = reduced(file.sample_rate_hz, BOARD_HZ)
    period = lcm(max(frames) * down, block * up) // (block * up)  # callbacks
    per_ms = BOARD_HZ / 1000 / block
    settled = round(SETTLED_MS * per_ms)
    counted = -(-round(COUNTED_MS * per_ms) // period) * period
    found: dict[str, Part] = {}
    facts: dict[str, str] = {}
    for part in PARTS:
        say(f"{path.name}: instructions of the instrument, {part}")
        calls, facts = count_rack(target, path.read_bytes(), part, f"way {way}\n{WAYS[way]}",
                                  _noise(block * (settled + counted)),
                                  _moves(block, settled + counted), settled, block=block)
        found[part] = _part(part, calls, counted)
    if facts["state"] != "1" or facts["faults"] != "0":
        raise ConfigError(f"{path} did not play in the instrument")
    return InstrumentCounts(str(path), device, way, block, file.sample_rate_hz,
                            int(facts["slices"]), found["block"], found["model"],
                            _apart(found))


def _noise(samples: int) -> NDArray[np.float32]:
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal((1, samples))
    return (0.25 * noise).astype(np.float32)


def _moves(block: int, callbacks: int) -> NDArray[np.void]:
    """Four knobs and four CVs move in every callback."""
    values = np.random.Generator(np.random.PCG64(2)).random((callbacks, 8))
    rows = [(c * block / BOARD_HZ, "knob" if i < 4 else "cv", i % 4, float(values[c, i]))
            for c in range(callbacks) for i in range(8)]
    return events(rows, BOARD_HZ)


def _part(name: str, calls: NDArray[np.int64], callbacks: int) -> Part:
    """A part may run several times in a callback, or, once a frame, in some only."""
    total = float(calls.sum())
    if calls.size and calls.size % callbacks == 0:
        return Part(name, total / callbacks, float(calls.reshape(callbacks, -1).sum(1).max()))
    if calls.size == 1:  # a sum of all
        return Part(name, total / callbacks, total / callbacks)
    return Part(name, total / callbacks, float(calls.max()) if calls.size else 0.0)


def _apart(found: dict[str, Part]) -> list[Part]:
    """What is in no other part."""
    mean = {name: part.average for name, part in found.items()}
    inside = ("model", "controls", "attributes", "latents")  # of a player's turn
    rates = mean["player"] - sum(mean[name] for name in inside)
    outside = ("player", "input", "mix", "output")
    rest = mean["block"] - sum(mean[name] for name in outside)
    calls = mean["model"] - mean["ops"]
    named = {"input": "input, trim, dry delay", "controls": "controls", "mix": "dry and wet",
             "attributes": "attributes", "latents": "latents",
             "output": "DC blocker, limiter"}
    return [Part("  operations of the model", mean["ops"], found["ops"].worst),
            Part("  cutting slices, loading, storing", calls, calls),
            Part("rate conversion, queues", rates, rates),
            *(Part(title, mean[name], found[name].worst) for name, title in named.items()),
            Part("load, status, slots", rest, rest)]


def print_instrument(counts: InstrumentCounts, console: Console) -> None:
    """One table."""
    budget = board_named("daisy").clock_hz * counts.block_samples / BOARD_HZ
    table = Table(title=f"instrument as {counts.way}, {counts.slices} slices a frame: "
                  f"instructions per callback of {counts.block_samples} samples at 48 kHz",
                  title_justify="left")
    for i, column in enumerate(("part", "average", "worst", f"over {budget:.0f} cycles")):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    for part in (counts.callback, counts.model, *counts.parts):
        table.add_row(*_row(part, budget, counts.device))
    console.print(table)


def _row(part: Part, budget: float, device: str) -> tuple[str, ...]:
    title = {"block": "whole callback", "model": "calls of the runtime"}.get(part.name, part.name)
    share = f"{100 * part.average / budget:.1f} %" if device == "m7" else "-"
    return title, f"{part.average:.0f}", f"{part.worst:.0f}", share
