"""The suite's networks: published arithmetic, the same function on every backend, the report."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks.loop_models import SETTINGS, loop_model, played
from benchmarks.nam import NamWaveNet
from benchmarks.shape_backends import (
    NativeRunner,
    OnnxRunner,
    PlayerRunner,
    TorchScriptRunner,
    native_available,
)
from benchmarks.shape_loop import PyTorchLoop
from benchmarks.shape_numbers import compiled, parse_dtypes
from benchmarks.shapes import (
    LOOPS,
    WAVENETS,
    Layer,
    build_case,
    case_names,
    is_pair,
    layers_of,
    published_mmacs,
    segments_of,
    wavenet_case,
)
from benchmarks.suite import Effort, add_ratios, run_shapes
from benchmarks.wavenet import Sizes
from engine.boards.fit import FITS, fit
from engine.boards.work import task_of_model
from engine.errors import ConfigError
from engine.layers import Residual
from engine.players.native_model import NativeFile
from engine.players.pytorch import PyTorchPlayer

NETWORKS = [name for name in case_names() if published_mmacs(name) is not None]
SMALL = [name for name in case_names() if published_mmacs(name) is None]


def test_there_are_six_networks_and_the_small_cases():
    assert len(NETWORKS) == 6
    assert SMALL == ["nam-a1/16", "nam-a1/64", "lstm-16/256", "gru-8/256", "ar-wavenet/1",
                     "ar-wavenet-149k/1", "ar-two-tier/64", "ar-draw/64",
                     "loops-daisy/512", "loops-pi/2048", "loops-desktop/2048"]


@pytest.mark.parametrize("name", NETWORKS)
def test_arithmetic_is_as_published(name):
    model = build_case(name)
    mmacs = model.cost().macs_per_block(model.block_samples / model.sample_rate_hz) / 1e6
    assert mmacs == pytest.approx(published_mmacs(name), abs=0.05)
    assert mmacs * 1e6 == pytest.approx(sum(layer.macs_per_block for layer in layers_of(name)))


@pytest.mark.parametrize("name", case_names())
def test_segments_cover_a_block_exactly(name):
    model = build_case(name)
    assert model.in_frames[0] == (1 if name in SETTINGS else model.block_samples)
    for method, x in zip(model.methods.values(), model.inputs(), strict=True):
        assert x.shape[1] * method.in_ratio == model.block_samples
        assert x.shape[0] == method.in_channels


def test_nam_has_its_published_size():
    model = NamWaveNet()
    assert model.parameter_count == 13802
    assert model.receptive_field == 1 + 2 * 2 * 1023
    assert len(model.state_shapes()) == 20


def test_pairs_and_feeding():
    a = Layer(8, 8, 3, 1, 9, 4)
    assert is_pair(a, Layer(8, 8, 1, 1, 1, 4))
    assert is_pair(a, Layer(8, 8, 3, 1, 1, 4))
    assert not is_pair(a, Layer(8, 8, 3, 1, 3, 4))
    assert not is_pair(a, Layer(8, 16, 1, 1, 1, 4))
    assert not is_pair(Layer(8, 8, 2, 1, 1, 4), a)
    chain = [Layer(1, 8, 4, 2, 1, 8), a, Layer(8, 8, 1, 1, 1, 4)]
    first, second = segments_of(chain)  # 8 frames do not feed a layer that wants 4
    assert (first.in_frames, second.in_frames) == (16, 4)
    assert isinstance(next(iter(second.chain)), Residual)


@pytest.mark.parametrize("name", ["brave/128", "rave-raspberry/2048",
                                  *[name for name in SMALL if name not in LOOPS]])
def test_every_backend_computes_the_same(name):
    model = build_case(name)
    runners = [PlayerRunner(PyTorchPlayer(model), model), TorchScriptRunner(model),
               OnnxRunner(model)]
    if native_available():
        file = compiled(model, "float32")
        assert file is not None
        runners.append(NativeRunner(model, file))
    for block in range(3):  # the caches must carry over from block to block
        for runner in runners:
            runner.play(block)
        reference, *others = [runner.outputs() for runner in runners]
        for outputs in others:
            for y, wanted in zip(outputs, reference, strict=True):
                assert y.shape == wanted.shape
                assert np.abs(y - wanted).max() <= 1e-5


def test_caches_matter():
    """The comparison above would see a runner that forgets: blocks differ with equal input."""
    model = build_case("nam-a1/64")
    runner = TorchScriptRunner(model)
    runner.play(0)
    first = runner.outputs()[0].copy()
    runner.play(1)
    assert np.abs(runner.outputs()[0] - first).max() > 1e-3


def test_suite_reports_each_case_and_backend():
    console = Console(record=True, width=200)
    effort = Effort(0.01, 10, 0.01, 1.0)
    report = run_shapes(True, ["nam-a1/64", "gru-8/256"], console, effort)
    cases = {row["case"] for row in report.results}
    assert cases == {"nam-a1/64", "gru-8/256"}
    for row in report.results:
        assert row["peak_share"] > 0
        assert row["bound_ms"] > 0
        if row["backend"] == "onnx":
            assert row["speedup_over_onnx"] == 1
    assert {row["bound"] for row in report.results} == {"arithmetic", "latency"}
    assert "nam-a1/64" in console.export_text()


def test_number_formats_are_compared_with_float32():
    effort = Effort(0.01, 10, 0.01, 1.0)
    dtypes = parse_dtypes("q16x8,bf16w")
    assert dtypes == ("float32", "bf16w", "q16x8")
    report = run_shapes(True, ["nam-a1/64", "gru-8/256"], Console(quiet=True), effort, dtypes)
    found = {(row["case"], row["backend"], row["dtype"]) for row in report.results}
    assert {("nam-a1/64", "native-q16x8", "q16x8"), ("gru-8/256", "native-bf16w", "bf16w")} <= found
    assert not any(case == "gru-8/256" and dtype == "q16x8" for case, _, dtype in found)
    note = next(note for note in report.notes if note.startswith("times as fast"))
    assert "nam-a1/64 q16x8" in note
    with pytest.raises(ConfigError, match=r"unknown dtype 'q16'.*q16x8"):
        parse_dtypes("q16")


@pytest.mark.parametrize(("dtype", "error"), [("bf16w", 0.02), ("q16x8", 0.03)])
def test_fewer_bits_stay_near_float32(dtype, error):
    """The rounded networks do the same work, not some other: their output is about the same."""
    model = build_case("brave/128")
    whole, fewer = (NativeRunner(model, compiled(model, d) or b"", d) for d in ("float32", dtype))
    for runner in (whole, fewer):
        runner.play(0)
    for y, wanted in zip(fewer.outputs(), whole.outputs(), strict=True):
        assert 0 < np.abs(y - wanted).max() <= error * np.abs(wanted).max()


def test_ratios_say_how_many_times_faster():
    rows = [{"case": "a/1", "backend": b, "block_ms_p50": t, "block_cpu_ms_p50": t / 2}
            for b, t in (("torchscript", 8.0), ("onnx", 2.0), ("native", 0.5))]
    add_ratios(rows)
    assert rows[2]["speedup_over_onnx"] == 4
    assert rows[2]["speedup_over_torchscript"] == 16
    assert rows[0]["speedup_over_onnx"] == 0.25
    assert rows[2]["cpu_speedup_over_onnx"] == 4


SMALL_WAVENET = Sizes(stacks=2, layers=4, residual=6, skip=40, end=20, classes=16)


def test_the_published_wavenet_has_its_arithmetic():
    model = build_case("ar-wavenet/1")
    macs = model.cost().macs_per_block(1 / model.sample_rate_hz)
    layers = 30 * (2 * 32 * 64 + 32 * 1024) + 29 * 32 * 32
    assert macs == layers + 1024 * 512 + 512 * 256
    assert model.segments[0].chain.net.receptive_field == 1 + 3 * 1023


def test_the_runtime_draws_what_a_cached_pytorch_loop_draws():
    """Longer than every ring, so that each has gone round; and classes that move."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = wavenet_case(SMALL_WAVENET)
    file = compiled(model, "float32")
    assert file is not None
    runners = [PyTorchLoop(model), NativeRunner(model, file)]
    drawn = []
    for index in range(60):
        for runner in runners:
            runner.play(index)
        drawn.append([int(runner.outputs()[0][0, 0]) for runner in runners])
    theirs, ours = zip(*drawn, strict=True)
    assert len(set(theirs)) > 5
    assert ours == theirs


def test_the_sum_of_skip_connections_is_one_operation():
    """Thirty convolutions of one sum read the layers' outputs side by side."""
    file = NativeFile.from_bytes(compiled(wavenet_case(SMALL_WAVENET), "float32"))
    ops = file.ops("segment0")
    assert [op.in_channels for op in ops if op.out_channels == 40] == [8 * 6]
    assert not any(op.kind == "copy" for op in ops)


def test_generation_is_reported_in_samples_per_second(monkeypatch):
    monkeypatch.setitem(WAVENETS, "ar-wavenet/1", SMALL_WAVENET)
    effort = Effort(0.001, 5, 0.01, 1.0)
    report = run_shapes(True, ["ar-wavenet/1"], Console(quiet=True), effort,
                        ("float32", "bf16w"))
    assert [row["backend"] for row in report.results] == [
        "pytorch", "pytorch-loop", "native", "native-bf16w"]
    layers, loop, whole, half = report.results
    assert half["weights_bytes_per_sample"] * 2 == whole["weights_bytes_per_sample"]
    for row in report.results:
        took = min(row["block_ms_p50"], row["block_cpu_ms_p50"])
        assert row["samples_per_second"] == pytest.approx(1000 / took)
        read = row["weights_bytes_per_sample"] * row["samples_per_second"] / 1e9
        assert row["reading_share"] == pytest.approx(read / row["reading_gb_s"])
        assert row["times_real_time"] == pytest.approx(row["samples_per_second"] / 16000)
    for peer, key in ((layers, "speedup_over_pytorch"), (loop, "speedup_over_pytorch_loop")):
        assert half[key] == pytest.approx(peer["block_cpu_ms_p50"] / half["block_cpu_ms_p50"])
    assert any(note.startswith("ar-wavenet/1 native-bf16w: ") for note in report.notes)


def test_callbacks_of_two_rates_share_a_block():
    """The frames' layers are due once for 16 samples; no callback pays for them alone."""
    report = run_shapes(True, ["ar-two-tier/64"], Console(quiet=True), Effort(0.001, 5, 0.01, 1.0))
    (row,) = report.results
    assert list(row["callbacks"]) == [32, 16, 8, 4, 1]
    for samples, ratios in row["callbacks"].items():
        assert 1.0 <= ratios["by_cost"] < (1.3 if samples == 1 else 1.1)
    assert any("dearest over mean callback" in note for note in report.notes)


@pytest.mark.parametrize(("name", "board", "dtype"), [
    ("loops-daisy/512", "daisy", "q16x8"), ("loops-pi/2048", "pi4", "float32"),
    ("loops-desktop/2048", "desktop", "float32")])
def test_models_of_loops_are_what_their_boards_bear(name, board, dtype):
    model = loop_model(name)
    assert model.methods[played(model)].in_ratio == int(name.partition("/")[2])
    generate = task_of_model(model, name, "generate")
    whole = fit(task_of_model(model, name, played(model)), board, dtype)
    assert whole.verdict == FITS
    if board == "daisy":
        assert generate.macs_per_second <= 12e6
        assert generate.weights <= 270_000
    if board == "pi4":
        assert whole.worst_callback.high <= 0.3
    seconds = int(name.partition("/")[2]) / model.sample_rate_hz
    assert build_case(name).cost().macs_per_block(seconds) == pytest.approx(
        whole.macs_per_second * seconds)


def test_a_model_of_loops_is_timed_in_every_number_format():
    report = run_shapes(True, ["loops-daisy/512"], Console(quiet=True),
                        Effort(0.1, 5, 0.01, 1.0), ("float32", "bf16w", "q16x8"))
    assert [row["backend"] for row in report.results] == ["native", "native-bf16w", "native-q16x8"]
    assert all(0 < row["rtf_p50"] < 1 for row in report.results)
