"""What a builder, a cable or a card may do to the instrument, and what audio must never do."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from firmware.host.build import COMMON, CORE
from tests.core.core_build import need
from tests.firmware.common_build import SANITIZED, STRICT, driver
from tests.firmware.common_models import beats, coder, generator, loops, vae, wire

MAPPING = """# every kind of line
way bend
knob1 wet 0 1 curve=s
cv1 latent 1 -3 3 in=-5:5 smooth=10
gate1 freeze mode=toggle
note jump
cc1 spread 2
knob2 swap
knob3 input 0 2
velocity walk 0 0.5 mode=set
meter 3
tempo 96.5
gate2 clock 24
gate3 record mode=toggle at=bar
bar jump chance=0.25
knob4 rate 0.25 4 unit=beat
knob5 depth cv1 -1 0.5 curve=s
bender latent 3
cv2 offset=0.5 gain=-10
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    paths = []
    for name, data in (("wire", wire()), ("coder", coder()), ("generator", generator()),
                       ("vae", vae())):
        paths.append(folder / name)
        paths[-1].write_bytes(data)
    return paths


def execute(*command: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=500,
                          env=environment)


@pytest.mark.parametrize("block", [16, 48, 256])
def test_no_memory_lock_or_system_call_in_a_block(files: list[Path], block: int) -> None:
    done = execute(driver("common_realtime.c"), block, 20000, files[3], files[1])
    assert done.returncode == 0, (done.returncode, done.stderr)
    facts = dict(re.findall(r"(\w+)=(\d+)", done.stdout))
    assert facts["mallocs"] == facts["locks"] == "0"
    assert facts["blocks"] == "20000"
    assert int(facts["changes"]) > 5
    assert int(facts["overloads"]) > 0


def test_the_counters_count(files: list[Path]) -> None:
    program = driver("common_realtime.c")
    assert "mallocs=2 " in execute(program, 48, 100, *files[:2], "plant=malloc").stdout
    assert "locks=1 " in execute(program, 48, 100, *files[:2], "plant=lock").stdout
    assert execute(program, 48, 100, *files[:2], "plant=syscall").returncode < 0


def test_a_million_random_events_under_sanitizers(files: list[Path]) -> None:
    """Audio of random bits, events of every kind, slots filled and emptied, blocks late."""
    program = driver("common_fuzz.c", *SANITIZED)
    states = 0
    for seed, block in ((1, 48), (2, 16), (3, 64), (4, 128)):
        done = execute(program, "events", seed, 250_000, block, *files)
        assert done.returncode == 0, done.stderr[-3000:]
        facts = dict(re.findall(r"(\w+)=([\d.]+)", done.stdout))
        assert facts["events"] == "250000"
        assert int(facts["ignored"]) > 1000
        assert int(facts["changes"]) > 50
        assert float(facts["peak"]) > 0.5
        states |= int(facts["states"])
    assert states == 0b11111, "not every state was visited"


def test_loops_under_sanitizers(tmp_path: Path) -> None:
    """Their derived mapping: jumps and freezes in time, clocks, seeds, two rates."""
    program, files = driver("common_fuzz.c", *SANITIZED), []
    for name, data in (("loops", loops()), ("beats", beats(4)), ("wire", wire())):
        files.append(tmp_path / name)
        files[-1].write_bytes(data)
    for seed, block in ((5, 48), (6, 256)):
        done = execute(program, "events", seed, 60_000, block, *files)
        assert done.returncode == 0, done.stderr[-3000:]
        facts = dict(re.findall(r"(\w+)=([\d.]+)", done.stdout))
        assert facts["events"] == "60000"
        assert float(facts["peak"]) > 0.1


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_texts_under_sanitizers(files: list[Path], tmp_path: Path, seed: int) -> None:
    """Every mapping is accepted or refused with a sentence."""
    mapping = tmp_path / "map"
    mapping.write_text(MAPPING)
    done = execute(driver("common_fuzz.c", *SANITIZED), "texts", seed, 20_000, mapping, files[1])
    assert done.returncode == 0, done.stderr[-3000:]
    facts = dict(re.findall(r"(\w+)=(\d+)", done.stdout))
    assert int(facts["accepted"]) > 100
    assert int(facts["told"]) > 1000


def test_threads_do_not_disturb_each_other(files: list[Path]) -> None:
    """Audio, two that push, one that loads and unloads, one that reads and saves: no race, nothing
    torn, each event taken once or refused."""
    program = driver("common_threads.c", "-g", "-fsanitize=thread", cc="clang")
    done = execute(program, files[1], 5000)
    assert done.returncode == 0, (done.stdout, done.stderr[-3000:])
    facts = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", done.stdout)}
    assert facts["torn"] == 0
    assert min(facts["pushed"], facts["loads"], facts["reads"], facts["saves"]) > 10
    assert facts["ignored"] == facts["strange"] > 10
    assert facts["dropped"] == facts["full"]


@pytest.mark.parametrize("cc", ["gcc", "clang", "arm-none-eabi-gcc"])
def test_it_compiles_without_a_warning(cc: str, tmp_path: Path) -> None:
    need(cc)
    for path in sorted(COMMON.glob("*.c")):
        done = subprocess.run([cc, "-O2", *STRICT, f"-I{CORE}", f"-I{COMMON}", "-c", path, "-o",
                               tmp_path / "o"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_header_is_c_plus_plus_too(tmp_path: Path) -> None:
    """libDaisy's boards are written in it."""
    need("g++")
    source = tmp_path / "a.cpp"
    source.write_text('#include "module.h"\nint main() { module_config c; module_defaults(&c); }\n')
    done = subprocess.run(["g++", "-std=c++14", "-Wall", "-Wextra", "-Werror", f"-I{CORE}",
                           f"-I{COMMON}", "-fsyntax-only", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_audio_path_calls_nothing_of_libm() -> None:
    """What the objects ask for: memory functions of the C library, the runtime, and no more."""
    need("nm")
    program = driver("common_realtime.c")
    wanted: set[str] = set()
    for path in program.with_suffix(".objects").glob("common-*.o"):
        listed = subprocess.run(["nm", "-u", path], capture_output=True, text=True, check=True)
        wanted |= {line.split()[-1] for line in listed.stdout.splitlines() if line.strip()}
    outside = {n for n in wanted if not n.startswith(("tudor_", "module_"))}
    known = {"memcpy", "memset", "memmove", "memcmp", "memchr", "strlen", "strchr", "strcmp",
             "strstr", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail", "__memcpy_chk"}
    defined: set[str] = set()
    for path in program.with_suffix(".objects").glob("common-*.o"):
        listed = subprocess.run(["nm", "--defined-only", path], capture_output=True, text=True,
                                check=True)
        defined |= {line.split()[-1] for line in listed.stdout.splitlines() if line.strip()}
    assert outside - defined - known == set()
