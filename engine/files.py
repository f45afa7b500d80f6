"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import TudorError

# What a run directory holds for everyone (training keeps more: run_folder.py).
CONFIG_FILE = "config.toml"
WEIGHTS_FILE = "model.safetensors"
NATIVE_FILE = "model.tudor"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PROBE_BYTES = 1 << 20


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; renames it into place when the block succeeds.

    The temporary name keeps the suffix, since several writers choose the format by it. On any
    error it is removed, and what stood at `path` before is untouched. Where the disk was full the
    error says so: libraries that write files say "System error" or less."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except Exception as error:
        full = _no_room(temporary, error)
        if not full and not isinstance(error, OSError):
            raise
        raise TudorError(f"cannot write {path}: {full or _said(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _said(error: BaseException) -> str:
    """What the system said, without its number and the file's name."""
    return getattr(error, "strerror", None) or str(error)


def _no_room(temporary: Path, error: BaseException) -> str:
    """What the system says where writing `temporary` failed for want of room; "" otherwise. One
    that was being written is asked for more; the error itself may not tell."""
    if isinstance(error, OSError) and error.errno is not None:
        return _said(error) if error.errno in _NO_ROOM else ""
    try:
        if temporary.is_file():
            with open(temporary, "ab") as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
    except OSError as found:
        return _said(found) if found.errno in _NO_ROOM else ""
    return ""
