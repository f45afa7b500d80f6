"""The machine's ceilings, measured in the run that they are compared with.

`fma_peak` is the fused multiply-add rate of one core, `read_bandwidth` the bytes per second it
reads from a buffer of a given size. Both come from a few lines of C, compiled once by the system's
compiler and kept in the user's cache directory; without a compiler numpy stands in, and says so.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import perf_counter

import numpy as np

SOURCE = Path(__file__).with_name("peak.c")
ALIGNMENT = 64  # bytes; the widest vector
STRIDE_FLOATS = 8 * 16  # the reading loop takes eight vectors of at most 16 floats at a time


@dataclass(frozen=True)
class Peak:
    """A measured ceiling of one core."""

    gflops: float
    method: str  # how it was measured, for people


def cache_dir() -> Path:
    """Where this user's caches live, per platform's custom."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "nn-tudor"


def held_to_avx2() -> bool:
    """True when the user holds PyTorch's kernels to AVX2: the peak must then be AVX2's too."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() == "AVX2"


def _flags(avx2: bool) -> list[str]:
    if avx2 and platform.machine().lower() in ("x86_64", "amd64"):
        return ["-mavx2", "-mfma"]
    return ["-mcpu=native"] if platform.machine().lower() in ("aarch64", "arm64") else [
        "-march=native", "-mprefer-vector-width=512"
    ]


@lru_cache(maxsize=2)
def _library(avx2: bool) -> ctypes.CDLL | None:
    """The compiled loops, or None where there is no compiler (or it fails)."""
    compiler = next((c for c in (os.environ.get("CC"), "cc", "gcc", "clang")
                     if c and shutil.which(c)), None)
    if compiler is None or not SOURCE.exists():
        return None
    # The cache may be shared by unlike machines (a home on a network), so the CPU is in the name.
    key = hashlib.sha256(
        SOURCE.read_bytes() + repr((compiler, _flags(avx2), _cpu_flags())).encode()
    ).hexdigest()[:16]
    path = cache_dir() / f"peak-{key}.so"
    try:
        if not path.exists():
            _compile(compiler, _flags(avx2), path)
        library = ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError):
        return None
    library.tudor_peak_fma.argtypes = [ctypes.c_long, ctypes.c_float, ctypes.c_float]
    library.tudor_peak_fma.restype = ctypes.c_float
    library.tudor_peak_flops.argtypes = [ctypes.c_long]
    library.tudor_peak_flops.restype = ctypes.c_double
    library.tudor_peak_read.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]
    library.tudor_peak_read.restype = ctypes.c_float
    return library


def _compile(compiler: str, flags: list[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.partial.so")
    command = [compiler, "-O3", "-std=gnu11", "-ffp-contract=fast", "-shared", "-fPIC",
               str(SOURCE), "-o", str(temporary)]
    try:
        subprocess.run([*command, *flags], check=True, capture_output=True, timeout=60)
        os.replace(temporary, path)  # two benchmarks at once: the last one wins, both are whole
    finally:
        temporary.unlink(missing_ok=True)


def _cpu_flags() -> str:
    """Something that differs between CPUs of unlike instruction sets."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return platform.processor() or platform.machine()
    wanted = ("flags", "Features", "model name")
    return "".join(line for line in text.splitlines()[:40] if line.startswith(wanted))


def _fastest(call: Callable[[], object], seconds: float) -> float:
    """Least time of one call within `seconds`: other programs only ever make it slower."""
    best, end = float("inf"), perf_counter() + seconds
    while True:
        start = perf_counter()
        call()
        now = perf_counter()
        best = min(best, now - start)
        if now >= end:
            return best


def fma_peak(seconds: float = 0.15, avx2: bool | None = None) -> Peak:
    """Fused multiply-adds of one core in GFLOP/s (two operations each), float32."""
    avx2 = held_to_avx2() if avx2 is None else avx2
    library = _library(avx2)
    if library is None:
        return _sgemm_peak(seconds)
    rounds = 400_000
    best = _fastest(lambda: library.tudor_peak_fma(rounds, 0.5, 0.25), seconds)
    lanes = library.tudor_peak_lanes()
    return Peak(library.tudor_peak_flops(rounds) / best / 1e9,
                f"C loop of fused multiply-adds, {lanes} lanes, one core")


def _sgemm_peak(seconds: float) -> Peak:
    """A large matrix product as the stand-in; it may use several cores and reaches ~90 %."""
    size = 768
    a = np.full((size, size), 0.5, np.float32)
    out = np.empty_like(a)
    best = _fastest(lambda: np.matmul(a, a, out=out), seconds)
    return Peak(2 * size**3 / best / 1e9,
                f"numpy matrix product of {size} x {size}, as there is no C compiler")


def read_bandwidth(size_bytes: int, seconds: float = 0.04) -> float:
    """Bytes per second at which one core reads a buffer of `size_bytes` again and again.

    A buffer as large as a model's weights finds by itself the cache that they live in."""
    floats = max(STRIDE_FLOATS, size_bytes // 4 // STRIDE_FLOATS * STRIDE_FLOATS)
    memory = np.ones(floats + ALIGNMENT // 4, np.float32)
    offset = -memory.ctypes.data % ALIGNMENT // 4
    data = memory[offset : offset + floats]
    library = _library(held_to_avx2())
    if library is None:
        return data.nbytes / _fastest(data.sum, seconds)
    # Small buffers are read several times per call, so that the call itself does not count.
    repeats, address = max(1, 4_000_000 // floats), data.ctypes.data
    best = _fastest(lambda: library.tudor_peak_read(address, floats, repeats), seconds)
    return repeats * data.nbytes / best


def cuda_peak(device: str) -> Peak:
    """Float32 arithmetic of a GPU, by a large matrix product without TF32."""
    import torch

    size = 8192
    a = torch.full((size, size), 0.5, device=device)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False

    def product() -> None:
        torch.matmul(a, a)
        torch.cuda.synchronize(device)

    try:
        product()
        best = _fastest(product, 0.5)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    name = torch.cuda.get_device_name(device)
    return Peak(2 * size**3 / best / 1e9, f"{name}: float32 matrix product of {size} x {size}")
