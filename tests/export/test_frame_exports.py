"""Autoencoders of frames to every target and number format: their magnitudes are those of PyTorch,
and their sound is that of their own magnitudes."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from engine.models.store import Stored
from engine.players.base import load
from engine.players.native_model import NativeModel
from export.resynthesised import logarithms, resynthesised
from export.targets import check, export_model
from export.verify import verify
from tests.export.small_models import FRAMED, SMALL, small_model
from tests.export.test_drawing_exports import FORMS
from tests.firmware.machines import assert_same_in_any_chunks

METHODS = {"encode", "decode", "forward", "decode_magnitudes", "forward_magnitudes"}


def sound(samples, seed=0):
    t = np.arange(samples) / 8000
    noise = np.random.default_rng(seed).normal(size=samples) * (np.sin(2 * np.pi * 3 * t) > 0)
    return (0.3 * np.sin(2 * np.pi * 700 * t) + 0.1 * noise).astype(np.float32)


def exported(name, form, folder):
    model = small_model("spectrogram_vae", name)
    to, suffix, dtype = FORMS[form]
    out = folder / f"x.{suffix}"
    settings = {"model": {"family": "spectrogram_vae", **SMALL["spectrogram_vae"][name]}}
    given = {}
    if dtype != "float32":
        (folder / "audio").mkdir()
        for seed in range(3):
            soundfile.write(folder / "audio" / f"{seed}.wav", sound(32000, seed), 8000)
        given["calibrate"] = folder / "audio"
    stored = Stored("x", model, settings, True, None)
    return model, out, export_model(stored, check(to, out, dtype), out, dtype, **given)


PAIRS = [*(("bins", form) for form in FORMS), ("log", "float32"), ("log", "q16x8"), ("log", "onnx")]


@pytest.mark.parametrize(("name", "form"), PAIRS)
def test_every_target_makes_the_same_frames(name, form, few, once):
    model, out, done = once(exported, name, form)
    assert done.report.passed, done.report
    assert set(done.report.methods) == METHODS
    x = sound(64 * model.ratio, seed=7)[None]
    wanted = model.offline("forward_magnitudes", torch.from_numpy(x)[None])[0].numpy()
    got = load(out).process("forward_magnitudes", x)
    assert got.shape == wanted.shape == (2 * model.config.bins, x.shape[1] // model.config.hop)
    away = np.abs(got - wanted)
    if FORMS[form][2] == "float32":
        assert away.max() < 1e-3  # nepers
    else:
        assert np.sqrt(np.square(away).mean()) < 0.1
    heard = load(out).process("forward", x)
    assert heard.shape == x.shape
    assert np.abs(heard).max() > 1e-3
    z = load(out).process("encode", x)
    assert load(out).process("decode", z).shape == x.shape


def test_what_makes_sound_is_judged_by_its_magnitudes():
    for _, name in FRAMED:
        model = small_model("spectrogram_vae", name)
        assert {each: resynthesised(model, each) for each in model.methods} == {
            "encode": "", "decode": "decode_magnitudes", "forward": "forward_magnitudes",
            "decode_magnitudes": "", "forward_magnitudes": ""}
        assert logarithms(model, "forward_magnitudes") == 2 * model.config.bins


@pytest.mark.parametrize("form", ["float32", "q16x8"])
def test_a_file_that_goes_wrong_is_found(form, few, once, monkeypatch):
    """By its numbers, not by its hash: other magnitudes, then another sound of the same ones."""
    _, out, done = once(exported, "bins", form)
    assert done.report.passed
    monkeypatch.setattr("export.verify.difference", lambda *_: "")
    other = small_model("spectrogram_vae", "bins")
    with torch.no_grad():
        other.decoder.layers[-3].bias.add_(0.5)  # 3 nepers
    found = verify(out, other).methods
    assert {name for name, each in found.items() if not each.passed} == {
        "decode_magnitudes", "forward_magnitudes"}  # of which it makes the same sound
    later = small_model("spectrogram_vae", "bins")
    later.sound.seed = 77
    found = verify(out, later).methods
    assert {name for name, each in found.items() if not each.passed} == {"decode", "forward"}


@pytest.mark.parametrize("form", ["float32", "bf16w", "q16x8"])
def test_bits_are_those_of_the_reference_in_any_chunks(form, few, once):
    model, out, _ = once(exported, "bins", form)
    x = sound(40 * model.ratio, seed=3)[None]
    z = NativeModel.open(out, isa="ref").process("encode", x[None])[0]
    for name, spec in model.methods.items():
        given, unit = (z, 1) if spec.in_ratio > 1 else (x, model.ratio)
        assert_same_in_any_chunks(out, name, given, unit)
