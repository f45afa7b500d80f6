"""The shipped presets: NAME.toml holds shape and training, NAME.tudor the weights and what plays
them, NAME.places how training finds them there, and NAME.q16x8.tudor, where there is one, the same
in fewer bits, for a board that wants those. (A checkout has NAME.safetensors too, which these were
made from; it is not installed.)"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

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
    """The native file that a preset comes with in a number format, if it does."""
    path = _HERE / (f"{name}.tudor" if dtype == "float32" else f"{name}.{dtype}.tudor")
    return path if path.exists() else None


def shipped_names() -> list[str]:
    """Names of the presets that come with weights, sorted."""
    return [name for name in preset_names() if shipped_native(name) is not None]
