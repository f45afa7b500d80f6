"""A toy that draws sound sample by sample, and the objective that trains it."""

from __future__ import annotations

from typing import Any

import torch

from tests.families.autoregressive import Autoregressive, AutoregressiveConfig
from training.data.base import Batch
from training.objectives.autoregressive import AutoregressiveObjective
from training.run.config import training_config

SMALL = {"start": 0.0, "warmup_steps": 0, "ramp_steps": 0, "every": 1, "windows": 2,
         "window_samples": 32, "gradient_samples": 8, "width": 2}


def objective(kind: str = "tiers", **table: Any) -> AutoregressiveObjective:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = Autoregressive(AutoregressiveConfig(kind=kind, layers=3, channels=6, classes=16))
    table = {"objective": "autoregressive", **table}
    found = AutoregressiveObjective(model, training_config(table))
    found.start()
    return found


def batch(count: int = 2, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(audio=0.3 * torch.randn(count, 1, 64, generator=generator),
                 conditions=torch.randn(count, 2, 4, generator=generator))
