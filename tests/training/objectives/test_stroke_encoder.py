"""A drum voice that makes recorded strokes again: z that is heard in them, and what it may cost."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tests.training.objectives.test_frame_game import batch, objective
from training.objectives.base import Moment
from training.objectives.frame_game import MOST_STROKES, ages, strokes_before
from training.objectives.stroke_encoder import StrokeEncoder, divergence, drawn


def learnt(weight=5.0, steps=60, **changes):
    """An objective after `steps` of reconstruction alone, and the terms of each."""
    torch.manual_seed(0)
    found = objective(reconstruction=weight, adversarial={"start": 0.99}, **changes).train()
    found.start()
    data, told = batch(found.model), []
    for step in range(steps):
        torch.manual_seed(step)
        told.append(found.step(data, Moment(step=step, learning_rate=5e-3)))
    return found, data, told


def test_the_divergence_is_that_of_two_normal_distributions():
    torch.manual_seed(0)
    mean, log_std = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    there = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    each = kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0)).sum(dim=2)
    assert float(divergence(mean, log_std, there)) == pytest.approx(
        float(each[there].mean()), rel=1e-5)
    assert torch.equal(drawn(mean, log_std, torch.zeros_like(mean)), mean)


def test_a_stroke_is_heard_by_itself():
    """What sounds during another stroke does not move its z, but for a few frames at the border."""
    torch.manual_seed(0)
    encoder = StrokeEncoder(65, 3).eval()
    gate = torch.zeros(1, 48)
    gate[0, [2, 30]] = 1
    heard = torch.randn(1, 65, 48)
    other = heard.clone()
    other[:, :, 40:] += 1.0
    number, age = strokes_before(gate), ages(gate)
    first, second = (encoder(x, number, age, MOST_STROKES)[0] for x in (heard, other))
    assert torch.equal(first[:, 0], second[:, 0])
    assert float((first[:, 1] - second[:, 1]).abs().min()) > 1e-4


def test_recorded_strokes_are_learnt_and_z_says_which():
    found, data, told = learnt()
    assert set(told[0]) == {"loss", "reconstruction", "kl"}
    assert found.phase == 1
    before, after = (sum(float(t["reconstruction"]) for t in part) / 4
                     for part in (told[:4], told[-4:]))
    assert after < 0.5 * before
    real = found.spectrum(data["audio"])
    assert found.encoder is not None
    rows = data["rows"]
    with torch.no_grad():
        mean, log_std = found.encoder(real, strokes_before(rows[:, 0]), ages(rows[:, 0]),
                                      MOST_STROKES)
    assert torch.isfinite(mean).all()
    assert float(log_std.mean()) < 0  # narrower than what nobody knows
    costly, _, _ = learnt(kl_weight=10.0)
    with torch.no_grad():
        assert costly.encoder is not None
        near = costly.encoder(real, strokes_before(rows[:, 0]), ages(rows[:, 0]), MOST_STROKES)
    assert float(near[0].abs().mean()) < 0.5 * float(mean.abs().mean())


def test_then_the_game_is_played_beside_it():
    torch.manual_seed(0)
    found = objective(reconstruction=1.0, adversarial={"start": 0.5}).train()
    found.start()
    data = batch(found.model)
    before = found.step(data, Moment(step=0, progress=0.2, learning_rate=1e-3))
    after = found.step(data, Moment(step=1, progress=0.6, learning_rate=1e-3))
    assert "adversarial_loss" not in before
    assert {"reconstruction", "kl", "mode_seeking", "adversarial_loss"} <= set(after)
    saved = found.state()
    other = objective(reconstruction=1.0, adversarial={"start": 0.5}).train()
    other.load(saved)
    assert other.adversary is not None
    assert other.adversary.began_step == 1
    assert [name for name, _ in found.beside() if name.startswith("encoder.")]


def test_without_it_nothing_changes():
    assert objective().encoder is None
    assert not [name for name, _ in objective().beside() if "encoder" in name]
