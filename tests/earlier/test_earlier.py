"""What an earlier version wrote still loads, plays the same and trains on: see README.md here."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from engine.errors import ConfigError
from engine.models.store import read_settings
from engine.players.base import load
from training.run.config import resolve
from training.run.loop import Machine, train

FILES = Path(__file__).parent / "files"
PLAYED = np.load(FILES / "played.npz")
NATIVE = ("model.tudor", "model.q16x8.tudor", "model.bf16w.tudor")
OTHERS = ("model.onnx", "model.ts", "run", "run_all")
METHODS = ("encode", "decode", "forward")


def played(name: str, method: str) -> tuple[np.ndarray, np.ndarray]:
    """What this version plays, and what that version played."""
    player = load(FILES / name)
    z = PLAYED["z"]
    x = PLAYED["x"] if method != "decode" else z if name != "run_all" else np.vstack((z, z[:1]))
    player.set("temperature", 0.5)
    y, wanted = player.process(method, x), PLAYED[f"{name}/{method}"]
    assert y.shape == wanted.shape
    assert np.abs(wanted).max() > 0.01
    return y, wanted


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NATIVE)
def test_native_files_play_the_same_bits(name: str, method: str) -> None:
    y, wanted = played(name, method)
    assert np.array_equal(y.view(np.int32), wanted.view(np.int32))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", OTHERS)
def test_other_files_play_the_same(name: str, method: str) -> None:
    """LibTorch and ONNX Runtime may choose another kernel on another processor."""
    y, wanted = played(name, method)
    assert np.abs(y - wanted).max() <= 2e-5


@pytest.mark.parametrize("name", ["run", "run_all"])
def test_a_run_goes_on(name: str, tmp_path: Path) -> None:
    """`run_all` has controls, a WAE regulariser, filtered crops and discriminators."""
    run, data = tmp_path / name, tmp_path / "data"
    shutil.copytree(FILES / name, run)
    shutil.copytree(FILES / "data", data)
    config = run / "config.toml"
    config.write_text(config.read_text().replace('folder = "data"', f'folder = "{data}"'))
    again = resolve(str(run), data, [], steps=10)
    assert (again.training.energy_score, again.training.descriptor_weight) == (1, 0.1)
    said = Console(file=StringIO(), width=400)
    outcome = train(again, run, Machine("cpu"), said)
    assert outcome.step == 10
    assert "goes on as it was: training.energy_score=0" in said.file.getvalue()
    assert all(read_settings(config)["training"][key] == 0
               for key in ("energy_score", "descriptor_weight"))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(("energy_score" in row) == (row["kind"] == "validation") for row in rows[-2:])
    assert outcome.validation is not None
    assert load(run).process("forward", PLAYED["x"]).shape == PLAYED["x"].shape


def test_an_onnx_file_of_then_has_one_value_for_all_streams() -> None:
    player = load(FILES / "model.onnx", batch=2)
    name, attribute = next((n, a) for n, a in player.attributes.items() if a.maximum >= 2)
    x = np.zeros((2, player.description.main.in_channels, player.description.main.in_frames),
                 np.float32)
    player.set(name, 1.0)
    assert player.process(player.description.main.name, x).shape[0] == 2
    with pytest.raises(ConfigError, match="shared by all streams in this file; export it again"):
        player.set(name, np.stack([np.full(attribute.size, v) for v in (1.0, 2.0)]))
