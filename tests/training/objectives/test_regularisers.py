"""Regularisers: their formulas, their priors, how they are chosen, and what collapse looks like."""

from __future__ import annotations

import json
from io import StringIO
from math import exp, log
from pathlib import Path

import pytest
import torch
from rich.console import Console

from engine.errors import ConfigError
from tests.training.training_helpers import fill, preset
from training.objectives.monitor import LatentMonitor, latent_state
from training.objectives.regularisers import (
    REGULARISERS,
    SCALES,
    WAEConfig,
    build_regulariser,
    checked,
    mmd,
)
from training.run.config import differences, resolve, training_config
from training.run.loop import Machine, train


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_by_hand(kernel: str) -> None:
    """Two points each on a line: 0 and 1 against 0 and 3."""
    def k(distance: float) -> float:
        values = [exp(-(distance**2) / (2 * s)) if kernel == "rbf"
                  else 2 * s / (2 * s + distance**2) for s in SCALES]
        return sum(values) / len(values)

    expected = k(1) + k(3) - 2 * (k(0) + k(3) + k(1) + k(2)) / 4
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [3.0]])
    assert float(mmd(x, y, kernel)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_mmd_is_zero_on_average_for_one_distribution(kernel: str) -> None:
    torch.manual_seed(0)
    same = [float(mmd(torch.randn(128, 4), torch.randn(128, 4), kernel)) for _ in range(40)]
    other = [float(mmd(torch.randn(128, 4) * 0.3, torch.randn(128, 4), kernel)) for _ in range(5)]
    spread = torch.tensor(same).std() / len(same) ** 0.5
    assert abs(sum(same) / len(same)) < 4 * float(spread)
    assert min(other) > max(same)


@pytest.mark.parametrize("prior", ["gaussian", "uniform", "mixture"])
def test_priors_have_mean_0_and_variance_1_and_draw_latents_in(prior: str) -> None:
    regulariser = build_regulariser(WAEConfig(prior=prior))
    points = regulariser.prior(20_000, 3, torch.Generator().manual_seed(1))
    assert points is not None
    assert points.shape == (20_000, 3)
    assert points.mean(0).abs().max() < 0.05
    assert (points.var(0) - 1).abs().max() < 0.06
    torch.manual_seed(2)
    z = (1.5 + 1.5 * torch.randn(4, 3, 64)).requires_grad_()
    optimizer = torch.optim.Adam([z], 0.05)
    first = None
    for _ in range(150):
        penalty, figures = regulariser.penalty(z, torch.zeros_like(z), z)
        first = float(penalty.detach()) if first is None else first
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
    assert float(figures["mmd"]) < 0.1 * first
    flat = z.detach().transpose(1, 2).reshape(-1, 3)
    assert flat.mean(0).abs().max() < 0.3
    assert 0.5 < float(flat.abs().median()) < 1.0  # began at 1.6


def test_priors_differ() -> None:
    draws = {}
    for prior in ("gaussian", "uniform", "mixture"):
        points = build_regulariser(WAEConfig(prior=prior)).prior(
            4000, 2, torch.Generator().manual_seed(0))
        assert points is not None
        draws[prior] = points
    assert draws["uniform"].abs().max() < 3**0.5 + 1e-6 < draws["gaussian"].abs().max()
    for a, b in (("gaussian", "uniform"), ("gaussian", "mixture"), ("uniform", "mixture")):
        assert mmd(draws[a][:2000], draws[b][:2000], "imq") > 1e-3


def test_weights_warm_up() -> None:
    regulariser = build_regulariser(checked({"kind": "wae-mmd", "weight": 2.0, "warmup_steps": 4}))
    assert [regulariser.weight(step) for step in (0, 1, 3, 9)] == [0.5, 1.0, 2.0, 2.0]
    assert build_regulariser(checked({"kind": "none"})).weight(5) == 0


def test_tables_and_assignments(tmp_path: Path) -> None:
    def chosen(*assignments: str):
        return resolve(preset(tmp_path), tmp_path, list(assignments)).training.regulariser

    assert chosen().warmup_steps == 4  # the preset uses the key of an earlier version
    assert chosen("kl_weight=0.5", "free_bits=0").weight == 0.5
    wae = chosen("regulariser.prior=uniform", "training.regulariser.kind=wae-mmd")
    assert (wae.kind, wae.prior, wae.warmup_steps) == ("wae-mmd", "uniform", 500)
    assert chosen("regulariser.kind=none").kind == "none"
    assert training_config({"objective": "kl"}).objective == "autoencoder"


@pytest.mark.parametrize(("assignments", "message"), [
    (["regulariser.kind=wea-mmd"], "did you mean 'wae-mmd'"),
    (["regulariser.free_bts=1"], "did you mean 'training.regulariser.free_bits'"),
    (["regulariser.kind=wae-mmd", "regulariser.free_bits=1"],
     r"unknown key training\.regulariser\.free_bits"),
    (["regulariser.kind=wae-mmd", "kl_weight=1"], "belongs to the regulariser .kl."),
    (["regulariser=4"], "must be a table"),
    (["regulariser.weight=-1"], r"training\.regulariser\.weight"),
])
def test_wrong_tables_are_named(tmp_path: Path, assignments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(preset(tmp_path), tmp_path, assignments)


def test_a_run_of_an_earlier_version_can_be_taken_up() -> None:
    now = training_config({"kl_weight": 2e-3}).model_dump(mode="json")
    before = {"objective": "kl", "kl_weight": 2e-3, "kl_warmup_steps": 500, "free_bits": 0.05}
    assert differences({"training": before}, {"training": now}) == []
    before["kl_weight"] = 1e-3
    assert differences({"training": before}, {"training": now}) == [
        "training.regulariser.weight was 0.001, is now 0.002"]


def test_what_latents_carry() -> None:
    """A latent that says nothing, and one whose draws are spread 10 times as far as each is."""
    state = latent_state(torch.tensor([1.0, 100.0]), torch.zeros(2), 50)
    assert state.nats == (0, pytest.approx(log(10)))
    assert (state.active, state.collapsed) == (1, False)
    assert state.bits_per_second == pytest.approx(50 * log(10) / log(2))
    monitor = LatentMonitor()
    assert monitor.state(50) is None
    torch.manual_seed(0)
    mean = torch.zeros(8, 4, 2000)
    mean[:, 0] = 3 * torch.randn(8, 2000)
    for _ in range(3):
        monitor.update(7 * torch.ones(1, 4, 1) + mean, torch.full_like(mean, log(0.5)))
    found = monitor.state(50)
    assert found is not None
    assert found.nats[0] == pytest.approx(0.5 * log(9.25 / 0.25), abs=0.02)
    assert max(found.nats[1:]) < 1e-3
    assert LatentMonitor().state(1) is None


@pytest.mark.parametrize("kind", list(REGULARISERS))
def test_runs_with_each(tmp_path: Path, kind: str) -> None:
    run = resolve(preset(tmp_path), fill(tmp_path / "data"), [f"regulariser.kind={kind}"])
    train(run, tmp_path / "run", Machine("cpu"), Console(quiet=True))
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["kind"] == "train"][-1]
    assert len(last["latent_nats"]) == 4
    assert ("mmd" in last) == (kind == "wae-mmd")
    assert ("kl_nats_per_frame" in last) == (kind == "kl")


def test_a_collapse_is_reported(tmp_path: Path) -> None:
    shown = Console(file=StringIO(), width=400)
    run = resolve(preset(tmp_path), fill(tmp_path / "data"),
                  ["regulariser.weight=1000", "regulariser.free_bits=0", "learning_rate=2e-2",
                   "regulariser.warmup_steps=0"], steps=160)
    train(run, tmp_path / "run", Machine("cpu"), shown)
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "posterior collapse: only 0 of 4 latents" in text
    assert "lower training.regulariser.weight (now 1000)" in text
    assert "0 of 4 latents active" in text
