"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import TudorError

# What a run directory holds for everyone (training keeps more: run_folder.py).
CONFIG_FILE = "config.toml"
WEIGHTS_FILE = "model.safetensors"
NATIVE_FILE = "model.tudor"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; renames it into place when the block succeeds.

    The temporary name keeps the suffix, since several writers choose the format by it. On any
    error it is removed, and what stood at `path` before is untouched."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise TudorError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
