"""Neural audio models from training to a Eurorack module.

    import nn_tudor
    player = nn_tudor.load("model.onnx")            # .ts, .onnx, .tudor, a run directory, a preset
    out = player.process("forward", block)          # float32 [channels, frames]
    host = nn_tudor.Host(player, "forward")         # the same for blocks of any size
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.description import Attribute, Description, Method
from engine.errors import AudioError, ConfigError, ModelFileError, TudorError
from engine.players import compiled as _compiled
from engine.players.base import Player, load
from engine.players.host import Host

try:
    __version__ = version("nn-tudor")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "Attribute", "AudioError", "ConfigError", "Description", "Host", "Method", "ModelFileError",
    "Player", "TudorError", "load",
]


def _write_native(model: Any, path: Path, description: Description) -> None:
    from export.native.export import export_native

    export_native(model, path, description)


# Floors below the exporters play models at the native runtime's speed, if it can be had.
_compiled.register(_write_native)
