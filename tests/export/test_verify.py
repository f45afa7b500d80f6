"""Verification finds what is wrong, exports that fail leave nothing, and the commands say so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from engine.errors import ConfigError, TudorError
from engine.models.base import Model
from engine.models.store import Stored
from engine.players.base import FloatArray, Player, load
from export import targets
from export.onnx import operators as onnx_ops
from export.onnx.export import _save
from export.passages import passages
from export.targets import TARGETS, Target, check, export_model
from export.verify import TOLERANCE, difference, verify, weights_hash
from tests.export.small_models import CASES, small_model

READY = [name for name, target in TARGETS.items() if target.available]


def stored(model: Model, trained: bool = True) -> Stored:
    return Stored("small", model, {}, trained, None)


def perturbed(model: Model) -> Model:
    """The same model with one weight off by a little."""
    other = small_model()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        weight = next(p for n, p in other.named_parameters() if n.startswith("decoder"))
        weight.view(-1)[0] += 0.05
    return other


@pytest.fixture
def model() -> Model:
    return small_model()


@pytest.fixture
def exported(model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "x.onnx"
    export_model(stored(model), TARGETS["onnx"], path)
    return path


# --- what passes ------------------------------------------------------------------------------


@pytest.mark.parametrize("to", READY)
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case).replace(" ", "_"))
def test_every_model_to_every_target(to, case, tmp_path):
    net, out = small_model(*case), tmp_path / f"x{TARGETS[to].suffix}"
    done = export_model(stored(net), TARGETS[to], out)
    assert done.report.passed
    assert set(done.report.methods) == set(net.methods)
    for m in done.report.methods.values():
        assert 0 < m.float32_error < 5e-5
        # Both round, in different orders: what is beyond 1e-5 must be explained by that.
        assert m.max_abs_error <= max(1e-5, 3 * m.float32_error)
    assert all(m.frames * net.methods[n].in_ratio >= 16384 for n, m in done.report.methods.items())
    assert sorted(tmp_path.iterdir()) == sorted(done.files)  # nothing else is left
    found = load(out).description
    assert found.provenance["weights_sha256"] == weights_hash(net)
    assert found.provenance["verification"]["passed"] is True
    assert found.provenance["verification"]["methods"]["forward"]["snr_db"] > 80
    assert {"tudor_version", "exported_at", "source", "dtype"} <= set(found.provenance)
    assert verify(out, net).passed


def test_the_test_signal_holds_what_it_promises(model):
    for spec in model.methods.values():
        x = passages(spec)
        assert x.shape[1] % spec.in_frames == 0
        loud, quiet, silent, bad = np.split(x, 4, axis=1)
        assert 0.2 < np.abs(loud).mean() < 3
        assert 0 < np.abs(quiet).max() < 0.02
        assert silent.shape[1] > 0
        assert not silent.any()
        assert np.isnan(bad).any()
        assert np.isinf(bad).any()
        assert (np.abs(bad[np.isfinite(bad)]) > 1e29).any()


# --- what must not ----------------------------------------------------------------------------


class Faulty(Player):
    """A player with one fault, over a good one."""

    def __init__(self, inner: Player, fault: str) -> None:
        super().__init__(inner.description, None)
        self.inner, self.fault, self.calls = inner, fault, 0

    def _run(self, method, x: FloatArray, state) -> FloatArray:
        self.calls += 1
        if self.fault == "forgets its state":
            self.inner.reset(state)
        if self.fault == "passes NaN on":
            x = np.where(np.isnan(x), 0, x)
        y = self.inner.process(method.name, x, state)
        if self.fault == "passes NaN on" and self.calls > 20:
            y[:, :, 0] = np.nan
        if self.fault == "loses a frame":
            y = y[:, :, :-1]
        if self.fault == "crashes":
            raise RuntimeError("out of cheese")
        return y

    def _new_state(self):
        return self.inner.new_state()

    def _reset(self, state) -> None:
        if self.fault != "cannot reset":
            self.inner.reset(state)

    def _apply(self, state, name: str, value: FloatArray) -> None:
        if self.fault != "ignores attributes":
            self.inner.set(name, value)


@pytest.mark.parametrize("fault", ["none", "forgets its state", "passes NaN on", "loses a frame",
                                   "crashes", "cannot reset", "ignores attributes"])
def test_faults_of_players_are_found(fault, exported, model):
    report = verify(lambda: Faulty(load(exported), fault), model)
    assert report.passed == (fault == "none")
    if fault == "crashes":
        assert "out of cheese" in report.problem
    json.dumps(report.to_dict(), allow_nan=False)


def test_one_wrong_weight_in_a_file_is_found(exported, model):
    proto = onnx.load(exported)
    tensor = next(t for t in proto.graph.initializer if t.name.startswith("weight"))
    value = numpy_helper.to_array(tensor).copy()
    value.flat[0] += 0.05
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    digest = next(p for p in proto.metadata_props if p.key == "sha256")
    digest.value = "0" * 64
    _save(proto, exported)
    report = verify(exported, model)
    assert not report.passed
    assert not report.problem
    assert not report.methods["forward"].passed
    assert report.methods["encode"].passed
    assert report.max_abs_error > TOLERANCE


def test_a_failing_export_writes_nothing(model, tmp_path, monkeypatch):
    """An operation written wrongly: no file appears, and what stood there stays."""
    right = onnx_ops.EMIT["leaky_relu"]

    def wrong(w, op, x):
        op = replace(op, attributes={"slope": op.attributes["slope"] + 0.02})
        return right(w, op, x)

    out = tmp_path / "deep" / "x.onnx"
    out.parent.mkdir()
    out.write_text("what stood there")
    monkeypatch.setitem(onnx_ops.EMIT, "leaky_relu", wrong)
    with pytest.raises(TudorError, match=r"was not written: \w+ differs from PyTorch"):
        export_model(stored(model), TARGETS["onnx"], out)
    assert [p.name for p in out.parent.iterdir()] == ["x.onnx"]
    assert out.read_text() == "what stood there"


@pytest.mark.parametrize("to", READY)
def test_a_target_that_writes_another_model_fails(to, model, tmp_path, monkeypatch):
    target, true = TARGETS[to], Target.function

    def function(self, name):
        writer = true(self, name)
        if name != target.writer:
            return writer
        return lambda net, path, description: writer(perturbed(net), path, description)

    monkeypatch.setattr(Target, "function", function)
    with pytest.raises(TudorError, match="was not written"):
        export_model(stored(model), target, tmp_path / f"x{target.suffix}")
    assert list(tmp_path.iterdir()) == []


def test_another_model_is_recognised(exported, model):
    weights = verify(exported, perturbed(model))
    assert not weights.passed
    assert "other weights" in weights.problem
    shape = verify(exported, small_model("raw_vae", "stereo"))
    assert not shape.passed
    assert "bands 8 instead of 4" in shape.problem
    described = load(exported).description
    assert "family" in difference(replace(described, family="other"), model)
    assert difference(described, model) == ""


def test_unreadable_files_are_reported_not_raised(model, tmp_path):
    broken = tmp_path / "x.onnx"
    broken.write_bytes(b"\x00\x01")
    for path in (broken, tmp_path / "none.ts", tmp_path / "x.wav"):
        report = verify(path, model)
        assert not report.passed
        assert path.name in report.problem


# --- choosing a target ------------------------------------------------------------------------


def test_targets_are_checked_before_anything_runs(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="did you mean 'onnx'"):
        check("onxx", tmp_path / "x.onnx")
    for to, target in TARGETS.items():
        with pytest.raises(ConfigError, match=rf"x\{target.suffix}"):
            check(to, tmp_path / "x.wav")
    with pytest.raises(ConfigError, match="float16"):
        check("onnx", tmp_path / "x.onnx", "float16")
    (tmp_path / "d.onnx").mkdir()
    with pytest.raises(ConfigError, match="folder"):
        check("onnx", tmp_path / "d.onnx")
    monkeypatch.setitem(targets.TARGETS, "later", Target(".x", "export.later", "export_later"))
    with pytest.raises(TudorError, match="not there yet"):
        check("later", tmp_path / "a.x")


def test_every_available_target_offers_the_same_functions():
    for name in READY:
        for function in (TARGETS[name].writer, "read_description", "write_description"):
            assert callable(TARGETS[name].function(function))


def test_a_place_that_cannot_be_written(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TudorError, match="cannot write"):
        export_model(stored(model), TARGETS["onnx"], tmp_path / "file" / "x.onnx")
