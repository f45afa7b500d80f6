"""Programs that this folder calls, what to install when one is missing, what compilers make."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from engine.errors import TudorError

# Which Debian package has each.
PACKAGES = {
    "mcopy": "mtools", "mtype": "mtools", "mdir": "mtools", "mmd": "mtools", "mdel": "mtools",
    "debugfs": "e2fsprogs", "e2fsck": "e2fsprogs", "dpkg-deb": "dpkg", "dfu-util": "dfu-util",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu and libc6-dev-arm64-cross",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi and libnewlib-arm-none-eabi",
    "qemu-aarch64": "qemu-user", "qemu-system-arm": "qemu-system-arm",
    "qemu-system-aarch64": "qemu-system-arm", "mkfs.ext4": "e2fsprogs", "mkfs.vfat": "dosfstools",
    "ssh": "openssh-client", "ssh-keygen": "openssh-client", "sshd": "openssh-server",
}
# A cross compiler comes without a C library; what its lack looks like, and the packages.
LIBRARIES = {"aarch64-linux-gnu-gcc": "libc6-dev-arm64-cross",
             "arm-none-eabi-gcc": "libnewlib-arm-none-eabi"}
NO_LIBRARY = re.compile(r"(string|stdio|stdint)\.h: No such file|cannot (find|read) (-lc|spec)")
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


def made(out: Path, command: list[str]) -> Path:
    """`out`, which the compiler call `command` makes unless it is there already."""
    if not out.exists():
        partial = out.with_name(f"{out.name}.{os.getpid()}.partial")
        done = subprocess.run([*command, "-o", str(partial)], capture_output=True, text=True)
        compiler = Path(command[0]).name
        if done.returncode and compiler in LIBRARIES and NO_LIBRARY.search(done.stderr):
            raise MissingToolError(f"{compiler} has no C library; on Debian: apt install "
                                   f"{LIBRARIES[compiler]}")
        if done.returncode:
            raise TudorError(f"{out.name} does not compile:\n{done.stderr[-3000:]}")
        partial.rename(out)
    return out


def cache(room: str) -> Path:
    """Where the built programs of one folder are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "tudor" / room
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TudorError(f"cannot keep built programs in {folder} ({error.strerror}); set "
                         "XDG_CACHE_HOME to a folder that can be written") from None
    return folder
