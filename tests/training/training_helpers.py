"""Small folders of sound and a model of a few hundred weights, for the tests beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 8000
TINY = """
[model]
family = "raw_vae"
sample_rate_hz = 8000
latents = 4
compression = 32
bands = 8
strides = [4]
widths = [8, 12]
dilations = [1]

[training]
steps = 6
batch_size = 2
crop_seconds = 0.3
log_steps = 1
kl_warmup_steps = 4
warmup_steps = 2
validation_fraction = 0.3
"""


def loop(seed: int, seconds: float = 1.0, rate_hz: int = RATE) -> np.ndarray:
    """Decaying noise and tone bursts, float32 [samples]."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    beat = np.exp(-12 * (t % 0.25))
    tone = np.sin(2 * np.pi * rng.uniform(80, 400) * t)
    return (beat * (0.4 * tone + 0.1 * rng.standard_normal(len(t)))).astype(np.float32)


def fill(folder: Path, count: int = 4, seconds: float = 1.0) -> Path:
    """`count` loops as WAV files."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        soundfile.write(folder / f"loop{index}.wav", loop(index, seconds), RATE)
    return folder


def preset(folder: Path, text: str = TINY) -> str:
    """A configuration file of a tiny model; its path."""
    path = folder / "tiny.toml"
    path.write_text(text)
    return str(path)
