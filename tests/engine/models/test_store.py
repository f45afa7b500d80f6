"""Models on disk: what a family that is not ours may do."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.layers import Conv1d, Guard
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.store import load_weights, save_weights


class Twice(Model):
    """A layer that has two names: one in a method, one to reach it by."""

    def __init__(self) -> None:
        super().__init__()
        self.config = ModelConfig()
        self.guard, self.first = Guard(1), Conv1d(1, 1, 3)
        self.last = self.first

    def chains(self) -> dict[str, Chain]:
        return {"forward": Chain.of(self.guard, self.first, inputs=("in",), outputs=("out",))}


def test_a_layer_with_two_names_is_saved_and_loaded(tmp_path: Path) -> None:
    model, other = Twice(), Twice()
    assert not torch.equal(model.first.weight, other.first.weight)
    save_weights(model, tmp_path / "m.safetensors")
    load_weights(other, tmp_path / "m.safetensors")
    x = torch.randn(1, 1, 64)
    assert torch.equal(other.offline("forward", x), model.offline("forward", x))
