"""What gates strike: how much later it sounds, and how a drum voice's first rows are spread over
that time. What firmware/common/burst.c does, stated a second time for `tudor fit`; a test holds
both to the same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.boards.schedule import FRAME_LIMIT_SAMPLES
from engine.scores.strokes import plays_strokes, stroke_voices

if TYPE_CHECKING:
    from engine.description import Method
    from engine.graph import Graph, Op
    from engine.players.native_model import MethodInfo, OpInfo

BURST_ROWS = 4  # that are made at once, at most
FADES_IN_SECOND = 500  # of what rang before a stroke
SLICE_SAMPLES, SLICES_MOST = 16, 64  # of a row
AHEAD_ROWS = 2  # a row of the next stroke is made in the time of so many
EARLY_AFTER = 8  # rows in which they come to be made `fade` samples early
_OP_MACS, _PASSES = 100, 2  # of an operation, and of each number: engine/core/shape.c


@dataclass(frozen=True)
class Struck:
    """A method that gates strike."""

    lead: int  # rows from a gate's to the first that is heard
    by_itself: bool  # one drum voice, whose clock begins anew at each gate
    row_macs: int  # as the runtime counts, about


@dataclass(frozen=True)
class Strokes:
    """How rows are made where each gate begins a clock of its own."""

    rows: int  # of the burst at a gate
    delay_samples: int  # at the board's rate, from a gate to its onset: over so long it is spread
    row_samples: int  # in which one behind the burst is made
    slices: int  # of a row
    fade_samples: int  # in which what rang before dies away


def struck(labels: Sequence[str], lead: int, macs: float) -> Struck | None:
    """Of a method with these inputs; None: no gate strikes it."""
    if not lead or not plays_strokes(labels):
        return None
    return Struck(lead, not stroke_voices(labels), round(macs))


def by_graph(spec: Method, graph: Graph) -> Struck | None:
    """The same, by its operations before they are lowered; what they cost is about right."""
    macs = 0.0
    for op in graph.ops:  # rows of what goes in and comes out, to one of the method's
        before, after = (float(1 / value.ratio) for value in (op.inputs[0], op.output))
        macs += _OP_MACS + op.macs_per_frame * before + _PASSES * op.output.channels * after
    lead = 0 if _holds(graph.ops) else next(
        (op.attributes["fft"] // op.attributes["ratio"] for op in graph.ops
         if op.kind == "resynth"), 0)
    return struck(spec.input_labels, lead, macs)


def by_table(spec: MethodInfo, table: Sequence[OpInfo]) -> Struck | None:
    """The same, by a file's operations."""
    lead = 0 if _holds(table) else next(
        (op.kernel // op.phases for op in table if op.kind == "resynth"), 0)
    return struck(spec.in_labels, lead, sum(op.cost for op in table))


def _holds(ops: Iterable[Op | OpInfo]) -> bool:
    """Whether it plays notes, which are held and bent: their rows go on as they come."""
    return any(op.kind == "harmonics" for op in ops)


def strokes(frame: int, struck: Struck, streams: int, burst_macs: int, rates: tuple[int, int],
            board_hz: int) -> Strokes:
    """Of frames of `frame` samples; `rates`: the model's : the board's, reduced. A millisecond has
    room for `burst_macs`, 0: for any number."""
    fade, wanted = board_hz // FADES_IN_SECOND, 0
    if burst_macs:
        macs = (struck.row_macs + 1) * (struck.lead + 1) * streams
        wanted = -(-macs * board_hz // (1000 * burst_macs))
    slices = 1 if frame < 2 * SLICE_SAMPLES else min(frame // SLICE_SAMPLES, SLICES_MOST)
    row = max(SLICE_SAMPLES, -(-frame * rates[1] // rates[0]) - -(-fade // EARLY_AFTER))
    delay = min(max(fade, wanted), FRAME_LIMIT_SAMPLES)
    return Strokes(struck.lead + 1, delay, row, slices, fade)
