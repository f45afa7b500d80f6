"""`rtf-bench` from the outside: JSON, plot, notes and errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks.run as run
from benchmarks.commands import main, parse_blocks
from benchmarks.run import Request, measure_files
from engine.boards.cost import MethodCost, OpCost
from engine.errors import ConfigError

ISSUE_KEYS = {
    "file", "backend", "dtype", "device", "block_samples", "sample_rate_hz", "rtf_p50", "rtf_p99",
    "rtf_max", "block_ms_p50", "block_ms_p99", "block_ms_p999", "block_ms_max", "deadline_misses",
    "blocks", "cold_start_ms", "latency_samples", "macs_per_second", "gflops", "peak_share",
    "weights_bytes", "state_bytes",
}
FAST = ["--seconds", "0.1", "--warmup", "0.02", "--no-cold"]


@pytest.fixture
def players(monkeypatch, fake):
    """Sources 'fast' and 'slow' play as fakes of 0.2 and 1 ms a block."""
    made = {"fast": 0.2, "slow": 1.0}
    monkeypatch.setattr(run, "load", lambda source, threads, device: fake(source, made[source]))


def test_figures_of_players_of_known_speed(players):
    request = Request(["fast", "slow"], [160], seconds=0.1, warm_up_seconds=0.02, fresh=False)
    report = measure_files(request)
    fast, slow = report.results
    assert set(fast) >= ISSUE_KEYS
    assert fast["deadline_ms"] == 10  # 160 samples at 16 kHz
    assert fast["rtf_p50"] == pytest.approx(fast["block_ms_p50"] / 10)
    assert fast["block_ms_min"] == fast["block_ms_max"] == fast["block_cpu_ms_p50"] == 0.2
    assert slow["block_ms_min"] == slow["block_ms_max"] == slow["block_cpu_ms_p50"] == 1.0
    assert fast["blocks"] == slow["blocks"] == 300
    assert (fast["weights_bytes"], fast["state_bytes"]) == (3400, 12)
    assert fast["macs_per_second"] is None  # an unknown family: left out, not guessed


def test_late_blocks_are_counted(monkeypatch, fake):
    monkeypatch.setattr(run, "load", lambda *_, **__: fake(cost_ms=1.5))
    request = Request(["x"], [16], seconds=0.01, warm_up_seconds=0, fresh=False)  # 1 ms deadline
    row = measure_files(request).results[0]
    assert row["deadline_misses"] == row["blocks"]
    assert row["rtf_p50"] == 1.5


def test_latency_is_lookahead_plus_waiting(monkeypatch, fake):
    monkeypatch.setattr(run, "load", lambda *_, **__: fake(cost_ms=0, ratio=8, lookahead=5))
    request = Request(["x"], [64, 12], seconds=0.01, warm_up_seconds=0, fresh=False)
    report = measure_files(request)
    even, odd = report.results
    assert not even["through_host"]
    assert odd["through_host"]
    assert (even["latency_algorithmic_samples"], even["latency_buffering_samples"]) == (5, 63)
    assert even["latency_samples"] == 68
    assert odd["latency_buffering_samples"] == 11 + 8 - 4  # regrouping 12 into 8s adds 4 of 8
    assert any("no multiple" in note and "adds 4 samples" in note for note in report.notes)


def test_half_latent_frames_are_rounded_up_and_said(monkeypatch, fake):
    monkeypatch.setattr(run, "load", lambda *_, **__: fake(cost_ms=0, ratio=8))
    request = Request(["x"], [12], seconds=0.01, warm_up_seconds=0, fresh=False, method="decode")
    report = measure_files(request)
    assert report.results[0]["block_samples"] == 16
    assert "raised to 16" in report.notes[0]


def test_command_writes_json_and_plot(players, tmp_path, capsys):
    out, plot = tmp_path / "new" / "bench.json", tmp_path / "bench.png"
    with pytest.raises(SystemExit) as end:
        main(["fast", "slow", "--block", "64,160", *FAST, "--json", str(out), "--plot", str(plot)])
    assert end.value.code == 0
    data = json.loads(out.read_text())
    assert set(data) == {"machine", "results", "notes"}
    assert [(r["file"], r["block_samples"]) for r in data["results"]] == [
        ("fast", 64), ("slow", 64), ("fast", 160), ("slow", 160)]
    assert all(set(row) >= ISSUE_KEYS for row in data["results"])
    assert data["machine"]["peak_gflops"] > 0
    assert data["machine"]["versions"]["python"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert plot.stat().st_size > 10_000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bench.png", "new"]
    printed = capsys.readouterr().out
    assert "lower is better" in printed
    assert "Warm-up is not counted" in printed


@pytest.mark.parametrize(("arguments", "message"), [
    (["nowhere.ts"], "nowhere.ts does not exist"),
    (["techno-tinny"], "did you mean 'techno-tiny'"),
    ([], "name at least one model"),
    (["techno-tiny", "--block", "12x"], "--block takes sample counts"),
    (["techno-tiny", "--block", "0"], "--block takes sample counts"),
    (["techno-tiny", "--method", "sing"], "no method 'sing'"),
    (["techno-tiny", "--device", "tpu"], "--device is cpu, cuda, cuda:N, ssh:HOST, m7 or aarch64"),
    (["techno-tiny", "--device", "cpu:x"], "--device is cpu, cuda, cuda:N, ssh:HOST, m7"),
    (["techno-tiny", "--device", "m7", "--threads", "4"], "leave out --plot, --silence, --threads"),
    (["--suite", "shapes", "--threads", "4"], "leave out --threads, --device"),
    (["techno-tiny", "--plot", "x.bmp"], "--plot x.bmp"),
    (["techno-tiny", "--quick"], "--suite"),
    (["--suite", "shape"], "did you mean 'shapes'"),
    (["--suite", "shapes", "techno-tiny"], "leave out MODEL"),
    (["--suite", "shapes", "--only", "brave/127"], "unknown case 'brave/127'"),
])
def test_mistakes_are_one_line_and_exit_code_1(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        main([*arguments, *([] if "--suite" in arguments else FAST)])
    assert end.value.code == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_json_into_a_folder_is_refused_before_measuring(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["techno-tiny", *FAST, "--json", str(tmp_path)])
    assert end.value.code == 1
    assert "is a directory" in capsys.readouterr().err


def test_cuda_without_a_gpu_is_a_clear_error(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as end:
        main(["techno-tiny", "--device", "cuda", *FAST])
    assert end.value.code == 1
    assert "no CUDA GPU" in capsys.readouterr().err


@pytest.mark.only_where(Path("/dev/nvidiactl").exists(), "there is no CUDA GPU")
def test_cuda_is_measured_with_a_peak_of_its_own():
    request = Request(["techno-tiny"], [512], seconds=0.5, device="cuda", fresh=False)
    report = measure_files(request)
    assert report.machine["device_peak_gflops"] > report.machine["peak_gflops"]
    assert 0 < report.results[0]["peak_share"] < 1


@pytest.mark.parametrize(("threads", "native", "torch"), [(1, 1, 1), (2, 1, 2), (64, 1, 4)])
def test_shares_of_the_peak_are_those_of_the_threads_that_work(
    monkeypatch, fake, threads, native, torch
):
    """On four cores: the native runtime works on one whatever is asked, others on all at most."""
    made = {"native.tudor": True, "torch.ts": False}
    monkeypatch.setattr(run, "core_count", lambda: 4)
    monkeypatch.setattr(run, "cost_of", lambda *_: MethodCost("m", (
        OpCost("x", "conv1d", 1, 1, 100.0, 1e6, 0, 0, ()),)))

    def load(source, threads, device):
        player = fake(source, 0.1)
        player.one_thread = made[source]
        return player

    monkeypatch.setattr(run, "load", load)
    request = Request(list(made), [160], 0.05, threads, warm_up_seconds=0, fresh=False)
    report = measure_files(request)
    peak = report.machine["peak_gflops"]
    for row, cores in zip(report.results, (native, torch), strict=True):
        assert row["peak_share"] == pytest.approx(row["gflops"] / (cores * peak))
    assert [row["threads"] for row in report.results] == [1, threads]
    said = " ".join(report.notes)
    assert ("native.tudor: the native runtime computes on one thread" in said) == (threads > 1)
    assert ("64 threads on 4 cores take turns" in said) == (threads == 64)


def test_the_native_runtime_is_the_one_on_one_thread():
    from engine.players.native import NativePlayer
    from engine.players.onnx import OnnxPlayer
    from engine.players.pytorch import PyTorchPlayer
    from engine.players.torchscript import TorchScriptPlayer

    kinds = (NativePlayer, OnnxPlayer, PyTorchPlayer, TorchScriptPlayer)
    assert [kind.one_thread for kind in kinds] == [True, False, False, False]


def test_block_sizes_keep_their_order_without_repeats():
    assert parse_blocks("512,128,512") == [512, 128]
    with pytest.raises(ConfigError):
        parse_blocks("")


def test_help_is_quick_and_imports_nothing_heavy():
    code = ("import sys; from benchmarks.commands import app; "
            "print([m for m in ('torch', 'numpy', 'matplotlib') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
