"""A loop whose draws are known: teacher forcing for native programs.

What a loop draws, or makes without a draw, it reads a row later. With all of that given, nothing is
left that has to be done row by row: every operation runs over the whole signal at once, in the
order in which it stands.

    draws, given ----+--> quantise, copies --> read one row late by the loop's first operations
                     |
    net --> (what a draw is made from)         the draw itself is not made again: it was given
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from engine.errors import ConfigError
from export.native.nodes import Node, Program, Root, View, outermost


@dataclass(frozen=True)
class Forced:
    """What a method hears, [in_channels, time], and what its loop drew meanwhile: what it read
    back, which a gate may have silenced."""

    x: Tensor
    drawn: Tensor  # [channels, rows of the loop]

    def first(self, frames: int) -> Forced:
        """The beginning: so many frames of the input, whole smallest blocks."""
        rows = self.drawn.shape[1] * frames // self.x.shape[1]
        return Forced(self.x[:, :frames], self.drawn[:, :rows])


Signal = Tensor | Forced  # of a method without a loop, and of one with


def first_frames(signal: Signal, frames: int) -> Signal:
    """The beginning of a signal, whole smallest blocks."""
    return signal.first(frames) if isinstance(signal, Forced) else signal[:, :frames]


def draw_of(program: Program) -> Node | None:
    """The operation whose draws its own loop reads."""
    drawing = [node for node in program.nodes if node.loop and node.core.is_draw]
    return drawing[-1] if drawing and program.fed else None


def judged(program: Program) -> View:
    """What tells one version of a method from another on the same signal: its output, or, where
    the output is drawn, the numbers that it is drawn from. See `judged_end` too."""
    draw = draw_of(program)
    return program.output if draw is None else draw.inputs[0]


def end_of(program: Program) -> Node | None:
    """The operation that writes what its own loop reads, where that is no draw."""
    if not program.fed or draw_of(program) is not None:
        return None
    writing = [node for node in program.nodes if node.loop and writes(node, program.fed)]
    if len(writing) != 1 or len(program.fed) != 1:
        raise ConfigError("a loop that reads back without a draw what several operations write "
                          "cannot be played with known rows; export as float32")
    return writing[0]


def judged_end(program: Program) -> Node | None:
    """The end of such a loop, where its rows tell one version of a method from another: with
    nothing but constants behind, for with known rows the output would only say them again."""
    end = end_of(program)
    if end is None:
        return None
    behind = program.nodes[program.nodes.index(end) + 1 :]
    learnt = any(node.core.is_convolution and not node.exact and not node.loop for node in behind)
    return None if learnt else end


def overlaps(view: View, root: Root) -> bool:
    """Whether a view holds channels that `root` is the place of."""
    top, first = outermost(root)
    seen, start = outermost(view.root)
    start += view.first
    return top is seen and first < start + view.channels and start < first + root.channels


def gate_of(program: Program) -> list[Node]:
    """What stands between a draw and what the loop reads back: a product, perhaps a sum."""
    draw = draw_of(program)
    found: list[Node] = []
    while draw is not None and not writes([draw, *found][-1], program.fed):
        last = [draw, *found][-1].out
        found.append(next(node for node in program.nodes if node.exact
                          and any(overlaps(view, last) for view in node.reads())))
    return found


def ahead(program: Program) -> list[int]:
    """Nodes whose rows are read by earlier ones, in order: they carry the draws back. All but
    those that write the draws themselves run before everything else."""
    inside = [(at, node) for at, node in enumerate(program.nodes) if node.loop]
    late = [at for at, node in inside
            if any(overlaps(view, node.out) for i, reader in inside if i <= at
                   for view in reader.reads())]
    carriers = [at for at in late if not writes(program.nodes[at], program.fed)]
    known = [node for _, node in inside if writes(node, program.fed)]
    for at in carriers:
        node = program.nodes[at]
        if not all(any(overlaps(view, other.out) for other in known) for view in node.reads()):
            raise ValueError(f"{node.name}: a loop that reads back more than what it drew cannot "
                             "be played with known draws")
        known.append(node)
    return carriers


def writes(node: Node, views: Sequence[View]) -> bool:
    """Whether a node writes some of what these hold."""
    return any(overlaps(view, node.out) for view in views)
