"""Compilers and machines: clean builds, the same bits under emulation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from engine.players.native_model import NativeFile, NativeModel
from tests.core.core_build import CORE, STRICT, compiled, core_sources, need, run
from tests.core.native_cases import NAMES as FLOAT_NAMES
from tests.core.native_cases import case, case_files, noise
from tests.core.native_quantised_cases import QUANTISED

AARCH64 = "aarch64-linux-gnu-gcc"
CORTEX_M7 = ("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard")
TEXT_AIM_BYTES = 25 * 1024  # 0.8 of it: starting at rest, and checking a file that says how
NAMES = (*FLOAT_NAMES, *QUANTISED)



@pytest.mark.parametrize("compiler", ["gcc", "clang", AARCH64, "arm-none-eabi-gcc"])
def test_no_warnings(compiler: str, tmp_path: Path) -> None:
    extra = (*CORTEX_M7, "-DTUDOR_ONLY_SCALAR") if compiler.startswith("arm") else ()
    for source in core_sources():
        run(need(compiler), *STRICT, *extra, "-O1", "-c", source, "-o", tmp_path / "x.o")


@pytest.mark.parametrize("isa", ["neon", "scalar", "ref"])
def test_aarch64_under_emulation_gives_the_same_bits(isa: str, tmp_path: Path) -> None:
    emulator = need("qemu-aarch64")
    program = compiled("play.c", "-std=c11", "-O2", "-ffp-contract=off", "-static", cc=AARCH64)
    for name in NAMES:
        model, x, _ = case_files(tmp_path, name)
        out = tmp_path / "out"
        shown = run(emulator, "-cpu", "cortex-a72", program, model, "forward", x, out, f"isa={isa}",
                    "chunks=1,7,3")
        assert shown.strip() == isa
        spec = NativeFile(model).methods["forward"]
        block = np.fromfile(x, np.float32).reshape(1, spec.in_channels, -1)
        wanted = NativeModel.open(model, isa="ref").process("forward", block)
        got = np.fromfile(out, np.float32)
        assert got.size == wanted.size > 0
        assert np.array_equal(got.view(np.uint32), wanted.reshape(-1).view(np.uint32)), name


def test_cortex_m7_under_emulation_gives_the_same_bits() -> None:
    """All number formats; techno-tiny and every way of cutting are in tests/firmware."""
    from firmware.host.build import TARGETS
    from firmware.host.play import play

    need("qemu-system-arm")
    need("arm-none-eabi-gcc")
    for name in NAMES:
        data = case(name)
        spec = NativeFile.from_bytes(data).methods["forward"]
        x = noise(spec.in_channels, 24 * spec.frame_samples // spec.in_ratio)
        wanted = NativeModel(NativeFile.from_bytes(data), isa="ref").process("forward", x)[0]
        got = play(TARGETS["m7"], data, x[0], frames=(1, 7, 3)).audio
        assert got.shape == wanted.shape
        assert got.size > 0
        assert np.array_equal(got.view(np.uint32), wanted.view(np.uint32)), name


def test_text_size_on_cortex_m7(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a model of convolutions and activations needs, at -Os."""
    cc = need("arm-none-eabi-gcc")
    main = tmp_path / "main.c"
    main.write_text(
        '#include "tudor.h"\n'
        "void _exit(int c) { (void)c; for (;;) {} }\n"
        "int main(void) { static _Alignas(64) char f[64], m[64]; static float x[1]; tudor_model v;"
        " tudor *t; tudor_sizes s; tudor_open(f, 64, &v, 0); tudor_measure(&v, 1, 1, &s);"
        " tudor_init(&v, 1, 1, m, 64, 0, 0, &t); tudor_process(t, 0, x, x, 1);"
        " return tudor_process_slice(t, 0, x, x, 1, 0, 1); }\n")
    sizes = {}
    small = tuple(f"-DTUDOR_NO_{what}"
                  for what in ("RNN", "NOISE", "LOOP", "NORM", "LOG", "ATTENTION", "CONTROL",
                               "TONES", "SPECTRUM", "PARTS"))
    no_int, no_bf16, no_float = "-DTUDOR_NO_INT", "-DTUDOR_NO_BF16", "-DTUDOR_NO_FLOAT"
    for what, flags in (("conv", (*small, no_int, no_bf16)),
                        ("integers", (*small, no_bf16, no_float)), ("all", ())):
        out = tmp_path / what
        run(cc, *CORTEX_M7, "-std=c11", "-Os", "-ffp-contract=off", "-DTUDOR_ONLY_SCALAR", *flags,
            "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "--specs=nosys.specs",
            "-Wl,-e,main", "-nostartfiles", f"-I{CORE}", main, *core_sources(), "-o", out)
        shown = subprocess.run(["arm-none-eabi-size", out], capture_output=True, text=True)
        sizes[what] = int(shown.stdout.splitlines()[1].split()[0])
    with capsys.disabled():
        print(f"\nCortex-M7 text at -Os: conv and activations {sizes['conv']} bytes, of whole "
              f"numbers {sizes['integers']} bytes, all ops {sizes['all']} bytes "
              f"(aim {TEXT_AIM_BYTES})")
    assert sizes["conv"] <= TEXT_AIM_BYTES
    assert sizes["integers"] <= TEXT_AIM_BYTES


def test_polynomials_stay_within_their_bound() -> None:
    program = compiled("math_grid.c", "-std=gnu11", "-O2", "-ffp-contract=off", "-lm", sources=[])
    for line in run(program).splitlines():
        name, worst, _, broken, points = line.split()
        assert int(points) > 1_000_000, name
        assert int(broken) == 0, f"{name}: {broken} points beyond 1e-6 and 4 ulp, worst {worst}"
