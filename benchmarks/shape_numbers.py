"""The suite's networks in other number formats. Their weights are random, so ranges are rough and
every layer is rounded to the nearest; only the time they take means anything."""

from __future__ import annotations

import numpy as np

from benchmarks.shapes import ShapeModel
from engine.errors import ConfigError, nearest
from engine.ops import BF16W, DTYPES, FLOAT32, Q16X8
from export.native.casts import insert_casts
from export.native.export import compile_programs, lower
from export.native.nodes import CONVS, Integers, Node, Program, outermost

ROW_SCALE = 2.0**-12  # real value of one unit in every int16 row
LARGEST = 127


def parse_dtypes(text: str) -> tuple[str, ...]:
    """`bf16w,q16x8` as names, float32 among them: it is what the others are compared with."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in DTYPES:
            raise ConfigError(f"unknown dtype {name!r}{nearest(name, DTYPES)}")
    return tuple(name for name in DTYPES if name in names or name == FLOAT32)


def compiled(model: ShapeModel, dtype: str) -> bytes | None:
    """`model` as a native file, or None where a layer has no form in `dtype`."""
    description = model.describe(model.name)
    programs = lower({name: model.graph(name) for name in description.methods}, description)
    try:
        for program in programs.values():
            convert(program, dtype)
    except ConfigError:  # recurrent layers have no whole-numbered form
        return None
    return compile_programs(programs, description)


def convert(program: Program, dtype: str) -> None:
    """Other number formats for a lowered method, in place; an error names what has no form."""
    if dtype == Q16X8:
        for root in insert_casts(program, {node.name for node in program.nodes if node.exact}):
            root.scale = ROW_SCALE
    for node in program.nodes:
        if node.kind not in CONVS or node.exact:
            continue
        if dtype == BF16W:
            node.dtype = "bfloat16"
        elif dtype == Q16X8 and all(outermost(view.root)[0].scale for view in node.inputs):
            _round(node)


def _round(node: Node) -> None:
    node.dtype = "int8"
    node.integers = []
    for weight, bias in node.runs:  # [taps * in, outputs], [outputs]
        quantum = np.maximum(np.abs(weight).max(axis=0), 1e-6) / LARGEST
        step = (quantum * ROW_SCALE).astype(np.float32)
        start = np.zeros(len(step)) if bias is None else np.round(bias / step)
        whole = np.round(weight / quantum).astype(np.int8)
        node.integers.append(Integers((whole,), step, start.astype(np.int32)))
