"""Builds the C runtime into `engine._native` (cffi, API mode). Called by the installer through
`cffi_modules`; `python -m engine.players.native_build` builds it in place."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parents[2]
CORE = Path("engine", "core")


def declarations() -> str:
    """What `tudor.h` declares, without the preprocessor lines that cffi cannot read."""
    text = (ROOT / CORE / "tudor.h").read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)
    text = re.sub(r"enum tudor_\w+ \{.*?\};", "", text, flags=re.S)
    text = re.sub(r'extern "C" \{|^\s*\}\s*$', "", text, flags=re.M)
    return re.sub(r"^\s*#.*$", "", text, flags=re.M)


def sources() -> list[str]:
    """The C files, relative to the project."""
    return sorted(str(CORE / path.name) for path in (ROOT / CORE).glob("*.c"))


def options() -> list[str]:
    """Compiler options; results depend on -ffp-contract=off, speed on -O3."""
    if sys.platform == "win32":
        return ["/O2", "/std:c11", "/fp:precise"]
    return ["-std=c11", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-fno-stack-protector",
            "-g0"]


ffi = FFI()
ffi.cdef(declarations())
ffi.set_source(
    "engine._native",
    '#include "tudor.h"',
    sources=sources(),
    include_dirs=[str(CORE)],
    depends=[str(p.relative_to(ROOT)) for p in sorted((ROOT / CORE).glob("*.[hi]*"))],
    extra_compile_args=options(),
)

if __name__ == "__main__":
    import importlib.machinery
    import os

    os.chdir(ROOT)
    built = Path(ffi.compile(tmpdir=".", verbose=False))
    # Under the name that an installation gives it: Python prefers the other one, and would go on
    # loading an old build after a newer installation.
    if importlib.machinery.EXTENSION_SUFFIXES[1:2] == [".abi3.so"]:
        built.replace(Path("engine/_native.abi3.so"))
    for leftover in [Path("engine/_native.c"), Path("engine/_native.o"), *CORE.glob("*.o")]:
        leftover.unlink(missing_ok=True)
