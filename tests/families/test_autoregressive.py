"""The toy autoregressive family from its file to every target, and what it generates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.registry import FAMILIES, Family, build
from engine.models.store import Stored
from engine.players.base import load
from export.targets import check, export_model
from export.verify import verify
from tests.families.autoregressive import Autoregressive, AutoregressiveConfig

SHAPES = {"wavenet": {"kind": "wavenet"}, "tiers": {"kind": "tiers", "channels": 12}}


@pytest.fixture(autouse=True)
def family(monkeypatch):
    monkeypatch.setitem(FAMILIES, Autoregressive.family, Family(
        AutoregressiveConfig, Autoregressive, "a toy that generates"))


def made(name: str) -> Autoregressive:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        model = build(Autoregressive.family, SHAPES[name]).eval()
        for parameter in model.parameters():
            parameter.add_(0.3 * parameter.abs().mean() * torch.randn(parameter.shape))
    assert isinstance(model, Autoregressive)
    return model


def stored(name: str) -> Stored:
    settings = {"model": {"family": Autoregressive.family, **SHAPES[name]}}
    return Stored(name, made(name), settings, True, None)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("to", "suffix"), [("native", "tudor"), ("onnx", "onnx"), ("nn", "ts")])
def test_every_target_draws_the_same(name, to, suffix, tmp_path):
    out = tmp_path / f"x.{suffix}"
    done = export_model(stored(name), check(to, out), out)
    found = done.report.methods["generate"]
    assert done.report.passed
    assert found.draws > 4000
    assert found.same_draws >= found.draws - 3
    assert found.peak > 0.1
