"""Windows that a model draws by itself: the same draws as frame by frame, with their gradients."""

from __future__ import annotations

import copy
from math import inf

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.description import Method
from engine.errors import ConfigError
from engine.layers import (
    Categorical,
    Conv1d,
    Embed,
    LogisticMixture,
    Loop,
    Streaming,
)
from engine.layers.base import State, call
from engine.models.looped import Looped
from tests.families.autoregressive import Autoregressive, AutoregressiveConfig
from training.data.base import Shard
from training.objectives.free_running import Asked, FreeRun
from training.objectives.relaxed import Noise, Relaxed, noise_for
from training.objectives.stepped import through

KINDS = {"wavenet": AutoregressiveConfig(kind="wavenet", layers=3, channels=6, classes=16),
         "tiers": AutoregressiveConfig(kind="tiers", channels=6)}


def made(kind: str) -> Autoregressive:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return Autoregressive(KINDS[kind]).double()


def asked_of(model: Autoregressive, frames: int = 3) -> Asked:
    generator = torch.Generator().manual_seed(1)
    x = 0.5 * torch.randn(2, 2, frames, dtype=torch.float64, generator=generator)
    y = 0.3 * torch.randn(2, 1, frames * 16, dtype=torch.float64, generator=generator)
    parts = Looped.of(model, "generate")
    assert parts is not None
    return Asked(parts, x, parts.drawn(y), model.default_attributes())


# --- draws -------------------------------------------------------------------------------------


def test_classes_are_drawn_by_their_probabilities() -> None:
    torch.manual_seed(3)
    draw, logits = Categorical(3), torch.tensor([0.5, -1.0, 1.5])
    given = logits[None, :, None].expand(1, 3, 20000)
    found = Relaxed(draw)(given, noise_for(draw, (1, 20000), Shard(), given))
    shares = torch.bincount(found.value.flatten().long(), minlength=3) / 20000
    assert torch.allclose(shares, logits.softmax(0), atol=0.015)
    assert torch.equal(found.value[0, 0].long(), found.part[0, 0])


def test_a_mixture_is_drawn_as_its_likelihood_says() -> None:
    """Share of the draws below some thresholds against the distribution function."""
    torch.manual_seed(4)
    draw = LogisticMixture(2, limit=1.0)
    given = torch.tensor([0.3, -0.3, -0.4, 0.5, -2.0, -3.0])[None, :, None].expand(1, 6, 20000)
    found = Relaxed(draw)(given, noise_for(draw, (1, 20000), Shard(), given)).value.flatten()
    assert found.abs().max() <= 1
    logits, means, logs = (x.flatten()[:2] for x in draw.split(given[:, :, :1]))
    for at in (-0.6, -0.3, 0.2, 0.5, 0.7):
        wanted = (logits.softmax(0) * torch.sigmoid((at - means) / logs.exp())).sum()
        assert float((found < at).float().mean()) == pytest.approx(float(wanted), abs=0.015)


def test_gradients_of_a_draw_by_hand() -> None:
    """Two parts, the second of which is drawn; tau of 1/2."""
    draw = LogisticMixture(2)
    given = torch.tensor([0.2, 0.4, -0.1, 0.3, -1.0, -2.0], dtype=torch.float64)
    given = given[None, :, None].requires_grad_()
    which = torch.tensor([0.0, 0.5], dtype=torch.float64).reshape(1, 1, 2, 1)
    noise = Noise(which, torch.full((1, 1, 1), 0.8, dtype=torch.float64))
    found = Relaxed(draw, 0.5)(given, noise)
    assert float(found.value.detach()) == pytest.approx(0.3 + 0.8 * 2.718281828459045**-2)
    found.value.backward()
    share = torch.softmax(torch.tensor([0.2, 0.9], dtype=torch.float64) / 0.5, 0)
    each = torch.tensor([-0.1, 0.3]) + 0.8 * torch.tensor([-1.0, -2.0]).exp()
    slope = share * (each - (share * each).sum()) / 0.5
    wanted = [*slope.tolist(), 0.0, 1.0, 0.0, 0.8 * 2.718281828459045**-2]
    assert given.grad is not None
    assert given.grad.flatten().tolist() == pytest.approx(wanted, abs=1e-7)


def test_a_draw_that_clips_still_has_a_gradient() -> None:
    draw = LogisticMixture(1)
    given = torch.tensor([0.0, 3.0, -2.0])[None, :, None].requires_grad_()
    value = Relaxed(draw)(given, Noise(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1))).value
    assert float(value.detach()) == 1
    value.backward()
    assert given.grad is not None
    assert float(given.grad[0, 1]) == 1


# --- windows -----------------------------------------------------------------------------------


def plainly(asked: Asked, run: FreeRun, noise: Noise, tau: float) -> Tensor:
    """The windows, each frame by the net over all of its piece until there, from a state that has
    no gradient: nothing is stepped, nothing kept."""
    loop, start = asked.parts.loop, run.start(asked.drawn.shape[2])
    conditions, y, relaxed = asked.conditions(), asked.drawn[:, :, :start], Relaxed(loop.draw, tau)
    heard = []
    for at in range(start, start + run.frames, run.piece):
        past = y.detach()
        joined = torch.cat((conditions[:, :, :at], F.pad(past, (1, 0))[:, :, :at]), dim=1)
        with torch.no_grad():
            state = call(loop.net, joined, loop.net.init_state(2, torch.float64), {})[1]
        fed, weights = past[:, :, -1:], None
        for n in range(at, at + run.piece):
            rest = run.piece - fed.shape[2]
            block = torch.cat((conditions[:, :, at : at + run.piece], F.pad(fed, (0, rest))), dim=1)
            with rows_of(loop.net, weights, fed):
                given = call(loop.net, block, state, {})[0][:, :, n - at : n - at + 1]
            drawn = relaxed(given, noise.at(slice(n - start, n - start + 1)))
            fed = torch.cat((fed, drawn.value), dim=2)
            if drawn.weights is not None:
                weights = drawn.weights if weights is None else torch.cat(
                    (weights, drawn.weights), dim=3)
            heard.append(run._heard(drawn.value, drawn.weights, asked.attributes))
        y = torch.cat((past, fed[:, :, 1:].detach()), dim=2)
    return torch.cat(heard, dim=2)


class rows_of:  # noqa: N801
    """Tables of classes in a net hand on the gradient of `weights`, those of the frames of `fed`
    after the first."""

    def __init__(self, net: Streaming, weights: Tensor | None, fed: Tensor) -> None:
        tables = [layer for layer in net.modules() if isinstance(layer, Embed)]

        def change(layer: Embed, _: object, output: tuple[Tensor, State]) -> tuple[Tensor, State]:
            y, state = output
            if weights is None:
                return output
            more = through(weights, layer.table)
            return y + F.pad(more, (1, y.shape[2] - fed.shape[2])), state

        self.hooks = [table.register_forward_hook(change) for table in tables]

    def __enter__(self) -> None:
        """Until then."""

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()


@pytest.mark.parametrize("piece", [4, 8, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_windows_are_those_of_plain_drawing_gradients_included(kind: str, piece: int) -> None:
    """With a piece as long as the window those of the whole window, exactly."""
    model = made(kind)
    other, asked = copy.deepcopy(model), asked_of(model)
    run = FreeRun(asked.parts, 16, piece, tau=0.7, limit=inf)
    torch.manual_seed(9)
    found, real = run.windows(asked, 2, Shard())
    assert found.shape == real.shape == (2, 1, 16)
    torch.manual_seed(9)
    noise = noise_for(asked.parts.draw, (2, 16), Shard(), asked.x)
    wanted = plainly(asked_of(other), FreeRun(asked_of(other).parts, 16, piece), noise, 0.7)
    assert torch.allclose(found, wanted, rtol=0, atol=1e-12)
    weight = torch.randn_like(found)
    (found * weight).sum().backward()
    (wanted * weight).sum().backward()
    seen = 0.0
    for own, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert own.grad is not None
        assert own.grad.abs().max() > 0
        assert torch.allclose(own.grad, theirs.grad, rtol=0, atol=1e-10)
        seen = max(seen, float(own.grad.abs().max()))
    assert seen > 0.1


def test_a_piece_of_one_does_not_see_that_draws_are_read() -> None:
    """And a longer one does: their gradients differ."""
    found = []
    for piece in (1, 16):
        model = made("wavenet")
        asked = asked_of(model)
        torch.manual_seed(9)
        made_, _ = FreeRun(asked.parts, 16, piece).windows(asked, 2, Shard())
        made_.square().sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters()]))  # type: ignore[union-attr]
    assert (found[0] - found[1]).abs().max() > 0.01 * found[0].abs().max()


def test_gradients_do_not_grow_from_sample_to_sample() -> None:
    """A net that makes three times of every change, and hears the last of eight samples alone."""
    found = {}
    for limit in (1.0, 4.0, inf):
        net = Conv1d(1, 3, 1, bias=True)
        with torch.no_grad():
            net.weight.copy_(torch.tensor([0.0, 3.0, 0.0]).reshape(3, 1, 1))
            assert net.bias is not None
            net.bias.copy_(torch.tensor([0.0, 0.0, -9.0]))
        asked = looped(Loop(net, LogisticMixture(1)), torch.full((1, 1, 16), 1e-5))
        made_, _ = FreeRun(asked.parts, 8, 8, limit=limit).windows(asked, 1, Shard())
        made_[0, 0, -1].backward()
        found[limit] = float(net.bias.grad[1])  # type: ignore[index]
    assert found[inf] == sum(3**n for n in range(8))
    assert found[1.0] == 8
    assert found[4.0] == 1 + 3 + 6 * 4


def looped(loop: Loop, y: Tensor) -> Asked:
    """A method that is nothing but a loop, and what it should draw."""
    method = Method("generate", 1, 1, 1, 1, ("time",), ("audio",), 0, inf, 1, "generate")
    return Asked(Looped(method, (), loop, ()), torch.zeros_like(y), y, {})


def test_the_real_window_is_what_the_loop_could_have_drawn() -> None:
    model = made("wavenet")
    asked = asked_of(model)
    _, real = FreeRun(asked.parts, 16, 16).windows(asked, 0, Shard())
    heard = model.sound[0](asked.drawn, ())[0]
    assert torch.equal(real, heard[:, :, -16:])


def test_only_the_last_windows_have_gradients_and_others_are_the_same_draws() -> None:
    model = made("tiers")
    asked = asked_of(model)
    run = FreeRun(asked.parts, 16, 4)
    torch.manual_seed(9)
    both, _ = run.windows(asked, 2, Shard())
    torch.manual_seed(9)
    one, _ = run.windows(asked, 1, Shard())
    assert torch.allclose(one, both, rtol=0, atol=1e-12)
    last = model.loop.net.layers[-1].weight
    (gradient,) = torch.autograd.grad(one.sum(), last)
    (wanted,) = torch.autograd.grad(both[1].sum(), last)
    assert torch.allclose(gradient, wanted, rtol=0, atol=1e-12)


def test_a_window_without_a_past_is_refused_in_one_line() -> None:
    asked = asked_of(made("tiers"))
    with pytest.raises(ConfigError, match=r"window_samples: .* training\.crop_seconds"):
        FreeRun(asked.parts, 48, 16).windows(asked, 1, Shard())
    assert FreeRun(asked.parts, 44, 4).start(48) == 4
