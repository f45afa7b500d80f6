"""One small model as every kind of file that plays, and one that others made."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.models.base import Model
from engine.models.registry import build
from engine.models.store import save_weights
from export.native.export import export_native
from export.nn.export import export_nn
from export.onnx.export import export_onnx

# Without noise, of which every stream of a batch has its own.
CONFIG = {"latents": 3, "bands": 4, "compression": 16, "widths": (8, 6), "dilations": (1,),
          "noise": False}
TOML = """[model]
family = "raw_vae"
latents = 3
bands = 4
compression = 16
widths = [8, 6]
dilations = [1]
noise = false
"""
FILES = {"native": "m.tudor", "onnx": "m.onnx", "torchscript": "m.ts", "foreign": "foreign.ts",
         "pytorch": "run"}


class Smoother(torch.nn.Module):
    """A `.ts` that others made: its state is where only it knows."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("past", torch.zeros(2, 1, 1))
        self.register_buffer("forward_params", torch.tensor([1, 1, 1, 1]))
        self.register_buffer("gain_params", torch.tensor([2]))
        self.gain = 1.0
        self.sample_rate = 16000

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = torch.cat((self.past[: x.size(0)], x[:, :, :-1]), 2)
        self.past[: x.size(0)] = x[:, :, -1:]
        return self.gain * (x + before)

    @torch.jit.export
    def get_attributes(self) -> list[str]:
        return ["gain"]

    @torch.jit.export
    def get_gain(self) -> float:
        return self.gain

    @torch.jit.export
    def set_gain(self, value: float) -> int:
        if value < 0:
            return -1
        self.gain = value
        return 0


def write_files(folder: Path, **changes: object) -> Model:
    """All `FILES`, of one model."""
    model = build("raw_vae", {**CONFIG, **changes}).eval()
    for name, write in (("m.tudor", export_native), ("m.onnx", export_onnx), ("m.ts", export_nn)):
        write(model, folder / name, model.describe("m"))
    torch.jit.script(Smoother()).save(str(folder / "foreign.ts"))
    (folder / "run").mkdir()
    (folder / "run" / "config.toml").write_text(TOML)
    save_weights(model, folder / "run" / "model.safetensors")
    return model
