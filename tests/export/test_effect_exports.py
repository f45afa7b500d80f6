"""`forward` of models that draw sound, to every target and number format."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from torch import nn

from engine.models.store import Stored
from engine.players.base import load
from engine.players.native_model import NativeModel
from export.replay import draws
from export.targets import check, export_model
from export.verify import verify
from tests.engine.models.test_drawn_effect import effect, sound
from tests.export.small_models import SMALL
from tests.export.test_drawing_exports import FORMS
from tests.firmware.machines import assert_same_bits, instruction_sets

CASES = [("wavenet", "periods", form) for form in FORMS] + [
    ("two_tier", "periods", form) for form in FORMS if form != "nn"] + [
    ("two_tier", "classes", "float32")]


def exported(family, name, form, folder, model=None):
    model = model or effect(family, name, start="rest")
    to, suffix, dtype = FORMS[form]
    out = folder / f"x.{suffix}"
    settings = {"model": {"family": family, **SMALL[family][name], "effect": True, "start": "rest"}}
    done = export_model(Stored("x", model, settings, True, None), check(to, out, dtype), out, dtype)
    return model, out, done.report


@pytest.mark.parametrize(("family", "name", "form"), CASES)
def test_every_target_draws_a_given_sound_the_same(family, name, form, few, tmp_path):
    model, out, report = exported(family, name, form, tmp_path)
    found = report.methods["forward"]
    assert draws(model, "forward")
    assert report.passed
    assert found.draws > 500
    if FORMS[form][2] == "float32":
        assert found.same_draws >= found.draws - 1
        x = sound(model)
        y = load(out).process("forward", x[0].numpy())
        wanted = model.offline("forward", x)[0].numpy()
        assert (np.abs(y - wanted) > 1e-4).mean() < 2e-3


@pytest.mark.parametrize("form", ["float32", "q16x8"])
def test_bits_of_an_effect_are_those_of_the_reference(form, few, tmp_path):
    model, out, _ = exported("two_tier", "periods", form, tmp_path)
    x = sound(model)[0].numpy()
    unit = model.methods["forward"].ratio
    wanted = NativeModel.open(out, isa="ref").process("forward", x[None])[0]
    for isa in instruction_sets():
        one = NativeModel.open(out, isa=isa)
        cuts = [0, unit, 4 * unit, 20 * unit, x.shape[1]]
        parts = [one.process("forward", np.ascontiguousarray(x[None, :, a:b]))[0]
                 for a, b in pairwise(cuts)]
        assert_same_bits(np.concatenate(parts, axis=1), wanted, isa)


def test_a_file_that_hears_another_sample_does_not_pass(few, tmp_path):
    """What `verify` says of `forward` can be no."""
    _, out, report = exported("wavenet", "mixture", "float32", tmp_path)
    assert report.passed
    other = effect("wavenet", "mixture", start="rest")
    other.effect_layers.heard.layers = nn.ModuleList([*other.effect_layers.heard.layers,
                                               other.effect_layers.heard.layers[-1]])
    other.changed()
    wrong = verify(out, other)
    assert not wrong.passed
    assert wrong.methods["generate"].passed
    assert not wrong.methods["forward"].passed
