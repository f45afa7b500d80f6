"""Compiles C drivers against the instrument, each file once per content of it and its
headers."""

from __future__ import annotations

from pathlib import Path

from firmware.host.build import COMMON, CORE
from tests.core.core_build import compiled_object, core_sources, linked

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
    objects = [_object(HERE / main, (*STRICT, *flags), cc, common),
               *instrument(*flags, cc=cc, common=common)]
    sanitizers = [flag for flag in flags if flag.startswith("-fsanitize")]
    return linked(Path(main).stem, objects, *sanitizers, *links, "-lpthread", cc=cc)


def instrument(*flags: str, cc: str = "gcc", common: Path = COMMON,
               runtime: tuple[str, ...] = ()) -> list[Path]:
    """Objects of the instrument, with `flags`, and of the runtime's portable part, with its own."""
    return [_object(path, runtime if path.parent == CORE else (*STRICT, *flags), cc, common)
            for path in (*sorted(common.glob("*.c")), *core_sources())]


def _object(path: Path, flags: tuple[str, ...], cc: str, common: Path) -> Path:
    return compiled_object(path, "-std=c11", "-O2", "-ffp-contract=off", "-DTUDOR_ONLY_SCALAR",
                           *flags, f"-I{CORE}", f"-I{common}", cc=cc)
