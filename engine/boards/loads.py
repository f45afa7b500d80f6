"""What a method asks of a board: time for arithmetic and reading, as shares of one core."""

from __future__ import annotations

from dataclasses import dataclass

from engine.boards.board import Board, Range
from engine.boards.placement import Placement, passes
from engine.boards.work import Task, Work

ZERO = Range(0.0, 0.0)


@dataclass(frozen=True)
class Loads:
    """Shares of one core. Arithmetic and reading may overlap: the whole lies between the larger of
    both per operation and their sum."""

    arithmetic: Range
    one_frame: Range  # part of the arithmetic, in layers that run one frame at a time
    reading: Range
    whole: Range
    bytes_read_per_second: Range


def times(loads: Loads, streams: int) -> Loads:
    """Of streams side by side: each goes through all operations, and reads the weights anew."""
    return Loads(*(r.scaled(streams) for r in (loads.arithmetic, loads.one_frame, loads.reading,
                                               loads.whole, loads.bytes_read_per_second)))


@dataclass(frozen=True)
class Traffic:
    """Weights that are read from one memory."""

    memory: str
    bytes_per_second: Range
    share: Range  # of what the memory can give


def loads_of(task: Task, board: Board, dtype: str, call: int, plan: Placement) -> Loads:
    memories = {memory.name: memory.reads for memory in board.memories}
    calls = task.sample_rate_hz / call
    arithmetic, alone, reading, whole, amount = [], [], [], [], []
    for i, work in enumerate(task.works):
        time = arithmetic_of(work, board, dtype, calls)
        read = _read(task, i, board, dtype, calls)
        speed = memories.get(plan.weights_in[i], board.memories[-1].reads)
        spent = Range(read.low / speed.high, read.high / speed.low)
        arithmetic.append(time)
        alone.append(time if _runs_one_frame(work, calls) else ZERO)
        reading.append(spent)
        amount.append(read)
        whole.append(Range(max(time.low, spent.low), time.high + spent.high))
    return Loads(*map(total, (arithmetic, alone, reading, whole, amount)))


def arithmetic_of(work: Work, board: Board, dtype: str, calls: float) -> Range:
    """Seconds per second: dense MACs at their own rate, all else in counted instructions. Of what
    has few outputs less is sure."""
    dtype = work.format(dtype)
    kernels, macs, dense = board.kernels[dtype], work.macs_per_second, 0.0
    calls = work.calls(calls)
    rows = work.rows_per_second / calls
    single = 1.0 if work.row_by_row else rows % board.tile_frames / rows if rows else 0.0
    instructions = (work.act_per_second * kernels.act + work.by_itself_per_second * kernels.row
                    + (kernels.call * calls if macs or work.by_itself_per_second else 0.0))
    if work.numbers_per_second:
        instructions += work.rows_per_second * kernels.frame
    if work.depthwise:
        each = _mix(single, kernels.depthwise_number_once, kernels.depthwise_number)
        instructions += macs * _mix(single, kernels.depthwise_once, kernels.depthwise)
    else:
        each = kernels.number
        dense = macs * _mix(single, kernels.mac_once, kernels.mac) / kernels.mac
    instructions += work.numbers_per_second * each
    spent = total([board.macs[dtype].inverse(dense), board.instructions.inverse(instructions)])
    return Range(spent.low, spent.high * _narrow(work, board))


def _narrow(work: Work, board: Board) -> float:
    """What the upper end is to be multiplied with where a convolution has few outputs."""
    return next((more for most, more in board.narrow if 0 < work.outputs <= most), 1.0)


def _mix(single: float, once: float, tiled: float) -> float:
    """Frames come singly to that share."""
    return single * once + (1 - single) * tiled


def _read(task: Task, index: int, board: Board, dtype: str, calls: float) -> Range:
    """Bytes of an operation's weights that are read per second."""
    size = task.works[index].weights_bytes(dtype)
    return Range(size * task.works[index].calls(calls), size * passes(task, index, calls, board))


def traffic_of(
    task: Task, board: Board, dtype: str, call: int, plan: Placement, streams: int = 1
) -> tuple[Traffic, ...]:
    """What each memory has to give, against what it can."""
    found = []
    for memory in board.memories:
        read = total([_read(task, i, board, dtype, task.sample_rate_hz / call)
                       for i, name in enumerate(plan.weights_in) if name == memory.name]
                     ).scaled(streams)
        found.append(Traffic(memory.name, read, Range(read.low / memory.reads.high,
                                                      read.high / memory.reads.low)))
    return tuple(found)


def total(ranges: list[Range]) -> Range:
    return Range(sum(r.low for r in ranges), sum(r.high for r in ranges))


def _runs_one_frame(work: Work, blocks_per_second: float) -> bool:
    return work.rows_per_second <= 1.5 * work.calls(blocks_per_second)


def one_frame_macs(task: Task, call: int) -> float:
    calls = task.sample_rate_hz / call
    return sum(w.macs_per_second for w in task.works if _runs_one_frame(w, calls))


