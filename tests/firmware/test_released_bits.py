"""The very files that are shipped play the same bits on every instruction set, and what a Daisy
plays on an emulated Cortex-M7."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from firmware.host.play import play
from tests.firmware.machines import instruction_sets, machine
from tests.golden.released import DIGESTS, digest, inputs, played, released

TOLD = json.loads(DIGESTS.read_text())
SMALL = [name for name in released() if ".q16x8." in name]


def test_every_file_that_is_shipped_has_its_digests() -> None:
    assert set(TOLD) == set(released()), "make them: python -m tests.golden.released"
    assert SMALL
    for name, path in released().items():
        assert TOLD[name].keys() == inputs(path).keys()
    # A model of loops decodes as its coder does, of which it holds the weights.
    told = [each for name, digests in TOLD.items() for method, each in digests.items()
            if not (name.startswith("loops-") and method == "decode")]
    assert len(set(told)) == len(told), "no two files play the same"


# Digests are those of the plain reference, which takes longest: `make test-long` plays it again.
@pytest.mark.parametrize(("name", "isa"), [
    pytest.param(name, isa, marks=[pytest.mark.slow] * (isa == "ref" and "tiny" not in name))
    for name in released() for isa in instruction_sets()])
def test_the_library_plays_them(name: str, isa: str) -> None:
    assert played(released()[name], isa) == TOLD[name]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("target", ["m7", "aarch64"])
def test_the_boards_play_them(target: str, name: str) -> None:
    path: Path = released()[name]
    for method, x in inputs(path).items():
        got = play(machine(target), path.read_bytes(), x, method=method, frames=(1, 3, 2))
        assert np.abs(got.audio).max() > 1e-2
        assert digest(got.audio) == TOLD[name][method], method
