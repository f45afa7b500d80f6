"""Builds `tudor-module`, once per content of its sources, for this machine or a Raspberry Pi."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

from engine.errors import TudorError
from firmware.flash.tools import MissingToolError, tool

HERE = Path(__file__).parent
COMMON = HERE.parent / "common"
CORE = HERE.parent.parent / "engine" / "core"
COMPILERS = {"native": "gcc", "arm64": "aarch64-linux-gnu-gcc"}
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-ffp-contract=off", "-Wall", "-Wextra",
         "-Wconversion", "-Werror", "-pthread")
HEADERS = Path("/usr/include/alsa")  # the same for every processor


def program(target: str, version: str = "0", *flags: str) -> Path:
    """The built program; `target`: "native" or "arm64"."""
    if not (HERE / "main.c").exists():
        raise TudorError(f"the module's sources are not in {HERE}: run from a checkout, or give "
                         "--package")
    command = [tool(COMPILERS[target]), *FLAGS, *flags, f'-DTUDOR_VERSION="{version}"',
               f"-I{COMMON}", f"-I{CORE}", f"-I{_headers()}", *map(str, sources()), "-ldl", "-lm"]
    digest = hashlib.sha256("\0".join([*command, sources_digest()]).encode()).hexdigest()
    out = cache() / f"tudor-module-{target}-{digest[:16]}"
    if not out.exists():
        partial = out.with_suffix(f".{os.getpid()}.partial")
        done = subprocess.run([*command, "-o", str(partial)], capture_output=True, text=True)
        if done.returncode and re.search(r"(string|stdio|stdint)\.h: No such file", done.stderr):
            raise MissingToolError(f"{COMPILERS[target]} has no C library; on Debian: apt install "
                                   "libc6-dev-arm64-cross")
        if done.returncode:
            raise TudorError(f"tudor-module does not compile:\n{done.stderr[-3000:]}")
        partial.rename(out)
    return out


def sources() -> list[Path]:
    """What is compiled: the board, the instrument, the runtime."""
    return [path for folder in (HERE, COMMON, CORE) for path in sorted(folder.glob("*.c"))]


def sources_digest() -> str:
    """Of everything that goes into the program and its package."""
    digest = hashlib.sha256()
    for folder in (HERE, COMMON, CORE):
        for path in sorted(p for p in folder.iterdir() if p.is_file() and p.suffix != ".pyc"):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _headers() -> Path:
    """A folder with ALSA's headers alone: a cross compiler must not see this machine's others."""
    if not (HEADERS / "asoundlib.h").exists():
        raise MissingToolError("ALSA's headers are not installed; on Debian: apt install "
                               "libasound2-dev")
    folder = cache() / "include"
    folder.mkdir(exist_ok=True)
    link = folder / "alsa"
    if not link.is_symlink():
        link.symlink_to(HEADERS)
    return folder


def cache() -> Path:
    """Where built programs are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "tudor" / "pi"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TudorError(f"cannot keep built programs in {folder} ({error.strerror}); set "
                         "XDG_CACHE_HOME to a folder that can be written") from None
    return folder
