"""q16x8 and bf16w: the file plays what its arithmetic says, to the bit, and loses what is allowed.

The arithmetic is stated twice: by the C reference and, on the nodes before they are packed, by
`export.native.simulate` with the exact activations of `exact_maths`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from engine.errors import ConfigError
from engine.layers import LSTM, Conv1d, NoiseMultiply, Parallel, Sequence, Sigmoid
from engine.layers.base import Streaming
from engine.ops import KINDS, Q16X8
from engine.players.native_model import NativeFile, NativeModel
from export.native.casts import insert_casts
from export.native.export import compile_programs, lower
from export.native.integers import INT32_MAX, X_LARGEST, to_integers
from export.native.nodes import CONVS, Program
from export.native.pack import bfloat16
from export.native.simulate import Simulator
from export.quantise.scales import best_scale, cast, find_scales, find_weights
from tests.core import native_cases
from tests.engine.layers.stacks import stack
from tests.export.native.exact_maths import Exact, fma


def quantised(net: Streaming, wide: bool = False, seed: int = 0,
              plain: tuple[str, ...] = ()) -> tuple[Program, bytes]:
    """A bare net in q16x8, calibrated with noise: its nodes and its file. `plain`: in float32."""
    method = native_cases.method_of(net)
    description = native_cases.describe(method)
    programs = lower({"forward": native_cases.graph_of(net)}, description)
    cast(programs, plain)
    signals = {"forward": noise(net, method.in_frames * 64, seed)}
    choices = find_scales(programs, {}, signals)
    names = {n.name for n in programs["forward"].nodes} if wide else set()
    find_weights(programs, {}, signals, choices, names)
    return programs["forward"], compile_programs(programs, description)


def noise(net: Streaming, rows: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(native_cases.noise(net.in_channels, rows, seed=seed)[0])


def check_bits(net: Streaming, wide: bool, nearly: float = 0.0) -> None:
    program, file = quantised(net, wide)
    model = NativeModel(NativeFile.from_bytes(file), isa="ref")
    rows = native_cases.method_of(net).in_frames * 40
    x = 1.5 * noise(net, rows, seed=1)  # beyond what was calibrated with: saturation counts too
    expected = Simulator(program, {}, annotated=True, maths=Exact).run(x).numpy()
    got = model.process("forward", x.numpy()[None])[0]
    assert got.shape == expected.shape
    assert got.shape[1] > 0
    if nearly:
        np.testing.assert_allclose(got, expected, atol=nearly * np.abs(expected).max())
    else:
        np.testing.assert_array_equal(got, expected)


# --- bits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("wide", [False, True], ids=["int8", "int16"])
@pytest.mark.parametrize("name", [n for n in native_cases.NETS
                                  if n != "tones" and native_cases.has_form(n, Q16X8)])
def test_files_play_their_arithmetic_to_the_bit(name, wide):
    check_bits(native_cases.net(name), wide)


@pytest.mark.parametrize("wide", [False, True], ids=["int8", "int16"])
def test_sines_between_casts_are_floats(wide):
    """Harmonics stay float32, and a pitch may be rounded to the next step: phases drift apart."""
    check_bits(native_cases.net("tones"), wide, nearly=5e-3)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(net=stack())
def test_random_stacks_play_their_arithmetic_to_the_bit(net):
    if any(Q16X8 not in KINDS[op.kind].dtypes for op in native_cases.graph_of(net).ops):
        with pytest.raises(ConfigError, match="has no q16x8 form"):
            quantised(net)
    else:
        check_bits(net, wide=False)


def test_fma_rounds_once():
    rng = np.random.default_rng(0)
    a, b, c = (torch.from_numpy((rng.standard_normal(20000) * 2.0 ** rng.integers(-20, 20, 20000))
                                .astype(np.float32)) for _ in range(3))
    from fractions import Fraction

    got = fma(a, b, c)
    for i in range(0, 20000, 7):
        exact = Fraction(float(a[i])) * Fraction(float(b[i])) + Fraction(float(c[i]))
        at = np.float32(got[i])
        below, above = np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))
        here = abs(Fraction(float(at)) - exact)
        assert here <= abs(Fraction(float(below)) - exact)
        assert here <= abs(Fraction(float(above)) - exact)
    half = torch.tensor([1 + 2.0**-12] * 2)  # its square lies half way between two float32
    nudged = fma(half, half, torch.tensor([2.0**-80, -(2.0**-80)]))
    assert nudged.tolist() == [1 + 2.0**-11 + 2.0**-23, 1 + 2.0**-11]


# --- weights and scales -------------------------------------------------------------------------


def test_sums_cannot_leave_32_bits():
    """2100 equal weights would overflow: their outputs take coarser steps, and only they."""
    weight = np.full((2100, 2), 0.01, np.float32)
    weight[:, 1] = np.random.default_rng(0).standard_normal(2100) * (np.arange(2100) < 99) * 1e-3
    bias = np.array([0.5, -0.5], np.float32)
    done = to_integers(weight, bias, np.full(2100, 1e-4), torch.eye(2100, dtype=torch.float64))
    assert done.fits
    assert done.shrunk == 1
    whole = done.integers
    largest = (np.abs(whole.planes[0].astype(np.int64)).sum(axis=0) * X_LARGEST
               + np.abs(whole.bias.astype(np.int64)))
    assert (largest <= INT32_MAX).all()
    played = whole.planes[0] * whole.step.astype(np.float64) / 1e-4
    assert np.abs(played - weight).max() < 0.15 * 0.01
    wide = to_integers(weight, bias, np.full(2100, 1e-4), torch.eye(2100, dtype=torch.float64),
                       wide=True)
    assert not wide.fits


def test_two_planes_hold_16_bits():
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((48, 5)).astype(np.float32)
    done = to_integers(weight, None, np.ones(48), torch.eye(48, dtype=torch.float64), wide=True)
    low, high = (plane.astype(np.int32) for plane in done.integers.planes)
    played = (low + 256 * high) * done.integers.step
    assert np.abs(played - weight).max() <= done.integers.step.max()
    assert np.abs(low).max() <= 128
    assert done.integers.step.max() < np.abs(weight).max() / 21000


def test_rounding_minds_what_the_inputs_have_in_common():
    """Against correlated inputs the rounded weights err far less than the nearest ones would."""
    rng = np.random.default_rng(2)
    x = (rng.standard_normal((4000, 4)) @ rng.standard_normal((4, 32))) * 1000
    x += 10 * rng.standard_normal(x.shape)
    moments = torch.from_numpy(x.T @ x / len(x))
    weight = rng.standard_normal((32, 8)).astype(np.float32)

    def error(given: torch.Tensor) -> float:
        whole = to_integers(weight, None, np.ones(32), given).integers
        return float(np.square(x @ (whole.planes[0] * whole.step - weight)).mean())

    assert error(moments) < 0.3 * error(torch.eye(32, dtype=torch.float64))


def test_scales_leave_room_and_clip_outliers():
    numbers = torch.from_numpy(np.random.default_rng(3).standard_normal(100_000)).abs()
    assert best_scale(numbers) * 32767 >= 1.2 * float(numbers.max())
    assert best_scale(torch.zeros(10)) > 0
    spike = torch.cat([numbers * 1e-6, torch.tensor([1e3])])
    assert best_scale(spike) * 32767 >= 1e3  # one loud sample is a signal too


def test_casts_stand_where_numbers_change():
    net = native_cases.net("bank")  # noise plays float32 rows, convolutions int16
    program = lower({"forward": native_cases.graph_of(net)},
                    native_cases.describe(native_cases.method_of(net)))["forward"]
    roots = insert_casts(program)
    kinds = [node.kind for node in program.nodes]
    assert kinds[0] == "quantise"
    assert roots
    for node in program.nodes:
        if node.kind in CONVS:
            assert all(view.root.scale for view in node.inputs)
        if node.kind == "noise":
            assert not node.out.scale
            assert not node.inputs[0].root.scale
    assert not program.output.root.scale


def test_what_writes_audio_can_stay_float():
    """Bands of a synthesis are then not rounded in steps of the loudest one."""
    torch.manual_seed(6)
    heads = Parallel(Conv1d(2, 4, 3), Sequence(Conv1d(2, 4, 1), Sigmoid(4), NoiseMultiply(4)),
                     combine="sum")
    net = Sequence(Conv1d(1, 2, 3), heads, Conv1d(4, 1, 3)).requires_grad_(False)
    rounded, _ = quantised(net)
    last = [node.name for node in rounded.nodes if node.kind in CONVS][-1]
    program, file = quantised(net, plain=(last,))
    found = {node.name: node for node in program.nodes}
    assert found[last].dtype == "float32"
    assert not any(view.root.scale for view in found[last].inputs)
    assert [n.dtype for n in program.nodes if n.kind in CONVS].count("float32") == 1
    sums = [node for node in program.nodes if node.kind == "add"]
    assert sums
    assert not any(view.root.scale for node in sums for view in node.reads())
    x = noise(net, native_cases.method_of(net).in_frames * 40, seed=1)
    got = NativeModel(NativeFile.from_bytes(file), isa="ref").process("forward", x.numpy()[None])[0]
    played = Simulator(program, {}, annotated=True, maths=Exact).run(x).numpy()
    np.testing.assert_allclose(got, played, atol=1e-6)  # float sums in another order
    exact = Simulator(rounded, {}).run(x)
    errors = [float((torch.from_numpy(y) - exact).square().mean()) for y in
              (got, Simulator(rounded, {}, annotated=True, maths=Exact).run(x).numpy())]
    assert errors[0] < errors[1]


def test_recurrent_layers_are_named():
    with pytest.raises(ConfigError, match=r"1/lstm: lstm has no q16x8 form.*bf16w"):
        quantised(Sequence(Conv1d(1, 2, 1), LSTM(2, 3)))


# --- bfloat16 -----------------------------------------------------------------------------------


def test_bfloat16_rounds_to_nearest_even():
    values = np.random.default_rng(4).standard_normal(10_000).astype(np.float32)
    expected = torch.from_numpy(values).bfloat16().float().numpy()
    np.testing.assert_array_equal(bfloat16(values), expected)


@pytest.mark.parametrize("name", ["wide", "strided", "grouped", "gated", "lstm", "gru"])
def test_bf16w_plays_rounded_weights(name):
    net = native_cases.net(name)
    description = native_cases.describe(native_cases.method_of(net))
    programs = lower({"forward": native_cases.graph_of(net)}, description)
    plain = compile_programs(programs, description)
    for node in programs["forward"].nodes:
        if node.kind in CONVS:
            node.dtype = "bfloat16"
    file = compile_programs(programs, description)
    assert len(file) < len(plain)
    rows = native_cases.method_of(net).in_frames * 40
    x = noise(net, rows, seed=1)
    expected = Simulator(programs["forward"], {}, annotated=True).run(x).numpy()
    exact = Simulator(programs["forward"], {}).run(x).numpy()
    got = NativeModel(NativeFile.from_bytes(file)).process("forward", x.numpy()[None])[0]
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-5 * max(1, np.abs(expected).max())
    assert np.abs(expected - exact).max() > 1e-4  # the rounding is there
