"""Models of loops to every target and number format."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from engine.models.registry import build
from engine.models.store import Stored
from engine.players.base import load
from export.fed_back import ends_at_loop, feeds_back
from export.targets import check, export_model
from export.verify import verify
from tests.engine.models.test_loop_models import rows
from tests.export.small_models import LOOPS, SMALL, small_model
from tests.export.test_drawing_exports import FORMS
from tests.firmware.machines import assert_same_in_any_chunks

PAIRS = [pytest.param(case, form, id=f"{'-'.join(case)}-{form}")
         for case in LOOPS for form in FORMS]


def loop_model(case):
    """A flow that moves what it is given: without training it hardly would."""
    model = small_model(*case)
    if case[0] == "latent_flow":
        with torch.no_grad():
            model.velocity.last.weight.mul_(60)
    return model


def exported(case, form, folder):
    model = loop_model(case)
    to, suffix, dtype = FORMS[form]
    out = folder / f"x.{suffix}"
    stored = Stored("x", model, {"model": {"family": case[0], **SMALL[case[0]][case[1]]}}, True,
                    None)
    return model, out, export_model(stored, check(to, out, dtype), out, dtype)


@pytest.mark.parametrize(("case", "form"), PAIRS)
def test_every_target_makes_the_same_loops(case, form, few, once):
    model, out, done = once(exported, case, form)
    assert done.report.passed, done.report
    assert set(done.report.methods) == {"play", "generate", "decode", "embed"}
    if FORMS[form][2] == "float32" and case[0] == "latent_vae":
        x = rows(model)[0].numpy()
        y = load(out).process("generate", x)
        assert np.abs(y - model.offline("generate", rows(model))[0].numpy()).max() < 1e-4


@pytest.mark.parametrize("form", [form for form in FORMS if FORMS[form][2] == "float32"])
def test_steps_are_asked_for_while_it_plays(form, few, tmp_path):
    """In the same file; the same as a model of so many steps alone."""
    model = small_model("latent_flow", "steps")
    with torch.no_grad():
        model.velocity.last.weight.mul_(10)
    to, suffix, dtype = FORMS[form]
    out, x = tmp_path / f"x.{suffix}", rows(model)
    export_model(Stored("x", model, {}, True, None), check(to, out, dtype), out, dtype)
    player, made = load(out), []
    for steps in (1, 2, 4):
        alone = build("latent_flow", {**SMALL["latent_flow"]["steps"], "steps": steps}).eval()
        alone.load_state_dict(model.state_dict())
        assert ("steps" in alone.default_attributes()) == (steps > 1)
        wanted = alone.offline("generate", x)[0].numpy()
        player.reset()
        player.set("steps", steps)
        made.append(player.process("generate", x[0].numpy()))
        assert made[-1].shape == wanted.shape
        assert np.abs(made[-1] - wanted).max() < 1e-4
    assert all(np.abs(a - b).max() > 1e-2 for a, b in pairwise(made))


def test_what_goes_on_from_numbers_is_not_replayed_as_draws():
    model = small_model("latent_flow", "loops")
    assert feeds_back(model, "generate")
    assert ends_at_loop(model, "play") == "generate"
    assert not feeds_back(small_model("latent_vae", "loops"), "generate")


@pytest.mark.parametrize("form", ["float32", "q16x8"])
def test_a_loop_that_goes_wrong_is_found(form, few, once, monkeypatch):
    """By its rows, not by its hash."""
    _, out, done = once(exported, ("latent_flow", "loops"), form)
    assert done.report.passed
    monkeypatch.setattr("export.verify.difference", lambda *_: "")
    other = loop_model(("latent_flow", "loops"))
    with torch.no_grad():
        other.velocity.last.weight.mul_(-1)
    found = verify(out, other).methods
    assert not found["generate"].passed
    assert found["decode"].passed


@pytest.mark.parametrize("form", ["float32", "q16x8"])
def test_bits_are_those_of_the_reference_in_any_chunks(form, few, once):
    model, out, _ = once(exported, ("latent_flow", "loops"), form)
    x = rows(model)[0].numpy()
    for name in ("generate", "play"):
        unit = model.methods[name].in_frames
        assert_same_in_any_chunks(out, name, x, unit)
