"""`rtf-bench --suite ops`: each operation alone, on every instruction set and in number formats: is
it there, does it give the reference's bits, how far is it from float64, how long does a row take?

Times are medians of processor time, the instruction sets by turns. In q16x8 an operation stands
between convolutions, which are timed with it; scales are rough there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measure import alternate, warm_up
from benchmarks.op_cases import CASES, METHOD, FloatArray, OpCase, between_convolutions, cases
from benchmarks.shape_numbers import convert
from engine.errors import ConfigError, TudorError, nearest
from engine.layers.base import call
from engine.ops import DTYPES, KINDS, Q16X8
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_programs, lower

REFERENCE = "ref"
FAST = ("scalar", "neon", "avx2", "avx512", "avx512vnni")
CHANNELS = 64
BLOCKS = 256  # smallest blocks of a call
CALLS, QUICK_CALLS, WARM_UP_SECONDS = 24, 6, 0.01


@dataclass(frozen=True)
class Line:
    """A case in one number format on one instruction set. `error`: largest difference from float64
    over its peak; of what draws, the share of numbers that were drawn otherwise."""

    kind: str
    case: str
    dtype: str
    isa: str
    supported: bool
    why: str = ""
    same_bits: bool | None = None
    error: float | None = None
    ns_per_row: float | None = None


class Player:
    """A case's file on one instruction set."""

    def __init__(self, case: OpCase, data: bytes, isa: str, blocks: int) -> None:
        self.model = NativeModel(NativeFile.from_bytes(data), isa=isa)
        for name, values in case.attributes.items():
            if name in self.model.attributes:
                self.model.set(name, values)
        self.isa, self.x = isa, case.input(blocks)

    def play(self, index: int) -> FloatArray:
        return self.model.process(METHOD, self.x)


def instruction_sets() -> list[str]:
    """Those of this machine, without the reference."""
    model = NativeModel(NativeFile.from_bytes(compiled(cases("guard", 4)[0], DTYPES[0])))
    found = []
    for isa in FAST:
        try:
            model.use_isa(isa)
        except ConfigError:
            continue
        found.append(isa)
    return found


def compiled(case: OpCase, dtype: str) -> bytes:
    """A case as a native file; an error where it has no form in `dtype`."""
    description = case.description()
    programs = lower({METHOD: case.graph()}, description)
    convert(programs[METHOD], dtype)
    return compile_programs(programs, description)


def in_format(case: OpCase, dtype: str) -> OpCase:
    """The case as it is tried in a number format."""
    core = KINDS[case.kind].core
    if dtype != Q16X8 or (core and core.is_convolution):
        return case
    return between_convolutions(case, beside=core is not None and core.float_rows_only)


@torch.no_grad()
def exact(case: OpCase, x: FloatArray) -> FloatArray:
    """What PyTorch makes of it in float64."""
    layer = copy.deepcopy(case.layer).double()
    given = {name: torch.from_numpy(v).double() for name, v in case.attributes.items()}
    y, _ = call(layer, torch.from_numpy(x).double(), layer.init_state(len(x), torch.float64), given)
    return y.numpy()  # type: ignore[no-any-return]


def difference(case: OpCase, got: FloatArray, wanted: FloatArray) -> float:
    """As `Line.error` says."""
    away = np.abs(got - wanted)
    if KINDS[case.kind].is_draw:
        return float(np.mean(away > 1e-3))
    return float(away.max() / max(1.0, np.abs(wanted).max()))


def lines_of(case: OpCase, dtype: str, isas: Iterable[str], calls: int = CALLS,
             blocks: int | None = None) -> list[Line]:
    """A case in one number format, timed over so many calls."""
    case = in_format(case, dtype)
    try:
        data = compiled(case, dtype)
        players = [Player(case, data, isa, blocks or BLOCKS) for isa in isas]
        reference = Player(case, data, REFERENCE, blocks or BLOCKS)
    except TudorError as error:
        return [Line(case.kind, case.label, dtype, isa, False, str(error)) for isa in isas]
    wanted = reference.play(0)
    got = [player.play(0) for player in players]
    off = difference(case, wanted, exact(case, reference.x))
    times: list[float | None] = [None] * len(players)
    if calls:
        rows = reference.x.shape[2]
        for player in players:
            warm_up(player, WARM_UP_SECONDS)
        times = [1e6 * (each.cpu_p50 or each.p50) / rows for each in alternate(players, calls)]
    return [Line(case.kind, case.label, dtype, player.isa, True, "",
                 bool(np.array_equal(y.view(np.uint32), wanted.view(np.uint32))), off, time)
            for player, y, time in zip(players, got, times, strict=True)]


def run_ops(kinds: Iterable[str] | None, dtypes: Iterable[str], quick: bool,
            say: Callable[[str], None]) -> list[Line]:
    """Every case of the named operations, None: of all. `say` hears what is being tried."""
    wanted = list(CASES if kinds is None else kinds)
    for kind in wanted:
        if kind not in CASES:
            raise ConfigError(f"unknown operation {kind!r}{nearest(kind, CASES)}")
    isas, lines = instruction_sets(), []
    for kind in wanted:
        for case in cases(kind, CHANNELS):
            say(f"{kind}, {case.label}")
            for dtype in dtypes:
                lines += lines_of(case, dtype, isas, QUICK_CALLS if quick else CALLS)
    return lines


def to_json(lines: list[Line]) -> dict[str, object]:
    """For machines."""
    return {"channels": CHANNELS, "results": [asdict(line) for line in lines]}


def print_lines(lines: list[Line], console: Console) -> None:
    """For people: a row for each case and number format, a column for each instruction set."""
    isas = list(dict.fromkeys(line.isa for line in lines))
    table = Table(title=f"operations of {CHANNELS} channels: ns per row of the input",
                  title_justify="left")
    for name in ("operation", "case", "format", "bits", "error"):
        table.add_column(name, no_wrap=True)
    for isa in isas:
        table.add_column(isa, justify="right")
    for first in range(0, len(lines), len(isas)):
        found = lines[first : first + len(isas)]
        table.add_row(found[0].kind, found[0].case, found[0].dtype, *_cells(found))
    console.print(table)


def _cells(found: list[Line]) -> list[str]:
    """Of the instruction sets of a case in one number format."""
    if not found[0].supported:
        return ["no form", *[""] * (1 + len(found))]
    other = [line.isa for line in found if not line.same_bits]
    times = ["" if line.ns_per_row is None else f"{line.ns_per_row:.1f}" for line in found]
    return [f"differ: {', '.join(other)}" if other else "same", f"{found[0].error:.0e}", *times]
