"""Small stand-ins for a stock image and the module's package, made here, without root."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from firmware.tools import tool

MIB = 1 << 20
BOOT_OFFSET, BOOT_BYTES = 4 * MIB, 34 * MIB  # below 33 MB a FAT32 would not be one
CONFIG = "# stock\ndtparam=audio=on\n\n[cm4]\notg_mode=1\n"
DISK = "4d3f5e0a"  # the number of its partition table
CMDLINE = (f"console=serial0,115200 console=tty1 root=PARTUUID={DISK}-02 rootfstype=ext4 "
           "fsck.repair=yes rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n")
STATUS = ("Package: base-files\nStatus: install ok installed\nVersion: 12.4\n\n"
          "Package: libasound2\nStatus: install ok installed\nVersion: 1.2.8\n")


BOOKWORM, TRIXIE = "bookworm", "trixie"
# Overlays for codecs, as the kernels of 2023 and of 2026 name them.
COMMON = ("hifiberry-dac", "hifiberry-dacplus", "hifiberry-dacplusadc", "hifiberry-dacplusadcpro",
          "iqaudio-codec", "audioinjector-wm8731-audio", "vc4-kms-v3d", "spi0-1cs",
          "disable-bt", "midi-uart0")
OVERLAYS = {BOOKWORM: (*COMMON, "rpi-proto"),
            TRIXIE: (*COMMON, "proto-codec", "hifiberry-dacplus-std", "hifiberry-dacplus-pro")}
# What a stock image does of its own: see firmware/flash/system.py.
RADIO_OFF = "[main]\nNetworkingEnabled=true\nWirelessEnabled=false\nWWANEnabled=true\n"
TRAITS = {
    BOOKWORM: {"etc/os-release": 'ID=debian\nVERSION_ID="12"\n', "etc/machine-id": "",
               "etc/dphys-swapfile": "CONF_SWAPSIZE=512\n",
               "usr/lib/systemd/system/dphys-swapfile.service": "[Service]\n"},
    TRIXIE: {"etc/os-release": 'ID=debian\nVERSION_ID="13"\n',
             "etc/machine-id": "uninitialized\n", "etc/cloud/cloud.cfg": "users: []\n",
             "usr/lib/systemd/system/cloud-init-local.service":
                 "[Unit]\nConditionPathExists=!/etc/cloud/cloud-init.disabled\n",
             "etc/rpi/swap.conf": "[Main]\n#Mechanism=auto\n"},
}


def stock_tree(folder: Path, machine: str = "aarch64-linux-gnu", kind: str = BOOKWORM) -> Path:
    """A root file system of the files that flashing looks at."""
    files = {
        **TRAITS[kind], "etc/hostname": "raspberrypi\n",
        "var/lib/NetworkManager/NetworkManager.state": RADIO_OFF,
        "etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi\n",
        "var/lib/dpkg/status": STATUS, f"usr/lib/{machine}/libasound.so.2": "library",
        "etc/systemd/system/multi-user.target.wants/.keep": "",
        "usr/lib/systemd/system/ssh.service": "[Unit]\n", "root/.profile": "",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def make_image(folder: Path, root: Path, root_bytes: int = 24 * MIB,
               boot: dict[str, bytes] | None = None, kind: str = BOOKWORM) -> Path:
    """`folder/stock.img`: an MBR, a FAT boot partition and an ext4 holding `root`."""
    image, part = folder / "stock.img", folder / "part"
    root_offset = BOOT_OFFSET + BOOT_BYTES
    image.write_bytes(b"")
    with image.open("r+b") as file:
        file.truncate(root_offset + root_bytes)
        entries = b"".join(struct.pack("<B3sB3sII", 0, bytes(3), kind, bytes(3), at // 512,
                                       size // 512)
                           for kind, at, size in ((0x0C, BOOT_OFFSET, BOOT_BYTES),
                                                  (0x83, root_offset, root_bytes)))
        file.write(bytes(440) + struct.pack("<I", int(DISK, 16)) + bytes(2) + entries + bytes(32)
                   + b"\x55\xaa")
    part.write_bytes(b"")
    with part.open("r+b") as file:
        file.truncate(BOOT_BYTES)
    _run(["mkfs.vfat", "-F", "32", "-s", "1", "-n", "bootfs", str(part)])
    for name, data in {"config.txt": CONFIG.encode(), "cmdline.txt": CMDLINE.encode(),
                       **(boot or {})}.items():
        (folder / "one").write_bytes(data)
        _run(["mcopy", "-i", str(part), str(folder / "one"), f"::{name}"])
    overlays = folder / "overlays"
    overlays.mkdir(exist_ok=True)
    for name in OVERLAYS[kind]:
        (overlays / f"{name}.dtbo").write_bytes(b"\xd0\x0d\xfe\xed")
    _run(["mcopy", "-s", "-i", str(part), str(overlays), "::"])
    shutil.rmtree(overlays)
    _place(part, image, BOOT_OFFSET)
    part.write_bytes(b"")
    with part.open("r+b") as file:
        file.truncate(root_bytes)
    _run(["mkfs.ext4", "-q", "-E", "root_owner=0:0", "-d", str(root), str(part)])
    _place(part, image, root_offset)
    part.unlink()
    return image


def make_package(folder: Path, version: str = "1.0", program: bytes = b"\x7fELF program",
                 architecture: str = "arm64", needs: str = "libc6 (>= 2.34)",
                 unit: bytes = b"[Service]\n", scripts: dict[str, str] | None = None) -> Path:
    """A package with the files that ours has, quick to build; scripts: of /usr/lib/tudor."""
    tree = folder / f"deb-{version}"
    files = {"usr/bin/tudor-module": (program, 0o755),
             "usr/lib/tudor/overlay-init": (b"#!/bin/sh\n", 0o755),
             "usr/lib/systemd/system/tudor-module.service": (unit, 0o644),
             "etc/tudor/module.conf": (b"# settings\nperiod = 128\n", 0o644)}
    for name, text in (scripts or {}).items():
        files[f"usr/lib/tudor/{name}"] = (f"#!/bin/sh\n{text}\n".encode(), 0o755)
    for name, (data, mode) in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
    (tree / "var/lib/tudor").mkdir(parents=True)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN" / "control").write_text(
        f"Package: tudor-module\nVersion: {version}\nArchitecture: {architecture}\n"
        f"Depends: {needs}\n"
        "Maintainer: tests <tests@example.org>\nDescription: a stand-in\n")
    (tree / "DEBIAN" / "conffiles").write_text("/etc/tudor/module.conf\n")
    out = folder / f"tudor-module_{version}_{architecture}.deb"
    _run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(out)])
    return out


def _place(part: Path, image: Path, offset: int) -> None:
    """Copies without the empty stretches."""
    with part.open("rb") as source, image.open("r+b") as to:
        at = 0
        while chunk := source.read(MIB):
            if chunk.count(0) != len(chunk):
                to.seek(offset + at)
                to.write(chunk)
            at += len(chunk)


def _run(command: list[str]) -> None:
    done = subprocess.run([tool(command[0]), *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
