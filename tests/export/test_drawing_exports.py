"""Both families that draw sound sample by sample, to every target and number format."""

from __future__ import annotations

import numpy as np
import pytest

from engine.boards.work import task_of_file, task_of_model
from engine.models.store import Stored
from engine.players.base import load
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import export_native
from export.targets import check, export_model
from tests.engine.models.drawing import config_of, note
from tests.engine.models.test_drawing_families import sounds
from tests.export.small_models import DRAWING, SMALL, small_model
from tests.firmware.machines import assert_same_bits, instruction_sets

FORMS = {"float32": ("native", "tudor", "float32"), "bf16w": ("native", "tudor", "bf16w"),
         "q16x8": ("native", "tudor", "q16x8"), "onnx": ("onnx", "onnx", "float32"),
         "nn": ("nn", "ts", "float32")}
QUICK = [("wavenet", "mixture"), ("two_tier", "mixture"), ("two_tier", "classes")]
# nn~ runs a whole block of two rates for each of its samples.
PAIRS = [pytest.param(case, form, marks=[pytest.mark.slow] * (form == "nn" and "tier" in case[0]),
                      id=f"{'-'.join(case)}-{form}") for case in QUICK for form in FORMS]


def exported(case, form, folder):
    model = small_model(*case)
    to, suffix, dtype = FORMS[form]
    out = folder / f"x.{suffix}"
    settings = {"model": {"family": case[0], **SMALL[case[0]][case[1]]}}
    stored = Stored("x", model, settings, True, None)
    return model, out, export_model(stored, check(to, out, dtype), out, dtype)


@pytest.mark.parametrize(("case", "form"), PAIRS)
def test_every_target_draws_the_same_and_is_silent_after_a_note(case, form, few, tmp_path):
    model, out, done = exported(case, form, tmp_path)
    found, config = done.report.methods["generate"], config_of(model)
    assert done.report.passed
    assert found.draws > 500
    if FORMS[form][2] == "float32":
        assert found.same_draws >= found.draws - 1
    x = note(model)[0].numpy()
    y = load(out).process("generate", x)
    assert sounds(y) == (5 * config.row_samples, (24 + config.release_rows) * config.row_samples)
    assert np.abs(y).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", [c for c in DRAWING if c not in QUICK], ids="-".join)
def test_every_shape_to_every_target(case, form, few, tmp_path):
    assert exported(case, form, tmp_path)[2].report.passed


@pytest.mark.parametrize("form", ["bf16w", "q16x8"])
def test_bits_are_those_of_the_reference(form, few, tmp_path):
    """On every instruction set, in any chunks; and constants are float32 in the file."""
    model, out, _ = exported(("two_tier", "mixture"), form, tmp_path)
    x = note(model)[0].numpy()
    wanted = NativeModel.open(out, isa="ref").process("generate", x[None])[0]
    for isa in instruction_sets():
        one = NativeModel.open(out, isa=isa)
        parts = [one.process("generate", np.ascontiguousarray(x[None, :, a:b]))[0]
                 for a, b in ((0, 1), (1, 8), (8, 10), (10, 72))]
        assert_same_bits(np.concatenate(parts, axis=1), wanted, isa)
        for cut in (20, 41):  # in the note, whose past is forced, and when it has long been over
            told = NativeModel.open(out, isa=isa)
            parts = [told.process("generate", np.ascontiguousarray(x[None, :, a:b]),
                                  forced=wanted[None, :, 4 * a : 4 * b] if b <= cut else None)[0]
                     for a, b in ((0, 3), (3, cut), (cut, cut + 9), (cut + 9, 72))]
            assert_same_bits(np.concatenate(parts, axis=1), wanted, isa)
    formats = {op.name: op.dtype for op in NativeFile(out).ops("generate") if op.weights_bytes}
    exact = {op.name for op in model.graph("generate").ops if op.attributes.get("exact")}
    # Release, repeat, roll twice, which class, reading, taps.
    assert len(exact & set(formats)) == 7
    assert all(formats[name] == 0 for name in exact & set(formats))
    assert any(formats.values())


def test_fit_charges_exact_parts_as_float32(few, tmp_path):
    """From layers as from a file."""
    model, out, _ = exported(("two_tier", "mixture"), "q16x8", tmp_path)
    for task in (task_of_model(model, "x"), task_of_file(NativeFile(out), "generate")):
        exact = {work.name for work in task.works if work.exact and work.macs_per_second}
        assert {"repeat/conv_transpose1d", "loop/net/taps/conv1d"} <= exact
        assert "loop/net/out/conv1d" not in exact
        taps = next(w for w in task.works if w.name == "loop/net/taps/conv1d")
        assert taps.format("q16x8") == "float32"
        assert taps.loop_calls_per_second == 16000


def test_a_concat_that_is_only_taken_apart_is_not_made(tmp_path):
    """The conditions of a two-tier network reach it where they are; nothing copies them row by
    row."""
    model = small_model("two_tier", "mixture")
    path = tmp_path / "x.tudor"
    export_native(model, path, model.describe("x"))
    copies = [op for op in NativeFile(path).ops("generate")
              if op.kind == "copy" and op.name.startswith("loop/")]
    assert len(copies) == 2  # logits and scales, beside the means
    assert all(op.out_channels == model.config.parts for op in copies)
