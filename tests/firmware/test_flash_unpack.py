"""Packed images are unpacked whole, or not at all."""

from __future__ import annotations

import lzma
import os
from pathlib import Path

import pytest
from card_image import MIB

from firmware.flash import unpack
from firmware.flash.disk import ImageError


def test_xz_is_unpacked_whole_or_not_at_all(tmp_path: Path) -> None:
    raw = bytes(9 * MIB) + os.urandom(MIB) + bytes(100)
    parts = [lzma.compress(part, preset=0) for part in (raw, raw[:5000], raw[5000:])]
    for name, packed in (("one", parts[0]), ("two", parts[1] + parts[2] + bytes(8))):
        (tmp_path / name).write_bytes(packed)
        counted: list[int] = []
        unpack.unpack(tmp_path / name, tmp_path / "out", counted.append)
        assert (tmp_path / "out").read_bytes() == raw
        assert sum(counted) == len(packed)
    whole = (tmp_path / "one").read_bytes()
    for bad, word in ((whole[:-200], "ends early"), (whole[:-200] + bytes(200), "damaged"),
                      (b"PK\x03\x04" + bytes(100), "zip")):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(ImageError, match=word):
            unpack.unpack(tmp_path / "bad", tmp_path / "out")
