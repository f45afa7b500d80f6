"""Descriptors of sounds whose answer is known, latents that are played, and the whole report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.description import Latent
from engine.models.store import build_from, read_settings
from engine.players.pytorch import PyTorchPlayer
from tests.training.training_helpers import RATE, fill, loop, preset
from training.evaluation.borders import border_flux
from training.evaluation.descriptors import NAMES, curves, descriptor_mmd, points, spearman
from training.evaluation.evaluate import evaluate_folder
from training.evaluation.latent_play import (
    Space,
    interpolation,
    prior_draws,
    shuffled,
    smoothness,
    traversal,
)
from training.evaluation.latent_report import examine, regulariser_of
from training.evaluation.measures import loudness_db, si_sdr_db
from training.evaluation.page import write_report

TIME = np.arange(RATE) / RATE


def tone(hertz: float, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * TIME)).astype(np.float32)[None]


def test_si_sdr_by_hand() -> None:
    target = tone(250)
    noise = tone(500) / 10  # orthogonal over whole periods
    assert si_sdr_db(target + noise, target) == pytest.approx(20, abs=0.01)
    assert si_sdr_db(3 * (target + noise), target) == pytest.approx(20, abs=0.01)
    assert si_sdr_db(target, target) == 100
    assert si_sdr_db(np.zeros_like(target), target) == -100


def test_loudness_follows_the_ear() -> None:
    low, middle = (loudness_db(tone(hertz), RATE)[4:-4].mean() for hertz in (60, 1000))
    assert middle == pytest.approx(20 * np.log10(0.5 / 2**0.5) + 1.76, abs=1)
    assert 20 < middle - low < 32  # the A curve at 60 Hz: -26.2 dB


def test_descriptors_of_tones_and_noise() -> None:
    middle = slice(5, -5)
    rows = dict(zip(NAMES, curves(tone(440), RATE, 128), strict=True))
    assert rows["centroid"].shape == (RATE // 128,)
    assert rows["f0"][middle] == pytest.approx(440, rel=0.01)
    assert rows["centroid"][middle] == pytest.approx(440, rel=0.05)
    assert rows["rms"][middle] == pytest.approx(20 * np.log10(0.5 / 2**0.5), abs=0.5)
    noise = np.random.default_rng(0).standard_normal((1, RATE)).astype(np.float32) * 0.1
    hiss = dict(zip(NAMES, curves(noise, RATE, 128), strict=True))
    assert hiss["centroid"].mean() == pytest.approx(RATE / 4, rel=0.1)
    assert np.median(hiss["flatness"]) > np.median(rows["flatness"][middle]) + 20
    silent = curves(np.zeros((1, RATE), np.float32), RATE, 128)
    assert np.isnan(silent[[i for i, name in enumerate(NAMES) if name != "rms"]]).all()
    assert np.isfinite(silent[NAMES.index("rms")]).all()


def test_spearman_knows_order_only() -> None:
    x = np.linspace(0, 1, 50)
    a = np.stack([x, -x, np.ones(50)])
    b = np.stack([np.exp(9 * x), np.where(x < 0.2, np.nan, x**3)])
    found = spearman(a, b)
    assert found == pytest.approx(np.array([[1, 1], [-1, -1], [0, 0]]))
    mixed = spearman(np.array([[1.0, 2, 3, 4]]), np.array([[2.0, 1, 4, 3]]))
    assert mixed[0, 0] == pytest.approx(0.6)


def test_mmd_of_collections() -> None:
    drums = np.concatenate([points(loop(seed, 4.0)[None], RATE) for seed in range(6)])
    others = np.concatenate([points(loop(seed, 4.0)[None], RATE) for seed in range(10, 16)])
    tones = np.concatenate([points(tone(100 * k), RATE) for k in range(1, 25)])
    assert drums.shape == (96, 14)
    assert abs(descriptor_mmd(drums, others)) < 0.1 < descriptor_mmd(drums, tones)


def test_a_click_at_borders_is_seen_and_one_elsewhere_is_not() -> None:
    noise = np.random.default_rng(0).standard_normal((1, 64 * 512)).astype(np.float32) * 0.01
    assert border_flux(noise, 512, 128)["ratio"] == pytest.approx(1, abs=0.1)
    clicking, other = noise.copy(), noise.copy()
    clicking[:, 512::512] += 0.5
    other[:, 256::512] += 0.5
    assert border_flux(clicking, 512, 128)["ratio"] > 2
    assert border_flux(other, 512, 128)["ratio"] < 0.9


def space(regulariser: dict | None) -> Space:
    return Space((Latent(-1, 3, 1.0, 0.5, 2.0, True, 4.0, 1), Latent(0, 0, 0, 0, 0, False, 1, 0)),
                 regulariser)


def test_paths_through_latents() -> None:
    path = traversal(space(None), 0, 9)
    assert path.shape == (2, 9)
    assert path[0].tolist() == pytest.approx(np.linspace(-1, 3, 9).tolist())
    assert (path[1] == 0).all()
    a, b = np.zeros((2, 5), np.float32), np.ones((2, 7), np.float32)
    assert interpolation(a, b)[0].tolist() == [0, 0.25, 0.5, 0.75, 1]
    mixed = shuffled(np.arange(10, dtype=np.float32)[None], 500)
    assert set(mixed[0]) == set(range(10))
    assert space(None).active == [0]


def test_draws_from_the_prior_are_in_the_units_of_the_model() -> None:
    drawn, said = prior_draws(space({"kind": "kl"}), 4000)
    assert said == "gaussian prior of kl"
    assert drawn.std(axis=1) == pytest.approx([0.25, 1.0], rel=0.05)
    drawn, said = prior_draws(space({"kind": "wae-mmd", "prior": "uniform"}), 4000)
    assert said == "uniform prior of wae-mmd"
    assert np.abs(drawn[0]).max() == pytest.approx(3**0.5 / 4, rel=0.01)
    for table in (None, {"kind": "none"}):
        drawn, said = prior_draws(space(table), 4000)
        assert said == "Gaussian fitted to the corpus"
        assert drawn[0].mean() == pytest.approx(1.0, abs=0.05)
        assert drawn[0].std() == pytest.approx(0.5, rel=0.05)


def test_smoothness_tells_a_glide_from_a_tremble() -> None:
    glide = np.linspace(0, 1, 100)
    tremble = np.random.default_rng(0).standard_normal(100)
    assert smoothness(glide, 30) == pytest.approx(1)
    assert smoothness(-np.square(glide), 30) == pytest.approx(1)
    assert smoothness(tremble, 30) < 0.3
    assert np.isnan(smoothness(np.full(100, np.nan), 30))


def test_the_report_has_everything(tmp_path: Path) -> None:
    data = fill(tmp_path / "R&B <live>", 3, 3.0)
    torch.manual_seed(0)
    player = PyTorchPlayer(build_from(read_settings(Path(preset(tmp_path)))))
    result = evaluate_folder(player, data, baselines=False)
    assert np.isfinite(result["results"]["model"]["descriptor_mmd"])
    result["latents"] = examine(player, data, tmp_path / "report", None, {"kind": "kl"})
    json.loads(json.dumps(result), parse_constant=pytest.fail)
    page = write_report(tmp_path / "report", result).read_text()
    assert "R&amp;B &lt;live&gt;" in page
    assert "<live>" not in page
    for name in ("correlations.png", "sweeps.png", "path.png", "path.wav", "prior.wav",
                 "shuffled.wav", "noise_untrained.wav", "sweep_01.wav"):
        assert name in page
        assert (tmp_path / "report" / name).stat().st_size > 1000
    found = result["latents"]
    assert np.shape(found["spearman"]) == (4, 7)
    assert found["borders"]["difference"] < 1e-5
    assert set(found["prior"]["mmd"]) == {"prior", "noise_untrained", "shuffled", "data"}
    assert {row["latent"] for row in found["traversals"]} <= {1, 2, 3, 4}


def test_a_single_short_sound_and_a_file_without_measurements(tmp_path: Path) -> None:
    """What cannot be said is shown as a dash, and is None in JSON."""
    data = fill(tmp_path / "data", 1, 0.55)
    player = PyTorchPlayer(build_from(read_settings(Path(preset(tmp_path)))))
    result = evaluate_folder(player, data, baselines=False)
    result["latents"] = examine(player, data, tmp_path / "report")
    json.loads(json.dumps(result), parse_constant=pytest.fail)
    assert result["latents"]["latents"][0]["nats"] is None
    assert result["latents"]["prior"]["mmd"]["data"] is None
    page = write_report(tmp_path / "report", result).read_text().lower()
    assert ">nan<" not in page
    assert ">none<" not in page
    for name in re.findall('src="([^"]*)"', page):
        assert (tmp_path / "report" / name).exists()


def test_the_table_that_trained_a_preset() -> None:
    assert regulariser_of("techno-tiny") == {"weight": 1e-3}
    assert regulariser_of("model.onnx") is None
