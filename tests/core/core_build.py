"""Compiles test programs against the C runtime, each file once per content of it and its
headers."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CORE = HERE.parent.parent / "engine" / "core"
STRICT = ("-std=c11", "-ffp-contract=off", "-Wall", "-Wextra", "-Wconversion", "-Werror")
CACHE = Path(tempfile.gettempdir()) / "tudor-core-tests"


def need(tool: str) -> str:
    """A tool's path, or a skipped test that names it; in CI a failed one."""
    path = shutil.which(tool)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{tool} is not installed")
        pytest.skip(f"{tool} is not installed")
    return path

ONLY_WRITES = HERE / "only_writes.h"  # drivers of other folders include it, too


def core_sources() -> list[Path]:
    return sorted(CORE.glob("*.c"))


def compiled(main: str, *flags: str, cc: str = "gcc", sources: list[Path] | None = None,
             core: Path = CORE, stamp: str = "") -> Path:
    """The program of `main` (a file of this folder) and the runtime. `stamp`: the content of
    generated headers, whose folder (a `-I` among the flags) may be another one each time."""
    files = [HERE / main, *(core_sources() if sources is None else sources)]
    objects = [compiled_object(path, *flags, f"-I{core}", cc=cc, stamp=stamp) for path in files]
    return linked(Path(main).stem, objects, *flags, cc=cc)


def compiled_object(source: Path, *flags: str, cc: str = "gcc", stamp: str = "") -> Path:
    """One file, compiled once for what it and the headers beside it say, the flags and the
    compiler: programs that differ in one file share the others."""
    need(cc)
    folders = [source.parent, *(Path(flag[2:]) for flag in flags if flag.startswith("-I"))]
    own = [flag for flag in flags if not flag.startswith(("-l", "-Wl,"))]
    named = [flag for flag in own if not flag.startswith("-I")]
    read: dict[Path, bytes] = {}
    _read_with_headers(source, tuple(folders), read)
    digest = hashlib.sha256("\0".join((cc, *named, stamp)).encode())
    for path, data in read.items():
        digest.update(path.name.encode() + b"\0" + data)
    out = CACHE / f"{source.stem}-{digest.hexdigest()[:16]}.o"
    return _made(out, [cc, *own, "-c", str(source)])


def linked(name: str, objects: list[Path], *flags: str, cc: str = "gcc") -> Path:
    """The program of objects that `compiled_object` made, whose names say what is in them."""
    own = [flag for flag in flags if not flag.startswith("-I")]
    libraries = [flag for flag in own if flag.startswith("-l")]
    digest = hashlib.sha256("\0".join((cc, *own, *(path.name for path in objects))).encode())
    command = [cc, *(flag for flag in own if flag not in libraries), *map(str, objects), *libraries]
    return _made(CACHE / f"{name}-{digest.hexdigest()[:16]}", command)


def _made(out: Path, command: list[str]) -> Path:
    """What a compiler writes, if it is not there yet."""
    if not out.exists():
        CACHE.mkdir(exist_ok=True)
        partial = out.with_name(f"{out.name}.{os.getpid()}")  # other workers may be at the same
        done = subprocess.run([*command, "-o", str(partial)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        partial.rename(out)
    return out


INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)


def _read_with_headers(path: Path, folders: tuple[Path, ...], read: dict[Path, bytes]) -> None:
    """A file and all that it names between quotes, those too which a condition leaves out. What is
    not found is a system's or a generated one, for which the caller's stamp stands."""
    if path in read:
        return
    read[path] = path.read_bytes()
    for name in INCLUDE.findall(read[path]):
        for folder in (path.parent, *folders):
            found = folder / name.decode()
            if found.is_file():
                _read_with_headers(found, folders, read)
                break


def run(*command: object, timeout: float = 300) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                          timeout=timeout)
    assert done.returncode == 0, f"{command[0]}: {done.returncode}\n{done.stderr[-3000:]}"
    return done.stdout
