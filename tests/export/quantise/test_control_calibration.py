"""Rows of an attribute in whole numbers: calibrated over all that a player may set."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.description import Attribute
from engine.layers import Control, Conv1d
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_programs, lower
from export.onnx import int8
from export.quantise.scales import cast, find_scales, find_weights
from export.quantise.sensitivity import decibels, error_ratio
from export.quantise.settings import SETTINGS, through_range
from tests.core.control_cases import attributes_of
from tests.core.native_cases import case, graph_and_description, net


def defaults(name: str) -> dict[str, torch.Tensor]:
    return {a.name: torch.full((a.size,), a.default) for a in attributes_of(net(name)).values()}


def quantised(name: str, whole_range: bool) -> bytes:
    graph, description = graph_and_description(name)
    programs = lower({"forward": graph}, description)
    values = defaults(name)
    if whole_range:
        values = through_range(values, description.attributes, programs)
        assert {k: v.shape[1:] for k, v in values.items()} == {
            k: () if k in ("scale", "bias") else (SETTINGS,) for k in values}
    cast(programs)
    unit = programs["forward"].input.root.rows
    x = 0.5 * torch.randn(graph.input.channels, 4000 * unit,
                          generator=torch.Generator().manual_seed(1))
    choices = find_scales(programs, values, {"forward": x})
    find_weights(programs, values, {"forward": x}, choices)
    return compile_programs(programs, description)


def worst_snr_db(name: str, data: bytes) -> float:
    """Against float32, every attribute in turn at either end of its range."""
    x = 0.5 * np.random.default_rng(2).standard_normal(
        (1, net(name).in_channels, 400)).astype(np.float32)
    found = []
    for a in attributes_of(net(name)).values():
        if a.name in ("scale", "bias"):
            continue
        for value in (np.full(a.size, a.maximum), np.full(a.size, a.minimum),
                      np.eye(a.size)[-1] * a.maximum):
            sounds = []
            for file in (case(name), data):
                model = NativeModel(NativeFile.from_bytes(file))
                model.set(a.name, np.float32(value))
                sounds.append(torch.from_numpy(model.process("forward", x)))
            if float(sounds[0].abs().max()) > 0.01:
                found.append(decibels(1.0, error_ratio(*sounds)))
    assert len(found) >= 2
    return min(found)


@pytest.mark.parametrize("name", ["controls", "controls_only"])
def test_the_ends_of_a_range_are_not_clipped(name: str) -> None:
    far = worst_snr_db(name, quantised(name, whole_range=True))
    near = worst_snr_db(name, quantised(name, whole_range=False))
    assert far > 30, far
    assert near < far - 6, "at the defaults alone the comparison would see nothing"


def test_int8_in_onnx_hears_the_whole_range_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Heard().eval()
    description = model.describe("heard")
    signal = torch.zeros(1, 32 * 64)
    sounds = {}
    for whole_range in (True, False):
        if not whole_range:
            monkeypatch.setattr(int8, "only_rows", lambda _: set())
        proto = int8.Method8(model, description, "forward", signal).quantised(set())
        opened = int8.session(proto)
        feed = {"x": signal.numpy()[None], "attribute_tone": np.float32([[1.0, -2.0]])}
        sounds[whole_range] = opened.run(["y"], feed)[0]
    wanted = model.offline("forward", signal[None], tone=torch.tensor([1.0, -2.0])).numpy()
    assert np.abs(wanted).max() > 0.5
    assert np.abs(sounds[True] - wanted).max() < 0.05
    assert np.abs(sounds[False] - wanted).max() > 0.2, "at the default nothing else was heard"


class Heard(Model):
    """Two numbers, and a convolution over them."""

    family = "heard"

    def __init__(self) -> None:
        super().__init__()
        self.config = ModelConfig()
        self.mix = Conv1d(2, 1, 1)
        self.mix.weight.data = torch.tensor([[[0.5], [-0.75]]])

    def chains(self) -> dict[str, Chain]:
        return {"forward": Chain.of(Control(1, "tone", 2), ("mix", self.mix), inputs=("x",),
                                    outputs=("y",))}

    def declared_attributes(self) -> tuple[Attribute, ...]:
        return (Attribute("tone", 2, 0.25, -2.0, 2.0, "two knobs"),)
