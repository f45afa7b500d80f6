"""The shape of a network of two rates, and what each of its tiers knows when."""

from __future__ import annotations

import pytest
import torch

from engine.errors import ConfigError
from engine.graph import Graph
from engine.models.autoregressive_parts import Places
from engine.models.registry import FAMILIES, build, configure
from engine.models.two_tier import TwoTier
from engine.players.native_model import NativeFile
from export.native.export import export_native
from tests.export.small_models import small_model


def test_the_family_is_in_the_registry():
    row = FAMILIES["two_tier"]
    assert (row.objective, row.data) == ("autoregressive", "performed")


@pytest.mark.parametrize(("settings", "said"), [
    ({"frame": 1}, "model.frame"),
    ({"near": 0}, "model.near"),
    ({"voices": 0, "classes": 3}, "classes are a condition"),
    ({"joined": True}, "needs period_taps"),
])
def test_mistakes_are_one_line(settings, said):
    with pytest.raises(ConfigError) as raised:
        configure("two_tier", settings)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_release_is_sixty_milliseconds():
    assert configure("two_tier", {}).release_rows == 60
    assert configure("two_tier", {"sample_rate_hz": 8000}).release_rows == 30


def test_nothing_hears_what_is_to_come():
    """And the frames, which run at a quarter of the rate, hear up to the sample before."""
    model = small_model("two_tier", "free").double()
    x = 0.3 * torch.randn(1, 1, 64, dtype=torch.float64)
    x.requires_grad_()
    y = model.loop.net.offline(x)
    for at in (20, 21, 22, 23):
        (grad,) = torch.autograd.grad(y[0, :, at].sum(), x, retain_graph=True)
        assert grad[0, 0, at] != 0  # the sample drawn before `at`
        assert not grad[0, 0, at + 1 :].any()
    other = x.detach().clone()
    other[0, 0, 20] += 1.0
    slow = model.loop.net.hidden.layers[1].branches[0]
    heard = model.loop.net.hidden.layers[0]
    moved = (slow.offline(heard.offline(other)) - slow.offline(heard.offline(x.detach())))[0]
    # Sample 20 is the first of the frame 20 ... 23, which speaks from 23 on.
    assert moved.abs().amax(dim=0).nonzero().flatten()[0] == 23


def test_the_outer_tier_runs_once_a_frame(tmp_path):
    model = small_model("two_tier", "mixture")
    graph: Graph = model.graph("generate")
    slow = [op for op in graph.loop if op.kind == "conv1d" and "layer" in op.name]
    assert len(slow) == 6
    assert all(op.output.ratio == 1 for op in slow)  # that of the conditions
    path = tmp_path / "x.tudor"
    export_native(model, path, model.describe("x"))
    steps = {op.name: op.steps for op in NativeFile(path).ops("generate")}
    assert {steps[name] for name in steps if "layer" in name} == {1}
    assert steps["loop/net/out/conv1d"] == steps["loop/draw/mul"] == model.config.frame
    assert not [name for name in steps if "loop" in name and "concat" in name
                and not name.startswith("loop/net/concat")]  # conditions are not copied


def test_sizes_of_the_published_kind():
    model = build("two_tier", {"voices": 0})
    frames = 32 * 48 + 8 * 5 * 48**2 + 48 * 48 * 16
    each = 2 + 2 * 16 * 48 + 48 * 96 + 48 * 12 + 4 * 32
    assert model.loop.net.macs_per_frame() == frames / 16 + each


def test_joined_convolutions_can_say_what_those_apart_say():
    """Their weights side by side are a joined network of the same shape."""
    shape = {"layers": 2, "width": 8, "inner": 6, "features": 4, "frame": 4, "voices": 2, "near": 6,
             "period_taps": 6, "taps": 9}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        apart, joined = build("two_tier", shape), build("two_tier", {**shape, "joined": True})
        for parameter in apart.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
        weights = joined_weights(apart, joined)
    joined.load_state_dict(weights)
    apart, joined = apart.double(), joined.double()
    given = apart.loop.net.in_channels - 1
    x = 0.3 * torch.randn(1, given + 1, 96, dtype=torch.float64)
    periods = list(Places(apart.config).periods)
    x[:, periods] = 7.25 + 3 * x[:, periods]
    with torch.no_grad():
        wanted, got = apart.loop.net.offline(x), joined.loop.net.offline(x)
    assert wanted.shape == got.shape == (1, 12, 96)
    assert wanted[:, 4:8].std() > 0.01
    assert torch.allclose(got, wanted, atol=1e-9)


def joined_weights(apart: TwoTier, joined: TwoTier) -> dict[str, torch.Tensor]:
    """The state of `joined`, which does what `apart` does: two voices a period ago come before what
    was drawn last, each number in two channels."""
    old = apart.state_dict()
    new = {key: value.clone() for key, value in joined.state_dict().items()}
    hidden, head = "loop.net.layers.1.hidden.layers", "loop.net.layers.1"
    read, told = f"{hidden}.0.branches.1.layers.1", f"{hidden}.1.branches.2.layers"
    for key, value in old.items():
        if key in new and new[key].shape == value.shape:
            new[key] = value
    new[f"{read}.weight"].zero_()
    new[f"{read}.weight"][:4, :2] = old[f"{told}.1.weight"]
    new[f"{read}.weight"][4:, 2:] = old[f"{read}.weight"]
    new[f"{read}.bias"] = torch.cat((old[f"{told}.1.bias"], old[f"{read}.bias"]))
    front = f"{hidden}.1.branches.0.layers.0.front.layers.1.weight"
    new[front].zero_()
    new[front][:, 4:] = old[front]
    near = f"{hidden}.1.branches.1.layers.1"
    new[f"{near}.weight"] = torch.cat((old[f"{told}.3.weight"], old[f"{near}.weight"]), dim=1)
    new[f"{near}.bias"] = old[f"{told}.3.bias"] + old[f"{near}.bias"]
    taps = new[f"{head}.taps.weight"].zero_()
    taps[:, :2, -6:], taps[:, 2:] = old[f"{head}.ago.weight"], old[f"{head}.taps.weight"]
    return new
