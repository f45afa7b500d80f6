"""What tests of models that draw sound sample by sample start from."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.autoregressive_config import AutoregressiveConfig
from engine.models.base import Model
from engine.models.two_tier import TwoTier
from engine.models.wavenet import WaveNet

ROWS = 72


def config_of(model: Model) -> AutoregressiveConfig:
    assert isinstance(model, WaveNet | TwoTier)
    return model.config


def note(model: Model, first: int = 5, last: int = 25, rows: int = ROWS, **values: float) -> Tensor:
    """Conditions [1, in_channels, rows] of one note, of middle C unless `values` say otherwise."""
    spec = model.methods["generate"]
    x = torch.zeros(1, spec.in_channels, rows)
    if config_of(model).voices:
        x[:, spec.input_labels.index("loudness")] = -2.0
        x[:, spec.input_labels.index("gate"), first:last] = 1
        for label, value in values.items():
            x[:, spec.input_labels.index(label)] = value
    return x


def streamed(model: Model, x: Tensor, sizes: tuple[int, ...], **attributes: Tensor) -> Tensor:
    """In blocks of so many smallest ones, in turn."""
    state, parts, at, turn = model.init_state("generate", len(x)), [], 0, 0
    values = {**model.default_attributes(), **attributes}
    unit = model.methods["generate"].in_frames
    while at < x.shape[2]:
        size = sizes[turn % len(sizes)] * unit
        with torch.no_grad():
            y, state = model.step("generate", x[:, :, at : at + size], state, values)
        parts.append(y)
        at, turn = at + size, turn + 1
    return torch.cat(parts, dim=2)
