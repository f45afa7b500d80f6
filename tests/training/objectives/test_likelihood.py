"""The likelihood that training raises is the one that streaming draws from."""

from __future__ import annotations

import copy
from math import log

import pytest
import torch
from torch.nn import functional as F

from engine.errors import ConfigError
from engine.layers import (
    Categorical,
    Channels,
    ConvTranspose1d,
    Delay,
    Embed,
    Guard,
    LogisticMixture,
    Loop,
    Parallel,
    Sequence,
    Tanh,
    mu_law_table,
)
from engine.layers.base import run_chain
from engine.models.chain import Chain
from engine.models.looped import Looped, nearest_row
from export.replay import replay
from tests.families.autoregressive import Autoregressive, AutoregressiveConfig
from training.data.base import Batch
from training.objectives.autoregressive import AutoregressiveObjective
from training.objectives.base import Moment
from training.run.config import training_config

CONFIG = training_config({"objective": "autoregressive", "data": "crops"})
KINDS = {"wavenet": AutoregressiveConfig(kind="wavenet", layers=3, channels=8),
         "tiers": AutoregressiveConfig(kind="tiers", channels=8)}


def made(kind: str) -> Autoregressive:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return Autoregressive(KINDS[kind]).double()


def drawn_by(model: Autoregressive, frames: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Conditions, and what the model draws by them, block by block."""
    x = 0.5 * torch.randn(2, 2, frames, dtype=torch.float64,
                          generator=torch.Generator().manual_seed(1))
    state, parts = model.init_state("generate", 2), []
    with torch.no_grad():
        for at in range(0, frames, 2):
            y, state = model.step("generate", x[:, :, at : at + 2], state,
                                  model.default_attributes())
            parts.append(y)
    return x, torch.cat(parts, dim=2)


def streamed_likelihood(model: Autoregressive, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Nats of `y`, the network being run by its smallest blocks, with the state that it hands on,
    as it is when it draws."""
    parts = Looped.of(model, "generate")
    assert parts is not None
    values, drawn = model.default_attributes(), parts.drawn(y)
    before = tuple(torch.zeros(2, *shape, dtype=torch.float64)
                   for layer in parts.before for shape in layer.state_shapes())
    conditions, _ = run_chain(parts.before, x, before, values)
    fed, state = F.pad(drawn, (1, 0)), parts.loop.net.init_state(2, torch.float64)
    step, found = parts.loop.granularity, []
    for at in range(0, drawn.shape[2], step):
        joined = torch.cat((conditions[:, :, at : at + step], fed[:, :, at : at + step]), dim=1)
        given, state = run_chain((parts.loop.net,), joined, state, values)
        found.append(parts.draw.log_prob(given, drawn[:, :, at : at + step]))
    return torch.cat(found, dim=2)


@pytest.mark.parametrize("kind", KINDS)
def test_teacher_and_stream_agree_in_likelihood_and_gradient(kind: str) -> None:
    """And what is scored is what was drawn: float64 replays every draw."""
    model = made(kind)
    x, y = drawn_by(model)
    objective = AutoregressiveObjective(model, CONFIG)
    scored = objective.log_likelihood(Batch(audio=y, conditions=x))
    assert scored.shape == (2, 1, 96)
    other = copy.deepcopy(model)
    wanted = streamed_likelihood(other, x, y)
    assert torch.allclose(scored, wanted, rtol=0, atol=1e-11)
    scored.mean().backward()
    wanted.mean().backward()
    pairs = list(zip(model.parameters(), other.parameters(), strict=True))
    assert len(pairs) > 6
    for own, streamed in pairs:
        assert own.grad is not None
        assert own.grad.abs().max() > 0
        assert torch.allclose(own.grad, streamed.grad, rtol=0, atol=1e-11)
    found = replay(model, "generate", x[0], y[0], model.default_attributes())
    assert found.same == found.draws == 96


def test_the_figure_is_in_bits() -> None:
    """Of a network that knows nothing: log2 of the number of classes."""
    model = made("wavenet")
    last = model.loop.net.layers[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    objective = AutoregressiveObjective(model, CONFIG)
    terms = objective.losses(Batch(audio=torch.rand(2, 1, 64).double() - 0.5), Moment())
    assert float(terms["bits_per_sample"]) == pytest.approx(log(64, 2), abs=1e-9)
    assert float(terms["loss"].detach()) == pytest.approx(log(64), abs=1e-9)


def test_levels_are_those_of_a_mixture() -> None:
    """Twice as many levels, one bit more for each number."""
    model = made("tiers")
    batch = Batch(audio=0.2 * torch.randn(2, 1, 64).double())
    bits = [float(AutoregressiveObjective(model, training_config(
        {"objective": "autoregressive", "levels": levels})).losses(batch, Moment())
        ["bits_per_sample"]) for levels in (2**14 + 1, 2**15 + 1)]
    assert bits[1] - bits[0] == pytest.approx(1, abs=1e-3)


class Late(Autoregressive):
    """Conditions come five samples late, and say which class is drawn."""

    def __init__(self) -> None:
        super().__init__(AutoregressiveConfig(hop=1, classes=8))
        self.conditions = Sequence(Channels(2, 0, 1), Delay(1, 5))
        named = Embed(8, 8)
        named.table.data = 12.0 * torch.eye(8)
        net = Sequence(Channels(2, 0, 1), named)
        self.loop = Loop(net, Categorical(8))
        self.sound = [Embed(8, 1, mu_law_table(8))]


def test_what_is_drawn_late_is_held_against_its_conditions() -> None:
    """12 against 0 for the class that the condition of the same sample names: 0.00 nats."""
    model = Late()
    assert model.main.lookahead_samples == 5
    objective = AutoregressiveObjective(model, CONFIG)
    classes = torch.arange(64).reshape(1, 1, -1) * 5 % 8
    audio = mu_law_table(8)[classes[0, 0]][:, 0].reshape(1, 1, -1)
    x = torch.cat((classes.float(), torch.zeros(1, 1, 64)), dim=1)
    likely = objective.log_likelihood(Batch(audio=audio, conditions=x))
    assert likely.shape == (1, 1, 59)
    assert float(likely.min().detach()) > -1e-3


def test_a_row_of_a_table_is_found_again() -> None:
    table = torch.cat((mu_law_table(16), torch.tensor([[0.3], [-0.2]])))[torch.randperm(18)]
    numbers = torch.randint(18, (3, 1, 40))
    assert torch.equal(nearest_row(table, table[numbers[:, 0]].transpose(1, 2)), numbers.float())
    y = 2 * torch.rand(3, 1, 500) - 1
    nearest = (table[None] - y.reshape(-1, 1, 1)).abs().sum(dim=2).argmin(dim=1)
    assert torch.equal(nearest_row(table, y).flatten().long(), nearest)
    wide = torch.randn(5, 3)
    picked = torch.randint(5, (2, 1, 30))
    assert torch.equal(nearest_row(wide, wide[picked[:, 0]].transpose(1, 2)), picked.float())


class Undrawn(Autoregressive):
    def chains(self) -> dict[str, Chain]:
        return {"forward": Chain.of(Guard(1), inputs=("audio",), outputs=("audio",),
                                    role="effect")}


class Bent(Autoregressive):
    """What comes out is no more what was drawn."""

    def __init__(self) -> None:
        super().__init__(KINDS["tiers"])
        self.loop = Loop(Parallel(ConvTranspose1d(9, 12, 1, 1)), LogisticMixture(4))
        self.sound = [Tanh(1)]


def test_models_that_cannot_be_trained_so_are_named_in_one_line() -> None:
    for model, said in ((Undrawn(KINDS["tiers"]), "has no method that generates by a loop"),
                        (Bent(), "Tanh behind a draw cannot be taken back")):
        with pytest.raises(ConfigError, match=said) as error:
            AutoregressiveObjective(model, CONFIG)
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="wants sound or latents to be drawn"):
        AutoregressiveObjective(made("tiers").float(), CONFIG).losses(
            Batch(image=torch.zeros(1, 1, 4, 4)), Moment())
