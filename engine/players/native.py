"""Plays `.tudor` files with the C runtime; no PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from engine.description import Description, Method
from engine.players.base import FloatArray, Player
from engine.players.native_file import distinct_bytes
from engine.players.native_model import NativeFile, NativeModel


class NativePlayer(Player):
    """A model in one native file."""

    backend: ClassVar[str] = "native"
    one_thread: ClassVar[bool] = True

    def __init__(self, path: str | Path, batch: int = 1) -> None:
        self._file = NativeFile(path)
        description = Description.from_json(self._file.metadata, str(path))
        super().__init__(description, Path(path), batch)

    def _run(self, method: Method, x: FloatArray, state: NativeModel) -> FloatArray:
        return state.process(method.name, x)

    def _force(self, method: Method, x: FloatArray, y: FloatArray, state: NativeModel
               ) -> tuple[FloatArray, FloatArray]:
        drawn = np.empty(y.shape, np.float32)
        return state.process(method.name, x, forced=y, drawn=drawn), drawn

    def _new_state(self) -> NativeModel:
        return NativeModel(self._file, self.batch)

    def _reset(self, state: NativeModel) -> None:
        state.reset()

    def _apply(self, state: NativeModel, name: str, value: FloatArray) -> None:
        for stream, numbers in enumerate(value):
            state.set(name, numbers, stream)

    def fresh(self, isa: str | None = None) -> NativeModel:
        """Another instance, of one stream, with the attributes of this one's first. `isa` "ref" is
        the plain C reference."""
        model = NativeModel(self._file, isa=isa)
        for name, value in self._values.items():
            model.set(name, value[0])
        return model

    def state_bytes(self, method: str) -> int:
        return sum(op.state_bytes for op in self._file.ops(method)) * self.batch

    def weights_bytes(self, method: str) -> int:
        return distinct_bytes(self._file.ops(method))

    def operations(self) -> dict[str, list[dict[str, Any]]]:
        """The op table of every method, with rates per second of audio."""
        tables = {}
        for name, spec in self._file.methods.items():
            frames = self.sample_rate_hz / spec.frame_samples
            tables[name] = [
                {"name": op.name, "kind": op.kind, "in_channels": op.in_channels,
                 "out_channels": op.out_channels, "macs_per_second": op.macs * frames,
                 "weights_bytes": op.weights_bytes, "state_bytes": op.state_bytes,
                 "scratch_bytes": op.scratch_bytes}
                for op in self._file.ops(name)
            ]
        return tables
