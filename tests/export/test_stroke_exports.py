"""Voices that a gate triggers, to every target and number format."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.latched import latched
from engine.models.store import Stored
from engine.players.base import load
from engine.players.native_model import NativeModel
from engine.scores import strokes
from export.resynthesised import resynthesised
from export.targets import check, export_model
from export.verify import verify
from tests.export.small_models import SMALL, STROKES, small_model
from tests.export.test_drawing_exports import FORMS
from tests.firmware.machines import (
    assert_same_bits,
    assert_same_in_any_chunks,
    instruction_sets,
)

CASE = STROKES[0]


def exported(form, case, folder):
    model = small_model(*case)
    to, suffix, dtype = FORMS[form]
    out = folder / f"x.{suffix}"
    stored = Stored("x", model, {"model": {"family": case[0], **SMALL[case[0]][case[1]]}}, True,
                    None)
    return model, out, export_model(stored, check(to, out, dtype), out, dtype)


def exported_without(form, case, folder):
    """As it was before `hold`: notes alone say what is told."""
    def only_held(config, inputs, seeds=0):
        return latched(config, inputs, seeds).branches[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.models.spectrogram_gan.latched", only_held)
        return exported(form, case, folder)


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


def moving(model, seed=5, frames=96):
    """Strokes whose z wanders while they sound."""
    x = played(model, seed, frames)
    for index, label in enumerate(model.config.labels):
        if label.startswith("z "):
            x[index] += np.sin(np.arange(frames) / (4 + index % 3)).astype(np.float32)
    return x


def with_hold(step, x, holds=(1.0, 0.0, 0.4, 1.0, 0.0)):
    """What `step(rows, hold)` makes of equal parts of `x`, each with another `hold`."""
    parts = np.split(x[:, : x.shape[1] // len(holds) * len(holds)], len(holds), axis=1)
    return np.concatenate([step(np.ascontiguousarray(part), hold)
                           for part, hold in zip(parts, holds, strict=True)], axis=1)


def offline(model, method, x, **holds):
    """In PyTorch, `hold` set between blocks."""
    state = model.init_state(method)

    def step(rows, hold):
        nonlocal state
        values = {**model.default_attributes(), "hold": torch.tensor([hold])}
        with torch.no_grad():
            y, state = model.step(method, torch.from_numpy(rows)[None], state, values)
        return y[0].numpy()

    return with_hold(step, x, **holds)


def by_file(player, method, x, cuts=1, **holds):
    """By a player; each part in so many calls."""
    def step(rows, hold):
        player.set("hold", np.float32([hold]))
        return np.concatenate([player.process(method, np.ascontiguousarray(part))
                               for part in np.array_split(rows, cuts, axis=1)], axis=1)

    return with_hold(step, x, **holds)


@pytest.mark.parametrize("case", STROKES, ids=lambda case: case[1])
@pytest.mark.parametrize("form", FORMS)
def test_every_target_lets_z_go_alike(form, case, few, once):
    model, out, _ = once(exported, form, case)
    x = moving(model)
    wanted = offline(model, "magnitudes", x)
    held = offline(model, "magnitudes", x, holds=(1.0,) * 5)
    got = by_file(load(out), "magnitudes", x)
    assert got.shape == wanted.shape
    assert np.abs(wanted - held).max() > 0.02
    assert np.sqrt(np.square(got - wanted).mean()) < np.sqrt(np.square(got - held).mean())
    if FORMS[form][2] == "float32":
        assert np.abs(got - wanted).max() < 1e-3  # nepers


@pytest.mark.parametrize("case", STROKES, ids=lambda case: case[1])
@pytest.mark.parametrize("form", [form for form in FORMS if FORMS[form][0] == "native"])
def test_hold_that_moves_gives_the_same_bits_in_any_chunks(form, case, few, once):
    model, out, _ = once(exported, form, case)
    x = moving(model)
    for name in model.methods:
        wanted = by_file(Native(out, "ref"), name, x)
        for isa in instruction_sets():
            for cuts in (1, 4, 19):
                assert_same_bits(by_file(Native(out, isa), name, x, cuts), wanted, f"{name} {isa}")


class Native:
    """A native file by one instruction set, one stream."""

    def __init__(self, file, isa):
        self.model = NativeModel.open(file, isa=isa)
        self.set = self.model.set

    def process(self, method, x):
        return self.model.process(method, x[None])[0]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_held_is_what_was_held_before_there_was_hold(form, few, once):
    """To the bit, in every target and number format, however z moves. (Notes: golden files.)"""
    model, out, _ = once(exported, form, CASE)
    _, before, _ = once(exported_without, form, CASE)
    x = moving(model)
    for name in model.methods:
        now, then = (load(file).process(name, x) for file in (out, before))
        assert_same_bits(now, then, name)


@pytest.mark.parametrize("case", STROKES, ids=lambda case: case[1])
@pytest.mark.parametrize("form", ["float32", "q16x8"])
def test_bits_are_those_of_the_reference_in_any_chunks(form, case, few, once):
    model, out, _ = once(exported, form, case)
    x = played(model)
    for name in model.methods:
        assert_same_in_any_chunks(out, name, x, 1)
