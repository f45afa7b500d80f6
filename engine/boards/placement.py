"""What lies in which memory of a board.

A board with caches has no choice: everything is in the smallest cache that holds all of it. On a
Daisy there is a choice, made here: scratch and state go to the fastest memory, then weights, those
that are read most often first. The runtime reads a model file in one piece, wherever that lies, so
weights that are split over memories are a plan for a loader that can do it (`split`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from engine.boards.board import KIB, STATE_BYTES, Board, Memory
from engine.boards.work import Task

INSTANCE_BYTES = 4 * KIB  # slots, attributes
PLAN_BYTES = 168  # of each operation, where pointers have 4 bytes
RECORDS_BYTES = 40 * KIB  # of a file: records, texts, metadata


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
    split: bool
    fits: bool
    shortage: str = ""


def place(
    task: Task, board: Board, dtype: str, call_samples: int, split: bool = False, streams: int = 1
) -> Placement:
    """Plan `task`, played in calls of `call_samples`; with `split` weights may lie apart. Streams
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
    if split:
        where = _split(task, board, room, items, dtype, call_samples)
    else:
        # DTCM is left to scratch and state: a model file seldom fits there.
        name = _take(board.memories[1:], room, items, "model file", file_bytes)
        where = (name,) * len(task.works)
    lost = [item for item in items if not item.memory]
    shortage = "".join(f"{item.what} of {item.bytes} bytes finds no room; " for item in lost)
    if file_bytes > board.file_bytes:
        shortage += (f"a file of about {file_bytes // KIB} KiB is larger than the "
                     f"{board.file_bytes // KIB} KiB of flash for it; ")
    return Placement(tuple(items), where, weights, file_bytes, state, scratch, split,
                     not shortage, shortage.rstrip("; "))


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


def _split(task: Task, board: Board, room: dict[str, int], items: list[Item], dtype: str,
           call_samples: int) -> tuple[str, ...]:
    """Weights of each operation, those of the fastest layers first, in the quickest memories."""
    quickest = tuple(sorted(board.memories, key=lambda m: -m.reads.low))
    calls = task.sample_rate_hz / call_samples
    order = sorted(range(len(task.works)), key=lambda i: -passes(task, i, calls, board))
    where = [""] * len(task.works)
    taken: dict[str, int] = {}
    for i in order:
        size = task.works[i].weights_bytes(dtype)
        where[i] = next((m.name for m in quickest if size <= room[m.name]), "")
        if where[i]:
            room[where[i]] -= size
        taken[where[i]] = taken.get(where[i], 0) + size
    items += [Item(name, "weights", size) for name, size in taken.items() if size]
    return tuple(where)


def passes(task: Task, index: int, calls_per_second: float, board: Board) -> float:
    """How often per second an operation's weights are read, at most."""
    work = task.works[index]
    tile = 1 if work.row_by_row else board.tile_frames
    calls = work.calls(calls_per_second)
    return calls * max(1, ceil(work.rows_per_second / calls / tile))
