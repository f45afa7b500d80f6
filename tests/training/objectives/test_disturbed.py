"""Conditions that are dropped, noise on the past, and likelihoods in mu-law steps."""

from __future__ import annotations

import math

import pytest
import torch

from engine.layers import Categorical, LogisticMixture
from tests.export.small_models import small_model
from training.data.base import Batch, Shard
from training.objectives.autoregressive import AutoregressiveObjective
from training.objectives.base import Moment
from training.objectives.disturbed import dropped, mu_law_steps, noisy, unconditional
from training.run.config import training_config


def config(**settings):
    return training_config({"objective": "autoregressive", "data": "crops", **settings})


def test_whole_examples_lose_their_conditions_and_keep_their_class():
    spec = small_model("wavenet", "classes").methods["generate"]
    x = torch.rand(400, spec.in_channels, 3) + 0.1
    x[:, spec.input_labels.index("free")] = 0
    torch.manual_seed(0)
    y = dropped(x, spec, 0.25, Shard())
    lost = y[:, spec.input_labels.index("free"), 0] == 1
    assert 70 < int(lost.sum()) < 130
    assert torch.equal(y[~lost], x[~lost])
    assert torch.equal(y[lost], unconditional(x, spec)[lost])
    assert not y[lost][:, :5].any()  # pitches, gates, loudness
    assert torch.equal(y[lost][:, -1], x[lost][:, -1])
    assert torch.equal(dropped(x, spec, 0.0, Shard()), x)


def test_noise_is_as_large_as_steps_are():
    torch.manual_seed(0)
    quiet, loud = torch.zeros(1, 1, 4000), torch.full((1, 1, 4000), 0.5)
    step = 2 / 256 * math.log(256) / 255
    mixture, classes = LogisticMixture(2), Categorical(256)
    assert float((noisy(quiet, mixture, 0.5, Shard()) - quiet).std()) == pytest.approx(
        0.5 * step, rel=0.05)
    assert float((noisy(loud, mixture, 0.5, Shard()) - loud).std()) == pytest.approx(
        0.5 * step * 128.5, rel=0.05)
    moved = noisy(torch.full((1, 1, 4000), 255.0), classes, 0.5, Shard())
    assert moved.max() == 255
    assert torch.equal(moved, moved.round())
    assert 0.1 < float((moved < 255).float().mean()) < 0.25  # beyond half a step, downwards
    assert noisy(loud, mixture, 0.0, Shard()) is loud


def test_validation_is_not_disturbed():
    """The same figure twice, and a figure of training that moves."""
    model = small_model("two_tier", "mixture")
    objective = AutoregressiveObjective(model, config(condition_dropout=0.5, input_noise=2.0))
    x = torch.zeros(4, model.methods["generate"].in_channels, 16)
    x[:, 1] = 1
    batch = Batch(audio=0.3 * torch.randn(4, 1, 64), conditions=x)
    found = [objective.validate(model, [batch]).figures["bits_per_sample"] for _ in range(2)]
    trained = [float(objective(batch, Moment())["bits_per_sample"]) for _ in range(2)]
    assert found[0] == found[1]
    assert trained[0] != trained[1]


def test_steps_of_mu_law_are_all_there_is():
    """Probabilities of all 256 add up to 1, and every number lies in its step."""
    torch.manual_seed(0)
    y = torch.linspace(-1, 1, 20001)[None, None]
    low, high = mu_law_steps(y, 256)
    assert bool(((low <= y) & (y <= high)).all())
    edges = torch.unique(low)
    assert len(edges) == 256
    assert (high - low).min() < 2e-4 < 0.04 < (high - low).max()
    low = edges.reshape(1, 1, -1)
    high = torch.cat((low[:, :, 1:], torch.ones(1, 1, 1)), dim=2)
    draw = LogisticMixture(3)
    given = torch.randn(1, 9, 1, dtype=torch.float64).expand(-1, -1, 256).clone()
    given[:, 6:] -= 3
    share = draw.log_prob_between(given, low.double(), high.double()).exp()
    assert float(share.sum()) == pytest.approx(1, abs=1e-9)


def test_a_model_without_conditions_in_its_batch_is_free():
    model = small_model("two_tier", "mixture")
    objective = AutoregressiveObjective(model, config())
    audio = 0.2 * torch.randn(2, 1, 64)
    x = unconditional(torch.zeros(2, model.methods["generate"].in_channels, 16),
                      model.methods["generate"])
    assert torch.equal(objective.log_likelihood(Batch(audio=audio)),
                       objective.log_likelihood(Batch(audio=audio, conditions=x)))
    assert x[:, model.methods["generate"].input_labels.index("free")].min() == 1
