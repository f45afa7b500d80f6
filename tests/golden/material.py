"""What golden files are made of: inputs and weights, the same on every machine."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from engine.description import GENERATE, Method
from engine.models.autoregressive_heads import Predicted
from engine.models.base import Model
from engine.models.loops import LoopModel
from engine.models.spectrogram_gan import SpectrogramGAN
from engine.models.spectrogram_vae import SpectrogramVAE
from engine.scores.loops import plays_loops
from engine.scores.strokes import plays_strokes

FRAMES, MOST_SAMPLES = 24, 2**16  # of each method, or as many as two frames have
SPREAD = 1.25  # added to log scales of what is drawn, so that it is loud enough to tell
ODD = 1.7  # no power of two: bfloat16 would hold the 15 levels as they are, and nothing be rounded
FloatArray = NDArray[np.float32]


def hashed(key: str, count: int) -> NDArray[np.uint64]:
    """`count` reproducible 64-bit numbers (the mixer of splitmix64 over a counter)."""
    seed = np.uint64(zlib.crc32(key.encode()) << 32)
    with np.errstate(over="ignore"):
        z = (np.arange(count, dtype=np.uint64) + seed) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def noise(key: str, shape: tuple[int, int]) -> FloatArray:
    """Audio in -1 ... 1 with full mantissas, and what a guard has to catch."""
    x = (hashed(key, shape[0] * shape[1]) >> np.uint64(40)).astype(np.float32) / 2**23 - 1
    x = x.reshape(shape).astype(np.float32)
    x[:, 3], x[:, 5], x[:, 7], x[:, 9] = np.nan, np.inf, 100.0, 1e-42
    x[:, shape[1] // 2 : shape[1] // 2 + 3] = 0
    return x


def frames_of(frame_samples: int) -> int:
    """How many frames of so many samples a golden input has."""
    return min(FRAMES, max(2, MOST_SAMPLES // frame_samples))


def example(spec: Method) -> FloatArray:
    """Noise with what a guard has to catch; for what generates a note, silence, another; for what a
    gate triggers some strokes."""
    rows = frames_of(spec.ratio) * spec.ratio // spec.in_ratio
    x = noise(spec.name, (spec.in_channels, rows))
    if spec.role != GENERATE or plays_loops(spec.input_labels):
        return x
    at = {label: index for index, label in enumerate(spec.input_labels)}
    if plays_strokes(spec.input_labels):  # one of them with what a guard has to catch
        x[at["gate"]] = 0
        x[at["gate"], [3, rows // 2, rows // 2 + 1, rows - 4]] = 1
        x[at["velocity"], rows // 2] = 0.75  # a note of none is silent
        return x
    pitch, loudness = x[at["pitch_oct"]], x[at["loudness"]]
    pitch[np.isfinite(pitch)] *= 0.25  # three semitones about middle C
    loudness[3], loudness[5] = -0.5, -np.inf
    gate, free = x[at["gate"]], x[at["free"]]
    gate[:], free[:] = 1, 0
    gate[rows * 5 // 8 : rows - 2] = 0
    free[10] = 1
    return x


def _weights(key: str, shape: tuple[int, ...]) -> FloatArray:
    """Weights of 15 levels, so that the file stays small; audio brings the odd mantissas."""
    count = int(np.prod(shape))
    levels = (hashed(key, count) % np.uint64(15)).astype(np.float32) - 7
    fan_in = count / shape[0] if len(shape) > 1 else 400.0
    scale = 2.0 ** np.floor(np.log2(0.25 / np.sqrt(fan_in)))  # the levels spread over 4.3
    return (levels * scale).astype(np.float32).reshape(shape)


def with_weights(model: Model) -> Model:
    """Weights of our own. What a mixture is drawn from keeps its scales, and gets a prediction that
    decays: loops of other weights run into their limits, where all arithmetic is alike."""
    import torch
    deep, frames = (isinstance(model, LoopModel | SpectrogramVAE),
                     isinstance(model, SpectrogramGAN | SpectrogramVAE))
    heads = [module for module in model.modules() if isinstance(module, Predicted)]
    biases = [torch.as_tensor(head.out.bias).detach().clone() for head in heads]
    for key, parameter in model.named_parameters():
        parameter.data = torch.from_numpy(_weights(key, tuple(parameter.shape)))
        # A wide net says much; a deep one would run into its limits.
        half = 0.5 if key.endswith("out.weight") or deep else 1.0
        parameter.data *= half * ODD if heads or deep or frames else 1.0
    for head, bias in zip(heads, biases, strict=True):
        head.out.bias = torch.nn.Parameter(bias + SPREAD * (bias < 0))
        head.taps.weight.data *= 0.25
        head.taps.weight.data[:, :-1] *= 0.25  # a string that is plucked for ever would grow
        head.taps.weight.data[:, -1, -1] += 0.5
        if head.ago is not None:
            head.ago.weight.data *= 0.0625
    return model
