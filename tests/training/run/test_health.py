"""Runs that go wrong end with a diagnosis; noise differs from crop to crop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console

import training.objectives.autoencoder
from engine.errors import TudorError
from engine.models.registry import build
from tests.training.training_helpers import fill, preset
from training.data.base import Batch
from training.objectives.losses import watched
from training.run.config import resolve
from training.run.health import (
    DIVERGED,
    MARGIN,
    PATIENCE,
    SUSPICIOUS,
    LossHealth,
    diagnosis,
    too_large,
)
from training.run.loop import Machine, train
from training.run.noise import vary_noise


def test_a_loss_that_runs_away_ends_the_run_but_a_noisy_one_does_not() -> None:
    health = LossHealth()
    for step in range(300):
        health.look(1.0 + 0.3 * (step % 2))
        health.check(step, 1e-3)
    assert (health.best, health.mean) == (1, pytest.approx(1.15, abs=0.02))
    health.look(30.0)  # a single spike is no trend
    health.check(0, 1e-3)
    for _ in range(20):
        health.look(4.0)
    assert health.worse_than(SUSPICIOUS)
    health.check(8, 1e-3)
    with pytest.raises(TudorError, match="diverged"):
        health.check(8, 1e-3, over=True)
    for _ in range(70):
        health.look(4.0)
    with pytest.raises(TudorError, match=r"diverged: by step 9 .* from 1 .*learning_rate"):
        health.check(9, 1e-3)


def test_a_loss_that_rises_from_the_first_step_or_stays_high_ends_the_run_as_well() -> None:
    """A learning rate that is far too high leaves no time in which all is well; and what stays at
    twice its best is no spike."""
    health = LossHealth()
    for value in (2.0, *[8.0] * 20):
        health.look(value)
    with pytest.raises(TudorError, match=r"from 2 "):
        health.check(21, 1.0)
    health = LossHealth()
    for value in (*[1.0] * 50, *[2.0] * PATIENCE):
        health.look(value)
        health.check(0, 1e-3)
    for _ in range(50):
        health.look(2.0)
    assert not health.worse_than(DIVERGED)
    with pytest.raises(TudorError, match=r"rose to (1\.9|2)"):
        health.check(0, 1e-3)


def test_a_roar_is_a_divergence_though_its_spectral_distance_is_that_of_silence() -> None:
    quiet, roar = ({"loss": torch.tensor(9.0), "spectral_distance": torch.tensor(2.0),
                    "linear_distance": torch.tensor(linear)} for linear in (0.9, 1e5))
    assert watched(roar) > 3 * watched(quiet) + MARGIN


def test_a_run_with_a_hopeless_learning_rate_ends_with_a_diagnosis(tmp_path: Path) -> None:
    run = resolve(preset(tmp_path), fill(tmp_path / "data"), ["learning_rate=1000", "steps=60"])
    with pytest.raises(TudorError, match=r"(diverged|became).*lower training\.learning_rate"):
        train(run, tmp_path / "run", Machine("cpu"), Console(quiet=True))
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_diagnosis_names_the_culprit() -> None:
    model = build("raw_vae", {"latents": 2, "bands": 4, "compression": 16, "widths": (4, 4)})
    nan, one = torch.tensor(float("nan")), torch.ones(())
    terms = {"loss": nan, "kl": nan, "spectral_distance": one}
    assert diagnosis(model, terms, Batch(audio=torch.ones(1))) == "not finite: kl"
    assert "audio" in diagnosis(model, terms, Batch(audio=nan))
    with torch.no_grad():
        model.decoder.layers[0].weight[0] = float("inf")
    assert "decoder.layers.0.weight" in diagnosis(model, terms, None)


def test_out_of_memory_names_the_batch_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tried = training.objectives.autoencoder.compared, []

    def small_only(model, draws, audio, weight):
        tried.append(len(audio))
        if len(audio) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, draws, audio, weight)

    monkeypatch.setattr(training.objectives.autoencoder, "compared", small_only)
    run = resolve(preset(tmp_path), fill(tmp_path / "data"), ["batch_size=12"])
    with pytest.raises(TudorError, match=r"batch_size=12 .*--set batch_size=3$"):
        train(run, tmp_path / "run", Machine("cpu"), Console(quiet=True))
    assert tried == [1, 1, 2, 12, 6, 3], "one step of each is enough to know"

    def never(batch: int) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")

    assert "even with one crop" in str(too_large(4, "crop of 1 s", never))

    def broken(batch: int) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        too_large(4, "crop of 1 s", broken)


def test_each_crop_hears_other_noise_and_the_seed_decides_which() -> None:
    torch.manual_seed(0)
    model = build("raw_vae", {"latents": 2, "bands": 4, "compression": 16, "widths": (4, 4)})
    z = torch.zeros(1, 2, 8).expand(3, 2, 8)
    same = model.reconstruct(z)
    assert torch.equal(same, model.reconstruct(z))
    vary_noise(model)
    torch.manual_seed(1)
    first = model.reconstruct(z)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], model.reconstruct(z)[0])
    torch.manual_seed(1)
    assert torch.equal(first, model.reconstruct(z))
