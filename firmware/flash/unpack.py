"""A working copy of a stock image, unpacked if need be, with holes where it is empty."""

from __future__ import annotations

import lzma
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from firmware.flash.disk import ImageError

CHUNK_BYTES = 4 << 20
XZ_MAGIC = b"\xfd7zXZ\x00"
OTHERS = {b"PK\x03\x04": "a zip: unpack it first", b"\x1f\x8b": "gzip: unpack it first",
          b"\x28\xb5\x2f\xfd": "zstd: unpack it first"}
Advance = Callable[[int], None]


def unpack(image: Path, to: Path, advance: Advance = lambda count: None) -> None:
    """Copies `image` (.img or .img.xz, told by its first bytes) to `to`; counts bytes read."""
    try:
        with image.open("rb") as file:
            head = file.read(6)
    except OSError as error:
        raise ImageError(f"{image}: {error.strerror}") from None
    for magic, what in OTHERS.items():
        if head.startswith(magic):
            raise ImageError(f"{image}: is {what}")
    parts = _unpacked(image, advance) if head == XZ_MAGIC else _plain(image, advance)
    size = 0
    with to.open("wb") as out:
        for chunk in parts:
            if chunk.count(0) == len(chunk):
                out.seek(len(chunk), os.SEEK_CUR)
            else:
                out.write(chunk)
            size += len(chunk)
        out.truncate(size)


def _plain(image: Path, advance: Advance) -> Iterator[bytes]:
    with image.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            advance(len(chunk))
            yield chunk


def _unpacked(image: Path, advance: Advance) -> Iterator[bytes]:
    decoder = lzma.LZMADecompressor()
    with image.open("rb") as file:
        while packed := file.read(CHUNK_BYTES // 4):
            advance(len(packed))
            while packed or not (decoder.needs_input or decoder.eof):
                if decoder.eof:  # several streams may stand one after the other
                    if not packed.strip(b"\0"):
                        break
                    decoder = lzma.LZMADecompressor()
                try:
                    yield decoder.decompress(packed, CHUNK_BYTES)
                except lzma.LZMAError as error:
                    raise ImageError(f"{image}: is damaged ({error}); download it again") from None
                packed = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise ImageError(f"{image}: ends early; download it again")
