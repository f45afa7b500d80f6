"""The shipped presets: NAME.toml holds shape and training, NAME.tudor the weights and what plays
them, NAME.places how training finds them there, and NAME.q16x8.tudor, where there is one, the same
in fewer bits, for a board that wants those. Where another preset's weights are inside, NAME.packed
stands for NAME.tudor (`packed.py`)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from engine.presets.packed import SUFFIX, whole

_HERE = Path(__file__).parent


def preset_names() -> list[str]:
    """Names of all presets, sorted."""
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def preset_path(name: str) -> Path:
    """Configuration file of a preset."""
    return _HERE / f"{name}.toml"


def preset_settings(name: str) -> dict[str, Any]:
    """A preset's tables, as read from its file."""
    return tomllib.loads(preset_path(name).read_text("utf-8"))


def shipped_native(name: str, dtype: str = "float32") -> Path | None:
    """The native file that a preset comes with in a number format, if it does; one that is packed
    is put together first."""
    path = _HERE / (f"{name}.tudor" if dtype == "float32" else f"{name}.{dtype}.tudor")
    if path.exists():
        return path
    packed = packed_path(name)
    return whole(packed, shipped_native) if dtype == "float32" and packed.exists() else None


def packed_path(name: str) -> Path:
    """Where the native file of a preset lies that has another's weights inside."""
    return _HERE / f"{name}{SUFFIX}"


def shipped_names() -> list[str]:
    """Names of the presets that come with weights, sorted."""
    return [name for name in preset_names()
            if packed_path(name).exists() or shipped_native(name) is not None]
