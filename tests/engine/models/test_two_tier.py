"""The shape of a network of two rates, and what each of its tiers knows when."""

from __future__ import annotations

import pytest
import torch

from engine.errors import ConfigError
from engine.graph import Graph
from engine.models.registry import FAMILIES, build, configure
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
