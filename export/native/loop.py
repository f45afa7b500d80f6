"""The part of a method that runs row by row: where it is, and whether it can.

With several rates in it, a row counts in the fastest. An operation that takes a step every P rows
does so in the last of them, when all that it reads is there:

    row            0  1  2  3 | 4  5  6  7 | ...
    fast           x  x  x  x | x  x  x  x |
    stride 4                x |          x |         reads rows 0 ... 3, then 4 ... 7
    4 phases                x |          x |         writes rows 0 ... 3 after row 3: whoever reads
                                                     them must be three rows late
"""

from __future__ import annotations

from collections.abc import Iterator

from export.native.nodes import CONVS, Program, Root, View, outermost


def loop_of(program: Program) -> tuple[int, int, int]:
    """First node of the loop, how many there are, and rows per smallest block of the fastest."""
    inside = [at for at, node in enumerate(program.nodes) if node.loop]
    if not inside:
        return 0, 0, 0
    first, count = inside[0], len(inside)
    if inside != list(range(first, first + count)):
        raise ValueError("the operations of a loop do not follow one another")
    return first, count, max(program.nodes[at].steps for at in inside)


def check_loop(program: Program, method: str) -> None:
    """Every row must be there when it is read: made outside, or earlier in the loop."""
    first, count, rows = loop_of(program)
    writers: dict[Root, list[int]] = {}
    for at, node in enumerate(program.nodes):
        writers.setdefault(outermost(node.out)[0], []).append(at)
    for at in range(first, first + count):
        node = program.nodes[at]
        if rows % node.steps:
            raise ValueError(f"{method}: {node.name} takes {node.steps} steps in {rows} rows of "
                             "its loop; rates in a loop must divide its fastest")
        for view in node.reads():
            for writer in _written_by(program, view, writers):
                if writer >= first + count:
                    raise ValueError(f"{method}: {node.name} reads in a loop what is made after it")
                if writer >= first:
                    _check_order(program, at, view, writer, rows, method)


def _written_by(program: Program, view: View, writers: dict[Root, list[int]]) -> Iterator[int]:
    """Nodes that write channels which a view holds."""
    top, start = outermost(view.root)
    start += view.first
    for at in writers.get(top, []):
        out = program.nodes[at].out
        _, first = outermost(out)
        if first < start + view.channels and start < first + out.channels:
            yield at


def _check_order(
    program: Program, reader: int, view: View, writer: int, rows: int, method: str
) -> None:
    """Whether each step of node `reader` finds its newest row of `view` written."""
    node, maker = program.nodes[reader], program.nodes[writer]
    period, made_every = rows // node.steps, rows // maker.steps
    read_rows, made_rows = (view.root.rows // node.steps, view.root.rows // maker.steps)
    for step in range(node.steps):
        newest = (step + 1) * read_rows - 1 - view.delay
        now = (step + 1) * period - 1
        made = (newest // made_rows + 1) * made_every - 1
        if made > now or (made == now and writer >= reader):
            late = (made - now) // max(1, rows // view.root.rows) + 1
            kind = "convolution" if node.kind in CONVS else node.kind
            raise ValueError(
                f"{method}: {node.name} ({kind}) reads rows of {maker.name} before they are made; "
                f"let it read about {late} rows later (a Past layer)")

