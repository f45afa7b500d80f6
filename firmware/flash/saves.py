"""A partition behind the others in which a module keeps what hands have set: knobs, gesture, freeze
and slot. It is a ring of records (firmware/common/save_ring.h) behind a label, and no file system:
the module writes it without mounting anything, and a power cut cannot hurt the system's own."""

from __future__ import annotations

import struct
from pathlib import Path

from firmware.flash.disk import SECTOR_BYTES, ImageError, partitions

LABEL = b"TUDOR SAVES 1\n"  # as firmware/pi/saves.h has it
NUMBER, KIND = 3, 0xDA  # data without a file system
# A card erases some megabytes at once: neighbours shall not lie in what it is rewriting.
ALIGN_BYTES = SIZE_BYTES = 4 << 20


def add(image: Path) -> None:
    """Adds the partition, or leaves what is there as it is: a card that was made before keeps what
    it has saved."""
    parts = partitions(image)
    if any(part.number == NUMBER for part in parts):
        if is_there(image):
            return
        raise ImageError(f"{image}: has a partition {NUMBER} already, where the module would keep "
                         "knobs and slots; take a fresh Raspberry Pi OS Lite (64-bit) image")
    end = max([image.stat().st_size, *(p.offset_bytes + p.size_bytes for p in parts)])
    start = -(-end // ALIGN_BYTES) * ALIGN_BYTES
    entry = struct.pack("<4sB3sII", b"\0\xfe\xff\xff", KIND, b"\xfe\xff\xff",
                        start // SECTOR_BYTES, SIZE_BYTES // SECTOR_BYTES)
    with image.open("r+b") as file:
        file.seek(start)
        file.write(LABEL.ljust(4096, b"\0") + b"\xff" * (SIZE_BYTES - 4096))
        file.seek(446 + 16 * (NUMBER - 1))
        file.write(entry)


def is_there(image: Path) -> bool:
    """Whether the image has the partition, with its label."""
    for part in partitions(image):
        if part.number == NUMBER and part.kind == KIND:
            with image.open("rb") as file:
                file.seek(part.offset_bytes)
                return file.read(len(LABEL)) == LABEL
    return False
