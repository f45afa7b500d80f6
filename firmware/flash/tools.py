"""Other programs that flashing calls, and what to install when one is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from engine.errors import TudorError

# Which Debian package has each.
PACKAGES = {
    "mcopy": "mtools", "mtype": "mtools", "mdir": "mtools", "mmd": "mtools", "mdel": "mtools",
    "debugfs": "e2fsprogs", "e2fsck": "e2fsprogs", "dpkg-deb": "dpkg", "dfu-util": "dfu-util",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu and libc6-dev-arm64-cross", "ssh":
    "openssh-client", "ssh-keygen": "openssh-client", "gcc": "gcc",
}
# Several of these lie where only root looks.
SYSTEM_PATH = "/usr/sbin:/sbin:/usr/local/sbin"


class MissingToolError(TudorError):
    """A program that is not installed."""


def tool(name: str) -> str:
    """The path of a program; an error names the package that has it."""
    path = shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)
    if path is None:
        raise MissingToolError(f"{name} is not installed; on Debian: apt install "
                               f"{PACKAGES.get(name, name)}")
    return path


def run(command: list[str], folder: Path | None = None, data: bytes | None = None
        ) -> subprocess.CompletedProcess[bytes]:
    """Run a program with messages in English; its exit code is the caller's to look at."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1",
                   "DEBUGFS_PAGER": "cat", "PAGER": "cat"}
    return subprocess.run([tool(command[0]), *command[1:]], cwd=folder, input=data or b"",
                          capture_output=True, env=environment)
