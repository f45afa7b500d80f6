"""One face over every backend: load a model file, play it block by block.

    player = load("model.onnx")
    out = player.process("forward", block)      # float32 [channels, frames] in and out
    player.reset()

Importing this needs numpy alone; a backend's own library is imported when a file asks for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.description import Attribute, Description, Method
from engine.errors import AudioError, ConfigError, ModelFileError, nearest
from engine.presets import preset_names, shipped_native

FloatArray = NDArray[np.float32]


class Player(ABC):
    """A loaded model that plays: weights, and the state of every method.

    Backends implement `_run`, `_reset` and `_apply`; checks and attributes live here, once."""

    backend: ClassVar[str] = ""

    def __init__(self, description: Description, path: Path | None, batch: int = 1) -> None:
        if batch < 1:
            raise ConfigError(f"batch must be at least 1, got {batch}")
        self.description = description
        self.path = path
        self.batch = batch
        self._values = {
            a.name: np.full(a.size, a.default, np.float32) for a in description.attributes.values()
        }

    # --- what it is -------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.description.name

    @property
    def methods(self) -> dict[str, Method]:
        """Functions the model offers, by name."""
        return self.description.methods

    @property
    def attributes(self) -> dict[str, Attribute]:
        """Settings the model offers, by name."""
        return self.description.attributes

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the audio side of every method."""
        return self.description.sample_rate_hz

    @property
    def ratio(self) -> int:
        """Audio samples of the smallest block that suits every method."""
        return self.description.ratio

    def latency_samples(self, method: str | None = None) -> int:
        """Delay of a method's (None: the main one's) output in audio samples, blocks being
        multiples of the ratio."""
        return self.description.method(method).lookahead_samples

    # --- playing ----------------------------------------------------------------------------

    def process(self, method: str, block: ArrayLike) -> FloatArray:
        """Play one block: float32 [channels, frames] or [batch, channels, frames].

        `frames` is any multiple of the method's `in_frames`; for other lengths use
        `engine.players.host.Host`. The output has the same number of axes as the input."""
        x = np.asarray(block, dtype=np.float32)
        spec = self.description.method(method)
        stacked = x[None] if x.ndim == 2 else x
        if stacked.ndim != 3 or stacked.shape[:2] != (self.batch, spec.in_channels):
            raise AudioError(
                f"{self.name}.{method} takes [{spec.in_channels}, frames]"
                + (f" for each of {self.batch} streams" if self.batch > 1 else "")
                + f", got an array of shape {list(x.shape)}"
            )
        frames = stacked.shape[2]
        if frames == 0 or frames % spec.in_frames:
            raise AudioError(
                f"{self.name}.{method} takes blocks of a multiple of {spec.in_frames} frames, "
                f"got {frames}; engine.players.host.Host accepts any size"
            )
        y = self._run(spec, np.ascontiguousarray(stacked))
        return y[0] if x.ndim == 2 else y

    def reset(self) -> None:
        """Back to fresh state for every method; attributes stay."""
        self._reset()

    def get(self, name: str) -> FloatArray:
        """Present value of an attribute, float32 [size]."""
        return self._values[self._attribute(name).name].copy()

    def set(self, name: str, value: ArrayLike) -> None:
        """Set an attribute: one number for all, or as many as it has. Range is checked."""
        attribute = self._attribute(name)
        try:
            numbers = np.atleast_1d(np.asarray(value, dtype=np.float32)).reshape(-1)
        except (TypeError, ValueError):
            raise ConfigError(f"attribute {name} takes numbers, got {value!r}") from None
        if numbers.size not in (1, attribute.size):
            raise ConfigError(
                f"attribute {name} takes 1 or {attribute.size} numbers, got {numbers.size}"
            )
        low, high = attribute.minimum, attribute.maximum
        if not bool(np.all((numbers >= low) & (numbers <= high))):
            raise ConfigError(
                f"attribute {name} ranges over {low:g} ... {high:g}, got {numbers.tolist()}"
            )
        self._values[name][:] = numbers
        self._apply(name, self._values[name])

    def _attribute(self, name: str) -> Attribute:
        if name not in self.attributes:
            raise ConfigError(
                f"{self.name} has no attribute {name!r}{nearest(name, self.attributes)}"
            )
        return self.attributes[name]

    # --- what a backend implements ----------------------------------------------------------

    @abstractmethod
    def _run(self, method: Method, x: FloatArray) -> FloatArray:
        """[batch, in_channels, frames] -> [batch, out_channels, frames'], advancing the state."""

    @abstractmethod
    def _reset(self) -> None:
        """Zero the state of every method."""

    @abstractmethod
    def _apply(self, name: str, value: FloatArray) -> None:
        """An attribute changed: hand it to the backend."""

    def state_bytes(self, method: str) -> int:
        """Bytes of state that `method` carries, for all streams."""
        raise NotImplementedError

    def weights_bytes(self, method: str) -> int:
        """Bytes of weights that `method` reads."""
        raise NotImplementedError


def load(source: str | Path, batch: int = 1, threads: int = 1, device: str = "cpu") -> Player:
    """A player for a `.ts`, `.onnx` or `.tudor` file, a run directory, or a preset's name.

    The file decides the backend; a preset that ships a native file plays that, a run directory
    plays in PyTorch. `threads` and `device` go to backends that know them."""
    path = Path(source)
    if not path.exists() and str(source) in preset_names():
        path = shipped_native(str(source)) or path
    if path.is_file():
        kind = path.suffix.lower()
        if kind == ".ts":
            from engine.players.torchscript import TorchScriptPlayer

            return TorchScriptPlayer(path, batch, threads, device)
        if kind == ".onnx":
            from engine.players.onnx import OnnxPlayer

            return OnnxPlayer(path, batch, threads, device)
        if kind == ".tudor":
            from engine.players.native import NativePlayer

            return NativePlayer(path, batch)
        raise ModelFileError(f"{path}: a model file ends in .ts, .onnx or .tudor, not {kind!r}")
    if path.suffix.lower() in (".ts", ".onnx", ".tudor"):
        raise ModelFileError(f"{path} does not exist")
    from engine.players.pytorch import PyTorchPlayer

    return PyTorchPlayer(source, batch, threads, device)
