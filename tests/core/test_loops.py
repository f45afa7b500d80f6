"""Loops: the C runtime against PyTorch's slow one, and what was drawn against a replay."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from engine.description import Attribute
from engine.layers import (
    Categorical,
    Conv1d,
    ConvTranspose1d,
    Embed,
    LogisticMixture,
    Loop,
    Parallel,
    Past,
    Sequence,
    State,
    Streaming,
    Tanh,
)
from engine.layers.base import call
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_graphs
from tests.core.loop_cases import LOOPS, attributes_of, values_of
from tests.core.native_cases import case, describe, graph_of, method_of, net, noise

BLOCKS = 40


def _input(name: str, batch: int = 2) -> np.ndarray:
    spec = NativeFile.from_bytes(case(name)).methods["forward"]
    return noise(spec.in_channels, BLOCKS * spec.frame_samples // spec.in_ratio, batch) * 0.5


@pytest.mark.parametrize("name", LOOPS)
def test_native_draws_what_pytorch_draws(name: str) -> None:
    """In float64, frame by frame: the same classes, and numbers as close as float32 is."""
    x = _input(name)
    exact = copy.deepcopy(net(name)).double()
    values = values_of(exact, torch.float64)
    double = torch.from_numpy(x).double()
    with torch.no_grad():
        wanted, _ = exact(double, exact.init_state(2), values)
    got = NativeModel(NativeFile.from_bytes(case(name)), batch=2).process("forward", x)
    assert got.shape == wanted.shape
    assert got.size > 0
    assert len(np.unique(got)) > 5, "a sound that hardly moves proves nothing"
    assert float(np.abs(got - wanted.numpy()).max()) < 1e-4


@pytest.mark.parametrize("name", LOOPS)
def test_streamed_equals_offline(name: str) -> None:
    layers = copy.deepcopy(net(name)).double()
    values, x = values_of(layers, torch.float64), torch.from_numpy(_input(name)).double()
    unit = layers.granularity
    with torch.no_grad():
        offline, _ = layers(x, layers.init_state(2), values)
        state: State = layers.init_state(2)
        parts, at = [], 0
        for blocks in (1, 3, 2, 7, 1, 26):
            y, state = layers(x[:, :, at : at + blocks * unit], state, values)
            parts.append(y)
            at += blocks * unit
    assert at == x.shape[2]
    assert torch.allclose(torch.cat(parts, dim=2), offline, atol=1e-12, rtol=0)


def _loop(layers: Streaming) -> Loop:
    return next(m for m in layers.modules() if isinstance(m, Loop))


@pytest.mark.parametrize("name", LOOPS)
def test_teacher_gives_what_the_loop_drew_from(name: str) -> None:
    """All frames at once, and the draws repeated from what it gives: the same numbers."""
    loop = _loop(copy.deepcopy(net(name)).double())
    values = values_of(loop, torch.float64)
    x = torch.randn(2, loop.in_channels, 40 * loop.granularity, dtype=torch.float64,
                    generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y, _ = loop(x, loop.init_state(2), values)
        given = loop.teacher(x, y, values)
        again, _ = loop.draw(given, loop.draw.init_state(2, torch.float64), values)
        first, _ = loop.draw(given.flip(2), loop.draw.init_state(2, torch.float64), values)
    assert torch.allclose(again, y, atol=1e-9, rtol=0)
    assert not torch.allclose(first, y), "a wrong distribution must be seen"


def test_probabilities_add_up_and_have_gradients() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 2 * 7, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    draw = Categorical(7, 2)
    each = torch.stack([draw.log_prob(x, torch.full((2, 2, 3), float(k))) for k in range(7)])
    assert torch.allclose(each.exp().sum(dim=0), torch.ones(2, 2, 3, dtype=torch.float64))
    mixture = LogisticMixture(4, limit=1.0)
    z = torch.randn(2, 12, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    width = 2 / 255
    steps = [torch.full((2, 1, 3), -1 + k * width, dtype=torch.float64) for k in range(256)]
    total = torch.stack([mixture.log_prob(z, y, width) for y in steps]).exp().sum(dim=0)
    assert torch.allclose(total, torch.ones(2, 1, 3, dtype=torch.float64), atol=1e-6)
    (each[0].sum() + mixture.log_prob(z, steps[90]).sum()).backward()
    for tensor in (x, z):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()
        assert tensor.grad.abs().max() > 0


def _drawn(draw: Streaming, x: torch.Tensor, **settings: float) -> np.ndarray:
    """By the runtime, outside any loop: the same distribution many times."""
    attributes = {name: Attribute(name, 1, value, 0.0, 16777215.0, "")
                  for name, value in settings.items()}
    data = compile_graphs({"forward": graph_of(draw)}, describe(method_of(draw), attributes))
    y: np.ndarray = NativeModel(NativeFile.from_bytes(data)).process("forward", x.numpy()[None])[0]
    with torch.no_grad():
        values = {k: torch.tensor([v], dtype=torch.float64) for k, v in settings.items()}
        same, _ = call(draw, x.double()[None], draw.init_state(1, torch.float64), values)
    error = np.abs(same[0].numpy() - y)
    assert (error > 1e-5).sum() <= 3, "what lies on an edge may fall to either side"
    return y


@pytest.mark.parametrize(("temperature", "top_p"),
                         [(1.0, 1.0), (0.5, 1.0), (2.0, 1.0), (1.0, 0.8)])
def test_classes_come_as_often_as_they_should(temperature: float, top_p: float) -> None:
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    logits = torch.linspace(-2, 2, 50)[order]
    count = 40000
    y = _drawn(Categorical(50), logits[:, None].expand(-1, count).contiguous(),
               temperature=temperature, top_p=top_p, seed=1.0)
    p = (logits.double() / temperature).softmax(0)
    falling, order = p.sort(descending=True)
    kept = order[: int((falling.cumsum(0) - falling < top_p).sum())]
    wanted = torch.zeros(50, dtype=torch.float64)
    wanted[kept] = p[kept] / p[kept].sum()
    shares = np.bincount(y[0].astype(int), minlength=50) / count
    spread = np.sqrt(wanted.numpy() * (1 - wanted.numpy()) / count)
    assert (np.abs(shares - wanted.numpy()) <= 4.5 * spread).all()
    assert top_p == 1.0 or (shares == 0).any()


def test_least_temperature_and_top_p_choose_the_likeliest() -> None:
    x = 100 * torch.randn(20, 300, generator=torch.Generator().manual_seed(3))
    for settings in ({"temperature": 0.0, "top_p": 1.0}, {"temperature": 3.0, "top_p": 0.0}):
        y = _drawn(Categorical(20), x, seed=0.0, **settings)
        assert np.array_equal(y[0], x.argmax(dim=0).numpy())


def test_a_mixture_is_distributed_as_it_says() -> None:
    parts = torch.tensor([0.3, 0.7, -0.4, 0.2, 0.1, -0.2, -3.0, -2.0, -4.0])
    count = 40000
    draw = LogisticMixture(3)
    y = _drawn(draw, parts[:, None].expand(-1, count).contiguous(), temperature=1.0, seed=1.0)
    edges = torch.linspace(-0.9, 0.9, 19, dtype=torch.float64)
    x = parts.double()[None, :, None].expand(1, -1, 18)
    middle = ((edges[1:] + edges[:-1]) / 2)[None, None]
    wanted = draw.log_prob(x, middle, 0.1).exp()[0, 0].numpy()
    shares = np.histogram(y[0], edges.numpy())[0] / count
    assert (np.abs(shares - wanted) <= 4.5 * np.sqrt(wanted * (1 - wanted) / count)).all()


def test_embed_rounds_and_stays_inside() -> None:
    table = torch.arange(12, dtype=torch.float32).reshape(4, 3)
    layer = Embed(4, 3, table)
    x = torch.tensor([[[0.0, 1.4, 1.6, 3.0, 9.0, -2.0, 1e30]]])
    wanted = table[[0, 1, 2, 3, 3, 0, 3]].T
    assert torch.equal(layer(x, ())[0][0], wanted)
    assert np.array_equal(_drawn(layer, x[0]), wanted.numpy())


def _tiers(past: int) -> Loop:
    torch.manual_seed(0)  # a draw that meets its limit would hide what is tested here
    slow = Sequence(Conv1d(1, 4, 4, stride=4), ConvTranspose1d(4, 4, 4, 4), Past(4, past))
    net = Sequence(Parallel(slow, Conv1d(1, 4, 1)), Tanh(4), Conv1d(4, 6, 1))
    return Loop(net, LogisticMixture(2))


def test_a_row_that_is_read_before_it_is_made_is_refused() -> None:
    values = values_of(_tiers(3))
    with torch.no_grad():
        loop = _tiers(2).eval()
        x = torch.zeros(1, 1, 8)
        with pytest.raises(ValueError, match="Past layer"):
            loop(x, loop.init_state(1), values)
    attributes = attributes_of(loop)
    with pytest.raises(ValueError, match="before they are made"):
        compile_graphs({"forward": graph_of(loop)}, describe(method_of(loop), attributes))
    right = _tiers(3)
    assert right(x, right.init_state(1), values)[0].shape == (1, 1, 8)
    compile_graphs({"forward": graph_of(right)}, describe(method_of(right), attributes))


def test_mistakes_of_a_family_are_said() -> None:
    from engine.graph import Builder

    with pytest.raises(ValueError, match="the draw takes"):
        Loop(Conv1d(1, 5, 1), Categorical(7))
    with pytest.raises(ValueError, match="keep the frame rate"):
        Loop(Conv1d(1, 7, 2, stride=2), Categorical(7))
    with pytest.raises(ValueError, match="none were given"):
        Loop(Conv1d(2, 7, 1), Categorical(7)).teacher(None, torch.zeros(1, 1, 4))
    build = Builder("forward", 1)
    with pytest.raises(ValueError, match="inside a loop"):
        build.feed(1, build.input)
    with pytest.raises(ValueError, match="nothing was fed"), build.loop():
        build.feed(1, build.input)
    build = Builder("forward", 1)
    with build.loop():
        fed = build.feed(1, build.input)
        with pytest.raises(ValueError, match="made in the loop"):
            build.close_feed(fed, build.input)
        build.close_feed(fed, build.op("tanh", fed))
    with pytest.raises(ValueError, match="one loop at most"), build.loop():
        pass
