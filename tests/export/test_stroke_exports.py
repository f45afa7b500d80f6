"""Voices that a gate triggers, to every target and number format."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.store import Stored
from engine.players.base import load
from engine.scores import strokes
from export.resynthesised import resynthesised
from export.targets import check, export_model
from export.verify import verify
from tests.export.small_models import SMALL, STROKES, small_model
from tests.export.test_drawing_exports import FORMS
from tests.firmware.machines import assert_same_in_any_chunks

CASE = STROKES[0]


def exported(form, case, folder):
    model = small_model(*case)
    to, suffix, dtype = FORMS[form]
    out = folder / f"x.{suffix}"
    stored = Stored("x", model, {"model": {"family": case[0], **SMALL[case[0]][case[1]]}}, True,
                    None)
    return model, out, export_model(stored, check(to, out, dtype), out, dtype)


def played(model, seed=5, frames=96):
    x = strokes.made_up(model.config.labels, model.config.groups, frames, seed)
    if model.config.pitched:  # notes that are held, let go and bent
        x[0, 10:40] = x[0, 44:70] = 1
        x[2, 20:60] += np.linspace(0, 0.7, 40, dtype=np.float32)
    return x


@pytest.mark.parametrize("case", STROKES, ids=lambda case: case[1])
@pytest.mark.parametrize("form", FORMS)
def test_every_target_makes_the_same_strokes(form, case, few, once):
    model, out, done = once(exported, form, case)
    assert done.report.passed, done.report
    assert set(done.report.methods) == {"generate", "magnitudes"}
    x = played(model)
    wanted = model.offline("magnitudes", torch.from_numpy(x)[None])[0].numpy()
    got = load(out).process("magnitudes", x)
    away = np.abs(got - wanted)
    if FORMS[form][2] == "float32":
        assert away.max() < 1e-3  # nepers
    else:
        assert np.sqrt(np.square(away).mean()) < 0.6
    sound = load(out).process("generate", x)
    assert sound.shape == (1, x.shape[1] * model.config.hop)
    assert np.abs(sound).max() > 1e-3


def test_what_is_resynthesised_says_of_what():
    model = small_model(*CASE)
    assert resynthesised(model, "generate") == "magnitudes"
    assert resynthesised(model, "magnitudes") == ""
    for family in ("raw_vae", "latent_vae"):
        other = small_model(family, next(iter(SMALL[family])))
        assert not any(resynthesised(other, name) for name in other.methods)


@pytest.mark.parametrize("form", ["float32", "q16x8"])
def test_a_voice_that_goes_wrong_is_found(form, few, once, monkeypatch):
    """By its numbers, not by its hash: other magnitudes, then another sound of the same ones."""
    _, out, done = once(exported, form, CASE)
    assert done.report.passed
    monkeypatch.setattr("export.verify.difference", lambda *_: "")
    other = small_model(*CASE)
    with torch.no_grad():
        other.net.branches[0].branches[0].layers[2].weight.mul_(-1)
    found = verify(out, other).methods
    assert not found["magnitudes"].passed
    assert found["generate"].passed  # it makes the same sound of what it made
    late = small_model(*CASE)
    late.sound.branches[0].layers[1].seed = 77
    found = verify(out, late).methods
    assert found["magnitudes"].passed
    assert not found["generate"].passed


@pytest.mark.parametrize("case", STROKES, ids=lambda case: case[1])
@pytest.mark.parametrize("form", ["float32", "q16x8"])
def test_bits_are_those_of_the_reference_in_any_chunks(form, case, few, once):
    model, out, _ = once(exported, form, case)
    x = played(model)
    for name in model.methods:
        assert_same_in_any_chunks(out, name, x, 1)
