"""The zip file around a TorchScript module: tidied, and its metadata replaced.

PyTorch's own writer adds debug records, which hold the paths of the machine that exported, and
names the top folder after the (temporary) file. Neither is wanted: the same model should give the
same bytes everywhere.
"""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO
from pathlib import Path

from engine.description import METADATA_KEY, Description
from engine.errors import ConfigError

TOP = "model"  # the top folder; LibTorch takes any name
ALIGNMENT_BYTES = 64  # of every record's data, as LibTorch writes it, so that it may be mapped
HEADER_BYTES = 30  # of a zip entry before its name
METADATA = f"extra/{METADATA_KEY}.json"
NEWEST_VERSION = 10  # of the archive format, that LibTorch 2.5.1 reads
_DATE = (1980, 1, 1, 0, 0, 0)


def rewrite(source: Path | BytesIO, target: Path, description: Description) -> None:
    """Copy the archive `source` to `target` with `description` as its metadata."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            name = entry.filename.partition("/")[2]
            data = old.read(entry)
            if name == "version" and int(data) > NEWEST_VERSION:
                raise ConfigError(f"this PyTorch writes TorchScript version {int(data)}; official "
                                  f"builds of nn~ read up to {NEWEST_VERSION}")
            if name != METADATA and not name.endswith(".debug_pkl"):
                _add(new, name, data)
        _add(new, METADATA, description.to_json().encode("utf-8"))


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Append one uncompressed record whose data starts at a multiple of the alignment."""
    info = zipfile.ZipInfo(f"{TOP}/{name}", date_time=_DATE)
    assert archive.fp is not None
    start = archive.fp.tell() + HEADER_BYTES + len(info.filename.encode("utf-8"))
    # An extra field, 4 bytes of header and some filling, moves the data to where it should be.
    filling = -(start + 4) % ALIGNMENT_BYTES
    info.extra = b"FB" + struct.pack("<H", filling) + b"Z" * filling
    archive.writestr(info, data)
