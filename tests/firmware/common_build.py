"""Compiles C drivers against the instrument, each once per content of its sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from firmware.host.build import COMMON, CORE
from tests.core.core_build import CACHE, ONLY_WRITES, need

HERE = Path(__file__).parent
STRICT = ("-std=c11", "-ffp-contract=off", "-Wall", "-Wextra", "-Wconversion", "-Werror")
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def sources() -> list[Path]:
    """The instrument's C files."""
    return sorted(COMMON.glob("*.c"))


def driver(main: str, *flags: str, cc: str = "gcc", links: tuple[str, ...] = (),
           common: Path = COMMON) -> Path:
    """The program of `main` (a file of this folder), the instrument, and the runtime's portable
    part. `flags` are not applied to the runtime: it has tests of its own."""
    need(cc)
    digest = hashlib.sha256(" ".join((cc, *flags, *links)).encode())
    for path in sorted([HERE / main, ONLY_WRITES, *common.glob("*.[ch]"), *CORE.glob("*.[chi]*")]):
        digest.update(path.read_bytes())
    CACHE.mkdir(exist_ok=True)
    out = CACHE / f"{Path(main).stem}-{digest.hexdigest()[:16]}"
    if out.exists():
        return out
    # Of this process alone: other workers may be at the same program.
    folder = out.with_suffix(f".{os.getpid()}")
    folder.mkdir(exist_ok=True)
    objects = []
    for path in [HERE / main, *sorted(common.glob("*.c")), *sorted(CORE.glob("*.c"))]:
        own = () if path.parent == CORE else (*STRICT, *flags)
        objects.append(str(folder / f"{path.parent.name}-{path.stem}.o"))
        _run(cc, "-std=c11", "-O2", "-ffp-contract=off", "-DTUDOR_ONLY_SCALAR", *own, f"-I{CORE}",
             f"-I{common}", "-c", str(path), "-o", objects[-1])
    sanitizers = [f for f in flags if f.startswith("-fsanitize")]
    _run(cc, *sanitizers, *links, *objects, "-o", str(folder / "program"), "-lpthread")
    (folder / "program").rename(out)
    shutil.rmtree(folder)
    return out


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-3000:]}"
