"""Noise heads: two draws of one sound, how loud they are, that they do not die, and that it is said
when one is dead."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console

from engine.models.raw_vae import RawVAE
from engine.models.registry import build
from engine.models.store import load_model, save_weights
from tests.training.training_helpers import metrics, run
from training.objectives.noise_head import SILENT_DB, Levels, NoiseMonitor, listening, probed_db

SMALL = {"latents": 2, "bands": 4, "compression": 16, "widths": (4, 4), "dilations": (1,)}


def model(**more: object) -> RawVAE:
    torch.manual_seed(1)
    made = build("raw_vae", {**SMALL, **more})
    assert isinstance(made, RawVAE)
    return made.eval()


def silence(made: RawVAE, bias: float = -20.0) -> RawVAE:
    """`made` with a dead noise head."""
    envelope = made.decoder.layers[-3].branches[-1].layers[0]
    torch.nn.init.zeros_(envelope.weight)
    torch.nn.init.constant_(envelope.bias, bias)
    return made


def test_draws_differ_in_their_noise_alone() -> None:
    made, z = model(), torch.randn(2, 2, 40)
    first, second = made.draws(z, 2)
    assert first.shape == (2, 1, 640)
    assert torch.equal(first, made.reconstruct(z))
    assert (first - second).abs().max() > 1e-3
    first, second = silence(made, -60.0).draws(z, 2)
    assert (first - second).abs().max() < 1e-9
    quiet = model(noise=False)
    (only,) = quiet.draws(z, 2)
    assert torch.equal(only, quiet.reconstruct(z))


def test_levels_are_those_of_the_noise_in_each_band() -> None:
    """Against what the heads give with and without their noise."""
    made, z = model(), torch.randn(1, 2, 400)
    with listening(made) as levels:
        made.reconstruct(z)
    heads, before = made.decoder.layers[-3], made.decoder.layers[:-3]
    for layer in before:
        z = layer.offline(z)
    whole, wave = heads.offline(z), heads.branches[0].offline(z)
    wanted = 10 * torch.log10((whole - wave).square().mean((0, 2)) / whole.square().mean((0, 2)))
    assert torch.allclose(levels.shares() * 20 / torch.tensor(10.0).log(), wanted, atol=1e-2)
    assert levels.middle_db() == pytest.approx(float(wanted.detach().median()), abs=1e-2)
    assert not made.decoder.layers[-3]._forward_hooks, "nothing stays behind"
    with listening(model(noise=False)) as none:
        pass
    assert none.noise == []


def test_the_floor_lifts_a_head_however_quiet_and_leaves_others_alone() -> None:
    made, z = silence(model(), -25.0), torch.randn(1, 2, 40)
    bias = made.decoder.layers[-3].branches[-1].layers[0].bias
    with listening(made) as levels:
        made.reconstruct(z)
    levels.floor().backward()
    assert levels.floor() > 10
    assert torch.allclose(bias.grad, torch.full_like(bias, -0.25), atol=1e-3)
    assert float(Levels([torch.full((4,), 1e-3)], [torch.ones(4)]).floor()) == 0


def test_a_dead_head_is_found_named_and_begun_anew() -> None:
    made = silence(model())
    level = probed_db(made)
    assert level is not None
    assert level < SILENT_DB
    assert level == probed_db(made)
    monitor = NoiseMonitor()
    assert monitor.sentence() is None
    with listening(made) as levels:
        made.reconstruct(torch.randn(1, 2, 40))
    monitor.update(levels)
    assert str(monitor.sentence()).startswith(f"noise head is silent: {-levels.middle_db():.0f} dB")
    made.restart_noise()
    assert probed_db(made) > SILENT_DB  # type: ignore[operator]
    assert probed_db(model(noise=False)) is None
    model(noise=False).restart_noise()


def test_fine_tuning_revives_a_dead_head_and_training_keeps_it_alive(tmp_path: Path) -> None:
    run(tmp_path, steps=1)
    stored = load_model(tmp_path / "run")
    assert isinstance(stored.model, RawVAE)
    save_weights(silence(stored.model), tmp_path / "run" / "model.safetensors")
    said = Console(file=StringIO(), width=400)
    run(tmp_path, out="more", steps=4, start_from=str(tmp_path / "run"), console=said)
    text = said.file.getvalue()  # type: ignore[attr-defined]
    assert "noise head was silent" in text
    assert "noise head is silent" not in text
    rows = metrics(tmp_path / "more")
    assert all(row["noise_head_db"] > SILENT_DB for row in rows)
    assert all(row["energy_score"] < row["spectral_distance"] for row in rows)


def test_a_head_that_dies_without_the_energy_score_is_told_of(tmp_path: Path) -> None:
    run(tmp_path, steps=1)
    stored = load_model(tmp_path / "run")
    assert isinstance(stored.model, RawVAE)
    save_weights(silence(stored.model), tmp_path / "run" / "model.safetensors")
    said = Console(file=StringIO(), width=400)
    run(tmp_path, "energy_score=0", out="more", steps=4, start_from=str(tmp_path / "run"),
        console=said)
    text = said.file.getvalue()  # type: ignore[attr-defined]
    assert "noise head is silent" in text
    assert "training.energy_score=1 keeps it alive" in text
    assert all("energy_score" not in row for row in metrics(tmp_path / "more"))
