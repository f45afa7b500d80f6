"""Where rows live: rings for what outlives a block, one arena for the rest, shared over time."""

from __future__ import annotations

from dataclasses import dataclass

from export.native.nodes import Node, Program, Root, View, outermost

ALIGN = 64
BULK_BYTES = 16384  # longer histories go to the slow region of boards that have two


@dataclass
class Buffer:
    """Memory of one root that is no part of another."""

    root: Root
    history: int = 0
    born: int = -1
    dies: int = -1
    arena_offset: int = 0

    @property
    def row_stride(self) -> int:
        """Numbers from one row to the next. Rows of int16 begin on 4 bytes, so that a pair of
        channels is one load, unless phases must lie side by side."""
        channels = self.root.channels
        return channels + channels % 2 if self.root.scale and not self.root.dense else channels

    @property
    def row_bytes(self) -> int:
        return self.row_stride * (2 if self.root.scale else 4)

    @property
    def frame_bytes(self) -> int:
        """Scratch per frame, rounded up so that every buffer begins on a boundary."""
        return -(-self.root.rows * self.row_bytes // ALIGN) * ALIGN

    @property
    def bulk(self) -> bool:
        return self.history * self.row_bytes > BULK_BYTES


@dataclass
class Plan:
    """Buffers of a method, and how each view of it is reached."""

    buffers: list[Buffer]
    arena_bytes: int
    index: dict[Root, int]

    def value(self, view: View) -> dict[str, int]:
        """Fields of the value record."""
        top, first = outermost(view.root)
        return {"buffer": self.index[top], "first_channel": first + view.first,
                "channels": view.channels, "delay": view.delay}


def plan(program: Program) -> Plan:
    """Lay a program out."""
    buffers: dict[Root, Buffer] = {}

    def buffer(root: Root, at: int) -> Buffer:
        top, _ = outermost(root)
        found = buffers.setdefault(top, Buffer(top, born=at))
        found.dies = max(found.dies, at)
        return found

    buffer(program.input.root, -1)
    for at, node in enumerate(program.nodes):
        for view in node.reads():
            found = buffer(view.root, at)
            found.history = max(found.history, node.history(view))
        buffer(node.out, at)
    last = buffer(program.output.root, len(program.nodes))
    last.history = max(last.history, program.output.delay)
    inside = [at for at, node in enumerate(program.nodes) if node.loop]
    if inside:
        _live_through(buffers, program, inside[0], inside[-1])
    ordered = list(buffers.values())
    arena = _place([b for b in ordered if b.history == 0])
    return Plan(ordered, arena, {b.root: i for i, b in enumerate(ordered)})


def _live_through(buffers: dict[Root, Buffer], program: Program, first: int, last: int) -> None:
    """Rows of a loop come and go one by one: what crosses its borders lives throughout. With
    several rates everything does, for a slow operation waits for rows of a fast one."""
    inside = program.nodes[first : last + 1]
    several = len({node.steps for node in inside}) > 1
    touched = {outermost(root)[0] for node in inside
               for root in (node.out, *(view.root for view in node.reads()))}
    for root in touched:
        found = buffers[root]
        if several or found.born < first or found.dies > last:
            found.born, found.dies = min(found.born, first), max(found.dies, last)


def _place(scratch: list[Buffer]) -> int:
    """First fit, largest first: buffers alive at the same time do not overlap."""
    placed: list[Buffer] = []
    for new in sorted(scratch, key=lambda b: (-b.frame_bytes, b.born)):
        at = 0
        for other in sorted(placed, key=lambda b: b.arena_offset):
            together = new.born <= other.dies and other.born <= new.dies
            if together and at < other.arena_offset + other.frame_bytes:
                if at + new.frame_bytes <= other.arena_offset:
                    break
                at = other.arena_offset + other.frame_bytes
        new.arena_offset = at
        placed.append(new)
    return max((b.arena_offset + b.frame_bytes for b in placed), default=0)


def state_words(nodes: list[Node]) -> tuple[dict[int, int], int]:
    """First state word of each node that has some, and how many there are."""
    at, first = 0, {}
    for node in nodes:
        if node.state_words:
            first[id(node)] = at
            at += node.state_words
    return first, at
