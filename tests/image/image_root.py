"""A small Debian for arm64 from packages, as a stock image: nothing in it runs on this machine,
nothing is mounted. Made of files that are unpacked, not installed: what installing would have
done and the module needs is done here by hand."""

from __future__ import annotations

import gzip
import lzma
import re
import stat
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware.flash.disk import layout
from firmware.flash.fat import Fat
from firmware.tools import MissingToolError, tool
from tests.firmware.card_image import DISK, MIB, make_image

PACKAGES = ("systemd-sysv", "udev", "libasound2", "libasound2-data", "busybox-static",
            "linux-image-arm64", "bash", "dash", "coreutils", "grep", "sed", "mawk", "findutils",
            "util-linux", "mount", "kmod", "procps", "dpkg", "base-files", "base-passwd",
            "libc-bin", "tar", "diffutils", "alsa-utils")
SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources")
# For the emulator's disks, ext4, FAT and the overlay; in the order in which they can be loaded.
MODULES = ("virtio_blk", "virtio_mmio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev",
           "virtio_pci", "crc32c_generic", "jbd2", "mbcache", "crc16", "ext4", "overlay", "fat",
           "vfat", "nls_ascii", "nls_cp437",
           # a slot for SD cards, as a Pi has it
           "cqhci", "sdhci", "sdhci-pci",
           # the sequencer: a Pi has loaded it, or a card's driver, before the service starts
           "soundcore", "snd", "snd-timer", "snd-seq-device", "snd-rawmidi", "snd-seq",
           "snd-seq-midi-event")
# A port that hands on what it gets; it comes, as a keyboard's would, when a trial loads it.
PLUGGED = "snd-seq-dummy"
UNWANTED = re.compile(r"\./(boot|dev|usr/share/(doc|man|info|locale|bug|lintian))/|"
                      r"\./lib/modules/")
KERNEL = re.compile(r"\./boot/vmlinuz|\./lib/modules/.*/(?:" + "|".join((*MODULES, PLUGGED))
                    + r")\.ko(\.xz)?$")
ROOT_BYTES = 400 * MIB
PERIOD, BUFFER = 128, 256  # samples: of a block, of the card's whole buffer
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for m in {modules}; do /bin/busybox insmod /m/$m.ko; done
for m in /parts/*.ko; do [ ! -e $m ] || /bin/busybox insmod $m; done
init=/sbin/init
for w in $(/bin/busybox cat /proc/cmdline); do case $w in init=*) init=${{w#init=}};; esac; done
n=0
until [ -b /dev/vda2 ] || [ -b /dev/mmcblk0p2 ] || [ $n -ge 300 ]; do
  /bin/busybox sleep 0.1; n=$((n+1))
done
root=/dev/vda2
[ -b $root ] || root=/dev/mmcblk0p2
/bin/busybox mount -t ext4 -o ro $root /newroot
for d in dev sys proc; do /bin/busybox mount --move /$d /newroot/$d; done
exec /bin/busybox switch_root /newroot $init
"""
# What a trial does comes on the second disk, and what it found goes onto the third.
TRIAL = """[Unit]
After=tudor-module.service
[Service]
Type=simple
ExecStart=/bin/sh -c 'mkdir -p /run/trial/out && cd /run/trial && tar xf /dev/vdb && sh ./go'
"""
# A card of files that takes 64 KiB ten times a second once the wanted samples are there: without
# a clock it would take the whole emulated processor.
ASOUND = """pcm.none {{ type null }}
pcm.filed {{ type file slave.pcm none format raw file "| /usr/bin/hear {wanted}" }}
pcm.played {{ type file slave.pcm none file "/dev/null" infile "/usr/share/in.raw" format raw }}
"""
HEAR = """#!/bin/sh
head -c "$1" >/run/tudor/out.raw
while [ "$(head -c 65536 | wc -c)" -gt 0 ]; do sleep 0.1; done
"""
SETTINGS = (f"device = filed\ncapture = played\ninputs = 2\noutputs = 2\nrate = 48000\n"
            f"period = {PERIOD}\nperiods = {BUFFER // PERIOD}\noverload = off\nmidi = off\n")
GROUPS = ("systemd-journal", "render", "input", "sgx", "kvm")


@dataclass(frozen=True)
class Stock:
    """An image as one would download it, and what the emulator boots it with."""

    image: Path
    kernel: Path
    initrd: Path
    plugged: bytes  # the driver PLUGGED


def make_stock(folder: Path, heard: bytes, wanted_bytes: int, more: tuple[str, ...] = (),
               settle: Callable[[Path], None] = lambda tree: None, root_bytes: int = ROOT_BYTES
               ) -> Stock:
    """`heard`: what the sound card of files hears; `wanted_bytes` of what it plays are kept. `more`
    packages, with what `settle` does to a root that has them."""
    tree, apart = folder / "tree", folder / "kernel"
    _unpack(_packages(folder, (*PACKAGES, *more)), tree, apart)
    _settle(tree)
    settle(tree)
    (tree / "usr/share/in.raw").write_bytes(heard)
    (tree / "etc/asound.conf").write_text(ASOUND.format(wanted=wanted_bytes))
    (tree / "usr/bin/hear").write_text(HEAR)
    (tree / "usr/bin/hear").chmod(0o755)
    kernel = next(apart.rglob("vmlinuz*"))
    initrd = _initrd(folder / "initrd", tree / "bin/busybox", apart)
    image = make_image(folder, tree, root_bytes)
    Fat(image, layout(image).boot).write("/tudor/module.conf", SETTINGS.encode())
    return Stock(image, kernel, initrd, _drivers(apart, (PLUGGED,))[PLUGGED])


def _packages(folder: Path, names: tuple[str, ...]) -> Path:
    """All files of the packages and of those that they depend on, as an archive."""
    sources = [path for path in SOURCES if Path(path).is_file() and Path(path).read_text().strip()]
    release = Path("/etc/os-release").read_text()
    suite = re.search(r"^VERSION_CODENAME=(\w+)", release, re.MULTILINE)
    if not sources or suite is None or not re.search(r"^ID=debian$", release, re.MULTILINE):
        raise MissingToolError("the image is made of Debian's packages; apt here knows none")
    archive = folder / "root.tar"
    done = subprocess.run(
        [tool("mmdebstrap"), "--variant=extract", "--skip=check/qemu", "--architectures=arm64",
         f"--include={','.join(names)}", suite[1], str(archive), *sources],
        capture_output=True, text=True)
    if done.returncode:
        raise MissingToolError(f"mmdebstrap made no root: {done.stderr[-600:]}")
    return archive


def _unpack(archive: Path, tree: Path, apart: Path) -> None:
    """Kernel and drivers to `apart`, what a system of this kind needs to `tree`."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if KERNEL.match(member.name):
                tar.extract(member, apart, filter="fully_trusted")
            elif not UNWANTED.match(member.name) and not member.isdev():
                tar.extract(member, tree, filter="fully_trusted")
    archive.unlink()


def _settle(tree: Path) -> None:
    """What the packages' own scripts would have done, and an image's maker."""
    base = tree / "usr/share/base-passwd"
    (tree / "etc/passwd").write_text((base / "passwd.master").read_text())
    (tree / "etc/group").write_text((base / "group.master").read_text() + "".join(
        f"{name}:x:{301 + i}:\n" for i, name in enumerate(GROUPS)))
    (tree / "etc/fstab").write_text(  # as the stock image has them: wherever the card is
        f"PARTUUID={DISK}-02 / ext4 defaults,noatime 0 1\n"
        f"PARTUUID={DISK}-01 /boot/firmware vfat defaults 0 2\n")
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/hosts").write_text("127.0.0.1\tlocalhost\n")
    (tree / "usr/bin/awk").unlink(missing_ok=True)
    (tree / "usr/bin/awk").symlink_to("mawk")
    for name in ("boot/firmware", "dev", "mnt", "tmp", "proc", "sys", "run",
                 "etc/systemd/system/multi-user.target.wants"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "etc/systemd/system/trial.service").write_text(TRIAL)
    wants = tree / "etc/systemd/system/multi-user.target.wants/trial.service"
    wants.symlink_to("../trial.service")
    # Unpacked, /lib is a folder of its own; installed, it is the same as /usr/lib.
    generator = "systemd/system-generators/tudor-module-generator"
    (tree / "lib" / generator).symlink_to(f"/usr/lib/{generator}")
    (tree / "var/lib/dpkg").mkdir(parents=True, exist_ok=True)
    (tree / "var/lib/dpkg/status").write_text("".join(
        f"Package: {name}\nStatus: install ok installed\nVersion: {version}\n\n"
        for name, version in (("libasound2", "1"), ("libc6", _libc(tree)))))


def _libc(tree: Path) -> str:
    library = next(tree.glob("*lib/aarch64-linux-gnu/libc.so.6"), None) or next(
        tree.glob("usr/lib/aarch64-linux-gnu/libc.so.6"))
    found = re.search(rb"GNU C Library \(Debian GLIBC ([\w.+~-]+)\)", library.read_bytes())
    assert found is not None
    return found[1].decode()


def _drivers(apart: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Those of the kernel's modules that its package has, in that order."""
    found = {}
    for name in names:
        for path in apart.rglob(f"{name}.ko*"):
            data = path.read_bytes()
            found[name] = lzma.decompress(data) if path.suffix == ".xz" else data
    return found


def _initrd(out: Path, busybox: Path, apart: Path) -> Path:
    """The file system that the kernel starts with: finds the card's root and goes there."""
    drivers = _drivers(apart, MODULES)  # a kernel that lacks one has it built in
    files = {"init": INIT.format(modules=" ".join(drivers)).encode(),
             "bin/busybox": busybox.read_bytes(),
             **{f"m/{name}.ko": data for name, data in drivers.items()}}
    folders = ("bin", "m", "dev", "proc", "sys", "newroot")
    archive = b"".join([*(entry(name, stat.S_IFDIR | 0o755, b"") for name in folders),
                        *(entry(name, stat.S_IFREG | 0o755, data)
                          for name, data in files.items()), entry("TRAILER!!!", 0, b"")])
    out.write_bytes(gzip.compress(archive, 1))
    return out


def entry(name: str, mode: int, data: bytes) -> bytes:
    """One file in the "newc" form of cpio that Linux reads: thirteen numbers as eight hex digits
    (inode, mode, owner, group, links, time, size, four of devices, name's length, checksum), name
    and data, each padded to four bytes."""
    numbers = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
