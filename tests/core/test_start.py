"""A native file may hold the state in which a method starts: fresh instances and reset ones
have it. A file that says nothing starts from zeros as before (test_format.py)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from engine.errors import AudioError, ModelFileError
from engine.players import native_format as fmt
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_programs, lower
from export.native.file import seal
from tests.core.native_cases import case, graph_and_description, noise
from tests.core.native_quantised_cases import quantise

NONE = fmt.constants()["NONE"]
# Rings that slide and wrap, in both regions and number formats; words of every kind.
CASES = ("wide", "strided", "long_history", "lstm", "gru", "attention", "bank", "loop_tiers",
         "unfused:q16x8", "wide:q16x8", "long_history:q16x8", "branches:q16x8")


@cache
def begun(name: str) -> tuple[bytes, bytes, bytes]:
    """A case's file, the same starting where it is after some noise, and that start."""
    plain = NativeModel(NativeFile.from_bytes(case(name)))
    spec = plain.methods["forward"]
    plain.process("forward", heard(spec, 96))
    start = plain.save_start("forward")
    base, _, form = name.partition(":")
    graph, description = graph_and_description(base)
    programs = lower({"forward": graph}, description)
    if form:
        quantise(programs["forward"], form)
    assert compile_programs(programs, description) == case(name)
    return case(name), compile_programs(programs, description, {"forward": start}), start


def heard(spec, frames: int, seed: int = 0, batch: int = 1):
    return noise(spec.in_channels, frames * spec.frame_samples // spec.in_ratio, batch, seed)


def model(data: bytes, **options) -> NativeModel:
    return NativeModel(NativeFile.from_bytes(data), **options)


@pytest.mark.parametrize("name", CASES)
def test_a_stream_begins_and_begins_again_where_the_file_says(name: str) -> None:
    before, after, start = begun(name)
    plain = model(before)
    spec = plain.methods["forward"]
    x = heard(spec, 40, seed=1)
    zero = plain.process("forward", x)
    plain.reset()
    plain.process("forward", heard(spec, 96))
    wanted = plain.process("forward", x)
    assert not np.array_equal(zero, wanted), "the start would not be heard"
    for options in ({}, {"max_samples": spec.frame_samples}, {"isa": "ref"}):
        begins = model(after, **options)
        assert begins.save_start("forward") == start
        assert np.array_equal(begins.process("forward", x), wanted)
        saved = begins.save_state()
        goes_on = begins.process("forward", x)
        begins.reset()
        assert begins.save_start("forward") == start
        assert np.array_equal(begins.process("forward", x), wanted)
        begins.load_state(saved)
        assert np.array_equal(begins.process("forward", x), goes_on)


@pytest.mark.parametrize("name", ["long_history", "lstm", "wide:q16x8"])
def test_every_stream_of_a_batch_begins_there(name: str) -> None:
    _, after, _ = begun(name)
    many, one = model(after, batch=3), model(after)
    x = heard(one.methods["forward"], 20, seed=2, batch=3)
    for _ in range(2):
        y = many.process("forward", x)
        for stream in range(3):
            one.reset()
            assert np.array_equal(y[stream], one.process("forward", x[stream : stream + 1])[0])
        many.reset()


def test_a_reset_within_slices_begins_there_too() -> None:
    _, after, start = begun("strided")
    playing = model(after)
    spec = playing.methods["forward"]
    x = heard(spec, 4)
    wanted = model(after).process("forward", x)
    playing.process_slice("forward", x, np.empty_like(wanted), 0, 3)
    with pytest.raises(AudioError, match="unfinished"):
        playing.save_start("forward")
    playing.reset()
    assert playing.save_start("forward") == start
    assert np.array_equal(playing.process("forward", x), wanted)


def damaged(data: bytes, start: int, at: int | None = None, number: float = 0.0) -> bytes:
    """A file whose method says another start, or has another number at a place in its start."""
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    first = int(header["methods"])
    method = fmt.unpack("method", data, first)
    if at is not None:
        at += int(header["weights"]) + int(method["start"]) - 1
        return seal(data[:at] + np.float32(number).tobytes() + data[at + 4 :])
    method["start"] = start
    return seal(data[:first] + fmt.pack("method", **method)
                + data[first + fmt.record_bytes("method") :])


def test_a_hostile_start_is_refused() -> None:
    _, data, start = begun("lstm")
    weights = int(fmt.unpack("header", data, fmt.record_bytes("prefix"))["weights_bytes"])
    fits = weights - 64 - len(start)
    assert fits > 64
    NativeFile.from_bytes(damaged(data, 1 + fits // 64 * 64))  # the last place that has room
    for place in (2, 5, 64, NONE, 1 << 31, 1 + fits // 64 * 64 + 64, 1 + weights):
        with pytest.raises(ModelFileError, match=r"start of a method.*method 0"):
            NativeFile.from_bytes(damaged(data, place))
    for at in (0, len(start) - 4):
        NativeFile.from_bytes(damaged(data, 0, at, 3e38))
        for number in (np.nan, np.inf, -np.inf):
            with pytest.raises(ModelFileError, match="no number"):
                NativeFile.from_bytes(damaged(data, 0, at, number))


def test_rows_of_whole_numbers_may_be_any() -> None:
    """Two int16 that together would be a float's NaN are two numbers."""
    _, data, start = begun("wide:q16x8")
    NativeFile.from_bytes(damaged(data, 0, len(start) - 4, np.nan))


def test_a_start_too_large_for_any_file_is_refused() -> None:
    data = case("wide")
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    at, size = int(header["buffers"]), fmt.record_bytes("buffer")
    for i in range(int(header["buffers_count"])):
        fields = fmt.unpack("buffer", data, at + i * size)
        if fields["history"]:
            fields["history"] = fmt.constants()["MAX_ROWS"]
            changed = fmt.pack("buffer", **fields)
            data = data[: at + i * size] + changed + data[at + (i + 1) * size :]
    NativeFile.from_bytes(seal(data))
    with pytest.raises(ModelFileError, match="start of a method"):
        NativeFile.from_bytes(damaged(data, 1))
