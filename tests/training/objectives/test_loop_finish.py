"""What is saved of a flow of loops: plans apart, latents as spread, knobs as asked."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from engine.layers.fixed import unfolded
from engine.models.registry import build
from tests.export.small_models import small_model
from training.objectives import loop_finish
from training.objectives.loop_finish import (
    BEFORE,
    GAINS,
    finished_flow,
    hear_less_of_before,
    is_control,
    match_knobs,
    rows_of_all,
)
from training.objectives.loop_flow import FlowObjective, FlowSettings

NO_KNOBS = torch.zeros(3)


@pytest.fixture(autouse=True)
def same_weights():
    torch.manual_seed(1)


@pytest.mark.parametrize("contrast", [1.0, 1.6])
def test_plans_are_further_apart_and_spread_as_before(contrast):
    model = small_model("latent_flow", "loops")
    rows = rows_of_all(model, NO_KNOBS)
    saved = finished_flow(model, NO_KNOBS, contrast)
    before, after = (each.planned(rows)[2:] for each in (model, saved))
    middle = before[0].mean(dim=(0, 2))[:, None]
    assert torch.allclose(after[0] - middle, contrast * (before[0] - middle), atol=1e-4)
    assert torch.equal(after[1], before[1])


def test_controls_are_facts_and_stay_as_planned(monkeypatch):
    model = small_model("latent_flow", "loops")
    assert not is_control(model).any()
    control = torch.arange(model.config.latents) == model.config.latents - 1
    monkeypatch.setattr(loop_finish, "is_control", lambda model: control)
    rows = rows_of_all(model, NO_KNOBS)
    before = unfolded(model.planned(rows)[2], model.config.chunk)
    loop_finish.set_apart(model, rows, 2.0)
    after = unfolded(model.planned(rows)[2], model.config.chunk)
    assert torch.allclose(after[:, -1], before[:, -1])
    assert not torch.allclose(after[:, :-1], before[:, :-1], atol=1e-2)


def test_the_last_of_what_a_coder_that_tracks_pitch_says_are_controls():
    coder = build("raw_vae", {
        "latents": 3, "bands": 4, "compression": 64, "strides": (4, 4), "widths": (8, 8, 6),
        "dilations": (1,), "sample_rate_hz": 16000, "harmonics": 8})
    flow = SimpleNamespace(config=SimpleNamespace(latents=coder.coded), codec=coder,
                           knob_units=torch.zeros(2, 3))
    assert coder.controls == ("pitch", "clarity")
    assert is_control(flow).tolist() == [False] * 3 + [True] * 2


def begun(monkeypatch, model, training):
    monkeypatch.setattr(loop_finish, "load_model",
                        lambda source: SimpleNamespace(settings={"training": training}))
    FlowObjective(model, SimpleNamespace(**FlowSettings().model_dump())).begin_with("before")


def test_what_goes_on_with_saved_weights_is_not_set_apart_twice(monkeypatch):
    model = small_model("latent_flow", "loops")
    rows = rows_of_all(model, NO_KNOBS)
    learnt = model.planned(rows)[2]
    loop_finish.set_apart(model, rows, 2.0)
    assert not torch.allclose(model.planned(rows)[2], learnt, atol=1e-2)
    begun(monkeypatch, model, {"plan_contrast": 2.0})
    assert torch.allclose(model.planned(rows)[2], learnt, atol=1e-5)
    begun(monkeypatch, model, {})  # of a run from before there was such a thing
    assert torch.allclose(model.planned(rows)[2], learnt, atol=1e-5)


@pytest.mark.parametrize("contrast", ["two", 0, -1.0, 1e9, float("nan")])
def test_a_contrast_that_is_none_is_told(monkeypatch, contrast):
    with pytest.raises(ConfigError, match=r"before: training\.plan_contrast is a number of 1 to 4"):
        begun(monkeypatch, small_model("latent_flow", "loops"), {"plan_contrast": contrast})


def test_latents_are_as_spread_as_what_was_learnt_but_never_made_less():
    model = small_model("latent_flow", "loops")
    saved = finished_flow(model, NO_KNOBS, 1.6)
    heard = saved.latents_of(rows_of_all(model, NO_KNOBS))
    own = saved.made.taken_back(heard).std(dim=(0, 2))
    gains = own.reciprocal().clamp(*GAINS)
    assert GAINS[0] == 1.0
    assert torch.allclose(heard.std(dim=(0, 2)), own * gains, rtol=1e-3)


@pytest.mark.parametrize("shape", ["loops", "transformer"])
def test_a_little_less_is_heard_of_the_chunk_before(shape):
    model = small_model("latent_flow", shape)
    size = model.config.chunk * model.config.latents
    told, plan, before = (torch.randn(2, channels, 6) for channels in (
        model.features.out_channels, model.config.width, size))
    whole = model.heard_before(told, plan, before)
    hear_less_of_before(model)
    assert torch.allclose(model.heard_before(told, plan, before / BEFORE), whole, atol=1e-5)
    assert not torch.allclose(model.heard_before(told, plan, before), whole, atol=1e-5)


def test_knobs_get_what_they_lack(monkeypatch):
    model = small_model("latent_flow", "loops")
    rows = rows_of_all(model, NO_KNOBS)
    reads = next(iter(model.plan))

    def heard(model, rows):  # of what the plan reads: one knob moves the other
        read = reads(model.features(rows, ())[0], ())[0].mean(dim=(0, 2))
        return (mixing @ read).detach().double().numpy() + np.array([0.3, -0.2])

    asked = loop_finish.asked_knobs(model, rows)
    told = model.features(rows, ())[0]
    places = [int((model.features(_turned(model, rows, knob), ())[0] - told)[0, :, 0].argmax())
              for knob in loop_finish.MATCHED]
    columns = reads.weight[:, places, 0].detach()
    mixing = torch.tensor([[0.8, 0.2], [-0.1, 0.6]]) @ torch.linalg.pinv(columns)
    monkeypatch.setattr(loop_finish, "heard_knobs", heard)
    short = rows[..., : loop_finish.HEARD_CHUNKS]
    assert np.abs(heard(model, short) - asked).max() > 0.1
    match_knobs(model, rows)
    assert np.allclose(heard(model, short), asked, atol=1e-4)


def test_knobs_that_are_not_obeyed_stay(monkeypatch):
    model = small_model("latent_flow", "loops")
    before = next(iter(model.plan)).bias.clone()
    monkeypatch.setattr(loop_finish, "heard_knobs", lambda model, rows: np.array([0.5, -0.5]))
    match_knobs(model, rows_of_all(model, NO_KNOBS))
    assert torch.equal(next(iter(model.plan)).bias, before)


def _turned(model, rows, knob):
    more = rows.clone()
    more[:, model.config.place(knob)] += 1
    return more
