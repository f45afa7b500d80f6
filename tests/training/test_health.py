"""Runs that go wrong end with a diagnosis; noise differs from crop to crop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console
from training_helpers import fill, preset

import training.objective
from engine.errors import TudorError
from engine.models.registry import build
from training.config import resolve
from training.health import LOOKS, SUSPICIOUS, Health, diagnosis, too_large
from training.loop import Machine, train
from training.noise import vary_noise


def test_a_loss_that_runs_away_ends_the_run_but_a_noisy_one_does_not() -> None:
    health = Health()
    for step in range(LOOKS * 3):
        health.look(1.0 + 0.3 * (step % 2))
        health.check(step, 1e-3)
    assert health.best == pytest.approx(1.15, abs=0.02)
    health.look(30.0)  # a single spike is no trend
    health.check(0, 1e-3)
    for _ in range(20):
        health.look(4.0)
    assert health.worse_than(SUSPICIOUS)
    for _ in range(200):
        health.look(4.0)
    with pytest.raises(TudorError, match=r"diverged: by step 9 .* from 1\.1.*learning_rate"):
        health.check(9, 1e-3)


def test_a_diagnosis_names_the_culprit() -> None:
    model = build("raw_vae", {"latents": 2, "bands": 4, "compression": 16, "widths": (4, 4)})
    nan, one = torch.tensor(float("nan")), torch.ones(())
    terms = {"loss": nan, "kl": nan, "spectral_distance": one}
    assert diagnosis(model, terms, torch.ones(1)) == "not finite: kl"
    assert "audio" in diagnosis(model, terms, nan)
    with torch.no_grad():
        model.decoder.layers[0].weight[0] = float("inf")
    assert "decoder.layers.0.weight" in diagnosis(model, terms, None)


def test_out_of_memory_names_the_batch_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = training.objective.aligned_terms

    def small_only(model, output, audio):
        if len(audio) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, output, audio)

    monkeypatch.setattr(training.objective, "aligned_terms", small_only)
    run = resolve(preset(tmp_path), fill(tmp_path / "data"), ["batch_size=12"])
    with pytest.raises(TudorError, match=r"batch_size=12 .*--set batch_size=3$"):
        train(run, tmp_path / "run", Machine("cpu"), Console(quiet=True))

    def never(batch: int) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")

    assert "even with one crop" in str(too_large(4, 1.0, never))

    def broken(batch: int) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        too_large(4, 1.0, broken)


def test_each_crop_hears_other_noise_and_the_seed_decides_which() -> None:
    torch.manual_seed(0)
    model = build("raw_vae", {"latents": 2, "bands": 4, "compression": 16, "widths": (4, 4)})
    z = torch.zeros(1, 2, 8).expand(3, 2, 8)
    same = model.reconstruct(z)
    assert torch.equal(same[0], same[1])
    vary_noise(model)
    torch.manual_seed(1)
    first = model.reconstruct(z)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], model.reconstruct(z)[0])
    torch.manual_seed(1)
    assert torch.equal(first, model.reconstruct(z))
