"""The state that a file starts with, in what is said of a board."""

from __future__ import annotations

import pytest

from engine.boards.board import board_named
from engine.boards.placement import place
from engine.boards.work import Task, task_of_model
from engine.models.registry import build
from export.native.export import compile_model, lower
from tests.engine.boards.test_fit import SMALL

DAISY = board_named("daisy")


def sizes(start: str) -> tuple[Task, int]:
    """A model from its layers, and the bytes of its float32 file."""
    model = build("raw_vae", {**SMALL, "start": start}).eval()
    description = model.describe("x")
    programs = lower({m: model.graph(m) for m in description.methods}, description)
    return task_of_model(model, "x"), len(compile_model(model, programs, description))


def test_the_state_that_a_file_starts_with_is_counted() -> None:
    """In the file, which on a Daisy lies in a memory as a whole."""
    (zero, zero_bytes), (rest, rest_bytes) = sizes("zero"), sizes("rest")
    assert zero.start_numbers == 0
    more = rest_bytes - zero_bytes
    assert more > 2000
    assert 4 * rest.start_numbers == pytest.approx(more, rel=0.1)
    for dtype, width in (("float32", 4), ("q16x8", 2)):
        plans = [place(t, DAISY, dtype, 48) for t in (zero, rest)]
        held = [next(i.bytes for i in p.items if i.what == "model file") for p in plans]
        assert held == [p.file_bytes for p in plans]
        assert held[1] - held[0] == width * rest.start_numbers
