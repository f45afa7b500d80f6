"""Convolutions that an attribute leaves out: the steps of a flow that nobody asked for."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ModelFileError
from engine.ops import DTYPES
from engine.players import native_format as fmt
from engine.players.native_model import NativeFile, NativeModel
from export.native.file import seal
from tests.core.native_cases import FloatArray
from tests.core.test_native_bits import CHUNKS, assert_same_bits
from tests.firmware.machines import instruction_sets
from tests.golden import golden

ROWS = 96
ASKED = (1, 2, 3, 4)


def skipping_ops(data: bytes) -> list[int]:
    """Where in a file the records of convolutions lie that an attribute leaves out."""
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    size, first = fmt.record_bytes("op"), int(header["ops"])
    places = range(first, first + int(header["ops_count"]) * size, size)
    none, conv = fmt.constants()["NONE"], fmt.ops()["conv"]
    records = {at: fmt.unpack("op", data, at) for at in places}
    return [at for at, op in records.items() if op["kind"] == conv and op["attr_a"] != none]


def with_attribute(data: bytes, places: list[int], attribute: int) -> bytes:
    """The file with another attribute for these convolutions."""
    changed = bytearray(data)
    for at in places:
        fields = {**fmt.unpack("op", data, at), "attr_a": attribute}
        changed[at : at + fmt.record_bytes("op")] = fmt.pack("op", **fields)
    return seal(bytes(changed))


@pytest.fixture(scope="module", params=DTYPES)
def data(request) -> bytes:
    """A flow of up to four steps in each number format."""
    return golden.read("latent_flow_steps", request.param).model


@pytest.fixture(scope="module")
def file(data) -> NativeFile:
    return NativeFile.from_bytes(data)


def conditions(file: NativeFile, streams: int = 1) -> FloatArray:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (streams, file.methods["generate"].in_channels, ROWS))
    return x.astype(np.float32)


def made(model: NativeModel, x: FloatArray, steps: float, chunks: tuple[int, ...] = (ROWS,)
         ) -> FloatArray:
    model.reset()
    model.set("steps", np.float32([steps]))
    parts, at, turn = [], 0, 0
    while at < ROWS:
        count = min(chunks[turn % len(chunks)], ROWS - at)
        parts.append(model.process("generate", np.ascontiguousarray(x[:, :, at : at + count])))
        at, turn = at + count, turn + 1
    return np.concatenate(parts, axis=2)


@pytest.mark.parametrize("steps", ASKED)
def test_leaving_out_changes_no_bit(data, file, steps):
    x, places = conditions(file), skipping_ops(data)
    assert len(places) == 3 * 3 * 2  # layers of a step, steps but the first, methods
    all_of_it = NativeFile.from_bytes(with_attribute(data, places, fmt.constants()["NONE"]))
    wanted = made(NativeModel(all_of_it, isa="ref"), x, steps)
    for isa in instruction_sets():
        assert_same_bits(made(NativeModel(file, isa=isa), x, steps), wanted)
    model = NativeModel(file)
    for chunk in CHUNKS:
        assert_same_bits(made(model, x, steps, (chunk, 1)), wanted)


def test_other_steps_are_other_sounds(file):
    x, model = conditions(file), NativeModel(file)
    found = [made(model, x, steps) for steps in ASKED]
    assert_same_bits(found[2], found[1])  # between two numbers the lower one
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[3])


def test_each_stream_has_steps_of_its_own(file):
    x = conditions(file, 2)
    both = NativeModel(file, batch=2)
    for stream, steps in enumerate((1, 4)):
        both.set("steps", np.float32([steps]), stream)
    y = both.process("generate", x)
    for stream, steps in enumerate((1, 4)):
        alone = NativeModel(file, batch=2)
        alone.set("steps", np.float32([steps]))
        assert_same_bits(alone.process("generate", x)[stream], y[stream])
    assert not np.array_equal(y[0], y[1])


def test_steps_may_change_while_it_plays(file):
    x, model = conditions(file), NativeModel(file)
    model.set("steps", np.float32([1]))
    first = model.process("generate", np.ascontiguousarray(x[:, :, : ROWS // 2]))
    state = model.save_state()
    model.set("steps", np.float32([4]))
    then = model.process("generate", np.ascontiguousarray(x[:, :, ROWS // 2 :]))
    other = NativeModel(file)
    other.load_state(state)
    other.set("steps", np.float32([4]))
    assert_same_bits(other.process("generate", np.ascontiguousarray(x[:, :, ROWS // 2 :])), then)
    assert np.isfinite(first).all()


@pytest.mark.parametrize("slices", [1, 2, 3, 5, 16])
def test_slices_leave_out_the_same(file, slices):
    x, spec = conditions(file), file.methods["generate"]
    for steps in ASKED:
        wanted = made(NativeModel(file), x, steps)
        model = NativeModel(file)
        model.set("steps", np.float32([steps]))
        got = np.zeros_like(wanted)
        for row in range(ROWS):
            part = np.ascontiguousarray(x[:, :, row : row + 1])
            out = np.zeros((1, spec.out_channels, wanted.shape[2] // ROWS), np.float32)
            for index in range(slices):
                model.process_slice("generate", part, out, index, slices)
            got[:, :, row * out.shape[2] : (row + 1) * out.shape[2]] = out
        assert_same_bits(got, wanted)


@pytest.mark.parametrize("attribute", [99, fmt.constants()["NONE"] - 1])
def test_an_attribute_that_is_not_there_is_refused(data, attribute):
    with pytest.raises(ModelFileError, match="attribute"):
        NativeFile.from_bytes(with_attribute(data, skipping_ops(data)[:1], attribute))


def test_weights_of_all_steps_lie_in_one_place(file):
    """But those of the first layer in whole numbers: the first step reads noise, at another scale
    than what later ones read."""
    ops = file.ops("generate")
    for name in ("first", "second", "last"):
        found = [op for op in ops if op.name.endswith(f"/{name}/conv1d")]
        whole = found[0].dtype >= fmt.constants()["DTYPE_INT8"]
        assert len(found) == 4
        assert len({op.weights_offset for op in found}) == (2 if whole and name == "first" else 1)
        assert len({op.weights_offset for op in found[1:]}) == 1
        assert found[0].weights_bytes > 0
