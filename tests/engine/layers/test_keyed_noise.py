"""Noise of a number: what it is like, that it repeats, and that every backend has the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.description import Attribute
from engine.layers import (
    Channels,
    Conv1d,
    KeyedNoise,
    LatentSample,
    Loop,
    Parallel,
    Past,
    Sequence,
    Streaming,
    Tanh,
)
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.players.base import load
from export.targets import TARGETS

CHANNELS, SEED = 5, 11
LAST = 2.0**24 - 1
# What is asked for, and the whole number that it is.
NUMBERS = ((0, 0), (1, 1), (0.49999997, 0), (0.5, 1), (1.5, 2), (2.4999998, 2), (70000, 70000),
           (8388607.5, 8388608), (8388609, 8388609), (LAST, LAST), (2.0**24, LAST), (1e30, LAST),
           (np.inf, LAST), (-1, 0), (-np.inf, 0), (np.nan, 0))


def looped() -> Streaming:
    """The noise of its condition, through a loop that draws nothing."""
    net = Sequence(Parallel(Sequence(Channels(2, 0, 1), KeyedNoise(CHANNELS, SEED)),
                            Sequence(Channels(2, 1, 2), Conv1d(1, CHANNELS, 1))), Tanh(CHANNELS))
    return Loop(net, Conv1d(CHANNELS, 1, 1))


class Keyed(Model):
    """Noise outside of a loop, and in one, neither of which uses any attribute but `seed`."""

    family = "keyed"

    def __init__(self) -> None:
        super().__init__()
        self.config = ModelConfig()
        # A frame late: nn~ plays no method that remembers nothing.
        self.plain = Sequence(KeyedNoise(CHANNELS, SEED), Past(CHANNELS, 1))
        self.looped = looped()

    def chains(self) -> dict[str, Chain]:
        names = tuple(map(str, range(CHANNELS)))
        return {"plain": Chain.of(self.plain, inputs=("number",), outputs=names),
                "looped": Chain.of(self.looped, inputs=("number",), outputs=("audio",))}

    def declared_attributes(self) -> tuple[Attribute, ...]:
        return (Attribute("seed", 1, 0.0, 0.0, LAST, "another number, another noise"),)


def noise(numbers: torch.Tensor, seed: float = 0.0) -> torch.Tensor:
    """Of numbers [time], as the layer gives it: [channels, time]."""
    y, state = KeyedNoise(CHANNELS, SEED)(numbers.reshape(1, 1, -1), (),
                                          {"seed": torch.tensor([seed])})
    assert state == ()
    return y[0]  # type: ignore[no-any-return]


def test_it_is_close_to_normal_and_of_its_number_alone() -> None:
    count = 20000
    numbers = torch.arange(float(count))
    y = noise(numbers)
    assert y.shape == (CHANNELS, count)
    together = torch.corrcoef(torch.cat((y, y.roll(1, dims=1), noise(numbers, 1.0))))
    assert (together - torch.eye(3 * CHANNELS)).abs().max() < 0.05
    assert y.mean(dim=1).abs().max() < 0.03
    assert (y.var(dim=1) - 1).abs().max() < 0.03
    assert 3 < y.abs().max() <= 4 * 0.75**0.5
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    assert torch.equal(noise(order.float()), y[:, order])


def test_it_is_what_a_latent_is_drawn_with() -> None:
    """The same formula and order of lanes, by a number in place of the counter."""
    sample = LatentSample(CHANNELS, SEED)
    given = {"temperature": torch.ones(1), "seed": torch.tensor([9.0])}
    y, _ = sample(torch.zeros(1, 2 * CHANNELS, 50), sample.init_state(1), given)
    assert torch.equal(y[0], noise(torch.arange(50.0), 9.0))
    assert not torch.equal(y[0], noise(torch.arange(50.0), 8.0))


@pytest.fixture(scope="module")
def model() -> Keyed:
    torch.manual_seed(0)
    return Keyed().eval().requires_grad_(False)


@pytest.fixture(scope="module", params=TARGETS)
def exported(request: pytest.FixtureRequest, model: Keyed,
             tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = TARGETS[request.param]
    path = tmp_path_factory.mktemp("keyed") / f"keyed{target.suffix}"
    target.function(target.writer)(model, path, model.describe("keyed"))
    return path


def test_a_number_is_rounded_and_held_in_every_backend(exported: Path) -> None:
    asked, wanted = torch.tensor(NUMBERS, dtype=torch.float64).T.float()
    y = noise(wanted)
    assert torch.equal(noise(asked), y)
    assert torch.equal(noise(torch.tensor([a for a, _ in NUMBERS], dtype=torch.float32)), y)
    player = load(exported)
    finite = torch.isfinite(asked)  # the faces of players take nothing else
    x, last = asked[finite][None].numpy(), np.zeros((1, 1), np.float32)
    got = player.process("plain", np.concatenate((x, last), axis=1))[:, 1:]
    assert got.shape == (CHANNELS, len(NUMBERS) - 3)
    assert np.array_equal(got, y[:, finite].numpy())


@pytest.mark.parametrize("method", ["plain", "looped"])
def test_a_loop_of_numbers_repeats_and_seeds_and_streams_differ(
    exported: Path, model: Keyed, method: str
) -> None:
    x = torch.arange(7.0).repeat(6)[None].repeat(2, 1)[:, None]  # [2, 1, 42]
    player, heard = load(exported, batch=2), []
    for seed in (0.0, 4.0):
        player.set("seed", [seed])
        player.reset()
        wanted, _ = model.step(method, x, model.zero_state(method, 2),
                               {"seed": torch.tensor([seed])})
        parts = [player.process(method, np.ascontiguousarray(x[:, :, a:b]))
                 for a, b in ((0, 3), (3, 4), (4, 42))]
        got = np.concatenate(parts, axis=2)
        assert got.shape == wanted.shape
        assert np.abs(got - wanted.numpy()).max() < 1e-5
        heard += [got[0], got[1]]
    for index, one in enumerate(heard):
        assert one.std() > 0.1
        assert np.abs(one[:, 28:35] - one[:, 35:]).max() < (1e-2 if method == "looped" else 1e-9)
        assert all(np.abs(one - other).max() > 0.1 for other in heard[index + 1 :])
