"""One training at a time in a run directory."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"
TURNS_FILE = ".turns"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder` for this process, or an error that names the one that does.

    The system forgets the lock with the process, however it ends; the file that stays is of no
    consequence. It is a record lock, which loader processes do not inherit: one of them, left over
    from a killed run, would hold its folder. Where there are no locks, nothing is held."""
    if fcntl is None:
        yield
        return
    with (folder / LOCK_FILE).open("a+", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.readline().strip() or "another process"
            raise ConfigError(f"{folder} is being trained by {holder}; wait for its end, or choose "
                              "another --out") from None
        except OSError:  # a file system without locks
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


@contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """One process of a run after the other: the first fills the cache, which the others find."""
    if fcntl is None:
        yield
        return
    with (folder / TURNS_FILE).open("a", encoding="utf-8") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield
