"""What `tudor fit` makes of layers with few channels, of which less is sure."""

from __future__ import annotations

import pytest

from engine.boards.board import board_named
from engine.boards.fit import fit
from engine.boards.work import Task, Work, task_of_file, task_of_model
from engine.models.registry import build
from engine.players.native_model import NativeFile
from tests.golden.golden import read

SMALL = {"latents": 2, "bands": 4, "compression": 16}
DAISY = board_named("daisy")
FLOAT = DAISY.kernels["float32"]


@pytest.mark.parametrize(("outputs", "more"), [(2, 2.0), (4, 2.0), (5, 1.5), (8, 1.5), (9, 1.0)])
def test_of_a_layer_with_few_outputs_less_is_sure_on_a_daisy(outputs: int, more: float) -> None:
    """Its lower end stays what is counted. On a Pi nobody reported the like."""
    few = Work("a", "conv", 1e6, 48000, 100, 0, numbers_per_second=48000 * outputs)
    counted = FLOAT.mac * 1e6 + FLOAT.number * 48000 * outputs + FLOAT.call * 1000
    found = fit(_task(few), "daisy").loads.arithmetic
    assert found.low == pytest.approx(counted / DAISY.instructions.high)
    assert found.high == pytest.approx(more * counted / DAISY.instructions.low)
    pi = board_named("pi4")
    there = fit(_task(few), "pi4").loads.arithmetic
    assert there.high / there.low == pytest.approx(pi.instructions.high / pi.instructions.low,
                                                   rel=0.2)


def test_layers_of_few_channels_are_those_of_files_too() -> None:
    """A synthesis bank has one channel and all phases at a time: it is wide."""
    tasks = [task_of_model(build("raw_vae", {**SMALL, "widths": w}), "x")
             for w in ((8, 6), (64, 64))]
    few, many = ([w for w in t.works if 0 < w.outputs <= 8] for t in tasks)
    assert len(few) > len(many)
    file = NativeFile.from_bytes(read("techno-daisy").model)
    assert min(w.outputs for w in task_of_file(file).works if w.outputs) >= 16


def _task(work: Work) -> Task:
    return Task("case", "forward", 48000, 48, 0, (work,), lambda samples: (samples, 1000),
                work.weights)
