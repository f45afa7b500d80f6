"""Playing a run directory is playing C: its native file is made once, and anew when it ages."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError, ModelFileError
from engine.models.registry import build
from engine.models.store import save_weights
from engine.players.base import load
from nn_tudor.native import as_native

CONFIG = '[model]\nfamily = "raw_vae"\nlatents = 2\nbands = 4\ncompression = 16\nwidths = [8, 6]\n'


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text(CONFIG)
    model = build("raw_vae", {"latents": 2, "bands": 4, "compression": 16, "widths": (8, 6)})
    save_weights(model, tmp_path / "model.safetensors")
    return tmp_path


def test_a_run_directory_becomes_a_native_file(run):
    file = Path(as_native(str(run)))
    assert file == run / "model.tudor"
    x = np.random.default_rng(0).standard_normal((1, 1600)).astype(np.float32) * 0.2
    native, pytorch = load(file), load(run)
    assert (native.backend, pytorch.backend) == ("native", "pytorch")
    assert np.abs(native.process("forward", x) - pytorch.process("forward", x)).max() < 1e-5
    made = file.stat().st_mtime_ns
    as_native(str(run))
    assert file.stat().st_mtime_ns == made, "made again without need"
    later = made / 1e9 + 5
    os.utime(run / "model.safetensors", (later, later))
    as_native(str(run))
    assert file.stat().st_mtime_ns != made, "younger weights were not noticed"


def test_what_is_no_run_directory_stays_itself(run, tmp_path):
    file = tmp_path / "x.onnx"
    file.touch()
    assert as_native("techno-tiny") == "techno-tiny"
    assert as_native(str(file)) == str(file)
    with pytest.raises(ModelFileError, match="does not exist"):
        as_native("gone.onnx")
    assert as_native(str(run), "pytorch") == str(run)
    with pytest.raises(ConfigError, match="'native'"):
        as_native(str(run), "nativ")


def test_a_run_that_cannot_be_exported_says_so_and_stays_itself(run, capsys):
    (run / "model.safetensors").write_bytes(b"broken")
    assert as_native(str(run)) == str(run)
    assert "model.safetensors" in capsys.readouterr().err
