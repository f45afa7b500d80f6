"""Will it run? A method on a board: arithmetic, memory, the reading of weights, load and verdict.

Nothing here is measured: every load is modelled from counted work and the ranges in
`engine/boards/board.py`, and says so wherever it is printed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

from engine.boards.board import Board, Instrument, Range, board_named
from engine.boards.loads import (
    Loads,
    Traffic,
    loads_of,
    one_frame_macs,
    times,
    total,
    traffic_of,
)
from engine.boards.placement import Placement, place
from engine.boards.schedule import RATE_LIMIT, filter_taps, reduced, schedule
from engine.boards.strokes import AHEAD_ROWS, BURST_ROWS, Strokes, strokes
from engine.boards.work import Task, task_of_model
from engine.errors import ConfigError, TudorError, nearest
from engine.ops import DTYPES

if TYPE_CHECKING:
    from engine.models.base import Model

FITS, UNCERTAIN, TOO_MUCH = "fits", "uncertain", "does not fit"
# Slices cost a little more in all (more is set up), and no two are even. Counted on an emulated
# Cortex-M7 in the instrument, the worst over an even one: techno-daisy 1.08, techno-tiny 1.22.
SLICED = Range(1.05, 1.25)
STRUCK_HIGH = 1.5  # of a burst, in which a row's `resynth` cannot be cut: counted 1.5 on `drums`


@dataclass(frozen=True)
class Spread:
    """How calls of the model meet callbacks."""

    call_samples: int  # played at once, at the model's rate
    slices: int  # that a call's work is cut into
    most: int  # of them in one callback
    rate_hz: int  # of callbacks
    block_samples: int
    latency_samples: int  # at that rate, lookahead included
    strike_samples: int = 0  # from a gate that strikes to its sound; 0: none does
    strokes: Strokes | None = None  # of a drum voice whose clock begins anew at each gate
    ahead_samples: int = 0  # from a gate to its sound, where that was made ahead

    def share(self, sample_rate_hz: int) -> float:
        """What the busiest callback has to do, over the mean of all."""
        callback = self.block_samples / self.rate_hz
        return self.most / self.slices * self.call_samples / sample_rate_hz / callback


@dataclass(frozen=True)
class Fit:
    """The answer and everything it rests on."""

    model: str
    method: str
    target: str
    dtype: str
    sample_rate_hz: int
    spread: Spread
    macs_per_second: float
    one_frame_macs_per_second: float
    loads: Loads
    instrument: Range | None  # share of a callback's time that all around the model takes
    worst_callback: Range  # that the busiest one takes, instrument and model
    worst_in_one_piece: Range | None  # the same if no weights lay apart from their file, as some do
    load_limit: float
    lookahead_samples: int
    placement: Placement
    traffic: tuple[Traffic, ...]
    problems: tuple[str, ...]
    verdict: str
    streams: int = 1  # 2: played twice side by side, the loads and the state are of both

    @property
    def latency_ms(self) -> float:
        """Lookahead, waiting for a call's samples, spreading its work, converting rates."""
        return 1000 * self.spread.latency_samples / self.spread.rate_hz

    @property
    def strike_ms(self) -> float | None:
        """From a gate to its sound, on the board; None where none strikes."""
        samples = self.spread.strike_samples
        return 1000 * samples / self.spread.rate_hz if samples else None

    @property
    def strike_text(self) -> str:
        """The same in words; "" where none strikes."""
        ahead = 1000 * self.spread.ahead_samples / self.spread.rate_hz
        made = f", {ahead:.1f} ms where it was made ahead" if ahead else ""
        return f"{self.strike_ms:.1f} ms{made}" if self.strike_ms else ""

    @property
    def jack_ms(self) -> float | None:
        """About, from one jack to another: with the blocks that wait in front of and behind the
        instrument, and the converters. None where a host plays the model."""
        instrument = board_named(self.target).instrument
        return jack_to_jack_ms(self.latency_ms, self.spread.block_samples, instrument)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"figures": "modelled, not measured", **asdict(self), "latency_ms": self.latency_ms,
                "jack_ms": self.jack_ms, "strike_ms": self.strike_ms}


def fit(task: Task, target: str, dtype: str | None = None, block: int | None = None,
        streams: int = 1) -> Fit:
    """Model `task` on the board called `target`. `dtype`: number format, else that of the file, or
    float32; `block`: samples per callback; `streams`: 2 for stereo by two instances."""
    board = board_named(target)
    dtype = dtype or task.dtype or "float32"
    if dtype not in DTYPES:
        raise ConfigError(f"unknown dtype {dtype!r}{nearest(dtype, DTYPES)}")
    block = board.block_samples if block is None else block
    if block < 1:
        raise ConfigError(f"a block has at least one sample, got {block}")
    spread = spread_of(task, board.instrument, block, streams)
    call = spread.call_samples
    most = call * BURST_ROWS if spread.strokes else call
    plan = place(task, board, dtype, most, streams=streams)
    loads = times(loads_of(task, board, dtype, call, plan), streams)
    around = around_model(task, board, spread, streams)

    def worst_of(plan: Placement) -> Range:
        each, several = (times(loads_of(task, board, dtype, at_once, plan), streams)
                         for at_once in (call, most))
        return busiest(each, task.sample_rate_hz, spread, around, several)

    worst, whole = worst_of(plan), None
    if plan.apart:
        whole = worst_of(place(task, board, dtype, most, in_one_piece=True, streams=streams))
    problems = tuple(_problems(task, board, dtype, plan))
    return Fit(
        task.model, task.method, board.name, dtype, task.sample_rate_hz, spread,
        streams * task.macs_per_second, streams * one_frame_macs(task, call), loads,
        around, worst, whole, board.load_limit, task.lookahead_samples, plan,
        traffic_of(task, board, dtype, call, plan, streams), problems,
        _verdict(worst, board.load_limit, problems), streams,
    )


def spread_of(task: Task, instrument: Instrument | None, block: int, streams: int = 1) -> Spread:
    """The instrument's even spread at its codec's rate; elsewhere a host plays what is complete,
    over as many callbacks as fit into a frame."""
    if instrument is None:
        call, slices = task.call_samples(block), max(1, task.frame_samples // block)
        return Spread(call, slices, 1, task.sample_rate_hz, block,
                      task.lookahead_samples + call - 1 + (slices - 1) * block)
    up, down = reduced(task.sample_rate_hz, instrument.rate_hz)
    converting = filter_taps(down, up, instrument.taps) // 2 if up != down else 0
    behind = (converting * down + up // 2) // up + instrument.limiter_samples
    if task.struck and task.struck.by_itself:
        own = strokes(task.frame_samples, task.struck, streams, instrument.burst_macs, (up, down),
                      instrument.rate_hz)
        late = own.delay_samples + behind
        most = ceil(own.slices * block / own.row_samples)
        ahead = own.fade_samples + behind if instrument.ahead else 0
        return Spread(task.frame_samples, own.slices, most, instrument.rate_hz, block, late, late,
                      own, ahead)
    plan = schedule(task.frame_samples, block, up, down)
    late = ((task.lookahead_samples + plan.prime_samples) * down + up // 2) // up + behind
    if up != down:  # half of each filter
        late += filter_taps(up, down, instrument.taps) // 2
    ahead = task.struck.lead * task.frame_samples if task.struck else 0
    strike = ((ahead + plan.prime_samples) * down + up // 2) // up + behind if ahead else 0
    return Spread(plan.frame_samples, plan.slices, plan.most, instrument.rate_hz, block, late,
                  strike)


def around_model(task: Task, board: Board, spread: Spread, streams: int = 1) -> Range | None:
    """Share of a callback's time: counted instructions, modelled cycles for each."""
    instrument = board.instrument
    if instrument is None:
        return None
    block, taps = spread.block_samples, 0.0
    up, down = reduced(task.sample_rate_hz, instrument.rate_hz)
    if up != down:  # each number that a filter puts out takes one phase of it
        taps = (block * up / down * filter_taps(up, down, instrument.taps)
                + block * filter_taps(down, up, instrument.taps))
    each = instrument.callback + instrument.sample * block + instrument.tap * taps
    each += (streams - 1) * (instrument.channel * block + instrument.tap * taps)
    return board.instructions.inverse(each * instrument.rate_hz / block)


def busiest(loads: Loads, sample_rate_hz: int, spread: Spread, around: Range | None,
            several: Loads) -> Range:
    """Share of its time that the busiest callback takes. `several`: of rows that are made at once,
    as at a gate."""
    even = loads.whole.scaled(spread.share(sample_rate_hz))
    if spread.strokes:
        spread_s = max(spread.strokes.delay_samples, spread.block_samples) / spread.rate_hz
        made_s = spread.strokes.rows * spread.call_samples / sample_rate_hz
        burst = several.whole.scaled(made_s / spread_s)
        cut = spread.strokes.delay_samples > spread.block_samples
        uneven = STRUCK_HIGH / SLICED.high if cut else 1.0
        more = 1 + 1 / AHEAD_ROWS if spread.ahead_samples else 1.0
        even = Range(max(even.low * more, burst.low), max(even.high * more, burst.high * uneven))
    if spread.slices > 1:
        even = Range(even.low * SLICED.low, even.high * SLICED.high)
    return total([even, around]) if around else even


def _problems(task: Task, board: Board, dtype: str, plan: Placement) -> list[str]:
    """What no amount of speed would mend."""
    found = [plan.shortage] if plan.shortage else []
    lacking = [f"{w.name} ({w.kind})" for w in task.works if dtype not in w.dtypes]
    if lacking:
        able = " or ".join(d for d in DTYPES if all(d in w.dtypes for w in task.works))
        found.append(f"{dtype} cannot run {', '.join(lacking[:3])}; use {able}")
    if board.instrument and not _converts(task, board.instrument):
        found.append(f"{task.sample_rate_hz} Hz and its codec's {board.instrument.rate_hz} Hz have "
                     "too little in common to be converted")
    return found


def _converts(task: Task, instrument: Instrument) -> bool:
    up, down = reduced(task.sample_rate_hz, instrument.rate_hz)
    numbers = (filter_taps(up, down, instrument.taps) * up
               + filter_taps(down, up, instrument.taps) * down)
    return up == down or (max(up, down) <= RATE_LIMIT and 4 * numbers <= instrument.filter_bytes)


def _verdict(worst: Range, limit: float, problems: tuple[str, ...]) -> str:
    if problems or worst.low > limit:
        return TOO_MUCH
    return FITS if worst.high <= limit else UNCERTAIN


def percent(load: Range) -> str:
    """A load for people: 12-18 %."""
    low, high = 100 * load.low, 100 * load.high
    if high < 10:
        return f"{low:.1f}-{high:.1f} %"
    return f"{low:.0f}-{high:.0f} %" if ceil(low) < high else f"{high:.0f} %"


def jack_to_jack_ms(latency_ms: float, block: int, instrument: Instrument | None) -> float | None:
    """What of a model's latency on a board is heard between its jacks."""
    if instrument is None:
        return None
    converters = (instrument.converters_ms.low + instrument.converters_ms.high) / 2
    return latency_ms + 1000 * instrument.buffers * block / instrument.rate_hz + converters


def summary(found: Fit) -> str:
    """The answer in one line, with its figures."""
    text = (f"{found.model} ({found.method}, {found.dtype}"
            f"{', two instances' if found.streams == 2 else ''}) on {found.target}: "
            f"{found.verdict}; "
            f"modelled load of the busiest callback {percent(found.worst_callback)} of one core, "
            f"limit {100 * found.load_limit:.0f} %; {found.macs_per_second / 1e6:.1f} MMAC/s, "
            f"weights {found.placement.weights_bytes // 1024} KiB")
    apart = sum(i.bytes for i in found.placement.items if i.what.startswith("weights"))
    if found.placement.apart:
        text += f", {apart // 1024} KiB of them in quicker memories than the file"
    if found.jack_ms:
        text += f"; jack to jack about {found.jack_ms:.0f} ms"
    if found.strike_ms:
        text += f"; gate to sound {found.strike_text}"
    return "; ".join([text, *found.problems])


def require_fit(model: Model, target: str, dtype: str = "float32", name: str = "the model",
                block: int | None = None) -> Fit:
    """Refuse a model that cannot run on `target`; one that might is let through."""
    found = fit(task_of_model(model, name), target, dtype, block)
    if found.verdict == TOO_MUCH:
        raise TudorError(f"{summary(found)}. `tudor fit` shows where it goes; make it smaller "
                         "(widths, dilations, sample_rate_hz) or choose another --target")
    return found


def largest(
    tasks: Iterable[Task], target: str, dtype: str | None = None, block: int | None = None
) -> tuple[str, str] | None:
    """Name and number format of the costliest of `tasks` that fits. Without `dtype` each is tried,
    the most exact that fits first."""
    fitting = []
    for task in tasks:
        tried = (fit(task, target, d, block) for d in ([dtype] if dtype else DTYPES))
        found = next((f for f in tried if f.verdict == FITS), None)
        if found:
            fitting.append((found.macs_per_second, found.model, found.dtype))
    return max(fitting)[1:] if fitting else None
