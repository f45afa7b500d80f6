"""Where things lie on a disk image: its partition table, and signs of what is there."""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from pathlib import Path

from engine.errors import TudorError

SECTOR_BYTES = 512
FAT_TYPES = {0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E}
LINUX_TYPE, PROTECTIVE_TYPE = 0x83, 0xEE
EXT4_MAGIC = 0xEF53
NEEDS_RECOVERY = 0x0004  # of the incompatible features: the journal holds unfinished work
CLEAN = 0x0001
STOCK = "take a fresh Raspberry Pi OS Lite (64-bit) image"


class ImageError(TudorError):
    """An image that is broken, or not one of Raspberry Pi OS."""


@dataclass(frozen=True)
class Partition:
    """One entry of the table; offsets from the start of the disk."""

    number: int
    kind: int
    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class Layout:
    """The two partitions of a Raspberry Pi's card."""

    boot: Partition
    root: Partition


def partitions(path: Path) -> list[Partition]:
    """The primary partitions of the MBR, each checked to lie inside the image.

    The table: four entries of 16 bytes at 446, signature 55 AA at 510; of each entry byte 4 is the
    kind, and the little-endian words at 8 and 12 are first sector and count."""
    size = path.stat().st_size
    with path.open("rb") as file:
        sector = file.read(SECTOR_BYTES)
    if len(sector) < SECTOR_BYTES or sector[510:512] != b"\x55\xaa":
        raise ImageError(f"{path}: no partition table, so no disk image; {STOCK}")
    found = []
    for number in range(4):
        entry = sector[446 + 16 * number : 462 + 16 * number]
        kind, (first, count) = entry[4], struct.unpack("<II", entry[8:16])
        if kind == 0 or count == 0:
            continue
        part = Partition(number + 1, kind, first * SECTOR_BYTES, count * SECTOR_BYTES)
        if kind == PROTECTIVE_TYPE:
            raise ImageError(f"{path}: has a GPT; Raspberry Pi OS has an MBR; {STOCK}")
        if first == 0 or part.offset_bytes + part.size_bytes > size:
            end = part.offset_bytes + part.size_bytes
            raise ImageError(f"{path}: partition {part.number} ends at byte {end}, the file at "
                             f"{size}: the image is cut short; download it again")
        found.append(part)
    found.sort(key=lambda part: part.offset_bytes)
    for before, after in itertools.pairwise(found):
        if before.offset_bytes + before.size_bytes > after.offset_bytes:
            raise ImageError(f"{path}: partitions {before.number} and {after.number} overlap")
    return found


def layout(path: Path) -> Layout:
    """The boot and the root partition, each looked at: a FAT and an ext4 that was left clean."""
    parts = {part.number: part for part in partitions(path)}
    boot, root = parts.get(1), parts.get(2)
    if boot is None or root is None or boot.kind not in FAT_TYPES or root.kind != LINUX_TYPE:
        kinds = ", ".join(f"{p.number}: 0x{p.kind:02x}" for p in parts.values()) or "none"
        raise ImageError(f"{path}: wants a FAT partition 1 and a Linux partition 2, has {kinds}; "
                         f"{STOCK}")
    with path.open("rb") as file:
        _check_fat(path, _read(file, boot.offset_bytes, SECTOR_BYTES))
        _check_ext4(path, _read(file, root.offset_bytes + 1024, 1024), root)
    return Layout(boot, root)


def _read(file: object, offset: int, count: int) -> bytes:
    file.seek(offset)  # type: ignore[attr-defined]
    return file.read(count)  # type: ignore[attr-defined]


def _check_fat(path: Path, sector: bytes) -> None:
    named = sector[54:57] == b"FAT" or sector[82:85] == b"FAT"
    if sector[510:512] != b"\x55\xaa" or not named:
        raise ImageError(f"{path}: partition 1 holds no FAT file system; {STOCK}")


def _check_ext4(path: Path, block: bytes, root: Partition) -> None:
    """Offsets of the superblock: kernel.org, ext4 disk layout, "The Super Block"."""
    magic, state = struct.unpack_from("<HH", block, 56)
    if magic != EXT4_MAGIC:
        raise ImageError(f"{path}: partition 2 holds no ext4 file system; {STOCK}")
    incompatible = struct.unpack_from("<I", block, 96)[0]
    if incompatible & NEEDS_RECOVERY or not state & CLEAN:
        raise ImageError(f"{path}: the root file system was not unmounted cleanly; run it once and "
                         f"shut it down, or {STOCK}")
    blocks, block_bytes = struct.unpack_from("<I", block, 4)[0], 1024 << struct.unpack_from(
        "<I", block, 24)[0]
    if blocks * block_bytes > root.size_bytes:
        raise ImageError(f"{path}: the root file system is larger than its partition: the image is "
                         "broken; download it again")
