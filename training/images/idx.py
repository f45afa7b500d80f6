"""Arrays of bytes in the format IDX, in which MNIST and its like are handed round:

    0  0  8  N | N sizes, 4 bytes each, the most significant first | the bytes, last axis fastest

8 says that numbers are bytes; others are not read. A file may be packed by gzip. What its sizes say
is not believed: no more is read than the file has.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from engine.errors import TudorError

Bytes = NDArray[np.uint8]
GZIP = b"\x1f\x8b"
MOST_BYTES = 1 << 30
MOST_AXES = 3


def read_idx(path: Path) -> Bytes:
    """The array of a file; an error says what is wrong with it."""
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == GZIP
        with cast(IO[bytes], gzip.open(path)) if packed else path.open("rb") as file:
            sizes = _sizes(path, file.read(4), file)
            count = 1
            for size in sizes:
                count *= size
            if not 0 < count <= MOST_BYTES:
                raise TudorError(f"{path}: {_said(sizes)} is {count} bytes; wanted 1 to "
                                 f"{MOST_BYTES >> 20} Mi")
            data = _read(file, count + 1)
    except (zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise TudorError(f"{path}: cannot be unpacked ({error})") from None
    except OSError as error:
        raise TudorError(f"{path}: {error.strerror or error}") from None
    if len(data) != count:
        what = f"ends after {len(data)} of" if len(data) < count else "has more than"
        raise TudorError(f"{path}: {what} the {count} bytes that its sizes {_said(sizes)} promise")
    return np.frombuffer(data, np.uint8).reshape(sizes)


def write_idx(path: Path, array: Bytes) -> None:
    """An array as a file, packed if it is called `.gz`."""
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    whole = head + np.ascontiguousarray(array, np.uint8).tobytes()
    path.write_bytes(gzip.compress(whole) if path.suffix == ".gz" else whole)


def _sizes(path: Path, magic: bytes, file: IO[bytes]) -> tuple[int, ...]:
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= MOST_AXES:
        begins = magic.hex(" ") or "nothing"
        raise TudorError(f"{path}: is no IDX file of bytes: begins with {begins}, wanted 00 00 08 "
                         f"and 01 to 0{MOST_AXES}")
    head = _read(file, 4 * magic[3])
    if len(head) < 4 * magic[3]:
        raise TudorError(f"{path}: ends within its sizes")
    return struct.unpack(f">{magic[3]}I", head)


def _read(file: IO[bytes], count: int) -> bytes:
    """At most `count` bytes, by pieces: memory is taken for what is there alone."""
    pieces, left = [], count
    while left:
        piece = file.read(min(left, 1 << 20))
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _said(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
