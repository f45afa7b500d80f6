"""The loader believes nothing: each damage has a test, and what it accepts plays within bounds."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.errors import AudioError, ConfigError, ModelFileError
from engine.players import native_format as fmt
from engine.players.native_model import NativeFile, NativeModel, error_text
from export.native.file import seal
from tests.core.core_build import compiled
from tests.core.native_cases import case
from tests.firmware.machines import instruction_sets

NAME = "gated_narrow"
FUZZED = Path(__file__).parent / "fuzz" / "corpus"
NONE = fmt.constants()["NONE"]


def opened(data: bytes) -> NativeFile:
    return NativeFile.from_bytes(data, "x.tudor")


def refusal(data: bytes) -> str:
    with pytest.raises(ModelFileError) as caught:
        opened(data)
    return str(caught.value)


def changed(record: str, field: str, value: float, index: int = 0, name: str = NAME) -> bytes:
    """A file with one field of one record changed and the checksum repaired."""
    data = case(name)
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    at = (fmt.record_bytes("prefix") if record == "header"
          else int(header[f"{record}s"]) + index * fmt.record_bytes(record))
    fields = fmt.unpack(record, data, at)
    assert fields[field] != value, "nothing would change"
    fields[field] = value
    return seal(data[:at] + fmt.pack(record, **fields) + data[at + fmt.record_bytes(record):])


def conv_of(name: str, **wanted: int) -> int:
    """Index of the first op with these fields."""
    data = case(name)
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    for i in range(int(header["ops_count"])):
        fields = fmt.unpack("op", data, int(header["ops"]) + i * fmt.record_bytes("op"))
        if all(fields[k] == v for k, v in wanted.items()):
            return i
    raise AssertionError(f"no op with {wanted}")


def test_prefix_damage_is_named(tmp_path: Path) -> None:
    data = case(NAME)
    assert "not a tudor model file" in refusal(b"RIFF" + data[4:])
    assert "newer version" in refusal(data[:4] + b"\3\0\0\0" + data[8:])
    assert "older version" in refusal(data[:4] + b"\1\0\0\0" + data[8:])
    assert "never existed" in refusal(data[:4] + b"\0\0\0\0" + data[8:])
    assert "shorter than its header" in refusal(data[:40])
    assert "truncated" in refusal(data[:-64])
    assert "checksum" in refusal(data[:-100] + bytes([data[-100] ^ 1]) + data[-99:])
    empty = tmp_path / "empty.tudor"
    empty.write_bytes(b"")
    with pytest.raises(ModelFileError, match="empty"):
        NativeFile(empty)
    with pytest.raises(ModelFileError, match="No such file"):
        NativeFile(tmp_path / "absent.tudor")


CONV = conv_of(NAME, kind=fmt.ops()["conv"])
REFUSALS = [
    ("header", "ops", 1 << 30, 0, "section lies outside"),
    ("header", "ops", 132, 0, "section lies outside"),
    ("header", "values_count", 1 << 31, 0, "section lies outside"),
    ("header", "text_bytes", 1 << 31, 0, "section lies outside"),
    ("header", "weights_bytes", 32, 0, "section lies outside"),
    ("header", "name", 1 << 24, 0, "text lies outside"),
    ("method", "ops_count", 1 << 20, 0, "record range"),
    ("method", "first_op", 1, 0, "record range"),
    ("method", "frame_samples", 0, 0, "rates or ratios"),
    ("method", "frame_samples", 7, 0, "rates or ratios"),
    ("method", "in_channels", 9, 0, "channel counts"),
    ("method", "out_ratio", 3, 0, "rates or ratios"),
    ("method", "input_value", 999, 0, "value lies outside"),
    ("method", "loop_first", 1, 0, "loop is damaged"),
    ("method", "loop_ops", 1, 0, "loop is damaged"),
    ("method", "loop_rows", 1, 0, "loop is damaged"),
    ("method", "role", 7, 0, "unknown role"),
    ("method", "role", NONE, 0, "unknown role"),
    ("method", "role", 1 << 31, 0, "unknown role"),
    ("method", "start", 2, 0, "start of a method"),
    ("method", "start", NONE, 0, "start of a method"),
    ("method", "state_words", NONE, 0, "state lies outside"),
    ("method", "arena_bytes", 0, 0, "buffer lies outside"),
    ("buffer", "rows", 0, 0, "buffer lies outside"),
    ("buffer", "row_stride", 1 << 20, 0, "buffer lies outside"),
    ("buffer", "history", 1, 0, "looks back further"),
    ("value", "buffer", 99, 0, "value lies outside"),
    ("value", "channels", 9999, 0, "value lies outside"),
    ("value", "first_channel", NONE, 0, "value lies outside"),
    ("value", "delay", 999, 0, "looks back further"),
    ("op", "kind", 99, CONV, "unknown kind"),
    ("op", "act", 99, CONV, "unknown kind"),
    ("op", "in_a", 999, CONV, "value lies outside"),
    ("op", "in_b", 999, CONV, "value lies outside"),
    ("op", "kernel", 0, CONV, "impossible shape"),
    ("op", "kernel", 1 << 19, CONV, "looks back further"),
    ("op", "stride", 7, CONV, "rates or ratios"),
    ("op", "dilation", 1 << 19, CONV, "looks back further"),
    ("op", "groups", 5, CONV, "channel counts"),
    ("op", "phases", 2, CONV, "rates or ratios"),
    ("op", "weights", NONE - 63, CONV, "weights lie outside"),
    ("op", "weights", 4, CONV, "weights lie outside"),
    ("op", "weights_bytes", 12, CONV, "weights lie outside"),
    ("op", "slope", float("nan"), CONV, "impossible shape"),
    ("op", "name", 1 << 28, CONV, "text lies outside"),
    ("op", "attr_seed", 5, CONV, "reserved"),
    ("op", "dtype", 9, CONV, "number format"),
    ("op", "dtype", 2, CONV, "number format"),
    ("buffer", "type", 7, 0, "number format"),
    ("buffer", "type", 1, 0, "scale"),
    ("buffer", "scale", 0.5, 0, "scale"),
]


@pytest.mark.parametrize(("record", "field", "value", "index", "message"), REFUSALS)
def test_a_wrong_field_is_refused_and_named(
    record: str, field: str, value: float, index: int, message: str
) -> None:
    assert message in refusal(changed(record, field, value, index))


@pytest.mark.parametrize(("name", "kind", "field", "value", "message"), [
    ("lstm", "lstm", "state", 1 << 30, "state lies outside"),
    ("gru", "gru", "weights_bytes", 0, "weights lie outside"),
    ("gru", "gru", "dtype", 1, "number format"),
    ("latents", "gaussian", "attr_a", 7, "attribute"),
    ("latents", "affine", "attr_b", 0, "attribute"),
    ("controls_only", "control", "attr_a", NONE, "attribute"),
    ("controls", "control", "attr_a", 1, "attribute"),  # of another length
    ("controls", "control", "in_a", 0, "channel counts"),
    ("controls:q16x8", "control", "dtype", 1, "number format"),
    ("strided", "conv", "params", 128, "weights lie outside"),
    ("bank", "noise", "state", 99, "state lies outside"),
])
def test_wrong_fields_of_other_ops(
    name: str, kind: str, field: str, value: int, message: str
) -> None:
    wanted = {"kind": fmt.ops()[kind]}
    if field == "params":  # a snake whose parameters would lie far away
        wanted["act"], value = fmt.acts()["snake"], 1 << 30
    assert message in refusal(changed("op", field, value, conv_of(name, **wanted), name))


def test_rows_of_an_attribute_are_floats() -> None:
    """Written where int16 rows are, they would not have the room."""
    name = "controls_only:q16x8"
    header = fmt.unpack("header", case(name), fmt.record_bytes("prefix"))
    cast, control = (conv_of(name, kind=fmt.ops()[kind]) for kind in ("quantise", "control"))
    out = fmt.unpack("op", case(name), int(header["ops"]) + cast * fmt.record_bytes("op"))["out"]
    assert "number format" in refusal(changed("op", "out", out, control, name))


@pytest.mark.parametrize("kind", ["noise", "guard", "map"])
def test_an_op_that_reads_fewer_channels_than_it_writes_is_refused(kind: str) -> None:
    """It would read what lies behind them."""
    name = {"noise": "bank", "guard": "latents", "map": "unfused"}[kind]
    data, index = case(name), conv_of(name, kind=fmt.ops()[kind])
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))

    def channels(value: int) -> int:
        at = int(header["values"]) + value * fmt.record_bytes("value")
        return int(fmt.unpack("value", data, at)["channels"])

    op = fmt.unpack("op", data, int(header["ops"]) + index * fmt.record_bytes("op"))
    other = next(value for value in range(int(header["values_count"]))
                 if channels(value) != channels(int(op["out"])))
    assert "channel counts" in refusal(changed("op", "in_a", other, index, name))


@pytest.mark.parametrize(("field", "value", "message"), [
    ("loop_first", 1 << 30, "loop is damaged"),
    ("loop_ops", 1 << 20, "loop is damaged"),
    ("loop_ops", 0, "loop is damaged"),
    ("loop_rows", 0, "loop is damaged"),
    ("loop_rows", 1 << 30, "loop is damaged"),
    ("loop_rows", 5, "loop is damaged"),  # no multiple of the steps of its ops
    ("loop_rows", 32, "loop is damaged"),  # more rows than the fastest op has
    ("state_words", 1, "state lies outside"),
])
def test_a_damaged_loop_is_refused(field: str, value: int, message: str) -> None:
    assert message in refusal(changed("method", field, value, name="loop_tiers"))


@pytest.mark.parametrize(("name", "kind", "field", "value", "message"), [
    ("loop", "categorical", "attr_a", 99, "attribute"),
    ("loop", "categorical", "attr_b", NONE, "attribute"),
    ("loop", "categorical", "attr_seed", 99, "attribute"),
    ("loop", "categorical", "state", 1, "state lies outside"),
    ("loop", "categorical", "state", NONE, "state lies outside"),
    ("loop", "categorical", "in_b", 1 << 20, "None"),
    ("loop_tiers", "logistic_mixture", "slope", 0.0, "impossible shape"),
    ("loop_tiers", "logistic_mixture", "slope", float("nan"), "impossible shape"),
    ("loop", "embed", "weights_bytes", 6, "weights lie outside"),
    ("loop", "embed", "weights_bytes", 0, "weights lie outside"),
    ("loop", "embed", "weights", NONE - 63, "weights lie outside"),
    ("loop", "embed", "dtype", 1, "number format"),
])
def test_damaged_draws_and_tables_are_refused(
    name: str, kind: str, field: str, value: float, message: str
) -> None:
    data = changed("op", field, value, conv_of(name, kind=fmt.ops()[kind]), name)
    if message == "None":  # what nobody reads may be anything
        opened(data)
    else:
        assert message in refusal(data)


def test_rows_of_a_loop_that_no_step_divides_are_refused() -> None:
    """A buffer that an op in the loop touches has whole rows in each of its steps."""
    data, name = case("loop_tiers"), "loop_tiers"
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    refused = 0
    for index in range(int(header["buffers_count"])):
        at = int(header["buffers"]) + index * fmt.record_bytes("buffer")
        rows = int(fmt.unpack("buffer", data, at)["rows"])
        refusal(changed("buffer", "rows", rows + 1, index, name))
        refused += 1
    assert refused > 5


def test_every_fault_text_is_different_and_reachable_from_python() -> None:
    texts = [error_text(i) for i in range(36)]
    assert len(set(texts)) == len(texts)
    assert error_text(999) == "unknown error"


@cache
def replay() -> Path:
    """The fuzz target without libFuzzer, under both sanitizers: plays what is accepted."""
    wide = "avx512" in instruction_sets()  # compiling that takes most of a minute
    return compiled("fuzz/fuzz_play.c", "-std=c11", "-O1", "-g", "-DREPLAY", "-ffp-contract=off",
                    "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                    *([] if wide else ["-DTUDOR_NO_AVX512"]))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(sorted(path.stem for path in FUZZED.glob("*.tudor"))),
    edits=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 8),
)
@example(name="conv", edits=[(0, 0)], cut=0)
@example(name="gated-wide", edits=[(0, 0)], cut=0)
def test_flipped_truncated_and_repaired_files_stay_in_bounds(
    name: str, edits: list[tuple[int, int]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = bytearray((FUZZED / f"{name}.tudor").read_bytes())
    for at, value in edits:
        data[at % len(data)] = value
    if cut:
        data = data[: len(data) * cut // 8 // 64 * 64]
    folder = tmp_path_factory.mktemp("flip")
    for repaired in (False, True):
        if repaired and len(data) <= fmt.record_bytes("prefix"):
            continue
        file = folder / f"{repaired}.tudor"
        file.write_bytes(seal(bytes(data)) if repaired else bytes(data))
        done = subprocess.run([replay(), file], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]


def test_python_refuses_wrong_calls() -> None:
    model = NativeModel(opened(case("strided")))
    spec = model.methods["forward"]
    with pytest.raises(AudioError, match="multiple of"):
        model.process("forward", np.zeros((1, 1, spec.frame_samples + 1), np.float32))
    with pytest.raises(AudioError, match="takes"):
        model.process("forward", np.zeros((1, 3, spec.frame_samples), np.float32))
    with pytest.raises(ConfigError, match="no method"):
        model.process("backward", np.zeros((1, 1, spec.frame_samples), np.float32))
    with pytest.raises(ConfigError, match="no attribute"):
        model.get("colour")
    with pytest.raises(ConfigError, match="instruction set"):
        model.use_isa("sse9")
    x = np.zeros((1, 1, spec.frame_samples), np.float32)
    out = np.zeros((1, 1, spec.frame_samples), np.float32)
    model.process_slice("forward", x, out, 0, 3)
    with pytest.raises(AudioError, match="unfinished"):
        model.process("forward", x)
    model.reset()
    model.process("forward", x)
