"""The host program: every operation on a Cortex-M7, slices, exact counts, clear errors."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ModelFileError, TudorError
from engine.ops import DTYPES
from engine.players.native_model import NativeFile, NativeModel
from firmware.host.build import TARGETS, MissingToolError, program, target_named, tool
from firmware.host.play import play
from tests.core.native_cases import NAMES, NETS, FloatArray, case, has_form, net, noise
from tests.firmware.formats import file_in
from tests.firmware.machines import assert_same_bits, machine
from tests.golden.golden import read

EMULATED = [name for name, target in TARGETS.items() if target.emulator]


def setting(
    name: str, frames: int, dtype: str = "float32"
) -> tuple[bytes, FloatArray, FloatArray]:
    """A case's file, an input, and what the plain C reference makes of it."""
    data = case(name) if dtype == "float32" else file_in(net(name), dtype)
    file = NativeFile.from_bytes(data)
    spec = file.methods["forward"]
    x = noise(spec.in_channels, frames * spec.frame_samples // spec.in_ratio)
    return data, x[0], NativeModel(file, isa="ref").process("forward", x)[0]


@pytest.mark.parametrize(("name", "dtype"), [
    (name, dtype) for dtype in DTYPES for name in (NAMES if dtype == "float32" else NETS)
    if has_form(name, dtype)
])
def test_every_operation_gives_the_reference_s_bits_on_cortex_m7(name: str, dtype: str) -> None:
    model, x, wanted = setting(name, 24, dtype)
    board = machine("m7")
    assert_same_bits(play(board, model, x, frames=(1, 7, 3)).audio, wanted)
    assert_same_bits(play(board, model, x, frames=(5,), slices=4).audio, wanted)


@pytest.mark.parametrize("target", EMULATED)
def test_counts_repeat_exactly_and_add_up(target: str) -> None:
    board, golden = machine(target), read("techno-tiny")
    x = golden.inputs["forward"]
    file = NativeFile.from_bytes(golden.model)
    table = file.ops("forward")
    frames = x.shape[1] // file.methods["forward"].frame_samples
    first = play(board, golden.model, x, count="ops")
    again = play(board, golden.model, x, count="ops")
    assert first.unit == "instructions"
    assert first.ops == again.ops
    assert first.calls == again.calls
    assert set(first.ops) == set(range(len(table)))
    assert all(tally.calls == frames for tally in first.ops.values())
    whole = play(board, golden.model, x, count="calls").calls
    assert whole is not None
    assert whole.calls == frames
    assert whole.worst <= whole.total <= whole.worst * frames
    in_ops = sum(tally.total for tally in first.ops.values())
    assert 0.95 * whole.total < in_ops < whole.total, "operations are the bulk of a call"
    vector = 4 if target == "aarch64" else 1  # a fused multiply-add takes one instruction, at least
    for index, op in enumerate(table):
        assert first.ops[index].total >= op.macs * frames / vector, op.name


@pytest.mark.parametrize("target", EMULATED)
def test_twice_the_audio_is_twice_the_count(target: str) -> None:
    model, x, _ = setting("wide", 32)
    board = machine(target)
    short = play(board, model, np.ascontiguousarray(x[:, : x.shape[1] // 2]), count="calls").calls
    long = play(board, model, x, count="calls").calls
    assert short is not None
    assert long is not None
    assert long.calls == 2 * short.calls
    assert long.total == pytest.approx(2 * short.total, rel=0.02)


def test_slices_share_the_work() -> None:
    golden, board = read("techno-tiny"), machine("m7")
    x = golden.inputs["forward"]
    whole = play(board, golden.model, x, count="calls").calls
    parts = play(board, golden.model, x, count="calls", slices=2)
    assert whole is not None
    assert parts.calls is not None
    assert parts.calls.calls == 2 * whole.calls
    assert 0.5 * whole.worst <= parts.calls.worst < 0.65 * whole.worst
    assert_same_bits(parts.audio, golden.outputs["forward"])


@pytest.mark.parametrize("target", ["native", "m7"])
def test_what_it_refuses_is_said(target: str) -> None:
    board, golden = machine(target), read("techno-tiny")
    x = golden.inputs["forward"]
    with pytest.raises(TudorError, match="whole number of frames"):
        play(board, golden.model, x[:, :100])
    with pytest.raises(TudorError, match="exit code 1"):
        play(board, golden.model, x, isa="altivec")
    long = np.zeros((1, 128 * 12000), np.float32)
    if target == "m7":
        with pytest.raises(TudorError, match="the board has not enough"):
            play(board, golden.model, long, frames=(12000,))


def test_a_damaged_file_is_refused(tmp_path, monkeypatch) -> None:
    golden, board = read("techno-tiny"), machine("m7")
    damaged = bytearray(golden.model)
    damaged[-1000] ^= 1
    real = NativeFile.from_bytes
    monkeypatch.setattr(NativeFile, "from_bytes", lambda _data: real(golden.model))
    with pytest.raises(ModelFileError, match="checksum"):
        play(board, bytes(damaged), golden.inputs["forward"])


def test_a_missing_tool_names_its_package(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TudorError, match="apt install qemu-system-arm"):
        tool("qemu-system-arm")


def test_a_compiler_without_a_library_names_the_package(tmp_path, monkeypatch) -> None:
    compiler = tmp_path / "arm-none-eabi-gcc"
    compiler.write_text("#!/bin/sh\necho 'x.c: string.h: No such file or directory' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(MissingToolError, match="apt install libnewlib-arm-none-eabi"):
        program(TARGETS["m7"])


def test_an_unknown_machine_suggests_one() -> None:
    with pytest.raises(TudorError, match="did you mean 'aarch64'"):
        target_named("aarch")


def test_counts_outlive_the_board_s_timer() -> None:
    """One call of more instructions than the timer holds counts as many as its parts."""
    golden, board = read("techno-tiny"), machine("m7")
    x = golden.inputs["forward"]  # 24 frames: twice around the timer
    long = play(board, golden.model, x, frames=(24,), count="calls").calls
    parts = play(board, golden.model, x, frames=(8,), count="calls").calls
    assert long is not None
    assert parts is not None
    assert long.total > 12e6
    # Three calls cost a little more than one; a lost turn of the timer would be a third.
    assert long.total == pytest.approx(parts.total, rel=0.1)
