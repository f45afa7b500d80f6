"""Bits of a known sound by models that draw: against closed forms, and what the objective says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import TudorError
from engine.layers import Categorical, Conv1d, Embed, LogisticMixture, Loop, Sequence, mu_law_table
from engine.models.chain import Chain
from engine.models.registry import FAMILIES, Family, build
from tests.families.autoregressive import Autoregressive, AutoregressiveConfig
from training.data.base import Batch
from training.evaluation.likelihood import model_bits, shares
from training.evaluation.predictors import logistic_bits
from training.evaluation.steps import Steps, even_steps, mu_law_steps
from training.objectives.autoregressive import AutoregressiveObjective, AutoregressiveSettings

RATE = 16000
METHOD = "generate"


@pytest.fixture(autouse=True)
def family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, Autoregressive.family, Family(
        AutoregressiveConfig, Autoregressive, "a toy that generates"))


def made(**settings: object) -> Autoregressive:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        model = build(Autoregressive.family, {"channels": 8, **settings}).eval()
        for parameter in model.parameters():
            parameter.add_(0.3 * parameter.abs().mean() * torch.randn(parameter.shape))
    assert isinstance(model, Autoregressive)
    return model


def tone(samples: int = 3000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.5 * np.sin(0.05 * np.arange(samples)) + 0.02 * rng.standard_normal(samples)


def one_layer(draw: Categorical | LogisticMixture, bias: torch.Tensor, *behind: Embed
              ) -> Autoregressive:
    """The toy, with a loop that says the same whatever was before."""
    model = made()
    conv = Conv1d(1, len(bias), 1)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.zero_()
        next(p for p in conv.parameters() if p.shape == bias.shape).copy_(bias)
    loop = Loop(Sequence(conv), draw)
    model.chains = lambda: {METHOD: Chain.of(  # type: ignore[method-assign]
        ("loop", loop), *behind, inputs=("time",), outputs=("audio",), role=METHOD)}
    return model


def test_256_classes_of_mu_law_have_the_bits_that_training_says() -> None:
    model, sound = made(classes=256), tone()
    steps = Steps.of(mu_law_table(256)[:, 0].double().numpy())
    heard = torch.from_numpy(steps.heard(sound)).float()[None, None]
    size = len(sound) // 16 * 16
    rng = np.random.default_rng(1)
    conditions = rng.standard_normal((2, size // 16)).astype(np.float32)
    objective = AutoregressiveObjective(model, AutoregressiveSettings(levels=256))
    with torch.no_grad():
        nats = objective.log_likelihood(Batch(
            audio=heard[..., :size], conditions=torch.from_numpy(conditions)[None]))[0, 0]
    found = model_bits(model, METHOD, sound[:size], steps, conditions)
    assert found.shape == (size,)
    assert np.allclose(found, -nats.numpy() / np.log(2), atol=1e-4)
    assert not np.allclose(found, model_bits(model, METHOD, sound[:size], steps), atol=0.1)


def test_a_logistic_distribution_has_the_bits_of_the_predictors() -> None:
    mean, scale, steps, sound = 0.1, 0.05, mu_law_steps(), 0.3 * tone()
    sound[:2] = 3.0, -3.0  # the outermost steps
    bias = torch.tensor([0.0, mean, np.log(scale)], dtype=torch.float32)
    found = model_bits(one_layer(LogisticMixture(1), bias), METHOD, sound, steps)
    known = logistic_bits(np.full(len(sound), mean), scale, steps, steps.numbers(sound))
    likely = known < 12  # the predictors' bits are held
    assert likely.sum() > 2000
    assert np.allclose(found[likely], known[likely], atol=0.02)


@pytest.mark.parametrize("steps", [mu_law_steps(), even_steps(64)])
@pytest.mark.parametrize("kind", ["mixture", "classes"])
def test_probabilities_of_all_steps_sum_to_one(kind: str, steps: object) -> None:
    every = steps.values  # type: ignore[attr-defined]
    if kind == "mixture":
        bias = torch.tensor([0.3, -0.2, -0.9, 0.4, -3.0, -6.0])
        model = one_layer(LogisticMixture(2), bias)
    else:
        model = one_layer(Categorical(50), torch.linspace(-2, 2, 50),
                          Embed(50, 1, mu_law_table(50)))
    found = model_bits(model, METHOD, every, steps)  # type: ignore[arg-type]
    assert (2.0 ** -found).sum() == pytest.approx(1, abs=1e-4)


def test_a_class_is_spread_over_what_is_nearest_to_it() -> None:
    found = shares(np.array([0.5, -0.5]), even_steps(3))  # edges of steps at -0.5 and 0.5
    assert np.allclose(found, [[0, 0.5, 0.5], [0.5, 0.5, 0]])
    assert np.array_equal(shares(mu_law_steps().values, mu_law_steps()), np.eye(256))


def test_what_was_long_ago_does_not_count_and_pieces_are_as_the_whole(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.evaluation import likelihood

    model, sound = made(kind="tiers", channels=12), tone(2048)
    whole = model_bits(model, METHOD, sound, mu_law_steps())
    monkeypatch.setattr(likelihood, "PIECE_SECONDS", 512 / RATE)
    monkeypatch.setattr(likelihood, "RUN_IN_SECONDS", 128 / RATE)
    parts = model_bits(model, METHOD, sound, mu_law_steps())
    assert whole.shape == parts.shape == (2048,)
    assert np.allclose(whole, parts, atol=1e-4)


def test_bits_do_not_know_the_sample_that_they_are_of() -> None:
    """Another sample changes its own cost and those after, none before."""
    model, sound = made(kind="tiers", channels=12), tone(512)
    other = sound.copy()
    other[300] += 0.2
    a, b = (model_bits(model, METHOD, x, mu_law_steps()) for x in (sound, other))
    assert np.allclose(a[:300], b[:300], atol=1e-5)
    assert not np.allclose(a[300:310], b[300:310], atol=1e-3)


def test_what_has_no_likelihood_is_named() -> None:
    model = made()
    with pytest.raises(TudorError, match="takes 2 conditions, there are 5"):
        model_bits(model, METHOD, tone(), mu_law_steps(), np.zeros((5, 100), np.float32))
