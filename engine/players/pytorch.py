"""Plays a run directory or a preset with PyTorch itself: the model as it was trained."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from engine.description import Method
from engine.errors import ConfigError
from engine.layers import State
from engine.models.base import Model
from engine.models.looped import Looped
from engine.models.store import load_model
from engine.players.base import FloatArray, Player


def check_device(device: str) -> torch.device:
    """A torch device, or a clear error when this machine does not have it."""
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"unknown device {device!r}; use cpu, cuda or mps") from None
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"unknown device {device!r}; use cpu, cuda or mps")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {device}: PyTorch sees no CUDA GPU here; use --device cpu")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {device}: PyTorch sees {torch.cuda.device_count()} CUDA GPUs "
                          "here, counted from 0")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device mps: PyTorch sees no Apple GPU here; use --device cpu")
    return chosen


class _Stream:
    """State of every method."""

    methods: dict[str, State]


class PyTorchPlayer(Player):
    """Eager PyTorch with explicit state; the reference that exports are compared with."""

    backend: ClassVar[str] = "pytorch"

    def __init__(
        self,
        source: str | Path | Model,
        batch: int = 1,
        threads: int = 1,
        device: str = "cpu",
        name: str = "model",
    ) -> None:
        torch.set_num_threads(threads)
        self.device = check_device(device)
        if isinstance(source, Model):
            self.model, path, self.trained = source, None, True
        else:
            stored = load_model(source)
            self.model, name, path = stored.model, stored.name, stored.weights_path
            self.trained = stored.trained
        self.model = self.model.eval().to(self.device)
        super().__init__(self.model.describe(name), path, batch)
        self._controls = self.model.default_attributes()
        self._fresh: dict[str, State] | None = None  # worked out once: it may take playing silence

    def _run(self, method: Method, x: FloatArray, state: _Stream) -> FloatArray:
        with torch.inference_mode():
            y, state.methods[method.name] = self.model.step(
                method.name,
                torch.from_numpy(x).to(self.device),
                state.methods[method.name],
                self._controls,
            )
            return y.cpu().numpy()

    def _force(self, method: Method, x: FloatArray, y: FloatArray, state: _Stream
               ) -> tuple[FloatArray, FloatArray]:
        parts = Looped.of(self.model, method.name)
        if parts is None:
            raise ConfigError(f"{self.name}.{method.name} has no loop that draws: it cannot go on "
                              "from a given sound")
        with torch.inference_mode():
            given, told = (torch.from_numpy(a).to(self.device) for a in (x, y))
            out, drawn, state.methods[method.name] = parts.forced(
                given, told, state.methods[method.name], self._controls)
            return out.cpu().numpy(), drawn.cpu().numpy()

    def _new_state(self) -> _Stream:
        state = _Stream()
        self._reset(state)
        return state

    def _reset(self, state: _Stream) -> None:
        if self._fresh is None:
            self._fresh = {m: self.model.init_state(m, self.batch) for m in self.methods}
        state.methods = dict(self._fresh)  # a step makes new tensors and leaves these as they are

    def _apply(self, state: _Stream, name: str, value: FloatArray) -> None:
        same = bool((value == value[0]).all())
        self._controls[name] = torch.from_numpy((value[0] if same else value).copy()).to(
            self.device)

    def state_bytes(self, method: str) -> int:
        state = self.model.zero_state(method, self.batch)
        return sum(s.numel() * s.element_size() for s in state)

    def weights_bytes(self, method: str) -> int:
        return self.model.graph(method).weight_count * 4
