"""Run directories and presets as native files, so that playing them is playing C."""

from __future__ import annotations

import sys
from pathlib import Path

from engine.errors import ConfigError, TudorError, nearest
from engine.files import CONFIG_FILE, NATIVE_FILE, WEIGHTS_FILE
from engine.resolve import FILE, PRESET, RUN, resolve

BACKENDS = ("native", "pytorch")


def as_native(model: str, backend: str = "native") -> str:
    """What to load for `model`: its native file where there is or can be one, else itself.

    The native file of a run directory is made from its present weights, verified, and kept in it.
    When that is impossible the reason is said and PyTorch plays."""
    if backend not in BACKENDS:
        raise ConfigError(f"unknown backend {backend!r}{nearest(backend, BACKENDS)}")
    if backend != "native":
        return model
    meant = resolve(model, (RUN, FILE, PRESET))
    if meant.kind != RUN:  # the player finds a preset's native file itself
        return model
    try:
        return str(_up_to_date(meant.path))
    except TudorError as error:
        print(f"note: played by PyTorch, no native file could be made: {error}", file=sys.stderr)
        return model


def _up_to_date(run: Path) -> Path:
    """`RUN/model.tudor`, made anew when the weights or the configuration are younger."""
    file = run / NATIVE_FILE
    parts = [run / WEIGHTS_FILE, run / CONFIG_FILE]
    if file.exists() and all(p.exists() and p.stat().st_mtime <= file.stat().st_mtime
                             for p in parts):
        return file
    from engine.models.store import load_model
    from export.targets import check, export_model

    stored = load_model(run)
    export_model(stored, check("native", file), file)
    return file
