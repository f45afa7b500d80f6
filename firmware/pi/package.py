"""Builds `tudor-module_VERSION_arm64.deb`. The same sources and compiler give the same bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.errors import TudorError
from firmware.pi.build import HERE, ROOM, program, sources_digest
from firmware.tools import cache, tool

EPOCH = "946684800"  # of every file in the package: 2000-01-01
# Where each file goes, and its permissions.
FILES = {
    "tudor-module.service": ("usr/lib/systemd/system", 0o644),
    "tudor-wifi.service": ("usr/lib/systemd/system", 0o644),
    "tudor-module-generator": ("usr/lib/systemd/system-generators", 0o755),
    "start": ("usr/lib/tudor", 0o755), "update": ("usr/lib/tudor", 0o755),
    "overlay-init": ("usr/lib/tudor", 0o755), "module.conf": ("etc/tudor", 0o644),
    "README": ("usr/share/doc/tudor-module", 0o644),
}
CONTROL = """Package: tudor-module
Version: {version}
Architecture: arm64
Maintainer: the tudor authors <tudor@localhost>
Depends: libc6 (>= {libc}), libasound2 | libasound2t64
Section: sound
Priority: optional
Description: plays neural audio models in a Eurorack module
 Audio through ALSA, knobs and CVs through MCP3208 or ADS1015 converters, gates
 through GPIO, MIDI through the ALSA sequencer.
"""
POSTINST = """#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl enable tudor-module.service
  systemctl restart tudor-module.service || true
fi
"""
PRERM = """#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now tudor-module.service || true
fi
"""


def package_version() -> str:
    """The project's version and which sources it is: updates must be told apart."""
    try:
        number = version("nn-tudor")
    except PackageNotFoundError:
        number = "0"
    return f"{number}+{sources_digest()[:8]}"


def build_package(out: Path | None = None) -> Path:
    """The package, in `out` or in the cache."""
    number = package_version()
    name = f"tudor-module_{number}_arm64.deb"
    to = out / name if out else cache(ROOM) / name
    if out is None and to.exists():
        return to
    built = program("arm64", number)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        _fill(tree, built, number)
        partial = Path(folder) / name
        done = subprocess.run(
            [tool("dpkg-deb"), "--root-owner-group", "-Zxz", "--build", str(tree), str(partial)],
            capture_output=True, text=True, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
        if done.returncode:
            raise TudorError(f"the package cannot be built: {done.stderr.strip()}")
        beside = to.with_name(f".{name}.{os.getpid()}.partial")
        shutil.copyfile(partial, beside)
        beside.replace(to)
    return to


def _fill(tree: Path, built: Path, number: str) -> None:
    binary = tree / "usr/bin/tudor-module"
    binary.parent.mkdir(parents=True)
    stripped = subprocess.run(["aarch64-linux-gnu-strip", "-o", str(binary), str(built)],
                              capture_output=True, text=True)
    if stripped.returncode:
        raise TudorError(f"aarch64-linux-gnu-strip failed: {stripped.stderr.strip()}")
    binary.chmod(0o755)
    for name, (folder, mode) in FILES.items():
        path = tree / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((HERE / name).read_bytes())
        path.chmod(mode)
    license_file = HERE.parent.parent / "LICENSE"
    if license_file.exists():
        (tree / "usr/share/doc/tudor-module/copyright").write_bytes(license_file.read_bytes())
    (tree / "var/lib/tudor").mkdir(parents=True)
    control = tree / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(CONTROL.format(version=number, libc=needed_libc(binary)))
    (control / "conffiles").write_text("/etc/tudor/module.conf\n")
    for name, text in (("postinst", POSTINST), ("prerm", PRERM)):
        (control / name).write_text(text)
        (control / name).chmod(0o755)
    for path in tree.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
        os.utime(path, (int(EPOCH), int(EPOCH)))


def needed_libc(binary: Path) -> str:
    """The oldest C library that has all that the program calls, from its symbol versions."""
    done = subprocess.run(["aarch64-linux-gnu-objdump", "-T", str(binary)], capture_output=True,
                          text=True)
    found = re.findall(r"GLIBC_(\d+)\.(\d+)", done.stdout)
    if done.returncode or not found:
        raise TudorError("aarch64-linux-gnu-objdump does not tell which C library is needed")
    major, minor = max((int(a), int(b)) for a, b in found)
    return f"{major}.{minor}"
