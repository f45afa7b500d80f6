"""Whole-numbered convolutions against numpy: exact sums in int64, then float32 as documented."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.description import Description, Method
from engine.errors import ModelFileError
from engine.players import native_format as fmt
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_programs
from export.native.nodes import Integers, Node, Program, Root, View
from export.native.pack import pack_bfloat16, pack_integers
from tests.firmware.machines import instruction_sets

RANGE = 32768


def whole(root: Root) -> View:
    return View(root, 0, root.channels)


def one_conv(
    cin: int, cout: int, kernel: int, dilation: int, side: int, integers: Integers,
    scales: tuple[float, float], slope: float, wide: bool,
) -> bytes:
    """input -> quantise -> conv (+ side input: the first `side` channels of x) -> dequantise."""
    source, x = Root(cin, 1), Root(cin, 1, scale=scales[0])
    y, out = Root(cout, 1, scale=scales[1]), Root(cout, 1)
    params = {"kernel": kernel, "stride": 1, "dilation": dilation, "groups": 1, "phases": 1}
    rows = kernel * cin + side
    inputs = [whole(x)] + ([View(x, 0, side)] if side else [])
    nodes = [
        Node("quantise", "in", [whole(source)], x),
        Node("conv", "conv", inputs, y, params=params, act="leaky_relu", slope=slope,
             runs=[(np.zeros((rows, cout), np.float32), None)],
             dtype="int16" if wide else "int8", integers=[integers]),
        Node("dequantise", "out", [whole(y)], out),
    ]
    names = (tuple(f"in {i}" for i in range(cin)), tuple(f"out {i}" for i in range(cout)))
    method = Method("forward", cin, 1, cout, 1, *names, granularity_samples=1)
    description = Description("one", "test", 48000, {"forward": method}, {})
    return compile_programs({"forward": Program(whole(source), whole(out), nodes)}, description)


def to_int16(values: NDArray[np.float32], scale: float) -> NDArray[np.int64]:
    """Nearest even, saturated."""
    scaled = values * (np.float32(1) / np.float32(scale))
    return np.clip(np.rint(scaled), -RANGE, RANGE - 1).astype(np.int64)


def fma(a: float, b: NDArray[np.float32], c: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded once: the product with a power of two is exact, the sum fits into a long double."""
    total = np.longdouble(a) * b.astype(np.longdouble) + c.astype(np.longdouble)
    return total.astype(np.float32)


def expected(
    x: NDArray[np.float32], cin: int, kernel: int, dilation: int, side: int, integers: Integers,
    scales: tuple[float, float], slope: float,
) -> NDArray[np.float32]:
    q = to_int16(x, scales[0])  # [cin, time]
    time, past = q.shape[1], (kernel - 1) * dilation
    padded = np.pad(q, ((0, 0), (past, 0)))
    columns = [padded[:, k * dilation : k * dilation + time] for k in range(kernel)]
    stacked = np.concatenate([*columns, q[:side]])  # [rows, time]
    sums = [plane.astype(np.int64).T @ stacked for plane in integers.planes]
    sums[0] = sums[0] + integers.bias.astype(np.int64)[:, None]
    assert max(np.abs(s).max() for s in sums) < 2**31
    value = sums[0].astype(np.float32)
    if len(sums) == 2:
        value = fma(256.0, sums[1].astype(np.float32), value)
    value = value * integers.step[:, None]
    value = np.where(value > 0, value, value * np.float32(slope))
    return to_int16(value, scales[1]).astype(np.float32) * np.float32(scales[1])


def random_integers(rng: np.random.Generator, rows: int, cout: int, planes: int) -> Integers:
    weights = tuple(rng.integers(-127, 128, (rows, cout)).astype(np.int8) for _ in range(planes))
    return Integers(weights, rng.uniform(2e-9, 2e-8, cout).astype(np.float32),
                    rng.integers(-(2**24), 2**24, cout).astype(np.int32))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cin=st.integers(1, 70), cout=st.integers(1, 140), kernel=st.integers(1, 5),
    dilation=st.integers(1, 4), planes=st.integers(1, 2), sided=st.booleans(),
    seed=st.integers(0, 999), loud=st.booleans(),
)
def test_a_convolution_is_what_numpy_says(
    cin: int, cout: int, kernel: int, dilation: int, planes: int, sided: bool, seed: int,
    loud: bool,
) -> None:
    rng = np.random.default_rng(seed)
    side = (cin + 1) // 2 if sided else 0
    integers = random_integers(rng, kernel * cin + side, cout, planes)
    scales = (3e-5, 1e-6 if loud else 4e-4)
    file = NativeFile.from_bytes(
        one_conv(cin, cout, kernel, dilation, side, integers, scales, 0.2, planes == 2))
    x = rng.uniform(-1.2, 1.2, (cin, 23)).astype(np.float32)
    wanted = expected(x, cin, kernel, dilation, side, integers, scales, 0.2)
    assert np.abs(wanted).max() > 0
    for isa in isas(file):
        got = NativeModel(file, isa=isa).process("forward", x[None])[0]
        assert got.shape == wanted.shape
        assert np.array_equal(got, wanted), isa


def isas(file: NativeFile) -> list[str]:
    return ["ref", *instruction_sets()]


def test_another_weight_is_seen() -> None:
    """The comparison itself: one weight off by one must fail it."""
    rng = np.random.default_rng(0)
    integers = random_integers(rng, 9, 4, 1)
    scales, x = (3e-5, 1e-5), rng.uniform(-1, 1, (3, 20)).astype(np.float32)
    file = NativeFile.from_bytes(one_conv(3, 4, 3, 1, 0, integers, scales, 0.2, False))
    integers.planes[0][8, 3] += 1
    wanted = expected(x, 3, 3, 1, 0, integers, scales, 0.2)
    assert not np.array_equal(NativeModel(file).process("forward", x[None])[0], wanted)


@pytest.mark.parametrize("step", [np.inf, -np.inf, np.nan, 1e38, -1e38, 1e-40, 0.0])
def test_hostile_steps_give_the_same_bits(step: float) -> None:
    """A file may hold any float: what comes out is defined, and the same everywhere."""
    rng = np.random.default_rng(1)
    integers = random_integers(rng, 6, 40, 1)
    file_of = one_conv(3, 40, 2, 1, 0,
                       Integers(integers.planes, np.full(40, 1.25, np.float32), integers.bias),
                       (3e-5, 1e-4), 0.2, False)
    old = np.full(16, 1.25, "<f4").tobytes()
    assert file_of.count(old) > 0
    from export.native.file import seal

    with np.errstate(over="ignore"):
        data = seal(file_of.replace(old, np.full(16, step, "<f4").tobytes()))
    file = NativeFile.from_bytes(data)
    x = rng.uniform(-1, 1, (1, 3, 40)).astype(np.float32)
    x[:, :, 10] = 0
    wanted = NativeModel(file, isa="ref").process("forward", x)
    assert np.isfinite(wanted).all()
    for isa in isas(file):
        assert np.array_equal(NativeModel(file, isa=isa).process("forward", x), wanted), isa


def test_sums_wrap_where_a_file_breaks_the_promise() -> None:
    """Sums beyond 32 bits are no exporter's, but a file may hold them: all targets wrap alike."""
    rows = 5 * 400
    integers = Integers((np.full((rows, 33), 127, np.int8),), np.full(33, 1e-9, np.float32),
                        np.full(33, 2**31 - 1, np.int32))
    data = one_conv(400, 33, 5, 1, 0, integers, (3e-5, 1e-4), 0.2, False)
    file = NativeFile.from_bytes(data)
    x = np.full((1, 400, 12), 1.0, np.float32)
    wanted = NativeModel(file, isa="ref").process("forward", x)
    for isa in isas(file):
        assert np.array_equal(NativeModel(file, isa=isa).process("forward", x), wanted), isa


def test_bfloat16_is_the_nearest_upper_half() -> None:
    values = np.array([1.0, 1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-9, 3.0], np.float32)
    packed = pack_bfloat16(values[:, None], None)
    upper = packed[64:].view("<u2").reshape(-1, 4)[:, 0]
    widened = (upper.astype(np.uint32) << 16).view(np.float32)
    assert widened.tolist() == [1.0, 1.0, 1 + 2.0**-6, -1.0, 3.0]  # ties go to even


def test_taps_must_fit_the_weights() -> None:
    with pytest.raises(ValueError, match="taps hold 4 channels, weights 6 rows"):
        pack_integers([np.zeros((6, 2), np.int8)], np.ones(2, np.float32),
                      np.zeros(2, np.int32), [2, 2])


def test_rows_of_the_wrong_format_are_refused() -> None:
    """int16 rows where an op takes float32 only, and the other way round."""
    from export.native.file import seal
    from tests.core.native_cases import case

    data = case("latents:q16x8")
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    kinds = {code: name for name, code in fmt.ops().items()}
    seen = set()
    for i in range(int(header["ops_count"])):
        at = int(header["ops"]) + i * fmt.record_bytes("op")
        op = fmt.unpack("op", data, at)
        value_at = int(header["values"]) + int(op["out"]) * fmt.record_bytes("value")
        buffer = int(fmt.unpack("value", data, value_at)["buffer"])
        buffer_at = int(header["buffers"]) + buffer * fmt.record_bytes("buffer")
        fields = fmt.unpack("buffer", data, buffer_at)
        kind = kinds[int(op["kind"])]
        if kind in ("guard", "gaussian", "quantise"):
            seen.add(kind)
            was_int = fields["type"] == fmt.constants()["ROWS_INT16"]
            fields.update(type=0 if was_int else 1, scale=0.0 if was_int else 0.001)
            changed = seal(data[:buffer_at] + fmt.pack("buffer", **fields)
                           + data[buffer_at + fmt.record_bytes("buffer"):])
            with pytest.raises(ModelFileError, match="number format"):
                NativeFile.from_bytes(changed)
    assert seen == {"guard", "gaussian", "quantise"}
