"""What hands have set on a Pi: kept in a partition of its own, which `tudor flash pi` makes."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest
from common_models import wire
from pi_build import driver

from firmware.flash import saves
from firmware.flash.disk import ImageError, partitions
from firmware.pi import build

KIB = 1024


@pytest.fixture
def partition(tmp_path: Path) -> Path:
    """As it lies on a card."""
    path = tmp_path / "partition"
    path.write_bytes(saves.LABEL.ljust(4096, b"\0") + b"\xff" * (512 * KIB))
    return path


def play(partition: Path | str, knob: int, seconds: int = 6) -> tuple[dict[str, int], str]:
    """The facts, and what was noted."""
    model = Path(partition).with_name("model") if isinstance(partition, Path) else None
    assert model is not None
    model.write_bytes(wire())
    done = subprocess.run([str(driver("pi_saves.c")), str(partition), str(model), str(knob),
                           str(seconds)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ({k: int(v) for k, v in re.findall(r"(\w+) (\d+)", done.stdout)}, done.stderr)


def test_what_was_set_is_there_again(partition: Path) -> None:
    facts, _ = play(partition, 700)
    assert 4000 < facts.pop("owed_ms") < 5000  # a hand has to have left it alone for 4 s
    assert facts == {"slot": 1, "saved": 1, "failed": 0, "owes": 0}
    kept = partition.read_bytes()
    facts, said = play(partition, -1)
    assert facts == {"slot": 1, "saved": 0, "failed": 0, "owes": 0, "owed_ms": 0}
    assert said == ""
    assert partition.read_bytes() == kept
    assert kept.startswith(saves.LABEL)
    assert b"TUDRSAVE" in kept
    facts, _ = play(partition, 300, 2)
    assert (facts["saved"], facts["owes"]) == (0, 1), "the power may not go yet"
    facts, _ = play(partition, 300)
    assert (facts["saved"], facts["owes"]) == (1, 0)
    torn = bytearray(partition.read_bytes())
    torn[torn.rindex(b"TUDRSAVE") + 40] ^= 1
    partition.write_bytes(torn)
    assert play(partition, -1)[0]["slot"] == 1, "the record before"


def test_nothing_is_written_where_there_is_no_label(tmp_path: Path) -> None:
    other = tmp_path / "other"
    for content in (b"\xff" * (512 * KIB), saves.LABEL + bytes(KIB)):
        other.write_bytes(content)
        facts, said = play(other, 700)
        assert facts["saved"] == 0
        assert "is not a partition that `tudor flash pi` made" in said
        assert other.read_bytes() == content
    facts, said = play(tmp_path / "missing", 700, 1)
    assert "No such file or directory; nothing is kept" in said


def disk(path: Path, entries: list[tuple[int, int]], size: int) -> Path:
    """An image with a partition table: kind, and where it begins, of each."""
    table = b"".join(struct.pack("<4xB3xII", kind, start // 512, 8 * KIB // 512)
                     for kind, start in entries)
    path.write_bytes((bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa").ljust(size, b"\x11"))
    return path


def test_a_card_gets_the_partition_behind_the_others(tmp_path: Path) -> None:
    image = disk(tmp_path / "image", [(0x0C, 64 * KIB), (0x83, 128 * KIB)], 5 << 20)
    before = image.read_bytes()
    saves.add(image)
    assert saves.is_there(image)
    parts = partitions(image)
    assert [part.number for part in parts] == [1, 2, 3]
    assert (parts[2].kind, parts[2].offset_bytes, parts[2].size_bytes) == (0xDA, 8 << 20, 4 << 20)
    after = image.read_bytes()
    assert len(after) == 12 << 20
    assert after[512 : len(before)] == before[512:], "the others are as they were"
    saves.add(image)
    assert image.read_bytes() == after, "a second time it keeps what it has"


def test_a_partition_of_somebody_else_is_refused(tmp_path: Path) -> None:
    image = disk(tmp_path / "image", [(0x0C, 64 * KIB), (0x83, 128 * KIB), (0x83, 256 * KIB)],
                 1 << 20)
    with pytest.raises(ImageError, match="has a partition 3 already"):
        saves.add(image)


def test_program_card_and_service_mean_the_same_place() -> None:
    header = (build.HERE / "saves.h").read_text()
    assert f'SAVES_LABEL "{saves.LABEL.decode().strip()}' in header
    place = f"/dev/mmcblk0p{saves.NUMBER}"
    assert f"\nsaves = {place} " in (build.HERE / "module.conf").read_text()
    assert f"DeviceAllow={place} rw" in (build.HERE / "tudor-module.service").read_text()
    assert f'.saves = "{place}"' in (build.HERE / "settings.c").read_text()
