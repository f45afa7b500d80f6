"""What lies in which memory of a board.

A board with caches has no choice: everything is in the smallest cache that holds all of it. On a
Daisy there is a choice, made here: scratch and state go to the fastest memory, then the model file
in one piece. A file that only the slowest memory has room for is read from there by halves: of the
methods that are played the weights that are read most often are copied to the quickest memories
that have room (firmware/daisy/apart.c makes the same plan).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from engine.boards.board import KIB, STATE_BYTES, Board, Memory
from engine.boards.work import Task

INSTANCE_BYTES = 4 * KIB  # slots, attributes
PLAN_BYTES = 168  # of each operation, where pointers have 4 bytes
RECORDS_BYTES = 40 * KIB  # of a file: records, texts, metadata
ALIGN = SPARE = 64  # bytes: where weights that lie apart begin, and what lies behind them
ROUNDING = 1e-6  # rates are no whole numbers, what is read in a call is
PARTS_LIMIT = 192  # of a file: APART_MOST of firmware/daisy/apart.h


@dataclass(frozen=True)
class Item:
    """Something in a memory."""

    memory: str
    what: str
    bytes: int


@dataclass(frozen=True)
class Placement:
    """Where everything lies. `weights_in`: for each operation, the memory of its weights."""

    items: tuple[Item, ...]
    weights_in: tuple[str, ...]
    weights_bytes: int
    file_bytes: int
    state_bytes: int
    scratch_bytes: int
    apart: bool  # weights lie in quicker memories than the file
    fits: bool
    shortage: str = ""


def place(
    task: Task, board: Board, dtype: str, call_samples: int, in_one_piece: bool = False,
    streams: int = 1,
) -> Placement:
    """Plan `task`, played in calls of `call_samples`. `in_one_piece`: no weights lie apart. Streams
    that are played side by side have a state each, and everything else together."""
    weights = task.weights_bytes(dtype)
    file_bytes = _file_bytes(task, dtype)
    scratch, state = (n * STATE_BYTES[dtype] for n in task.instance(call_samples))
    state = streams * state + INSTANCE_BYTES + PLAN_BYTES * task.operations
    if not board.placed:
        return _cached(task, board, (weights, file_bytes, state, scratch))
    room = {memory.name: memory.room_bytes for memory in board.memories}
    items: list[Item] = []
    for what, size in (("scratch", scratch), ("state", state)):
        _take(board.memories, room, items, what, size)
    # DTCM is left to scratch and state: a model file seldom fits there.
    name = _take(board.memories[1:], room, items, "model file", file_bytes)
    apart = not in_one_piece and name in ("", board.memories[-1].name)
    where = (_apart(task, board, room, items, dtype, call_samples) if apart
             else ("",) * len(task.works))
    lost = [item for item in items if not item.memory]
    shortage = "".join(f"{item.what} of {item.bytes} bytes finds no room; " for item in lost)
    if file_bytes > board.file_bytes:
        shortage += (f"a file of about {file_bytes // KIB} KiB is larger than the "
                     f"{board.file_bytes // KIB} KiB of flash for it; ")
    return Placement(tuple(items), tuple(found or name for found in where), weights, file_bytes,
                     state, scratch, any(where), not shortage, shortage.rstrip("; "))


def _file_bytes(task: Task, dtype: str) -> int:
    """Of the whole file; methods share weights, and others may have more than this one."""
    if task.file_bytes is not None and task.dtype == dtype:
        return task.file_bytes
    more = max(1.0, task.one_weights / task.weights) if task.weights else 1.0
    start = task.start_numbers * STATE_BYTES[dtype]
    return ceil(task.weights_bytes(dtype) * more) + start + RECORDS_BYTES


def _cached(task: Task, board: Board, sizes: tuple[int, int, int, int]) -> Placement:
    weights, file_bytes, state, scratch = sizes
    everything = weights + state + scratch
    memory = next((m for m in board.memories if everything <= m.room_bytes), None)
    name = memory.name if memory else board.memories[-1].name
    items = (Item(name, "weights", weights), Item(name, "state", state),
             Item(name, "scratch", scratch))
    shortage = "" if memory else f"{everything} bytes are more than its memory"
    return Placement(items, (name,) * len(task.works), weights, file_bytes, state, scratch, False,
                     memory is not None, shortage)


def _take(memories: tuple[Memory, ...], room: dict[str, int], items: list[Item], what: str,
          size: int) -> str:
    """The first memory with room, or "" when there is none."""
    name = next((m.name for m in memories if size <= room[m.name]), "")
    if name:
        room[name] -= size
    items.append(Item(name, what, size))
    return name


def _apart(task: Task, board: Board, room: dict[str, int], items: list[Item], dtype: str,
           call_samples: int) -> tuple[str, ...]:
    """For each operation the memory that its weights are copied to; "" where they stay in the
    file."""
    calls = task.sample_rate_hz / call_samples
    often: dict[int, float] = {}  # of each stretch of the file, which methods may share
    sizes: dict[int, int] = {}
    whose: dict[int, str] = {}
    reads: list[int] = []  # of each operation
    for i, work in enumerate(task.works):
        found = work.stretches if work.stretches and task.dtype == dtype else (
            (work.same_as - 1 - i, work.weights_bytes(dtype)),)
        for at, size in found:
            if size and (at in often or len(often) < PARTS_LIMIT):
                often[at] = max(often.get(at, 0), round(passes(task, i, calls, board) / calls, 6))
                sizes[at] = max(sizes.get(at, 0), ceil(size / ALIGN) * ALIGN + SPARE)
                whose.setdefault(at, work.method)
        reads.append(found[0][0])
    where: dict[int, str] = {}
    taken: dict[tuple[str, str], int] = {}
    for at in sorted(often, key=lambda at: -often[at]):
        memory = next((m.name for m in board.memories[:-1] if sizes[at] <= room[m.name]), "")
        if memory:
            where[at], key = memory, (memory, whose[at])
            room[memory] -= sizes[at]
            taken[key] = taken.get(key, 0) + sizes[at]
    items += [Item(memory, f"weights of {method}" if method else "weights", size)
              for (memory, method), size in taken.items()]
    return tuple(where.get(at, "") for at in reads)


def passes(task: Task, index: int, calls_per_second: float, board: Board) -> float:
    """How often per second an operation's weights are read, at most."""
    work = task.works[index]
    tile = 1 if work.row_by_row else board.tile_frames
    calls = work.calls(calls_per_second)
    return calls * max(1, ceil(work.rows_per_second / calls / tile - ROUNDING))
