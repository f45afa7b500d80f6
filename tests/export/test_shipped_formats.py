"""What presets ship in fewer bits than float32: for every board that wants it, made of the weights
that are shipped, and near to what those play."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.boards.fit import TOO_MUCH, fit
from engine.boards.work import task_of_file
from engine.ops import DTYPES
from engine.players.base import load
from engine.players.native_model import NativeFile
from engine.presets import (
    packed_path,
    preset_path,
    preset_settings,
    shipped_names,
    shipped_native,
)
from scripts.preset_measure import makes_loops
from scripts.quantised import wanted
from training.corpus.techno import render_loop

ROOT = Path(__file__).parents[2]
LEAST_DB = 30  # what `--keep auto` aims at, for audio


def test_every_preset_of_a_board_that_wants_fewer_bits_ships_them() -> None:
    formats = wanted()
    assert {"techno-tiny", "techno-daisy", "bach-daisy"} <= set(formats)
    for name in shipped_names():
        there = {dtype for dtype in DTYPES if shipped_native(name, dtype)}
        assert there == {"float32", formats.get(name, "float32")}
        if preset_settings(name)["card"]["board"] == "daisy":
            assert there == {"float32", "q16x8"}
    folder = preset_path("techno-tiny").parent
    packed = {name for name in shipped_names() if packed_path(name).exists()}
    assert packed == {name for name in shipped_names() if makes_loops(name)}
    assert {path.stem for path in folder.glob("*.packed")} == packed
    files = {f"{name}.tudor" for name in shipped_names() if name not in packed}
    files |= {f"{name}.{dtype}.tudor" for name, dtype in formats.items()}
    assert {path.name for path in folder.glob("*.tudor")} == files, "nothing else ships"


@pytest.mark.parametrize("name", wanted())
def test_it_is_made_of_the_weights_that_are_shipped(name: str) -> None:
    dtype = wanted()[name]
    exact, small = (load(_native(name, d)) for d in ("float32", dtype))
    made, of = (player.description for player in (small, exact))
    assert made.provenance["weights_sha256"] == of.provenance["weights_sha256"]
    assert made.provenance["dtype"] == dtype
    assert (made.methods, made.attributes, made.latents, made.config) == (
        of.methods, of.attributes, of.latents, of.config)
    board = preset_settings(name)["card"]["board"]
    assert fit(task_of_file(NativeFile(_native(name, dtype))), board).verdict != TOO_MUCH


@pytest.mark.parametrize("name", [n for n in wanted() if n.startswith("techno")])
def test_it_plays_nearly_the_same(name: str) -> None:
    exact, small = (load(_native(name, d)) for d in ("float32", wanted()[name]))
    x = render_loop(77, 0)[0][:, : 16000 // exact.ratio * exact.ratio]
    y, z = (player.process("forward", x) for player in (exact, small))
    assert np.abs(y).max() > 0.1
    assert 0 < np.square(z - y).mean() < np.square(y).mean() / 10 ** (LEAST_DB / 10)


@pytest.mark.slow
def test_they_are_what_the_weights_give_now() -> None:
    """The documented command, anew."""
    done = subprocess.run([sys.executable, "scripts/quantised.py", "--check"], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _native(name: str, dtype: str) -> Path:
    path = shipped_native(name, dtype)
    assert path is not None
    return path
