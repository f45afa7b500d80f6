"""Plays `.tudor` files with the C runtime; no PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from engine.description import Description, Method
from engine.native import NativeFile, NativeModel
from engine.runtime import FloatArray, Player


class NativePlayer(Player):
    """A model in one native file."""

    backend: ClassVar[str] = "native"

    def __init__(self, path: str | Path, batch: int = 1) -> None:
        self._file = NativeFile(path)
        description = Description.from_json(self._file.metadata, str(path))
        super().__init__(description, Path(path), batch)
        self.native = NativeModel(self._file, batch)

    def _run(self, method: Method, x: FloatArray) -> FloatArray:
        return self.native.process(method.name, x)

    def _reset(self) -> None:
        self.native.reset()

    def _apply(self, name: str, value: FloatArray) -> None:
        self.native.set(name, value)

    def state_bytes(self, method: str) -> int:
        return sum(op.state_bytes for op in self._file.ops(method)) * self.batch

    def weights_bytes(self, method: str) -> int:
        return sum(op.weights_bytes for op in self._file.ops(method))
