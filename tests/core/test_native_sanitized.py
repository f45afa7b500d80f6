"""Sanitizers and the fuzzer find nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from engine.players.native_model import NativeModel
from tests.core.core_build import compiled, run
from tests.core.native_cases import NAMES as FLOAT_NAMES
from tests.core.native_cases import case_files
from tests.firmware.machines import instruction_sets

SANITISED = (*FLOAT_NAMES, "wide:bf16w", "grouped:bf16w", *(
    f"{name}:{form}" for name in ("odd", "gated", "grouped", "strided", "tapped", "unfused")
    for form in ("q16x8", "wide")))


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_sanitizers_find_nothing(compiler: str, tmp_path: Path) -> None:
    # clang needs minutes for AVX-512 under sanitizers; gcc checks that body, where it can be played
    wide = [isa for isa in instruction_sets() if "avx512" in isa and compiler == "gcc"]
    extra = [] if wide else ["-DTUDOR_NO_AVX512"]
    program = compiled("play.c", "-std=c11", "-O1", "-g", "-ffp-contract=off",
                       "-fsanitize=address", *extra, cc=compiler)
    for name in SANITISED:
        model, x, spec = case_files(tmp_path, name, batch=2)
        for isa in ("ref", "scalar", "avx2", *wide):
            if _able(model, isa):
                run(program, model, "forward", x, tmp_path / "out", f"isa={isa}", "batch=2",
                    "chunks=1,5,2", f"max={spec * 5}")
        run(program, model, "forward", x, tmp_path / "out", "batch=2", "chunks=1,3", "slices=7",
            "parts=all")


def _able(model: Path, isa: str) -> bool:
    from engine.errors import ConfigError

    try:
        NativeModel.open(model, isa=isa)
    except ConfigError:
        return False
    return True


@pytest.mark.slow
def test_a_long_fuzz_finds_nothing(tmp_path: Path) -> None:
    _fuzz(tmp_path, "-runs=1000000", 3000)


def test_a_minute_of_fuzzing_finds_nothing(tmp_path: Path) -> None:
    _fuzz(tmp_path, "-max_total_time=60", 300)


def _fuzz(folder: Path, limit: str, timeout: float) -> None:
    from tests.core.fuzz.corpus import FOLDER
    from tests.core.fuzz.fuzz_build import fuzzer

    # The sanitizer keeps what was freed for a while, in case it is used again. With its own 256 MB
    # for that the fuzzer once grew to 2.3 GB in a minute; 64 are more than one input has at a time.
    done = subprocess.run([fuzzer(), folder, FOLDER, limit, "-max_len=16384", "-timeout=20",
                           f"-artifact_prefix={folder}/"], capture_output=True, text=True,
                          timeout=timeout,
                          env={**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=64"})
    assert done.returncode == 0, done.stderr[-4000:]
