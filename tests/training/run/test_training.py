"""Training runs of a model of a few hundred weights: learning, resuming, stopping."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from rich.console import Console

import training.run.callbacks
import training.run.loop
from engine.errors import ConfigError, TudorError
from engine.models.store import load_model
from tests.training.training_helpers import (
    CPU,
    QUIET,
    TINY,
    Clock,
    fill,
    metrics,
    preset,
    run,
    same,
    weights,
)
from training.objectives.energy import Compared
from training.run.averages import Average
from training.run.budget import Budget, learning_rate
from training.run.config import resolve
from training.run.durations import duration
from training.run.loop import Machine, train
from training.run.run_folder import RunFolder
from training.run.schedule import remaining_seconds


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


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


def test_minutes_bound_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    clock.seconds_per_step = 0.5
    outcome = run(tmp_path, minutes=0.05)
    assert (outcome.step, outcome.seconds) == (6, 3.0)


def test_diverging_loss_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, steps=3)
    kept = RunFolder(tmp_path / "run").checkpoint.read_bytes()
    import training.objectives.autoencoder

    monkeypatch.setattr(training.objectives.autoencoder, "compared",
                        lambda model, draws, *rest: Compared(*[draws[0].sum() * float("nan")] * 4))
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


def test_budget_counts_earlier_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    config = resolve(preset(tmp_path), tmp_path, [], minutes=1.0).training
    budget = Budget(config, spent_seconds=45)
    assert budget.progress(step=10**6) == pytest.approx(0.75)
    budget.start()
    clock.now += 3
    assert budget.progress(0) == pytest.approx(0.8)


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
    from training.data.base import Batch
    from training.objectives.autoencoder import AutoencoderObjective
    from training.objectives.base import Moment
    from training.run.fabric import keep_full_precision

    model = load_model("techno-tiny").model.train()
    keep_full_precision(model)
    config = resolve(preset(tmp_path, TINY), tmp_path, []).training
    audio = 0.1 * torch.randn(2, 1, 8192)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        objective = AutoencoderObjective(model, config)
        loss = objective.losses(Batch(audio=audio), Moment())["loss"]
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_progress_display_texts() -> None:
    assert duration(59.6) == "1:00"
    assert duration(3723) == "1:02:03"


@pytest.mark.parametrize(("before", "now", "left"), [
    ({"minutes": 1.0}, {"steps": 40}, "0:20"),  # 20 steps done in 60 s, 20 to go at 1 s each
    ({"steps": 20}, {"steps": 40}, "0:20"),
    ({"steps": 20}, {"minutes": 2.0}, "1:00"),
])
def test_time_left_is_reckoned_from_this_process_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: dict[str, float],
    now: dict[str, float], left: str,
) -> None:
    clock = Clock(monkeypatch)
    clock.seconds_per_step = 3.0
    assert run(tmp_path, **before).step == 20
    clock.seconds_per_step = 1.0
    monkeypatch.setattr(training.run.callbacks, "PLAIN_SECONDS", 1.0)
    console = Console(record=True, width=200, file=io.StringIO())
    run(tmp_path, console=console, **now)
    told = re.findall(r"step (\d+), (\S+) left", console.export_text())
    assert told[0][0] == "21"
    seconds = [int(m) * 60 + int(s) for m, s in (text.split(":") for _, text in told)]
    wanted = int(left[0]) * 60 + int(left[2:])
    assert seconds == list(range(wanted - 1, wanted - 1 - len(told), -1))
    assert len(told) >= wanted


TWO = ("adversarial.on=true",)


@pytest.mark.parametrize(("budget", "step", "spent", "begun", "seconds"), [
    (["steps=100"], 0, 0.0, False, 100),
    (["steps=100"], 40, 300.0, False, 60),  # whatever earlier steps took
    (["steps=100", "minutes=10"], 10, 300.0, False, 90),
    (["steps=1000", "minutes=10"], 10, 300.0, False, 300),
    (["steps=100"], 100, 0.0, False, 0),
    (["steps=100", *TWO, "adversarial.start=0.6"], 0, 0.0, False, 180),
    (["steps=100", *TWO, "adversarial.start=0.6"], 80, 0.0, False, 60),
    (["steps=100", *TWO, "adversarial.start=90 steps"], 50, 0.0, True, 150),
    (["steps=100", *TWO, "adversarial.start=1 min"], 20, 30.0, False, 180),
    (["steps=100", "minutes=2", *TWO, "adversarial.start=0.5"], 20, 30.0, False, 90),
])
def test_remaining_time_by_phase(
    tmp_path: Path, budget: list[str], step: int, spent: float, begun: bool, seconds: float
) -> None:
    """Steps of one second, and of three in phase 2."""
    config = resolve(preset(tmp_path), tmp_path, budget).training
    assert remaining_seconds(config, (1.0, 3.0), step, spent, begun) == pytest.approx(seconds)


def test_preflight_tells_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.run.loop, "step_seconds", lambda *_: (10.0, 10.0))
    told = []
    for steps in (6, 18):
        console = Console(record=True, width=200, file=io.StringIO())
        run(tmp_path, steps=steps, console=console)
        told += re.findall("about (.*)", console.export_text())
    assert told == ["1:00 in all", "2:00 to go"]
