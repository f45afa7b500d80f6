"""Tones, a small model with both controls, and the grid on which they are measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.models.registry import build
from training.objectives.controls import Grid

CONFIG = {"latents": 3, "bands": 4, "compression": 16, "widths": (8, 6), "dilations": (1,)}
BOTH = ("loudness", "pitch")
GRID = Grid(16000, 128, 40)
INNER = slice(20, -20)  # frames whose windows lie inside the sound


def tone(hertz: float, level: float = 0.25, rate_hz: int = 16000, seconds: float = 1.0) -> Tensor:
    t = torch.arange(round(seconds * rate_hz)) / rate_hz
    return (level * torch.sin(2 * np.pi * hertz * t))[None]


def controlled(**changes: object) -> Any:
    torch.manual_seed(0)
    return build("raw_vae", {**CONFIG, "controls": BOTH, **changes}).eval()
