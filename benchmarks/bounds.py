"""What the machine would need at least: arithmetic at its peak, weights at its reading speed.

A block cannot be faster than its multiply-adds at the measured peak, nor than reading each weight
once from the memory that holds the weights. Per operation the slower of the two counts; their sum
is the bound that a block's time is compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import log2

from benchmarks.peak import read_bandwidth
from engine.boards.cost import MethodCost

LARGE_BYTES = 4 << 20
SIZE_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(frozen=True)
class Bound:
    """Least time of one block in milliseconds, and what sets it."""

    arithmetic_ms: float
    reading_ms: float
    combined_ms: float  # per operation the slower of the two, summed
    memory: str  # where weights and state live: L1d, L2, L3 or DRAM
    bandwidth_gb_s: float

    @property
    def limit(self) -> str:
        """What bounds the block: `arithmetic`, or reading from `memory`."""
        return "arithmetic" if self.arithmetic_ms >= self.reading_ms else f"{self.memory} reads"


def block_bound(
    cost: MethodCost, block_seconds: float, peak_gflops: float, caches: dict[str, str],
    bandwidth: Callable[[int], float] | None = None,
) -> Bound:
    """The bound of a block that lasts `block_seconds`, on one core.

    `bandwidth(size_bytes)` gives bytes per second; by default it is measured."""
    working_set = cost.weights_bytes + cost.state_bytes
    speed = (bandwidth or measured_bandwidth)(working_set)
    arithmetic = [2 * op.macs_per_second * block_seconds / (peak_gflops * 1e6) for op in cost.ops]
    reading = [1000 * op.weights_bytes / speed for op in cost.ops]
    return Bound(
        arithmetic_ms=sum(arithmetic), reading_ms=sum(reading),
        combined_ms=sum(map(max, arithmetic, reading)),
        memory=memory_of(working_set, caches), bandwidth_gb_s=speed / 1e9,
    )


def memory_of(size_bytes: int, caches: dict[str, str]) -> str:
    """Smallest cache that holds `size_bytes`; DRAM beyond them. `caches` as machine.py has it."""
    for name, text in sorted(caches.items()):
        if text[:-1].isdigit() and size_bytes <= int(text[:-1]) * SIZE_UNITS.get(text[-1], 1):
            return name
    return "DRAM" if caches else "memory"


def measured_bandwidth(size_bytes: int) -> float:
    """Bytes per second for a working set, measured once per eighth of an octave of size."""
    return _bandwidth(round(8 * log2(max(size_bytes, 4096))))


@lru_cache(maxsize=64)
def _bandwidth(eighths: int) -> float:
    size_bytes = int(2 ** (eighths / 8))
    # A pass over a large buffer takes milliseconds, of which other programs often take a part:
    # more passes find an undisturbed one.
    return read_bandwidth(size_bytes, 0.04 if size_bytes < LARGE_BYTES else 0.4)
