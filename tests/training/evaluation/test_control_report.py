"""Controls in evaluation: figures, the page, and draws."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import training.evaluation.control_report
from engine.description import Latent
from engine.models.registry import build
from engine.players.pytorch import PyTorchPlayer
from tests.training.control_helpers import BOTH, CONFIG, GRID, tone
from tests.training.training_helpers import RATE, fill
from training.evaluation.control_report import control_figures
from training.evaluation.evaluate import evaluate_folder
from training.evaluation.latent_play import Space, prior_draws
from training.evaluation.latent_report import examine
from training.evaluation.page import write_report
from training.objectives.controls import MIDDLE_C_HZ, loudness, pitch


def test_figures_of_a_model_that_obeys_by_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode says 2 dB and a semitone too much; decode follows loudness wholly, pitch by half."""
    x = torch.cat([tone(hertz, level) for hertz, level in
                   ((150, 0.02), (220, 0.05), (330, 0.1), (500, 0.3))], dim=1)
    said = torch.stack([loudness(x, GRID)[0][0] + 0.2, pitch(x, GRID)[0][0] + 1 / 12]).numpy()
    method = SimpleNamespace(out_channels=2, out_ratio=128, in_ratio=128, lookahead_samples=40)
    player = SimpleNamespace(sample_rate_hz=16000, description=SimpleNamespace(
        controls=BOTH, coder=(method, method)))

    def decode(_: object, z: np.ndarray) -> np.ndarray:
        hertz = MIDDLE_C_HZ * 2 ** (0.5 * np.repeat(z[1] - said[1], 128))
        phase = np.cumsum(2 * np.pi * hertz / 16000)
        level = 0.2 * 10 ** (0.5 * np.repeat(z[0] - said[0], 128))
        return (level * np.sin(phase))[None].astype(np.float32)

    monkeypatch.setattr(training.evaluation.control_report, "decode", decode)
    first, second = control_figures(player, [x.numpy()], [said])  # type: ignore[arg-type]
    assert (first["control"], first["unit"]) == ("loudness", "dB")
    assert first["rank_correlation"] == second["rank_correlation"] == 1
    assert (first["mean_error"], second["mean_error"]) == pytest.approx((2, 1), abs=1e-2)
    assert second["frames"] < first["frames"] == 500
    # A-weighting makes no difference: what decodes is the same tone, louder.
    assert (first["lower"], first["higher"]) == pytest.approx((-6, 6), abs=0.05)
    assert (second["lower"], second["higher"]) == pytest.approx((-2.5, 2.5), abs=0.05)


def test_the_report_shows_controls(tmp_path: Path) -> None:
    torch.manual_seed(0)
    player = PyTorchPlayer(build("raw_vae", {**CONFIG, "sample_rate_hz": RATE, "controls": BOTH}))
    data = fill(tmp_path / "data", 2, 2.0)
    result = evaluate_folder(player, data, baselines=False)
    result["latents"] = examine(player, data, tmp_path / "report", None, {"kind": "kl"})
    json.dumps(result)
    assert [row["control"] for row in result["latents"]["controls"]] == list(BOTH)
    page = write_report(tmp_path / "report", result).read_text()
    for text in ("<h2>Controls</h2>", "semitones", "pitch_oct, smoothness"):
        assert text in page


def test_draws_keep_controls_in_their_ranges() -> None:
    measured = (Latent(-1, 1, 0.0, 0.5, 2.0, True, 2.0, 0), Latent(-4, -2, -3.0, 1.5, 0.0, True))
    for table in ({"kind": "kl"}, None):
        drawn, _ = prior_draws(Space(measured, table, 1), 4000)
        assert drawn.shape == (2, 4000)
        assert drawn[0].std() == pytest.approx(0.5, rel=0.05)
        assert (drawn[1].min(), drawn[1].max()) == (-4, -2)
        assert drawn[1].mean() == pytest.approx(-3, abs=0.1)
