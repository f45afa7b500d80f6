"""A toy family that learns from pairs, through the public seams alone: trains, resumes, exports."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

from engine.errors import AudioError, ConfigError
from engine.layers import Conv1d, Guard, LeakyReLU, Sequence
from engine.models import registry
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.registry import FAMILIES, Family
from engine.models.store import load_model
from engine.players.base import load
from export.targets import check, export_model
from training.data.registry import register as register_data
from training.objectives.base import Objective
from training.objectives.registry import OBJECTIVES
from training.objectives.registry import register as register_objective
from training.run.config import resolve, training_config
from training.run.loop import Machine, train
from training.settings import Settings

RATE = 8000
PRESET = """
[model]
family = "shaper"
sample_rate_hz = 8000
[training]
batch_size = 2
crop_seconds = 0.3
log_steps = 1
learning_rate = 1e-2
schedule = "constant"
validation_fraction = 0.3
"""


class ShaperConfig(ModelConfig):
    width: int = 8


class Shaper(Model):
    """A filter and a curve."""

    family = "shaper"

    def __init__(self, config: ShaperConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.layers = Sequence(Guard(1), Conv1d(1, width, 16), LeakyReLU(width),
                               Conv1d(width, 1, 1))

    def chains(self) -> dict[str, Chain]:
        return {"forward": Chain.of(("layers", self.layers), inputs=("audio",),
                                    outputs=("audio",), role="effect")}


@pytest.fixture(autouse=True)
def _family(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    registry.register("shaper", Family(ShaperConfig, Shaper, "a toy", "paired", "pairs"))
    monkeypatch.setitem(FAMILIES, "shaper", FAMILIES.pop("shaper"))  # gone after the test


def pairs(folder: Path) -> Path:
    """Noise, and the same darker and half as loud."""
    for part in ("input", "target"):
        (folder / part).mkdir(parents=True)
    for index in range(4):
        x = 0.3 * np.random.default_rng(index).standard_normal(RATE)
        soundfile.write(folder / f"input/{index}.wav", x, RATE)
        soundfile.write(folder / f"target/{index}.wav", 0.5 * (x + np.roll(x, 1)) / 2, RATE)
    return folder


def run(tmp_path: Path, out: str, steps: int, console: Console | None = None) -> Path:
    preset = tmp_path / "shaper.toml"
    preset.write_text(PRESET)
    data = tmp_path / "data"
    settings = resolve(str(preset), data if data.exists() else pairs(data), [], steps=steps)
    return train(settings, tmp_path / out, Machine("cpu"), console or Console(quiet=True)).folder


def rows(folder: Path, kind: str) -> list[dict[str, float]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == kind]


def test_it_learns_resumes_and_is_exported(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    whole = run(tmp_path, "whole", 30, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "data     pairs: 4 files (" in said
    losses = [row["loss"] for row in rows(whole, "train")]
    assert len(losses) == 30
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    first, last = (rows(whole, "validation")[i]["spectral_distance"] for i in (0, -1))
    assert last < first
    run(tmp_path, "parts", 17)
    parts = run(tmp_path, "parts", 30)
    a, b = (load_model(folder).model.state_dict() for folder in (whole, parts))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    x = 0.3 * np.random.default_rng(9).standard_normal((1, 4096)).astype(np.float32)
    wanted = load(whole).process("forward", x)
    for to, suffix in (("native", "tudor"), ("onnx", "onnx"), ("nn", "ts")):
        out = tmp_path / f"x.{suffix}"
        export_model(load_model(whole), check(to, out), out)
        assert np.abs(load(out).process("forward", x) - wanted).max() < 1e-5


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    data = pairs(tmp_path / "data")
    (data / "target/3.wav").unlink()
    folder = run(tmp_path, "run", 2)
    assert "input/3.wav: target has no file of this name" in (folder / "skipped.txt").read_text()
    for file in (data / "target").iterdir():
        file.rename(file.with_name(f"other{file.name}"))
    with pytest.raises(AudioError, match="no file of input has one of the same name in target"):
        run(tmp_path, "other", 2)
    with pytest.raises(AudioError, match="has no folder 'input'"):
        train(resolve(str(tmp_path / "shaper.toml"), tmp_path, []), tmp_path / "o", Machine("cpu"))


def test_keys_have_owners() -> None:
    assert training_config({}, "shaper").data == "pairs"
    with pytest.raises(ConfigError, match=r"unknown key training\.gain_db"):
        training_config({"gain_db": 3.0}, "shaper")
    with pytest.raises(ConfigError, match=r"training\.data: unknown kind of data; did you mean"):
        training_config({"data": "pair"})

    class Greedy(Settings):
        steps: int = 3

    class Rival(Settings):
        crop_seconds: float = 1.0

    class One(Objective):
        settings = Greedy

    class Two(Objective):
        settings = Rival

    with pytest.raises(ValueError, match=r"objective 'one': training\.steps is the loop's own"):
        register_objective("one", One)
    assert "one" not in OBJECTIVES
    register_objective("two", Two)
    try:
        with pytest.raises(ValueError, match=r"crop_seconds belongs to Rival and to CropSettings"):
            training_config({"objective": "two"})
    finally:
        del OBJECTIVES["two"]
    assert callable(register_data)
