"""Builds `tudor-module`, once per content of its sources, for this machine or a Raspberry Pi."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from engine.errors import TudorError
from firmware.tools import MissingToolError, cache, made, tool

HERE = Path(__file__).parent
COMMON = HERE.parent / "common"
CORE = HERE.parent.parent / "engine" / "core"
COMPILERS = {"native": "gcc", "arm64": "aarch64-linux-gnu-gcc"}
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-ffp-contract=off", "-Wall", "-Wextra",
         "-Wconversion", "-Werror", "-pthread")
ROOM = "pi"  # of the cache
HEADERS = Path("/usr/include/alsa")  # the same for every processor


def program(target: str, version: str = "0") -> Path:
    """The built program; `target`: "native" or "arm64"."""
    if not (HERE / "main.c").exists():
        raise TudorError(f"the module's sources are not in {HERE}: run from a checkout, or give "
                         "--package")
    return linked("tudor-module", target, sources(), (f'-DTUDOR_VERSION="{version}"',))


def linked(name: str, target: str, files: list[Path], flags: tuple[str, ...] = (),
           links: tuple[str, ...] = (), core_flags: tuple[str, ...] = ()) -> Path:
    """The program of `files`, which are compiled one by one and kept. `flags` are for all but the
    runtime's files, `core_flags` for those."""
    compiler = tool(COMPILERS[target])
    common = _digest([p for folder in (HERE, COMMON, CORE) for p in folder.glob("*.[hi]*")])

    def compiled(path: Path) -> Path:
        own = core_flags if path.parent == CORE else flags
        if path.name != "status.c":  # the only one that tells the version
            own = tuple(flag for flag in own if "TUDOR_VERSION" not in flag)
        command = [compiler, *FLAGS, *own, f"-I{HERE}", f"-I{COMMON}", f"-I{CORE}",
                   f"-I{_headers()}", "-c", str(path)]
        return _made(f"{target}-{path.parent.name}-{path.stem}.o", command, common, [path])

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, files))
    sanitizers = [flag for flag in flags if flag.startswith("-fsanitize")]
    return _made(f"{name}-{target}", [compiler, "-pthread", *sanitizers, *links,
                                      *map(str, objects), "-ldl", "-lm"], "", [])


def _made(name: str, command: list[str], above: str, inputs: list[Path]) -> Path:
    """What `command` makes, from the cache if nothing that goes into it has changed."""
    text = "\0".join([*command, above, _digest(inputs)])
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    stem, dot, end = name.partition(".")
    return made(cache(ROOM) / f"{stem}-{digest}{dot}{end}", command)


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def sources() -> list[Path]:
    """What is compiled: the board, the instrument, the runtime."""
    return [path for folder in (HERE, COMMON, CORE) for path in sorted(folder.glob("*.c"))]


def sources_digest() -> str:
    """Of everything that goes into the program and its package."""
    return _digest([path for folder in (HERE, COMMON, CORE) for path in folder.iterdir()
                    if path.is_file() and path.suffix != ".pyc"])


def _headers() -> Path:
    """A folder with ALSA's headers alone: a cross compiler must not see this machine's others."""
    if not (HEADERS / "asoundlib.h").exists():
        raise MissingToolError("ALSA's headers are not installed; on Debian: apt install "
                               "libasound2-dev")
    folder = cache(ROOM) / "include"
    folder.mkdir(exist_ok=True)
    link = folder / "alsa"
    with suppress(FileExistsError):  # from before, or by another process in the meantime
        link.symlink_to(HEADERS)
    return folder
