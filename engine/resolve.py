"""Which model is meant? One answer for every command and for `load`.

    run directory     a folder with a config.toml, as `tudor train` makes it
    model file        by its suffix: those of `PLAYERS`, and foreign ones of `IMPORTERS`
    settings          a .toml file: the shape of a model without weights
    preset            a name of `tudor presets`

What lies on the disk comes first: a run directory called like a preset is the run. Nothing here
needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, ModelFileError, nearest
from engine.files import CONFIG_FILE, NATIVE_FILE
from engine.presets import preset_names, preset_path, shipped_native

# Suffix of a model file -> the player's module and class.
PLAYERS: dict[str, tuple[str, str]] = {
    ".ts": ("engine.players.torchscript", "TorchScriptPlayer"),
    ".onnx": ("engine.players.onnx", "OnnxPlayer"),
    ".tudor": ("engine.players.native", "NativePlayer"),
}
# What plays weights that are in no file of a backend's: a run's, or a preset's.
WEIGHTS_PLAYER = ("engine.players.pytorch", "PyTorchPlayer")
# Suffix of other people's model files -> module and function that reads one into a `Stored`.
IMPORTERS: dict[str, tuple[str, str]] = {}

RUN, FILE, SETTINGS, PRESET = "run directory", "model file", "settings", "preset"


@dataclass(frozen=True)
class Meant:
    """A model that somebody named. `path`: the file, the run directory, or where a preset's or a
    run's settings stand."""

    kind: str
    name: str
    path: Path

    @property
    def settings(self) -> Path:
        """The .toml file that tells its shape; a model file has none."""
        if self.kind == FILE:
            raise ConfigError(f"{self.path} is a model file: its shape cannot be trained; name a "
                              "preset, a run directory or a .toml file")
        return self.path / CONFIG_FILE if self.kind == RUN else self.path

    @property
    def native(self) -> Path | None:
        """The native file that plays it without PyTorch, if there is one."""
        if self.kind == FILE:
            return self.path if self.path.suffix.lower() == ".tudor" else None
        if self.kind == PRESET:
            return shipped_native(self.name)
        file = self.path / NATIVE_FILE
        return file if self.kind == RUN and file.exists() else None


def resolve(
    named: str | Path, accept: Container[str] = (RUN, FILE, SETTINGS, PRESET)
) -> Meant:
    """What `named` is, or an error that says what it could be."""
    path, text = Path(named), str(named)
    suffix = path.suffix.lower()
    found: Meant | None = None
    if path.is_dir() and ((path / CONFIG_FILE).exists() or text not in preset_names()):
        found = Meant(RUN, path.resolve().name, path)
    elif suffix in PLAYERS or suffix in IMPORTERS or (path.is_file() and suffix != ".toml"):
        found = Meant(FILE, path.stem, path)
    elif suffix == ".toml":
        found = Meant(SETTINGS, path.stem, path)
    elif text in preset_names():
        found = Meant(PRESET, text, preset_path(text))
    if found is None or found.kind not in accept:
        kinds = [kind for kind in (FILE, RUN, SETTINGS, PRESET) if kind in accept]
        wanted = f"{', '.join(kinds[:-1])} or {kinds[-1]}" if len(kinds) > 1 else kinds[0]
        hint = nearest(text, preset_names()) if found is None and PRESET in accept else ""
        raise ModelFileError(f"{text} is no {wanted}{hint}")
    if found.kind == FILE:
        _check_file(found.path)
    return found


def _check_file(path: Path) -> None:
    if not path.exists():
        raise ModelFileError(f"{path} does not exist")
    known = [*PLAYERS, *IMPORTERS]
    if path.suffix.lower() not in known:
        raise ModelFileError(f"{path}: a model file ends in {', '.join(known[:-1])} or "
                             f"{known[-1]}, not {path.suffix.lower()!r}")


def player_class(path: Path | None) -> Any:
    """The class that plays a model file (None: weights); its library is imported now."""
    module, name = WEIGHTS_PLAYER if path is None else PLAYERS[path.suffix.lower()]
    return getattr(import_module(module), name)
