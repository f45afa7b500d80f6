"""The shape of a WaveNet, and that it is the one of the paper."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from engine.errors import ConfigError
from engine.models.registry import FAMILIES, build, configure
from tests.export.small_models import small_model


def test_the_family_is_in_the_registry():
    row = FAMILIES["wavenet"]
    assert (row.objective, row.data) == ("autoregressive", "performed")


def test_conditions_are_labelled_in_order():
    spec = build("wavenet", {"layers": 1, "voices": 3, "classes": 5}).methods["generate"]
    assert spec.input_labels == (
        "pitch_oct", "gate", "pitch_oct 2", "gate 2", "pitch_oct 3", "gate 3", "loudness", "free",
        "class")
    assert (spec.in_ratio, spec.out_ratio, spec.ratio) == (16, 1, 16)
    alone = build("wavenet", {"layers": 1, "voices": 0}).methods["generate"]
    assert (alone.input_labels, alone.in_ratio) == (("time",), 1)


@pytest.mark.parametrize(("settings", "said"), [
    ({"stacks": 0}, "model.stacks"),
    ({"voices": 5}, "model.voices"),
    ({"voices": 0, "classes": 3}, "classes are a condition"),
    ({"lowest_note": 60, "highest_note": 59}, "highest_note must be lowest_note = 60 or more"),
    ({"head": "softmax"}, "'mixture' or 'categorical'"),
    ({"level": 256}, "did you mean"),
])
def test_mistakes_are_one_line(settings, said):
    with pytest.raises(ConfigError) as raised:
        configure("wavenet", settings)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_the_network_is_that_of_the_paper():
    """Equations 2 and 3, and the sum of all skip convolutions, written out."""
    model = small_model("wavenet", "classes").double()
    config, net = model.config, model.loop.net
    stack, skip, _, end, _ = net.layers[0].layers
    wide, given = config.residual, model.conditions.out_channels
    x = torch.randn(2, given + 1, 40, dtype=torch.float64)
    x[:, -1] = torch.randint(0, 64, (2, 40)).double()

    h = stack.front.offline(x)
    total = skip.bias[:, None]
    for index, (dilated, dilation) in enumerate(zip(stack.dilated, config.dilations, strict=True)):
        sums = F.conv1d(F.pad(h, (dilation, 0)), dilated.weight, dilated.bias, dilation=dilation)
        a, b = (sums + x[:, 2 * wide * index : 2 * wide * (index + 1)]).chunk(2, dim=1)
        z = torch.tanh(a) * torch.sigmoid(b)
        total = total + F.conv1d(z, skip.weight[:, wide * index : wide * (index + 1)])
        if index < len(config.dilations) - 1:
            h = h + stack.onward[index].offline(z)
    wanted = net.layers[1].offline(F.relu(end.offline(F.relu(total))))
    assert wanted.shape == (2, 64, 40)
    assert torch.allclose(net.offline(x), wanted, rtol=0, atol=1e-12)


def test_what_a_sample_costs_and_sees():
    model = build("wavenet", {"voices": 0})
    layers, wide = 18, 32
    assert model.loop.net.macs_per_frame() == (
        2 + 2 * 2 * wide + layers * 4 * wide**2 + (layers - 1) * wide**2 + layers * wide * 64
        + 64 * 64 + 64 * 12 + 4 * 32)
    assert model.loop.net.receptive_field == 2 * 511 + 1 + 1  # dilations, and the front's kernel
