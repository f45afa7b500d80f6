"""`rtf-bench --device m7|aarch64`: counts that repeat, add up, and say what they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.emulated import DEVICES, count_file, spreads
from engine.boards.board import Range, board_named
from engine.boards.fit import fit
from engine.boards.fit_command import read_task
from engine.boards.loads import arithmetic_of
from engine.boards.work import Task
from engine.layers import Conv1d, LeakyReLU, Residual, Sequence
from engine.ops import DTYPES
from tests.firmware.formats import file_in
from tests.firmware.machines import bench, machine
from tests.golden.golden import read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.tudor"
    path.write_bytes(read("techno-tiny").model)
    return path


@pytest.mark.parametrize("device", DEVICES)
def test_counts_of_a_file(device: str, file: Path, tmp_path: Path,
                          capsys: pytest.CaptureFixture[str]) -> None:
    machine(device)
    results = []
    for name in ("a.json", "b.json"):
        where = tmp_path / name
        assert bench("--device", device, file, "--block", "48,128,256", "--json", where) == 0
        results.append(json.loads(where.read_text()))
    assert results[0] == results[1], "counts repeat exactly"
    shown = capsys.readouterr().out
    assert "they are not time" in shown
    assert ("480 MHz" in shown) == (device == "m7")
    counts = results[0]["results"][0]
    assert [b["block_samples"] for b in counts["blocks"]] == [128, 256], "whole frames, once each"
    small, large = counts["blocks"]
    assert large["per_sample"] < small["per_sample"], "more frames share a reading of the weights"
    in_ops = sum(op["per_sample"] for op in counts["ops"])
    assert 0.95 * small["per_sample"] < in_ops < small["per_sample"]
    assert sum(op["share"] for op in counts["ops"]) == pytest.approx(1)
    assert small["per_mac"] == pytest.approx(small["per_sample"] / counts["macs_per_sample"])
    for spread in counts["spreads"]:
        even = spread["average"] * spread["call_samples"] / spread["slices"] / 48
        assert even <= spread["worst"] < 1.5 * even
    assert (small["load"] is None) == (device != "m7")


def test_the_modelled_load_is_instructions_times_cycles_over_clock(
    file: Path, tmp_path: Path
) -> None:
    machine("m7")
    assert bench("--device", "m7", file, "--block", "128", "--json", tmp_path / "a.json") == 0
    counts = json.loads((tmp_path / "a.json").read_text())["results"][0]
    cycles = board_named("daisy").cycles_per_instruction
    assert cycles is not None
    block, spread = counts["blocks"][0], counts["spreads"][0]
    assert block["load"]["high"] == pytest.approx(
        block["per_sample"] * 16000 * cycles.high / 480e6, rel=1e-6)
    assert spread["worst_load"]["low"] == pytest.approx(
        spread["worst"] * (16000 / 48) * cycles.low / 480e6, rel=1e-6)


@pytest.mark.parametrize(("dtype", "sixteen", "one"), [
    ("float32", 1.8, 2.6), ("bf16w", 2.2, 4.7), ("q16x8", 1.4, 1.9)])
def test_instructions_per_mac_of_a_whole_network_stay_within_the_aim(
    dtype: str, sixteen: float, one: float, tmp_path: Path
) -> None:
    """64 channels, eight residual units between ends of one channel: at sixteen frames a call, and
    at one."""
    machine("m7")
    torch.manual_seed(0)
    layers = [Residual(Conv1d(64, 64, 3, dilation=d), LeakyReLU(64), Conv1d(64, 64, 1))
              for d in (1, 2, 4, 8, 1, 2, 4, 8)]
    net = Sequence(Conv1d(1, 64, 3), *layers, Conv1d(64, 1, 3)).eval().requires_grad_(False)
    path = tmp_path / "net.tudor"
    path.write_bytes(file_in(net, dtype))
    counts = count_file("m7", path, "forward", (16, 1))
    assert counts.macs_per_sample > 131000
    assert counts.blocks[0].per_mac <= sixteen
    assert counts.blocks[1].per_mac <= one


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block", [128, 512])
def test_the_model_behind_fit_agrees_with_what_is_counted(block: int, dtype: str,
                                                          tmp_path: Path) -> None:
    """Instructions of the arithmetic: within a tenth, operation kinds and tiles of frames mixed."""
    machine("m7")
    path = tmp_path / "model.tudor"
    path.write_bytes(read("techno-tiny", dtype).model)
    counted = count_file("m7", path, "forward", [block]).blocks[0]
    assert arithmetic_instructions(read_task(str(path), "forward"), dtype, block) \
        == pytest.approx(counted.per_sample, rel=0.1)


def arithmetic_instructions(task: Task, dtype: str, block: int) -> float:
    """Per sample: what `fit` says of a core that takes one cycle for each instruction."""
    daisy, second = board_named("daisy"), Range(1.0, 1.0)
    macs = second.scaled(1 / daisy.kernels[dtype].mac)
    even = replace(daisy, macs={dtype: macs}, instructions=second)
    calls = task.sample_rate_hz / block
    spent = sum(arithmetic_of(work, even, dtype, calls).high for work in task.works)
    return spent / task.sample_rate_hz


@pytest.mark.parametrize(("frame", "ways"), [
    (128, [(1, 2), (3, 8)]),  # 3 frames of 128 end together with the eighth callback
    (48, [(1, 1)]),
    (16, [(3, 1)]),
    (32, [(3, 2)]),
    (2048, [(1, 42)]),  # evenly would take 128 callbacks
])
def test_ways_to_spread(frame: int, ways: list[tuple[int, int]]) -> None:
    assert spreads(frame) == ways


def test_mistakes_are_said(file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path,
                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").touch()
    assert bench("--device", "m7", "model.onnx") == 1
    assert "plays .tudor files" in capsys.readouterr().err
    assert bench("--device", "m7", file, "--method", "dream") == 1
    assert "it has encode, decode, forward" in capsys.readouterr().err
    assert bench("--device", "m7", file, "--silence", "1") == 1
    assert "leave out --plot, --silence" in capsys.readouterr().err
    assert bench("--device", "m7", "none.tudor") == 1
    assert "none.tudor does not exist" in capsys.readouterr().err


@pytest.fixture(scope="module")
def net() -> Sequence:
    torch.manual_seed(0)
    layers = [Residual(Conv1d(32, 32, 3, dilation=d), LeakyReLU(32), Conv1d(32, 32, 1))
              for d in (1, 2)]
    return Sequence(Conv1d(1, 32, 3), *layers, Conv1d(32, 1, 3)).eval().requires_grad_(False)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_files_of_every_number_format_are_counted(device: str, dtype: str, net: Sequence,
                                                  tmp_path: Path) -> None:
    machine(device)
    path = tmp_path / "net.tudor"
    path.write_bytes(file_in(net, dtype))
    counts = count_file(device, path, "forward", (16,))
    assert counts.dtype == dtype
    assert sum(op.per_sample for op in counts.ops) == pytest.approx(
        counts.blocks[0].per_sample, rel=0.1)
    plain, paired = (getattr(board_named("daisy"), f"cycles_per_{kind}")
                     for kind in ("instruction", "integer"))
    cycles = counts.cycles_per_instruction
    if device != "m7":
        assert cycles is None
    elif dtype == "q16x8":
        assert cycles is not None
        assert paired.high < cycles.high < plain.high
    else:
        assert cycles == plain


def test_a_file_brings_its_number_format_to_fit(net: Sequence, tmp_path: Path) -> None:
    sizes = {}
    for dtype in DTYPES:
        path = tmp_path / f"{dtype}.tudor"
        path.write_bytes(file_in(net, dtype))
        found = fit(read_task(str(path), "forward"), "daisy")
        assert found.dtype == dtype
        assert found.placement.file_bytes == path.stat().st_size
        sizes[dtype] = found.placement.weights_bytes
        as_float = fit(read_task(str(path), "forward"), "daisy", "float32")
        assert as_float.placement.weights_bytes == pytest.approx(
            sizes["float32"], rel=0.06), f"{dtype} taken back to float32"
    assert sizes["float32"] > sizes["bf16w"] > sizes["q16x8"]
