"""Compiles test programs against the C runtime, each once per content of its sources."""

from __future__ import annotations

import hashlib
import os
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
    need(cc)
    files = [HERE / main, *(core_sources() if sources is None else sources)]
    headers = [*core.glob("*.h"), *core.glob("*.inc"), *HERE.glob("*.h")]
    named = [f for f in flags if not (stamp and f.startswith("-I"))]
    digest = hashlib.sha256(" ".join((cc, *named, *([stamp] if stamp else []))).encode())
    for path in sorted([*files, *headers]):
        digest.update(path.read_bytes())
    CACHE.mkdir(exist_ok=True)
    out = CACHE / f"{Path(main).stem}-{digest.hexdigest()[:16]}"
    if not out.exists():
        partial = out.with_suffix(f".{os.getpid()}")  # other workers may be at the same
        libraries = [f for f in flags if f.startswith("-l")]
        command = [cc, *flags, f"-I{core}", *map(str, files), *libraries, "-o", str(partial)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        partial.rename(out)
    return out


def run(*command: object, timeout: float = 300) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                          timeout=timeout)
    assert done.returncode == 0, f"{command[0]}: {done.returncode}\n{done.stderr[-3000:]}"
    return done.stdout
