"""Models of loops as their presets have them, with random weights: `loops-daisy/512` and others.

    conditions, a row a chunk -> plan, noise, flow -> latents -> decoder of the coder -> audio

A block is a chunk. What is measured is `play`: all of it, as an instrument runs it.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from engine.description import GENERATE
from engine.models.base import Model
from engine.models.latent_flow import LatentFlow
from engine.models.registry import build, configure
from engine.presets import preset_settings

STYLES = ("a", "b", "c", "d")
# Of each case: the preset of its coder, and what `[model]` says beside the coder's shape.
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "loops-daisy/512": ("techno-daisy", {
        "width": 112, "layers": 2, "history": 4, "history_width": 48, "flow_width": 144,
        "levels": 6, "embed": False}),
    "loops-pi/2048": ("techno-pi", {
        "width": 256, "layers": 3, "history": 5, "history_width": 128, "flow_width": 256,
        "levels": 6, "steps": 4}),
    "loops-desktop/2048": ("techno-desktop", {
        "width": 320, "layers": 3, "history": 6, "history_width": 160, "flow_width": 384,
        "levels": 6, "steps": 4}),
}


def loop_model(name: str) -> Model:
    """The model of a case, freshly initialised."""
    preset, settings = SETTINGS[name]
    coder = dict(preset_settings(preset)["model"])
    family = coder.pop("family")
    inside = build(family, coder)
    assert inside.coder is not None
    decode = inside.coder[1]
    model = build("latent_flow", configure("latent_flow", {
        "coder": {"family": family, **coder}, "sample_rate_hz": inside.sample_rate_hz,
        "latents": decode.in_channels, "compression": decode.in_ratio, "styles": STYLES,
        **settings})).eval()
    assert isinstance(model, LatentFlow)
    nn.init.normal_(model.velocity.last.weight, std=0.05)  # training begins at zeros
    return model


def played(model: Model) -> str:
    """Its method from conditions to audio."""
    return next(name for name, method in model.methods.items()
                if method.role == GENERATE and method.out_ratio == 1)
