"""The trial's prior over tokens: what books spell, and that what is played is what was learnt."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.errors import ConfigError
from engine.layers.base import call
from engine.models.registry import configure, with_coder
from scripts.loop_tokens.model import LoopTokens, TokensConfig
from scripts.loop_tokens.objective import TokenObjective, TokenSettings
from tests.export.small_models import LOOP
from tests.training.objectives.test_loop_objectives import batch, config
from training.objectives.base import Moment

SHAPE = {**LOOP, "styles": ["a", "b"], "history_width": 8, "history": 2, "books": 3, "entries": 8}


def small(seed: int = 0) -> LoopTokens:
    torch.manual_seed(seed)
    model: Any = with_coder(LoopTokens)(TokensConfig.model_validate(SHAPE))
    return model.eval()


def learning(model: LoopTokens, **changes: Any) -> TokenObjective:
    objective = TokenObjective(model, config(TokenSettings, **changes)).train()
    objective.start()
    return objective


def test_books_spell_what_those_before_leave_over() -> None:
    model = small()
    z = torch.randn(4, 4, 500)
    for _ in range(60):
        tokens, spelt = model.tokens.spelt(z, learning=True)
    assert tokens.shape == (4, 3, 500)
    left, errors = z.transpose(1, 2), []
    for book, entries in enumerate(model.tokens.books):
        distances = (left[:, :, None] - entries.table).square().sum(dim=3)
        assert torch.equal(distances.argmin(dim=2), tokens[:, book])
        left = left - entries.table[tokens[:, book]]
        errors.append(float(left.square().mean() / z.square().mean()))
        assert len(torch.unique(tokens[:, book])) == SHAPE["entries"]
    assert torch.allclose(z - spelt, left.transpose(1, 2), atol=1e-6)
    # A bit for each of 4 numbers would leave a half of the amplitude; k-means comes near to it.
    assert errors[0] < 0.5
    assert errors[1] < 0.65 * errors[0]
    assert errors[2] < 0.7 * errors[1]


def test_likelihoods_of_tokens_and_of_the_plan_fall() -> None:
    model = small()
    objective = learning(model)
    data = batch(model)
    found = [objective.step(data, Moment(learning_rate=3e-3)) for _ in range(150)]
    for name in ("token_nats", "nats_per_frame"):
        first, last = (sum(float(terms[name].detach()) for terms in part) / 10
                       for part in (found[20:30], found[-10:]))
        assert last < first - 0.1, name


def test_the_plan_learns_nothing_of_the_tokens() -> None:
    model = small()
    objective = learning(model)
    told, plan, z = (torch.randn(2, size, 6, requires_grad=True) for size in (
        model.features.out_channels, model.config.width, 8))
    objective.planned = lambda *_: ({"loss": z.sum() * 0}, told, plan, z, z)  # type: ignore[method-assign]
    objective.losses(batch(model), Moment())["token_nats"].backward()
    assert told.grad is None
    assert plan.grad is None
    assert model.tokens.heads[0].weight.grad is not None  # type: ignore[union-attr]


def test_what_is_played_is_likely_by_what_was_learnt() -> None:
    """The stream's own frames, read back all at once: a cold one takes the likeliest tokens."""
    model = small()
    with torch.no_grad():
        for entries in model.tokens.books:
            entries.table.normal_()  # type: ignore[union-attr, operator]
    rows = torch.rand(1, len(model.config.labels), 6)
    cold = {**model.default_attributes(), "temperature": torch.zeros(1)}
    z = model.made.taken_back(model.offline("generate", rows, temperature=torch.zeros(1)))
    before = model.before(model.held.offline(rows), model.before.init_state(1))[0]
    taken: list[torch.Tensor] = []
    for draw in model.tokens.draws:
        draw.register_forward_hook(lambda *given: taken.append(given[2][0].long()))
    with torch.no_grad():
        heard = model.loop.teacher(before, z)
        drawn = call(model.tokens, heard, model.tokens.init_state(1), cold)[0]
        told, plan, *_ = model.planned(model.held.offline(rows))
        assert torch.allclose(model.heard_before(told, plan, z), heard, atol=1e-5)
    assert z.shape == drawn.shape == (1, 4, 12)
    assert torch.allclose(drawn, z, atol=1e-5)
    tokens = torch.cat(taken[:3], dim=1)
    with torch.no_grad():
        for at in range(12):
            here, told = heard[:, :, at : at + 1], tokens[:, :, at : at + 1]
            least = model.tokens.nats(here, told)
            for entry in range(SHAPE["entries"]):
                other = torch.cat((told[:, :2], told[:, 2:] * 0 + entry), dim=1)
                assert model.tokens.nats(here, other) >= least - 1e-6
    free = model.offline("generate", rows)
    assert (free - model.offline("generate", rows, temperature=torch.zeros(1))).abs().max() > 0.1


def test_the_family_is_the_trials_own() -> None:
    with pytest.raises(ConfigError, match="unknown model family 'loop_tokens'"):
        configure("loop_tokens", {})
