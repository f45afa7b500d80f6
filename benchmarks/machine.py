"""What was measured on: processor, system, versions; what a reader needs to judge a figure."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.peak import fma_peak, held_to_avx2

PACKAGES = ("nn-tudor", "numpy", "torch", "onnxruntime", "onnx")
# Instruction sets that decide how fast a convolution can be; the rest of the flags are noise.
TELLING_FLAGS = (
    "sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
    "avx512_bf16", "avx_vnni", "amx_tile", "asimd", "asimdhp", "asimddp", "sve", "i8mm", "bf16",
)


def describe_machine(threads: int = 1) -> dict[str, Any]:
    """The `machine` part of a benchmark's JSON, with the peak measured now."""
    peak = fma_peak()
    info = processor()
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "isa": [flag for flag in TELLING_FLAGS if flag in info.get("flags", "").split()],
        "cores": core_count(),
        "caches": _caches(),
        "governor": _read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "memory_bytes": _memory_bytes(),
        "os": f"{platform.system()} {platform.release()}",
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {"python": platform.python_version(), **_versions()},
        "threads": threads,
        "held_to_avx2": held_to_avx2(),
        "peak_gflops": peak.gflops,
        "peak_method": peak.method,
    }


def remeasure_peak(machine: dict[str, Any]) -> None:
    """Measure the peak once more, at a run's end: a busy moment at the start must not count."""
    machine["peak_gflops"] = max(machine["peak_gflops"], fma_peak().gflops)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return None


def processor() -> dict[str, str]:
    """Fields of the first processor in /proc/cpuinfo; Arm's `Features` under `flags`."""
    fields: dict[str, str] = {}
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    if "Features" in fields:
        fields["flags"] = fields["Features"]
    board = _read(Path("/proc/device-tree/model"))
    if board:
        fields.setdefault("model name", board.rstrip("\0"))
    return fields


def core_count() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _caches() -> dict[str, str]:
    """Sizes by level, as the kernel prints them: {"L1d": "32K", "L2": "1024K"}."""
    sizes = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_read(index / name) for name in ("level", "type", "size"))
        if level and size and kind != "Instruction":
            sizes[f"L{level}{'d' if kind == 'Data' else ''}"] = size
    return sizes


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak_memory_bytes() -> int | None:
    """Most memory that this process has held so far (resident set), where the system tells."""
    # Linux first asks the process itself: getrusage there also counts what the parent held before
    # this program was started in its place.
    for line in (_read(Path("/proc/self/status")) or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, others kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
