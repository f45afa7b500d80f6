"""A toy family of pictures: nothing of it is sound, and it is not exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.registry import Family
from tests.families.driver import Toy
from training.data.base import Batch
from training.objectives.base import Moment, Objective, Terms

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
    """The picture that noise was added to."""

    def losses(self, batch: Batch, at: Moment) -> Terms:
        image = batch["image"]
        noise = at.shard.draw(torch.randn, image.shape, device=image.device)
        return {"loss": (self.model.net(image + 0.3 * noise) - image).square().mean()}


def fill(folder: Path) -> None:
    """White squares on black."""
    rng = np.random.default_rng(0)
    for index in range(20):
        picture = np.zeros((8, 8), np.uint8)
        x, y = rng.integers(5, size=2)
        picture[x : x + 4, y : y + 4] = 255
        Image.fromarray(picture).save(folder / f"{index:02}.png")


TOY = Toy(Family(PainterConfig, Painter, "a toy of pictures", "denoise", "images"), PRESET, fill,
          Denoise)
