"""A run directory, which PyTorch plays, through the whole of `rtf-bench`: costs, layers, silence,
cold start."""

from __future__ import annotations

from shutil import copy

import pytest
from rich.console import Console

from benchmarks.fresh import cold_start
from benchmarks.layers import BETWEEN, layer_rows, layer_times, operation_of, print_layers
from benchmarks.run import Request, cost_of, measure_files
from benchmarks.silence import LIMIT, add_silence, compare_silence, print_silence
from benchmarks.subject import FileSubject
from engine.files import CONFIG_FILE, WEIGHTS_FILE
from engine.models.store import load_model, save_weights
from engine.players.base import load
from engine.presets import preset_path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    copy(preset_path("techno-daisy"), folder / CONFIG_FILE)
    save_weights(load_model("techno-daisy").model, folder / WEIGHTS_FILE)
    return str(folder)


@pytest.fixture(scope="module")
def request_(run):
    return Request([run], [128, 512], seconds=0.2, warm_up_seconds=0.05, fresh=False)


@pytest.fixture(scope="module")
def report(request_):
    return measure_files(request_)


def test_costs_are_those_of_the_graph(report, run):
    player = load(run)
    graph = player.model.graph("forward")
    row = report.results[0]
    assert row["macs_per_second"] == pytest.approx(graph.macs_per_input_frame() * 16000)
    assert row["weights_bytes"] == graph.weight_count * 4
    assert row["state_bytes"] == graph.state_count * 4
    assert row["operations"] == len(graph.ops)
    work = 2 * row["macs_per_second"] * row["deadline_ms"] / 1000
    assert row["gflops"] == pytest.approx(work / (row["block_ms_p50"] * 1e6))
    assert row["peak_share"] == pytest.approx(row["gflops"] / report.machine["peak_gflops"])


def test_every_layer_finds_its_operation(run):
    from engine.layers import Streaming

    player = load(run)
    cost = cost_of(player, "forward")
    counted = [op for op in cost.ops if op.macs_per_second]
    found = set()
    for path, module in player.model.named_modules():
        if isinstance(module, Streaming):
            found.add(operation_of(path, type(module).__name__, cost))
    assert {op.name for op in counted} <= found
    assert operation_of("sample", "LatentSample", cost) == "latent_sample"
    assert operation_of("encoder.layers.3.branches.0.layers.1", "Conv1d", cost) == (
        "encoder/3/branch0/1/conv1d")


def test_layer_times_add_up(run):
    player = load(run)
    cost = cost_of(player, "forward")
    times = layer_times(FileSubject(player, "forward", 128), cost)
    assert sum(times.values()) == pytest.approx(1)
    assert set(times) <= {op.name for op in cost.ops} | {BETWEEN}
    rows = layer_rows(cost, times)
    assert sum(row.macs_share for row in rows) == pytest.approx(1)
    assert sum(row.weights_bytes for row in rows) == cost.weights_bytes
    assert sum(row.time_share for row in rows) == pytest.approx(1)
    assert not any(module._forward_hooks for module in player.model.modules())


def test_the_answer_is_printed_and_kept(report, request_):
    console = Console(record=True, width=200)
    print_layers(report, request_, console)
    text = console.export_text()
    assert "What impedes real time?" in text
    assert "operations" in text
    row = report.results[0]
    assert row["answer"] in text.replace("\n", " ") or "What impedes" in row["answer"]
    assert 0 < row["bound_ms"] < row["block_ms_p50"]
    assert row["layers"]


def test_silence_is_compared_with_sound(report, request_):
    add_silence(report, request_, seconds=2)
    row = report.results[0]
    # The limit itself is a matter for a quiet machine; here the figure must exist and be sane.
    assert 0.3 < row["silence_ratio_median"] < 3
    assert row["silence_passed"] is (row["silence_ratio"] <= LIMIT)
    console = Console(record=True, width=200)
    print_silence(report, console)
    assert "silent blocks cost at worst" in console.export_text()


def test_expensive_silence_is_found(fake):
    """A player that is slower on silence, as denormals would make it, is caught."""
    loud = FileSubject(fake(cost_ms=0.2), "forward", 64)
    silent = FileSubject(fake(cost_ms=0.4), "forward", 64)
    bad = compare_silence(loud, silent, 0.004, seconds=0.5, window=10)
    assert not bad.passed
    assert bad.median_ratio == 2


def test_cold_start_comes_from_a_fresh_process(run):
    figures = cold_start(run, "forward", 128, 1, "cpu")
    assert figures["cold_start_ms"] > figures["cold_start_load_ms"] > 10  # torch's import alone
    assert figures["peak_memory_bytes"] is None or figures["peak_memory_bytes"] > 50e6


def test_cold_start_of_nothing_is_left_out():
    assert cold_start("nowhere.ts", "forward", 128, 1, "cpu")["cold_start_ms"] is None
