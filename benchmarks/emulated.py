"""`rtf-bench --device m7|aarch64`: instructions per sample of a native file, counted, not timed.

The counts are exact and repeat exactly, for the same program, file and input. They are not time:
how many cycles an instruction takes depends on caches and memories that no emulator here imitates.
A load on a 480 MHz Daisy is modelled from them with a range of cycles per instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import ceil, lcm
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from engine.boards.board import Range, board_named
from engine.boards.fit import percent
from engine.boards.work import FORMATS
from engine.errors import ConfigError
from engine.players.native_model import MethodInfo, NativeFile, OpInfo
from firmware.host.build import Target, target_named
from firmware.host.play import Played, play

DEVICES = ("m7", "aarch64")
CALLBACK_SAMPLES = 48
CALLS = 4  # per figure: counts hardly differ from call to call
MOST_CALLBACKS = 16  # that share one call's work


@dataclass(frozen=True)
class BlockCount:
    """Whole blocks of one size."""

    block_samples: int
    per_sample: float
    per_mac: float
    worst_call: int
    load: Range | None  # modelled


@dataclass(frozen=True)
class SpreadCount:
    """Callbacks of 48 samples that share the work of longer calls."""

    callback_samples: int
    call_samples: int
    slices: int
    added_latency_samples: int
    average: float  # instructions per callback
    worst: int
    load: Range | None
    worst_load: Range | None


@dataclass(frozen=True)
class OpCount:
    """One operation, in blocks of the first size."""

    name: str
    kind: str
    per_sample: float
    share: float
    per_mac: float | None


@dataclass(frozen=True)
class Counts:
    """Everything that was counted of a file."""

    file: str
    device: str
    isa: str
    method: str
    sample_rate_hz: int
    dtype: str
    macs_per_sample: float
    cycles_per_instruction: Range | None  # modelled
    blocks: list[BlockCount]
    spreads: list[SpreadCount]
    ops: list[OpCount]

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the assumptions behind modelled figures."""
        return {"figures": "instructions counted in an emulator, not time; loads are modelled",
                "assumptions": assumptions(self.cycles_per_instruction), **asdict(self)}


class _Counter:
    """Plays one file on one target and turns what was counted into figures."""

    def __init__(self, target: Target, path: Path, method: str | None) -> None:
        file = NativeFile(path)
        method = file.chosen(method)
        self.target, self.data, self.method = target, path.read_bytes(), method
        self.spec, self.rate_hz = file.methods[method], file.sample_rate_hz
        self.macs = [op.macs / self.spec.frame_samples for op in file.ops(method)]
        self.table = file.ops(method)
        self.clock_hz = board_named("daisy").clock_hz

    def run(self, frames: int, count: str, slices: int = 0) -> Played:
        x = signal(self.spec, frames * CALLS)
        return play(self.target, self.data, x, method=self.method, frames=(frames,),
                    slices=slices, count=count)

    @cached_property
    def cycles(self) -> Range | None:
        """Modelled cycles per instruction; integer sums pair better than the rest, by their share
        of the instructions of one frame."""
        board = board_named("daisy")
        plain, paired = board.cycles_per_instruction, board.cycles_per_integer
        if self.target.name != "m7" or plain is None or paired is None:
            return None
        tallies = self.run(1, "ops").ops
        total = sum(tally.total for tally in tallies.values()) / CALLS
        sums = sum(min(tallies[i].total / CALLS, op.macs * board.kernels["q16x8"].mac_once)
                   for i, op in enumerate(self.table)
                   if op.kind == "conv" and FORMATS[op.dtype] == "q16x8")
        share = sums / total
        return Range(share * paired.low + (1 - share) * plain.low,
                     share * paired.high + (1 - share) * plain.high)

    def load(self, instructions: float, samples: int) -> Range | None:
        """Modelled share of a Daisy's core for so many instructions in the time of `samples`."""
        if self.cycles is None:
            return None
        return self.cycles.scaled(instructions * self.rate_hz / samples / self.clock_hz)

    def block(self, block: int) -> BlockCount:
        frames = ceil(block / self.spec.frame_samples)
        size = frames * self.spec.frame_samples
        calls = self.run(frames, "calls").calls
        assert calls is not None
        each = calls.total / calls.calls / size
        return BlockCount(size, each, each / max(sum(self.macs), 1e-9), calls.worst,
                          self.load(each * size, size))

    def spread(self, frames: int, slices: int) -> SpreadCount:
        size = frames * self.spec.frame_samples
        calls = self.run(frames, "calls", slices).calls
        assert calls is not None
        average = calls.total / CALLS / size * CALLBACK_SAMPLES
        return SpreadCount(CALLBACK_SAMPLES, size, slices, (slices - 1) * CALLBACK_SAMPLES,
                           average, calls.worst, self.load(average, CALLBACK_SAMPLES),
                           self.load(calls.worst, CALLBACK_SAMPLES))

    def ops(self, block: int) -> list[OpCount]:
        frames = ceil(block / self.spec.frame_samples)
        samples = frames * CALLS * self.spec.frame_samples
        tallies = self.run(frames, "ops").ops
        total = sum(tally.total for tally in tallies.values())
        return [
            OpCount(op.name, op.kind, tallies[i].total / samples, tallies[i].total / total,
                    tallies[i].total / samples / macs if macs else None)
            for i, (op, macs) in enumerate(zip(self.table, self.macs, strict=True))
        ]


def signal(spec: MethodInfo, frames: int) -> NDArray[np.float32]:
    """Reproducible noise, [channels, rows]."""
    rows = frames * spec.frame_samples // spec.in_ratio
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal((spec.in_channels, rows))
    return (0.25 * noise).astype(np.float32)


def spreads(frame_samples: int, callback: int = CALLBACK_SAMPLES) -> list[tuple[int, int]]:
    """Ways to spread work over callbacks: (frames per call, callbacks that share it).

    One frame over the callbacks that fit into it has the least latency. As many frames as end
    together with a callback are spread evenly."""
    ways = []
    if frame_samples > callback:
        ways.append((1, frame_samples // callback))
    together = lcm(frame_samples, callback)
    if together // callback <= MOST_CALLBACKS:
        ways.append((together // frame_samples, together // callback))
    if not ways:
        ways.append((ceil(callback / frame_samples), 1))
    return list(dict.fromkeys(ways))


def count_file(
    device: str, path: Path, method: str | None, blocks: Sequence[int],
    say: Callable[[str], None] = lambda _: None,
) -> Counts:
    """Count a native file in the emulator of `device`."""
    if path.suffix.lower() != ".tudor":
        raise ConfigError(f"{path}: --device {device} plays .tudor files; make one with "
                          "tudor export RUN --to native")
    counter = _Counter(target_named(device), path, method)
    say(f"{path.name}: building the program")
    isa = counter.run(1, "calls").facts["isa"]
    sizes = []
    for block in blocks:
        say(f"{path.name}: blocks of {block} samples")
        sizes.append(counter.block(block))
    say(f"{path.name}: callbacks of {CALLBACK_SAMPLES} samples")
    spread = [counter.spread(*way) for way in spreads(counter.spec.frame_samples)]
    say(f"{path.name}: each operation")
    return Counts(str(path), device, isa, counter.method, counter.rate_hz, _dtype(counter.table),
                  sum(counter.macs), counter.cycles,
                  list({b.block_samples: b for b in sizes}.values()), spread,
                  counter.ops(blocks[0]))


def _dtype(table: Sequence[OpInfo]) -> str:
    """The file's number format: that of weights which are not float32, if there are any."""
    return FORMATS[max((op.dtype for op in table), default=0)]


def assumptions(cycles: Range | None) -> str:
    """What a modelled load rests on."""
    daisy = board_named("daisy")
    if cycles is None:
        return "none: no load is modelled"
    return (f"a Daisy at {daisy.clock_hz / 1e6:.0f} MHz that takes {cycles.low:.2f}-"
            f"{cycles.high:.2f} cycles per instruction of this file, with weights and state in "
            "memories that keep up; weights in SDRAM add to it (tudor fit FILE --target daisy)")


def print_counts(counts: Counts, console: Console) -> None:
    """The tables, and what the figures are."""
    where = target_named(counts.device).title
    console.print(f"[bold]{Path(counts.file).name}[/] {counts.method} on {where}, {counts.isa} "
                  f"kernels, {counts.sample_rate_hz} Hz, {counts.macs_per_sample:.0f} MACs per "
                  "sample", highlight=False, soft_wrap=True)
    console.print(_blocks_table(counts))
    console.print(_spreads_table(counts))
    console.print(_ops_table(counts))
    text = ("Instructions were counted in an emulator, exactly repeatable; they are not time and "
            "say nothing about caches.")
    if counts.device == "m7":
        text += f" Loads are modelled: {assumptions(counts.cycles_per_instruction)}."
    console.print(text, highlight=False, soft_wrap=True, style="dim")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=True)
    return table


def _load(load: Range | None) -> str:
    return "-" if load is None else percent(load)


def _blocks_table(counts: Counts) -> Table:
    table = _table("instructions, whole blocks", "block", "per sample", "per MAC", "worst call",
                   "modelled Daisy load")
    for row in counts.blocks:
        table.add_row(str(row.block_samples), f"{row.per_sample:.1f}", f"{row.per_mac:.3f}",
                      str(row.worst_call), _load(row.load))
    return table


def _spreads_table(counts: Counts) -> Table:
    table = _table(f"instructions per callback of {CALLBACK_SAMPLES} samples, work spread",
                   "played at once", "over callbacks", "latency added", "average", "worst",
                   "modelled Daisy load", "of the worst")
    for row in counts.spreads:
        table.add_row(f"{row.call_samples} samples", str(row.slices),
                      f"{row.added_latency_samples} samples", f"{row.average:.0f}",
                      str(row.worst), _load(row.load), _load(row.worst_load))
    return table


def _ops_table(counts: Counts) -> Table:
    table = _table(f"instructions per operation, blocks of {counts.blocks[0].block_samples}",
                   "operation", "kind", "per sample", "share", "per MAC")
    for row in counts.ops:
        table.add_row(row.name, row.kind, f"{row.per_sample:.2f}", f"{100 * row.share:.1f} %",
                      "-" if row.per_mac is None else f"{row.per_mac:.3f}")
    return table
