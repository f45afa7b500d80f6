"""Writing an image onto a card: only onto one that is surely meant, and read back after."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.errors import TudorError

CHUNK_BYTES = 4 << 20
# A disk that holds any of these is the system's own.
SYSTEM_MOUNTS = ("/", "/boot", "/boot/efi", "/boot/firmware", "/home", "/usr", "/var")
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Machine:
    """Where this machine tells of its disks; tests have one of their own."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")


@dataclass(frozen=True)
class Disk:
    """A whole disk."""

    path: Path
    size_bytes: int
    model: str
    removable: bool


def look_at(device: Path, machine: Machine = Machine()) -> Disk:
    """The disk at `device`, if it may be written: not the system's, mounted or used in any way."""
    real = device.resolve()
    try:
        found = real.stat()
    except OSError as error:
        raise TudorError(f"--device {device}: {error.strerror}; `lsblk` lists the disks") from None
    if not stat.S_ISBLK(found.st_mode):
        raise TudorError(f"--device {device}: is no disk; for a file use --out")
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return _checked(device, machine, number)


def _checked(device: Path, machine: Machine, number: str) -> Disk:
    node = machine.sys / "dev" / "block" / number
    if not node.exists():
        raise TudorError(f"--device {device}: the system knows no such disk")
    node = node.resolve()
    if (node / "partition").exists():
        raise TudorError(f"--device {device}: is a partition; give the whole disk, "
                         f"/dev/{node.parent.name}")
    if _text(node / "ro") == "1":
        raise TudorError(f"--device {device}: is write-protected; look at the card's switch")
    parts = [node, *(p for p in node.iterdir() if (p / "partition").exists())]
    numbers = {_text(part / "dev") or number for part in parts}
    for line in _text(machine.proc / "self" / "mountinfo").splitlines():
        words = line.split()
        if words[2] in numbers:
            whose = "holds this system" if words[4] in SYSTEM_MOUNTS else "is mounted"
            raise TudorError(f"--device {device}: {whose} ({words[4]}); nothing was written")
    names = {f"/dev/{part.name}" for part in parts}
    for line in _text(machine.proc / "swaps").splitlines()[1:]:
        if line.split()[0] in names:
            raise TudorError(f"--device {device}: this system swaps to it; nothing was written")
    for part in parts:
        holders = part / "holders"
        if holders.is_dir() and any(holders.iterdir()):
            raise TudorError(f"--device {device}: is part of a RAID, LVM or encrypted disk "
                             f"({part.name}); nothing was written")
    size = int(_text(node / "size") or 0) * 512
    if size == 0:
        raise TudorError(f"--device {device}: holds no card")
    # A card in a slot that is soldered in counts as fixed for the kernel, but tells what it is.
    removable = _text(node / "removable") == "1" or _text(node / "device" / "type") == "SD"
    return Disk(device, size, _text(node / "device" / "model") or node.name, removable)


def check_meant(disk: Disk, yes: bool, fixed: Path | None) -> None:
    """A disk that cannot be taken out is no card, most likely: --yes alone does not erase it, its
    name has to be given twice."""
    if fixed is not None and fixed != disk.path:
        raise TudorError(f"--fixed-disk {fixed}: is not --device {disk.path}; nothing was written")
    if yes and not disk.removable and fixed is None:
        raise TudorError(f"--device {disk.path}: {disk.model}, {disk.size_bytes / 1e9:.1f} GB, is "
                         "not removable, so most likely no card; if it is meant, name it again: "
                         f"--fixed-disk {disk.path}")


def write(image: Path, disk: Path, advance: Advance = lambda count: None) -> None:
    """Copies the image to the start of the disk, then reads it back; `advance` counts both.

    O_EXCL: the kernel refuses a disk that somebody mounted meanwhile."""
    flags = os.O_RDWR | (os.O_EXCL if stat.S_ISBLK(disk.stat().st_mode) else 0)
    try:
        to = os.open(disk, flags)
    except OSError as error:
        hint = "; be root, or in the group that may write it" if error.errno == 13 else ""
        raise TudorError(f"{disk}: {error.strerror}{hint}") from None
    try:
        with image.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                _write_all(to, chunk)
                advance(len(chunk))
        os.fsync(to)
        _compare(image, to, disk, advance)
    except OSError as error:
        raise TudorError(f"{disk}: {error.strerror}; the card is spoilt, write it again") from None
    finally:
        os.close(to)


def _write_all(to: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(to, view):]


def _compare(image: Path, to: int, disk: Path, advance: Advance) -> None:
    """From the card itself, as far as the system can be made to forget what it has cached."""
    os.posix_fadvise(to, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(to, 0, os.SEEK_SET)
    at = 0
    with image.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            got = b""
            while len(got) < len(chunk) and (part := os.read(to, len(chunk) - len(got))):
                got += part
            if got != chunk:
                raise TudorError(f"{disk}: reads back otherwise near byte {at}; the card is bad")
            at += len(chunk)
            advance(len(chunk))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
