"""The same bits: every instruction set and chunking, slices, batches, saved and restored state."""

from __future__ import annotations

import numpy as np
import pytest

from engine.players import native_format as fmt
from engine.players.native_model import NativeFile, NativeModel
from tests.core.loop_cases import LOOPS
from tests.core.native_cases import NAMES as FLOAT_NAMES
from tests.core.native_cases import TOGETHER, FloatArray, alone, case, noise
from tests.core.native_quantised_cases import QUANTISED
from tests.firmware.machines import instruction_sets

CHUNKS = (1, 2, 3, 7, 64, 513)
NAMES = (*FLOAT_NAMES, *QUANTISED)


def play(model: NativeModel, x: FloatArray, chunks: tuple[int, ...]) -> FloatArray:
    """`x` in chunks of so many frames, taken in turn."""
    spec = model.methods["forward"]
    unit, at, parts, turn = spec.frame_samples // spec.in_ratio, 0, [], 0
    while at < x.shape[2]:
        n = min(chunks[turn % len(chunks)] * unit, x.shape[2] - at)
        parts.append(model.process("forward", np.ascontiguousarray(x[:, :, at : at + n])))
        at, turn = at + n, turn + 1
    return np.concatenate(parts, axis=2)


def setting(name: str, frames: int, batch: int = 1) -> tuple[NativeFile, FloatArray]:
    file = NativeFile.from_bytes(case(name))
    spec = file.methods["forward"]
    rows = frames * spec.frame_samples // spec.in_ratio
    return file, noise(spec.in_channels, rows, batch)


def assert_same_bits(a: FloatArray, b: FloatArray) -> None:
    assert a.shape == b.shape
    assert a.size > 0
    assert np.isfinite(a).all()
    assert np.abs(a).max() > 1e-3, "silence proves nothing"
    assert np.array_equal(a.view(np.uint32), b.view(np.uint32))


@pytest.mark.parametrize("name", NAMES)
def test_every_instruction_set_gives_the_reference_s_bits(name: str) -> None:
    file, x = setting(name, 150)
    wanted = NativeModel(file, isa="ref").process("forward", x)
    for isa in instruction_sets()[1:]:
        assert_same_bits(NativeModel(file, isa=isa).process("forward", x), wanted)


@pytest.mark.parametrize("name", NAMES)
def test_every_chunking_gives_the_same_bits(name: str) -> None:
    file, x = setting(name, 600)
    wanted = NativeModel(file, max_samples=1 << 18).process("forward", x)
    for chunk in CHUNKS:
        for maximum in (1, 1 << 14):  # the smallest instance plays long blocks in parts
            got = play(NativeModel(file, max_samples=maximum), x, (chunk,))
            assert_same_bits(got, wanted)
    assert_same_bits(play(NativeModel(file), x, CHUNKS), wanted)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("slices", [2, 5, 64])
def test_slices_give_the_same_bits(name: str, slices: int) -> None:
    file, x = setting(name, 40, batch=2)
    spec = file.methods["forward"]
    wanted = NativeModel(file, batch=2).process("forward", x)
    model, got = NativeModel(file, batch=2), np.zeros_like(wanted)
    rows, out_rows = x.shape[2] // 40, wanted.shape[2] // 40
    for at in range(0, 40, 4):
        block = np.ascontiguousarray(x[:, :, at * rows : (at + 4) * rows])
        out = np.zeros((2, spec.out_channels, 4 * out_rows), np.float32)
        for i in range(slices):
            model.process_slice("forward", block, out, i, slices)
        got[:, :, at * out_rows : (at + 4) * out_rows] = out
    assert_same_bits(got, wanted)


@pytest.mark.parametrize("name", NAMES)
def test_streams_of_a_batch_do_not_touch_each_other(name: str) -> None:
    file, x = setting(name, 50, batch=3)
    together = play(NativeModel(file, batch=3), x, (7, 2))
    for stream in range(3):
        others = x[:, :, ::-1].copy()  # each stream has noise of its own, so it keeps its place
        others[stream] = x[stream]
        apart = NativeModel(file, batch=3).process("forward", others)
        assert_same_bits(together[stream : stream + 1], apart[stream : stream + 1])
    first = NativeModel(file).process("forward", np.ascontiguousarray(x[:1]))
    assert_same_bits(together[:1], first)
    if draws(name) and not name.startswith("loop_tiers"):  # which has no conditions
        assert not np.array_equal(together[1], together[2])


@pytest.mark.parametrize("name", NAMES)
def test_state_can_be_saved_restored_and_reset(name: str) -> None:
    file, x = setting(name, 60)
    half = x.shape[2] // 2
    first, second = np.ascontiguousarray(x[:, :, :half]), np.ascontiguousarray(x[:, :, half:])
    model = NativeModel(file)
    start = model.process("forward", first)
    state = model.save_state()
    rest = model.process("forward", second)
    other = NativeModel(file)
    other.load_state(state)
    assert_same_bits(other.process("forward", second), rest)
    model.reset()
    assert_same_bits(model.process("forward", first), start)


def draws(name: str) -> bool:
    """Whether a case's streams differ by what they draw."""
    return name.partition(":")[0] in LOOPS


@pytest.mark.parametrize("name", LOOPS)
def test_streams_and_seeds_draw_differently(name: str) -> None:
    file, x = setting(name, 60)
    three = NativeModel(file, batch=3)
    y = three.process("forward", np.repeat(x, 3, axis=0))
    three.reset()
    three.set("seed", np.float32([6]))
    other = three.process("forward", np.repeat(x, 3, axis=0))
    sounds = [*y, *other]
    for index, sound in enumerate(sounds):
        assert all(not np.array_equal(sound, later) for later in sounds[index + 1 :])
    three.reset()
    three.set("seed", np.float32([5]))
    assert_same_bits(three.process("forward", np.repeat(x, 3, axis=0)), y)


def test_an_operation_that_no_network_holds_is_a_case_of_its_own() -> None:
    others = tuple(name for name in TOGETHER if name != "norms")
    own = {"alone_fractional_delay",  # for loops
           "alone_spectrum", "alone_resynth", "alone_note"}
    assert set(alone(TOGETHER)) == own
    assert set(alone(others)) == {"alone_norm", *own}
    file, x = setting("alone_norm", 40)
    assert {op.kind for op in file.ops("forward")} == {"norm"}
    wanted = NativeModel(file, isa="ref").process("forward", x)
    assert_same_bits(play(NativeModel(file), x, CHUNKS), wanted)


def test_every_row_of_the_op_list_has_a_case() -> None:
    seen = {op.kind for name in NAMES for op in NativeFile.from_bytes(case(name)).ops("forward")}
    assert seen == set(fmt.ops()), "an operation lacks a case in native_cases.py"


def test_a_slice_s_cost_is_reported_and_even() -> None:
    file, x = setting("wide", 1)
    model = NativeModel(file)
    samples = x.shape[2] * file.methods["forward"].in_ratio * 16
    worst, total = model.slice_costs("forward", samples, 8)
    assert total / 8 <= worst <= total / 8 * 1.8
