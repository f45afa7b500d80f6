"""Writes docs/operations.md: which operations there are, and what supports them.

    python scripts/operations.py            writes the page
    python scripts/operations.py --check    exits with 1 where it is stale

All of it is read: the rows of engine/core/ops.inc, the exporters' tables of emitters, the tables of
kernels and the builds' flags.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.ops import BF16W, CORE, DTYPES, KINDS, Q16X8, CoreOp, Kind  # noqa: E402

PAGE = ROOT / "docs" / "operations.md"
ISA_TITLES = {"ref": "reference", "scalar": "scalar, Cortex-M7", "avx2": "AVX2",
              "avx512": "AVX-512", "avx512vnni": "AVX-512 VNNI", "neon": "NEON"}
YES, NO = "yes", "no"
HEAD = """# Operations

What layers emit, and what plays it. `python scripts/operations.py` writes this page from the rows
of [`ops.inc`](../engine/core/ops.inc) and the tables of what each exporter emits; a test holds it
to them, and plays every operation alone, in every number format, on every instruction set that the
machine has. `rtf-bench --suite ops` prints what it finds: bits, errors and times.

"""
MEANING = """## What each is

Shapes are `[channels, time]` per stream.

"""
TARGETS = """## Number formats and targets

nn~ plays what PyTorch traces, so every layer; ONNX what has an emitter, in float32 or with int8
weights of convolutions; a `.tudor` file what has a row, in three number formats.

"""
RUNTIME = """## In the runtime

An operation of a `.tudor` file gives the same bits on every instruction set. *Kernel* is code that
is compiled for it, *C* the same plain C for all. Machines without a body of their own play the
scalar one, as a Cortex-M7 does.{m7}

"""


def kernel_tables() -> list[str]:
    """Instruction sets that the runtime has a table of kernels for, plain ones first."""
    sources = sorted((ROOT / "engine" / "core").glob("kernels_*.c"))
    found = [name for path in sources for name in re.findall(
        r"tudor_kernels tudor_kernels_(\w+) =", path.read_text("utf-8"))]
    unknown = sorted(set(found) ^ set(ISA_TITLES))
    if unknown:
        raise SystemExit(f"{', '.join(unknown)}: in ISA_TITLES or among the kernels, not in both")
    return [name for name in ISA_TITLES if name in found]


def kernels() -> set[str]:
    """Operations with a kernel for each instruction set; casts and copies are what map does."""
    text = (ROOT / "engine" / "core" / "kernels.h").read_text("utf-8")
    table = text[text.index("struct tudor_kernels {"):]
    own = set(re.findall(r"void \(\*(\w+)\)", table[: table.index("};")])) & set(CORE)
    run = (ROOT / "engine" / "core" / "run_op.c").read_text("utf-8")
    for cases, kernel in re.findall(r"((?:case OP_\w+:[^;:]*?)+) run_rows\(p, o, k->(\w+)", run):
        if kernel in own:
            own |= {name.lower() for name in re.findall(r"OP_(\w+)", cases)}
    return own


def left_out() -> str:
    """What the boards' builds leave out, in a sentence; "" where they are whole."""
    makefile = (ROOT / "firmware" / "daisy" / "Makefile").read_text("utf-8")
    flags = sorted(set(re.findall(r"TUDOR_NO_\w+", makefile)))
    return f" The Daisy's build leaves out {', '.join(flags)}." if flags else (
        " The Daisy's build leaves nothing out.")


def form(kind: Kind | CoreOp, dtype: str) -> str:
    """How a native file of that number format holds it."""
    core = kind.core if isinstance(kind, Kind) else kind
    if core is None:
        return "a view"
    if dtype not in core.dtypes:
        return NO
    weights = "float32 weights" if core.weights == "FLOAT" else "float32"
    if dtype == BF16W:
        return "bfloat16 weights" if core.is_convolution else weights
    if dtype != Q16X8:
        return YES
    if core.is_convolution:
        return "int16 rows, int8 or int16 weights"
    return {"FLOAT": "float32 between casts", "TO_INT16": "a cast", "TO_FLOAT32": "a cast"}.get(
        core.rows, "int16 rows")


def table(head: list[str], rows: list[list[str]]) -> str:
    """As Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n\n"


def written() -> str:
    """The page."""
    from export.onnx.operators import EMIT, IN_LOOPS

    def onnx(name: str) -> str:
        return YES if name in EMIT else "in loops" if name in IN_LOOPS else NO

    meanings = [[f"`{kind.name}`", kind.meaning.replace("|", "\\|")] for kind in KINDS.values()]
    targets = [[f"`{kind.name}`", f"`{kind.core.name}`" if kind.core else "a view", YES,
                onnx(kind.name), *(form(kind, dtype) for dtype in DTYPES)]
               for kind in KINDS.values()]
    isas, own = kernel_tables(), kernels()
    runtime = [[f"`{core.name}`", core.state.lower() if core.state != "NONE" else "none",
                *("kernel" if name in own else "C" for _ in isas)] for name, core in CORE.items()]
    titles = [ISA_TITLES[isa] for isa in isas]
    text = (HEAD + MEANING + table(["operation", "meaning"], meanings) + TARGETS
            + table(["operation", "in the runtime", "nn~", "ONNX", *DTYPES], targets)
            + RUNTIME.format(m7=left_out()) + table(["operation", "state", *titles], runtime))
    return text.rstrip() + "\n"


def stale() -> bool:
    """Whether the page says something else."""
    return not PAGE.exists() or PAGE.read_text("utf-8") != written()


def main() -> None:
    if "--check" in sys.argv[1:]:
        if stale():
            raise SystemExit("docs/operations.md is stale; run python scripts/operations.py")
        return
    if stale():
        PAGE.write_text(written(), "utf-8")
        print("docs/operations.md written")


if __name__ == "__main__":
    main()
