"""Training runs of a model of a few hundred weights: learning, resuming, stopping."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from training_helpers import TINY, fill, preset

import training.run.callbacks
from engine.errors import ConfigError, TudorError
from engine.models.store import load_model
from training.run.config import resolve
from training.run.loop import Machine, Outcome, train
from training.run.module import Average, Budget, learning_rate
from training.run.run_folder import RunFolder

QUIET = Console(quiet=True)
CPU = Machine("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def run(tmp_path: Path, *assignments: str, out: str = "run", **options: Any) -> Outcome:
    data = tmp_path / "data"
    if not data.exists():
        fill(data)
    settings = resolve(preset(tmp_path), data, list(assignments), **options)
    return train(settings, tmp_path / out, CPU, QUIET)


def metrics(folder: Path, kind: str = "train") -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder).model.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    assert len(a) > 10
    return all(torch.equal(a[name], b[name]) for name in a)


def test_crops_shorter_than_the_delay_are_refused(tmp_path: Path) -> None:
    said = r"crop_seconds is 0\.0001.*give at least 0\.0\d+$"
    with pytest.raises(ConfigError, match=said) as error:
        run(tmp_path, "crop_seconds=0.0001")
    least = str(error.value).rsplit(" ", 1)[1]
    assert run(tmp_path, f"crop_seconds={least}", steps=1).step == 1


def test_a_run_leaves_all_its_files_and_learns(tmp_path: Path) -> None:
    outcome = run(tmp_path, "batch_size=4", "learning_rate=1e-2", steps=40)
    folder = outcome.folder
    assert outcome.step == 40
    names = {p.name for p in folder.iterdir()}
    assert names >= {"config.toml", "model.safetensors", "metrics.jsonl", "skipped.txt",
                     "checkpoints", "cache", "tensorboard"}
    losses = [row["loss"] for row in metrics(folder)]
    assert len(losses) == 40
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    first, last = metrics(folder, "validation")[0], metrics(folder, "validation")[-1]
    assert last["spectral_distance"] < first["spectral_distance"]
    stored = load_model(folder)
    assert stored.trained
    assert stored.settings["training"]["batch_size"] == 4


def test_same_seed_same_weights(tmp_path: Path) -> None:
    a, b, c = (run(tmp_path, out=out, seed=seed).folder
               for out, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert same(weights(a), weights(b))
    assert not same(weights(a), weights(c))


def test_taken_up_again_equals_uninterrupted(tmp_path: Path) -> None:
    """Constant rate, so that the budget does not enter; the rest must agree bit for bit."""
    fixed = ("schedule=constant",)
    whole = run(tmp_path, *fixed, out="whole", steps=6).folder
    run(tmp_path, *fixed, out="parts", steps=3)
    parts = run(tmp_path, *fixed, out="parts", steps=6).folder
    assert same(weights(whole), weights(parts))
    rows = metrics(parts)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(a["seconds"] <= b["seconds"] for a, b in pairwise(rows))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    run(tmp_path)
    before = (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns
    again = run(tmp_path)
    assert again.already_finished
    assert (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns == before


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(ConfigError, match=r"model\.latents was 4, is now 5"):
        run(tmp_path, "latents=5")


def test_minutes_bound_the_run(tmp_path: Path) -> None:
    outcome = run(tmp_path, minutes=0.03)
    assert outcome.step > 3
    assert 1.8 <= outcome.seconds < 10


COMMAND = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from training.commands import train
train(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), steps=30, device="cpu",
      assignments=["checkpoint_seconds=0.3", "schedule=constant"])
"""


def test_killed_and_resumed(tmp_path: Path) -> None:
    data, config = fill(tmp_path / "data"), preset(tmp_path)
    arguments = [sys.executable, "-c", COMMAND, config, str(data), str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    folder = RunFolder(tmp_path / "run")
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not folder.checkpoint.exists() and time.monotonic() < deadline:
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    checkpoint = folder.load()
    assert checkpoint is not None
    assert 0 < checkpoint.step < 30
    with folder.metrics.open("a") as file:
        file.write('{"step": 29, "kind": "tr')  # a line that the kill cut short
    finished = subprocess.run(arguments, env=environment, capture_output=True, text=True,
                              timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert f"resuming at step {checkpoint.step}" in finished.stdout
    steps = [row["step"] for row in metrics(folder.path)]
    assert steps == list(range(1, 31))
    whole = run(tmp_path, "schedule=constant", out="whole", steps=30).folder
    assert same(weights(folder.path), weights(whole))


def test_diverging_loss_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, steps=3)
    kept = RunFolder(tmp_path / "run").checkpoint.read_bytes()
    import training.objectives.autoencoder

    monkeypatch.setattr(training.objectives.autoencoder, "aligned_terms",
                        lambda model, output, audio: (output.sum() * float("nan"),) * 2)
    with pytest.raises(TudorError, match=r"became nan at step 3 \(not finite: spec.*learning_rate"):
        run(tmp_path, steps=6)
    assert RunFolder(tmp_path / "run").checkpoint.read_bytes() == kept


def test_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, steps=3)
    folder = RunFolder(tmp_path / "run")
    kept = folder.checkpoint.read_bytes()

    def full(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TudorError, match=r"No space left on device.*one before is intact"):
        run(tmp_path, steps=6)
    assert folder.checkpoint.read_bytes() == kept
    assert not list(folder.checkpoint.parent.glob("*partial*"))


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    run(tmp_path)
    checkpoint = RunFolder(tmp_path / "run").checkpoint
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ConfigError, match=r"last\.ckpt is not a readable checkpoint"):
        run(tmp_path)


def test_weights_on_disk_are_the_average(tmp_path: Path) -> None:
    folder = run(tmp_path, "ema_decay=0.5").folder
    checkpoint = RunFolder(folder).load()
    assert checkpoint is not None
    stored = load_model(folder).model  # its latents were ordered, which changes sound by rounding
    x = torch.randn(1, 1, 4 * stored.ratio) * 0.3

    def sound(state: dict[str, torch.Tensor]) -> torch.Tensor:
        model = load_model(folder).model
        model.load_state_dict(state)
        return model.offline("forward", x)

    error = (stored.offline("forward", x) - sound(checkpoint.average)).abs().max()
    apart = (sound(checkpoint.model) - sound(checkpoint.average)).abs().max()
    assert 100 * float(error) < float(apart)


def test_average_follows_the_formula() -> None:
    model = load_model("techno-tiny").model
    average = Average(model, decay=0.9)
    parameter = next(model.parameters())
    before = parameter.detach().clone()
    with torch.no_grad():
        parameter += 1
    average.update(model, step=10_000)
    assert torch.allclose(next(average.model.parameters()), before + 0.1, atol=1e-6)


def test_learning_rate_rises_then_falls(tmp_path: Path) -> None:
    config = resolve(preset(tmp_path), tmp_path, ["warmup_steps=9", "final_rate=0.1"]).training
    rates = [learning_rate(config, step, step / 99) for step in range(100)]
    assert rates[0] == pytest.approx(config.learning_rate / 10, rel=1e-3)
    assert max(rates) == pytest.approx(config.learning_rate, rel=0.05)
    assert rates.index(max(rates)) == 9
    assert rates[-1] == pytest.approx(config.learning_rate * 0.1)


def test_budget_counts_earlier_processes(tmp_path: Path) -> None:
    config = resolve(preset(tmp_path), tmp_path, [], minutes=1.0).training
    budget = Budget(config, spent_seconds=45)
    assert budget.progress(step=10**6) == pytest.approx(0.75)
    budget.start()
    assert budget.progress(0) > 0.75


def test_errors_of_machine_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown device 'tpu'"):
        train(resolve(preset(tmp_path), tmp_path, []), tmp_path / "run", Machine("tpu"), QUIET)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        train(resolve(preset(tmp_path), fill(tmp_path / "data"), []), tmp_path / "file", CPU, QUIET)
    with pytest.raises(TudorError, match="does not exist"):
        train(resolve(preset(tmp_path), tmp_path / "absent", []), tmp_path / "run", CPU, QUIET)
    assert not (tmp_path / "run").exists()


def test_bfloat16_leaves_the_filter_bank_alone(tmp_path: Path) -> None:
    from training.objectives.autoencoder import AutoencoderObjective
    from training.run.module import keep_full_precision

    model = load_model("techno-tiny").model.train()
    keep_full_precision(model)
    config = resolve(preset(tmp_path, TINY), tmp_path, []).training
    audio = 0.1 * torch.randn(2, 1, 8192)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = AutoencoderObjective(config).terms(model, audio, 0)["loss"]
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_progress_display_texts() -> None:
    assert training.run.callbacks.duration(59.6) == "1:00"
    assert training.run.callbacks.duration(3723) == "1:02:03"
