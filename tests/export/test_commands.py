"""`tudor export` and `tudor verify` as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.models.base import Model
from engine.models.store import Stored
from export.onnx.export import export_onnx
from export.verify import verify
from nn_tudor import cli
from tests.export.small_models import small_model


def stored(model: Model, trained: bool = True) -> Stored:
    return Stored("small", model, {}, trained, None)


@pytest.fixture
def model() -> Model:
    return small_model()


def run(*args: object) -> tuple[int, str]:
    """The command in this process: exit code and all it printed."""
    name, *rest = map(str, args)
    done = CliRunner().invoke(cli._one(name), rest)
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


def test_commands_export_and_verify(tmp_path):
    out = tmp_path / "tiny.onnx"
    code, text = run("export", "techno-tiny", "--to", "onnx", "--out", out)
    assert code == 0, text
    assert "max abs error" in text
    assert "tiny.decode.onnx" in text
    code, text = run("verify", out, "--against", "techno-tiny")
    assert code == 0, text
    code, text = run("verify", out, tmp_path / "none.onnx", "--against", "techno-tiny", "--json")
    assert code == 1
    first, second = json.loads(text[: text.rindex("]") + 1])
    assert first["passed"] is True
    forward = first["methods"]["forward"]  # trained weights magnify rounding
    assert forward["max_abs_error"] < max(1e-5, 3 * forward["float32_error"])
    assert second["passed"] is False
    assert "does not exist" in second["problem"]


def test_commands_refuse_what_they_cannot_do(tmp_path):
    for args, words in [
        (("export", "techno-tiny", "--to", "onnx", "--out", tmp_path / "x.ts"), "x.onnx"),
        (("export", "techno-tinny", "--to", "onnx", "--out", tmp_path / "x.onnx"), "techno-tiny"),
        (("export", "techno-tiny", "--to", "midi", "--out", tmp_path / "x.mid"), "unknown target"),
    ]:
        code, text = run(*args)
        assert code != 0
        assert words in text
    assert list(tmp_path.iterdir()) == []


def test_an_untrained_preset_is_exported_with_a_warning(tmp_path, monkeypatch):
    net = small_model()
    monkeypatch.setattr("engine.models.store.load_model", lambda _: stored(net, trained=False))
    code, text = run("export", "any", "--to", "onnx", "--out", tmp_path / "x.onnx")
    assert code == 0, text
    assert "untrained" in text
    monkeypatch.setattr("engine.models.store.load_model", lambda _: stored(net))
    assert "untrained" not in run("export", "any", "--to", "onnx", "--out", tmp_path / "x.onnx")[1]


def test_the_commands_module_is_light():
    code = ("import sys, export.commands\n"
            "heavy = {'torch', 'onnx', 'onnxruntime', 'numpy', 'pydantic'} & set(sys.modules)\n"
            "sys.exit(str(heavy) if heavy else 0)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr


def test_export_onnx_alone_needs_no_verification(model, tmp_path):
    export_onnx(model, tmp_path / "x.onnx", model.describe("small"))
    assert verify(tmp_path / "x.onnx", model).passed  # no hash to compare: the figures decide
