"""Which disks `tudor flash pi` may write to, and that what was written is there."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from card_image import MIB

from engine.errors import TudorError
from firmware.flash import device
from nn_tudor.cli import main


def machine(folder: Path, mounted: str = "", swaps: str = "", **files: str) -> device.Machine:
    """A /sys and /proc with one card, 8:16, that has one partition."""
    disk = folder / "sys" / "devices" / "sdb"
    for name, text in {"size": "62333952", "ro": "0", "removable": "1", "dev": "8:16",
                       "device/model": "Card Reader", "sdb1/partition": "1", "sdb1/dev": "8:17",
                       "sdb1/size": "100", **files}.items():
        path = disk / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "sys" / "dev" / "block").mkdir(parents=True)
    (folder / "sys" / "dev" / "block" / "8:16").symlink_to(disk)
    (folder / "sys" / "dev" / "block" / "8:17").symlink_to(disk / "sdb1")
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "self" / "mountinfo").write_text(mounted)
    (folder / "proc" / "swaps").write_text("Filename Type\n" + swaps)
    return device.Machine(folder / "sys", folder / "proc")


def test_a_card_that_nobody_uses_is_taken(tmp_path: Path) -> None:
    disk = device._checked(Path("/dev/sdb"), machine(
        tmp_path, "30 1 8:1 / / rw - ext4 /dev/sda1 rw\n"), "8:16")
    assert (disk.size_bytes, disk.model, disk.removable) == (62333952 * 512, "Card Reader", True)


@pytest.mark.parametrize(("number", "world", "word"), [
    ("8:16", {"mounted": "30 1 8:17 / / rw - ext4 /dev/sdb1 rw\n"}, "holds this system"),
    ("8:16", {"mounted": "30 1 8:17 / /media/me/card rw - vfat /dev/sdb1 rw\n"}, "is mounted"),
    ("8:16", {"swaps": "/dev/sdb1 partition\n"}, "swaps"),
    ("8:16", {"sdb1/holders/dm-0": ""}, "RAID, LVM"),
    ("8:16", {"ro": "1"}, "write-protected"),
    ("8:16", {"size": "0"}, "holds no card"),
    ("8:17", {}, "is a partition"),
    ("8:32", {}, "no such disk"),
])
def test_disks_in_use_are_refused(tmp_path: Path, number: str, world: dict[str, str], word: str
                                  ) -> None:
    with pytest.raises(TudorError, match=word):
        device._checked(Path("/dev/sdb"), machine(tmp_path, **world), number)


def fixed(folder: Path) -> device.Disk:
    return device._checked(Path("/dev/sdb"), machine(folder, removable="0"), "8:16")


def test_yes_alone_does_not_erase_a_disk_that_cannot_be_taken_out(tmp_path: Path) -> None:
    disk = fixed(tmp_path)
    with pytest.raises(TudorError, match=r"not removable.*--fixed-disk /dev/sdb$"):
        device.check_meant(disk, True, None)
    with pytest.raises(TudorError, match="--fixed-disk /dev/sdc: is not --device /dev/sdb"):
        device.check_meant(disk, True, Path("/dev/sdc"))
    device.check_meant(disk, True, Path("/dev/sdb"))
    device.check_meant(disk, False, None)  # somebody is asked


def test_the_command_refuses_it_before_it_does_anything(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
        ) -> None:
    disk = fixed(tmp_path)
    monkeypatch.setattr(device, "look_at", lambda path: disk)
    words = ["flash", "pi", "--image", "none.img", "--device", "/dev/sdb", "--codec", "usb",
             "--models", "none.tudor", "--yes"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code
    assert "is not removable" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--fixed-disk", "/dev/sdb"])
    assert "none.tudor" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "removable"), [("SD", True), ("MMC", False)])
def test_a_card_in_a_slot_that_is_built_in_is_removable(tmp_path: Path, kind: str, removable: bool
                                                        ) -> None:
    """The kernel says that of none; a soldered eMMC tells another type."""
    there = machine(tmp_path, removable="0", **{"device/type": kind})
    assert device._checked(Path("/dev/mmcblk0"), there, "8:16").removable is removable


def test_what_is_no_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TudorError, match="is no disk"):
        device.look_at(tmp_path)
    with pytest.raises(TudorError, match="lsblk"):
        device.look_at(tmp_path / "none")


def test_writing_a_card_reads_it_back(tmp_path: Path) -> None:
    image, disk = tmp_path / "card.img", tmp_path / "disk"
    image.write_bytes(os.urandom(5 * MIB + 512))
    disk.write_bytes(b"\xaa" * (8 * MIB))
    counted: list[int] = []
    device.write(image, disk, counted.append)
    assert disk.read_bytes() == image.read_bytes() + b"\xaa" * (3 * MIB - 512)
    assert sum(counted) == 2 * image.stat().st_size


def test_a_card_that_forgets_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, disk = tmp_path / "card.img", tmp_path / "disk"
    image.write_bytes(os.urandom(5 * MIB))
    disk.write_bytes(bytes(8 * MIB))
    real = device._write_all
    calls = io.BytesIO()

    def forgetful(to: int, chunk: bytes) -> None:
        calls.write(b".")
        real(to, chunk if len(calls.getvalue()) < 2 else bytes(len(chunk)))

    monkeypatch.setattr(device, "_write_all", forgetful)
    with pytest.raises(TudorError, match="reads back otherwise"):
        device.write(image, disk)


def test_nobody_to_ask_means_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from firmware.flash.flash_pi import _asker

    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(TudorError, match="--yes"):
        _asker(False)("erase?")
    assert _asker(True)("erase?")
