"""Builds the fuzz target. Kernels get the address sanitizer only, and no AVX-512: with all checks
in every unrolled line the compiler needs minutes."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from tests.core.core_build import CACHE, CORE, core_sources, need

TARGET = Path(__file__).with_name("fuzz_play.c")
COMMON = ("-std=c11", "-g", "-ffp-contract=off", "-DTUDOR_NO_AVX512", f"-I{CORE}")
CHECKED = ("-O1", "-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=all")
VECTOR = ("-O2", "-fsanitize=address")


def fuzzer() -> Path:
    """The fuzzer, built once per content of its sources."""
    cc = need("clang")
    digest = hashlib.sha256()
    for path in sorted([TARGET, *CORE.glob("*.[chi]*")]):
        digest.update(path.read_bytes())
    folder = CACHE / f"fuzz-{digest.hexdigest()[:16]}"
    out = folder / "fuzz"
    if out.exists():
        return out
    folder.mkdir(parents=True, exist_ok=True)
    objects = []
    for source in [TARGET, *core_sources()]:
        vector = source.stem.startswith("kernels_")
        objects.append(folder / f"{source.stem}.o")
        subprocess.run([cc, *COMMON, *(VECTOR if vector else CHECKED), "-c", str(source),
                        "-o", str(objects[-1])], check=True)
    subprocess.run([cc, "-fsanitize=fuzzer,address,undefined", *map(str, objects), "-o", str(out)],
                   check=True)
    return out


if __name__ == "__main__":
    print(fuzzer())
