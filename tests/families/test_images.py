"""A toy family of pictures: nothing of it is sound, and it is not exported."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from engine.errors import AudioError
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.registry import FAMILIES, Family
from engine.models.store import load_model
from training.data.base import Batch
from training.objectives.base import Moment, Objective, Terms
from training.objectives.registry import OBJECTIVES
from training.run.config import resolve
from training.run.loop import Machine, train

PRESET = """
[model]
family = "painter"
[training]
batch_size = 4
log_steps = 1
learning_rate = 1e-2
schedule = "constant"
validation_fraction = 0.2
"""


class PainterConfig(ModelConfig):
    width: int = 8


class Painter(Model):
    """Takes noise out of pictures."""

    family = "painter"

    def __init__(self, config: PainterConfig) -> None:
        super().__init__()
        self.config = config
        self.net = nn.Sequential(nn.Conv2d(1, config.width, 3, padding=1), nn.ReLU(),
                                 nn.Conv2d(config.width, 1, 3, padding=1))

    def chains(self) -> dict[str, Chain]:
        return {}


class Denoise(Objective):
    def losses(self, batch: Batch, at: Moment) -> Terms:
        image = batch["image"]
        noise = at.shard.draw(torch.randn, image.shape, device=image.device)
        return {"loss": (self.model.net(image + 0.3 * noise) - image).square().mean()}


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setitem(FAMILIES, "painter",
                        Family(PainterConfig, Painter, "a toy", "denoise", "images"))
    monkeypatch.setitem(OBJECTIVES, "denoise", Denoise)


def run(tmp_path: Path, out: str, steps: int, console: Console | None = None) -> Path:
    preset, data = tmp_path / "painter.toml", tmp_path / "data"
    preset.write_text(PRESET)
    if not data.exists():
        data.mkdir()
        rng = np.random.default_rng(0)
        for name in "ab":
            pictures = np.zeros((10, 1, 8, 8), np.uint8)
            for picture in pictures:
                x, y = rng.integers(5, size=2)
                picture[0, x : x + 4, y : y + 4] = 255
            np.save(data / f"{name}.npy", pictures)
        np.save(data / "c.npy", np.zeros((2, 3)))
    settings = resolve(str(preset), data, [], steps=steps)
    return train(settings, tmp_path / out, Machine("cpu"), console or Console(quiet=True)).folder


def test_pictures_are_learnt_and_taken_up_again(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    whole = run(tmp_path, "whole", 30, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "20 pictures of 1 x 8 x 8 (4 for validation), 1 files skipped" in said
    assert "no methods to export" in said
    rows = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    held = [row["loss"] for row in rows if row["kind"] == "validation"]
    assert held[-1] < 0.8 * held[0]
    assert "audio_seconds_per_second" not in rows[-2]
    run(tmp_path, "parts", 17)
    parts = run(tmp_path, "parts", 30)
    a, b = (load_model(folder).model.state_dict() for folder in (whole, parts))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert "c.npy: wanted [count, channels, height, width]" in (whole / "skipped.txt").read_text()


def test_a_folder_without_pictures_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(AudioError, match="holds no pictures; data of images wants"):
        run(tmp_path, "run", 1)
