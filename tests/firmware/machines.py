"""Which machines can be tried here: a missing toolchain fails in CI and skips elsewhere."""

from __future__ import annotations

import os
import platform
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.commands import main
from benchmarks.machine import processor
from engine.players.native_model import NativeModel
from firmware.host.build import TARGETS, MissingToolError, Target, program, tool

FloatArray = NDArray[np.float32]


# Instruction sets of the runtime, and the processor's flags that each asks for (core/dispatch.c).
NEEDED = {"avx2": "avx2 fma", "avx512": "avx2 fma avx512f avx512bw",
          "avx512vnni": "avx2 fma avx512f avx512bw avx512_vnni"}


def instruction_sets() -> list[str]:
    """Those that this processor says it has: the library must play with each, so that none is
    skipped where it should run, nor collected where it cannot."""
    if platform.machine() in ("aarch64", "arm64"):
        return ["ref", "scalar", "neon"]
    flags = processor().get("flags", "").split()
    there = [isa for isa, needs in NEEDED.items() if {*needs.split()} <= {*flags}]
    return ["ref", "scalar", *there]


def machine(name: str) -> Target:
    """A target whose compiler and emulator are here."""
    target = TARGETS[name]
    try:
        program(target)
        if target.emulator:
            tool(target.emulator)
    except MissingToolError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    return target


def bench(*words: object) -> int:
    """The exit code of `rtf-bench`."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def assert_same_in_any_chunks(file: Path, method: str, x: FloatArray, unit: int) -> None:
    """Every instruction set gives, of `x` [channels, rows] in chunks of several units, what the
    reference gives of all of it."""
    wanted = NativeModel.open(file, isa="ref").process(method, x[None])[0]
    for isa in instruction_sets():
        one = NativeModel.open(file, isa=isa)
        cuts = [0, unit, 4 * unit, 9 * unit, x.shape[1]]
        parts = [one.process(method, np.ascontiguousarray(x[None, :, a:b]))[0]
                 for a, b in pairwise(cuts)]
        assert_same_bits(np.concatenate(parts, axis=1), wanted, f"{method} by {isa}")


def assert_same_bits(got: FloatArray, wanted: FloatArray, what: str = "") -> None:
    """Equal, not silent, and something to compare."""
    assert got.shape == wanted.shape, what
    assert got.size > 0
    assert np.abs(wanted).max() > 1e-3, "silence proves nothing"
    differ = np.flatnonzero(got.view(np.uint32) != wanted.view(np.uint32))
    assert differ.size == 0, f"{what}: {differ.size} of {got.size} differ, first {differ[0]}"
