"""Small configurations of every model family, for tests of exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from engine.models.base import Model
from engine.models.registry import build
from export.native.export import export_native

torch.set_num_threads(1)  # small blocks gain nothing, and test workers share the cores

CODER: dict[str, Any] = {"latents": 4, "compression": 64, "bands": 8, "strides": [4, 2],
                         "widths": [6, 8, 10]}
LOOP: dict[str, Any] = {"coder": {"family": "raw_vae", **CODER}, "latents": 4, "compression": 64,
                        "chunk": 2, "levels": 2, "codes": 3, "width": 8, "layers": 1,
                        "window_width": 6}

SMALL: dict[str, dict[str, dict[str, Any]]] = {
    "raw_vae": {
        "mono": CODER,
        "stereo": {"channels": 2, "latents": 3, "compression": 32, "bands": 4, "strides": [8],
                   "widths": [8, 6], "sample_rate_hz": 48000, "shared_noise": True},
        "one latent": {"latents": 1, "compression": 8, "bands": 2, "strides": [4],
                       "widths": [4, 5], "kernel_size": 5, "dilations": [1], "noise": False},
        "wide": {"latents": 33, "compression": 1024, "bands": 16, "strides": [4, 4, 4],
                 "widths": [8, 8, 12, 12], "dilations": [1, 2, 4]},
    },
    "wavenet": {
        "mixture": {"stacks": 1, "layers": 3, "residual": 8, "skip": 8, "features": 4,
                    "condition_samples": 4, "release_ms": 5},
        "classes": {"stacks": 2, "layers": 2, "residual": 6, "skip": 8, "features": 4,
                    "head": "categorical", "levels": 64, "voices": 2, "classes": 3,
                    "condition_samples": 8, "release_ms": 5},
        "periods": {"stacks": 1, "layers": 3, "residual": 8, "skip": 8, "features": 4, "voices": 2,
                    "period_taps": 6, "condition_samples": 4, "release_ms": 5},
        "free": {"stacks": 1, "layers": 3, "residual": 8, "skip": 8, "voices": 0,
                 "head": "categorical", "levels": 65, "input": "one-hot", "companding": "uniform"},
    },
    "two_tier": {
        "mixture": {"layers": 3, "width": 8, "inner": 8, "features": 4, "voices": 2, "classes": 3,
                    "frame": 4, "release_ms": 5},
        "classes": {"layers": 2, "width": 8, "inner": 8, "features": 4, "frame": 2,
                    "head": "categorical", "levels": 64, "release_ms": 5},
        "periods": {"layers": 3, "width": 8, "inner": 8, "features": 4, "frame": 4, "classes": 2,
                    "period_taps": 7, "release_ms": 5},
        "joined": {"layers": 2, "kernel_size": 3, "width": 8, "inner": 6, "features": 4, "frame": 4,
                   "voices": 2, "near": 6, "taps": 9, "period_taps": 7, "joined": True, "parts": 3,
                   "release_ms": 5},
        "free": {"layers": 3, "width": 8, "inner": 8, "voices": 0, "parts": 2, "frame": 4},
    },
    "latent_vae": {"loops": LOOP},
    "latent_flow": {
        "loops": {**LOOP, "styles": ["a", "b"], "history_width": 8, "history": 2, "flow_width": 8},
        "steps": {**LOOP, "history_width": 6, "history": 1, "flow_width": 6, "steps": 4},
        "transformer": {**LOOP, "backbone": "transformer", "history_width": 8, "history": 2,
                        "heads": 2, "window": 5, "flow_width": 8},
    },
    "spectrogram_gan": {
        "drums": {"sample_rate_hz": 8000, "fft": 128, "hop": 32, "classes": ["a", "b"],
                  "subclasses": ["one", "two"], "z": 3, "noise": 2, "conditions": 8, "width": 8,
                  "frames": 40, "fade": 8},
        "notes": {"sample_rate_hz": 8000, "fft": 128, "hop": 32, "classes": ["a", "b"], "z": 3,
                  "noise": 2, "conditions": 8, "width": 8, "frames": 40, "harmonics": 12,
                  "release": 20, "start": "rest"},
    },
    "spectrogram_vae": {
        "bins": {"sample_rate_hz": 8000, "fft": 128, "hop": 32, "frames": 4, "latents": 3,
                 "width": 8, "dilations": [1, 2], "start": "rest"},
        "log": {"sample_rate_hz": 8000, "fft": 128, "hop": 16, "frames": 1, "latents": 2,
                "width": 6, "scale": "log", "bands": 20, "dilations": [1]},
    },
}

DRAWING = [(family, name) for family in ("wavenet", "two_tier") for name in SMALL[family]]
LOOPS = [(family, name) for family in ("latent_vae", "latent_flow") for name in SMALL[family]]
STROKES = [("spectrogram_gan", name) for name in SMALL["spectrogram_gan"]]
FRAMED = [("spectrogram_vae", name) for name in SMALL["spectrogram_vae"]]
# What does not draw can be compared with offline PyTorch; what draws is replayed.
CASES = [(family, name) for family, shapes in SMALL.items() for name in shapes
         if (family, name) not in DRAWING + LOOPS + STROKES + FRAMED]


def small_model(family: str = "raw_vae", name: str = "mono", seed: int = 0) -> Model:
    """A freshly initialised small model; every weight random, so that no mistake hides in zeros."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = build(family, SMALL[family][name]).eval()
        for parameter in model.parameters():
            scale = parameter.abs().mean().clamp_min(0.05)
            parameter.add_(0.2 * scale * torch.randn(parameter.shape))
    return model


def small_file(folder: Path, family: str, name: str) -> str:
    """Such a model's native file in a folder, float32."""
    path, small = folder / "x.tudor", small_model(family, name)
    export_native(small, path, small.describe("x"))
    return str(path)
