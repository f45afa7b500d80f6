"""The small networks of `native_cases` in other number formats.

    NAME:bf16w    bfloat16 weights
    NAME:q16x8    int16 rows, int8 weights
    NAME:wide     int16 rows, weights in two planes
    NAME:loud     as q16x8, with scales so small that most numbers saturate

Scales and steps are rough; what matters here is that every target computes the same from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.description import Description
from engine.graph import Graph
from engine.ops import Q16X8
from export.native.casts import insert_casts
from export.native.export import compile_programs, lower
from export.native.nodes import CONVS, Integers, Node, Program, outermost
from tests.core.native_cases import NAMES, has_form

SCALES = {"q16x8": 2.0**-12, "wide": 2.0**-12, "loud": 2.0**-17}
LIMIT = {"q16x8": 127, "loud": 127, "wide": 127 * 256 + 127}
FORMS = ("bf16w", "q16x8", "wide", "loud")
QUANTISED = tuple(f"{name}:{form}" for name in NAMES for form in FORMS
                  if form == "bf16w" or has_form(name, Q16X8))


def whole(weight: NDArray[np.float32], bias: NDArray[np.float32] | None, scale: float,
          form: str) -> Integers:
    """Weights [rows, outputs] as whole numbers, each output with a step of its own."""
    largest = np.maximum(np.abs(weight).max(axis=0), 1e-6)
    quantum = largest / LIMIT[form]
    q = np.round(weight / quantum).astype(np.int64)
    step = (quantum * scale).astype(np.float32)
    start = np.zeros(len(step)) if bias is None else np.round(bias / step.astype(np.float64))
    low = (q + 128) % 256 - 128
    planes = [low, (q - low) // 256] if form == "wide" else [q]
    return Integers(tuple(p.astype(np.int8) for p in planes), step,
                    np.clip(start, -(2**30), 2**30).astype(np.int32))


def quantise(program: Program, form: str) -> None:
    """Other number formats for a lowered method, in place."""
    if form == "bf16w":
        for node in program.nodes:
            if node.kind in CONVS:
                node.dtype = "bfloat16"
        return
    scale = SCALES[form]
    for index, root in enumerate(insert_casts(program)):
        root.scale = scale * (1.0, 1.25, 0.8)[index % 3]  # no two neighbours share one
    for node in program.nodes:
        if node.kind in CONVS:
            _quantise_conv(node, form)


def _quantise_conv(node: Node, form: str) -> None:
    scale = outermost(node.inputs[0].root)[0].scale
    side = outermost(node.inputs[-1].root)[0].scale / scale
    rows = len(node.runs[0][0])
    factors = np.ones(rows)
    if len(node.inputs) > 1:
        factors[rows - node.inputs[1].channels :] = side
    node.dtype = "int16" if form == "wide" else "int8"
    node.integers = [whole(w * factors[:, None], b, scale, form) for w, b in node.runs]


def compiled(graph: Graph, description: Description, form: str) -> bytes:
    """A method as a file in another number format."""
    programs = lower({"forward": graph}, description)
    quantise(programs["forward"], form)
    return compile_programs(programs, description)
