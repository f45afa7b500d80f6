"""The operations: what `core/ops.inc` says of each, as the C runtime reads it.

    CORE    the runtime's operations, as a native file holds them
    ACTS    activations: an operation `map`, or part of the one before
    KINDS   what layers emit and a graph holds: each is an operation, an activation, or a view

Whatever depends on what an operation is (cost, fusing, number formats, state) asks here; other
tables of their names only say how each is done. Nothing here needs PyTorch or numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.players.native_format import rows

LIST = "ops.inc"
FLOAT32, BF16W, Q16X8 = "float32", "bf16w", "q16x8"
DTYPES = (FLOAT32, BF16W, Q16X8)  # number formats of a native file


@dataclass(frozen=True)
class CoreOp:
    """A row `OP`; the list says what its columns mean."""

    code: int
    name: str
    inputs: int
    weights: str
    rows: str
    state: str
    takes_act: bool
    fuses: bool  # into the convolution before it
    output_cost: int
    input_cost: int
    meaning: str

    @property
    def is_convolution(self) -> bool:
        """Whether its weights come in every number format: these are what is quantised."""
        return self.weights == "ANY"

    @property
    def float_rows_only(self) -> bool:
        """Whether casts stand around it where other rows are int16."""
        return self.rows == "FLOAT"

    @property
    def reads_past(self) -> bool:
        """Whether it looks at past rows of what it reads, `kernel` in all."""
        return self.state in ("CACHE", "WINDOW", "TRACK", "TRANSFORM")

    @property
    def is_recurrent(self) -> bool:
        """Whether each row waits for the one before."""
        return self.state == "HIDDEN"

    @property
    def draws(self) -> bool:
        """Whether it draws counter noise."""
        return self.state in ("COUNTER", "DRAW", "INVERSE")

    @property
    def is_draw(self) -> bool:
        """Whether what comes out is drawn from what goes in."""
        return self.state == "DRAW"

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Number formats of files that may hold it."""
        return DTYPES[:2] if self.rows == "ALONE" else DTYPES

    def state_words(self, in_channels: int, out_channels: int, kernel: int, stride: int,
                    groups: int, phases: int) -> int:
        """Words of a stream's state that are its own, as `tudor_state_words` counts them."""
        frames = (kernel - phases * groups) // stride
        return {"COUNTER": 1, "DRAW": 1 + in_channels // out_channels, "HIDDEN": 2 * out_channels,
                "WINDOW": 1 + kernel, "TRACK": 1 + frames * phases + 2 * kernel,
                "PHASE": 2 + 2 * kernel, "LATCH": 1 + out_channels, "TRANSFORM": 2 * kernel,
                "INVERSE": 8 + 5 * kernel - phases}.get(self.state, 0)


@dataclass(frozen=True)
class Act:
    """A row `ACT`; `cost` of each number, in about a MAC."""

    code: int
    name: str
    cost: int
    meaning: str


@dataclass(frozen=True)
class Kind:
    """What a layer may emit. `core`: the operation that it is in the runtime, None: a view, which
    is no work there, of CHANNELS or ROWS. `act`: the activation that it is."""

    name: str
    meaning: str
    core: CoreOp | None = None
    act: Act | None = None
    view_of: str = ""

    @property
    def is_view(self) -> bool:
        """Whether it is other channels or rows of what is there."""
        return self.core is None

    @property
    def is_late(self) -> bool:
        """Whether it is other rows of what it reads."""
        return self.view_of == "ROWS"

    @property
    def is_convolution(self) -> bool:
        """Whether it has filters that are quantised."""
        return self.core is not None and self.core.is_convolution

    @property
    def is_recurrent(self) -> bool:
        """Whether each row waits for the one before."""
        return self.core is not None and self.core.is_recurrent

    @property
    def is_draw(self) -> bool:
        """Whether what comes out is drawn from what goes in."""
        return self.core is not None and self.core.is_draw

    @property
    def fuses(self) -> bool:
        """Whether it may become part of the convolution before it."""
        return self.core is not None and self.core.fuses

    @property
    def output_cost(self) -> int:
        """Of a number that comes out, beside MACs and what its own `activation` costs."""
        return (self.core.output_cost if self.core else 0) + (self.act.cost if self.act else 0)

    @property
    def input_cost(self) -> int:
        """Of a number that goes in."""
        return self.core.input_cost if self.core else 0

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Number formats of native files that may hold it."""
        return self.core.dtypes if self.core else DTYPES


def _core(cells: list[str]) -> CoreOp:
    code, _, name, inputs, weights, row_formats, state, acts, fuses, output, given, meaning = cells
    return CoreOp(int(code), name, int(inputs), weights, row_formats, state, acts == "1",
                  fuses == "1", int(output), int(given), meaning)


CORE = {op.name: op for op in map(_core, rows(LIST, "OP"))}
ACTS = {name: Act(int(code), name, int(cost), meaning)
        for code, _, name, cost, meaning in rows(LIST, "ACT")}


def _kinds() -> list[Kind]:
    emitted = [Kind(op.name, op.meaning, op) for op in CORE.values() if op.meaning]
    acts = [Kind(act.name, act.meaning, CORE["map"], act) for act in ACTS.values() if act.meaning]
    others = [Kind(name, meaning, CORE[core.lower()]) for name, core, meaning in rows(LIST, "KIND")]
    views = [Kind(name, meaning, view_of=of) for name, of, meaning in rows(LIST, "VIEW")]
    return [*others, *emitted, *acts, *views]


KINDS = {kind.name: kind for kind in _kinds()}


def core_op(name: str) -> CoreOp | None:
    """The operation that a graph's or a native file's kind is; None for a view."""
    return KINDS[name].core if name in KINDS else CORE[name]
