"""How long the C runtime's transform takes beside numpy's (pocketfft), of complex float32 numbers.

    python -m benchmarks.fft_time

Compiled as the runtime is; both transform rows of one array, by turns; medians of processor time.
"""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np

import engine
from engine.layers.transform import SIZES, sines
from engine.players.native_build import options

CORE = Path(engine.__file__).parent / "core"
MANY = """
#include "fft.h"
#include <string.h>
void many(const float *sine, unsigned size, const float *x, float *y, float *space, unsigned rows) {
    const struct fft f = {sine, size};
    for (unsigned r = 0; r < rows; r++) {
        float *numbers = y + (size_t)r * size;
        memcpy(numbers, x + (size_t)r * size, size * sizeof *x);
        const float *found = tudor_fft(&f, numbers, space);
        if (found != numbers) memcpy(numbers, found, size * sizeof *x);
    }
}
"""
ROUNDS, NUMBERS = 41, 2**18


def library(folder: Path) -> ctypes.CDLL:
    """The transform and a loop around it."""
    (folder / "many.c").write_text(MANY)
    flags = [flag for flag in options() if "visibility" not in flag]
    subprocess.run(["cc", *flags, "-fPIC", "-shared", f"-I{CORE}", str(folder / "many.c"),
                    str(CORE / "fft.c"), "-o", str(folder / "many.so")], check=True)
    return ctypes.CDLL(str(folder / "many.so"))


def times(many: ctypes.CDLL, size: int) -> tuple[float, float, float]:
    """Microseconds of one transform of size / 2 numbers: the runtime's, numpy's; and their largest
    difference over the largest number."""
    rows = NUMBERS // size
    x = np.random.default_rng(0).standard_normal((rows, 2, size // 2)).astype(np.float32)
    both = (x[:, 0] + 1j * x[:, 1]).astype(np.complex64)
    y, space, sine = np.empty_like(x), np.empty(size, np.float32), sines(size)
    at = [array.ctypes.data_as(ctypes.c_void_p) for array in (sine, x, y, space)]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        began = process_time()
        many.many(at[0], size, at[1], at[2], at[3], rows)
        between = process_time()
        wanted = np.fft.fft(both, axis=1)
        theirs.append(process_time() - between)
        ours.append(between - began)
    away = np.abs(y[:, 0] + 1j * y[:, 1] - wanted).max() / np.abs(wanted).max()
    mine, other = (1e6 * float(np.median(t)) / rows for t in (ours, theirs))
    return mine, other, float(away)


def fft_time() -> None:
    """A table of microseconds."""
    print("| window | transform of | runtime | numpy | ratio | difference |")
    print("|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        many = library(Path(folder))
        for size in SIZES:
            ours, theirs, away = times(many, size)
            print(f"| {size} | {size // 2} | {ours:.2f} µs | {theirs:.2f} µs | "
                  f"{ours / theirs:.2f} | {away:.0e} |")


if __name__ == "__main__":
    fft_time()
