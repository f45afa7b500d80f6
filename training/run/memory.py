"""Main memory: whether a batch fits, and how steps reuse it.

Linux gives out more than there is and kills the process once it is used, so an allocation that
fails tells too late: a batch is tried small first.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from training.run.health import out_of_memory, too_much

PROCESS = Path("/proc/self")
MEMINFO = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")  # version 2; elsewhere the machine's memory is the limit
KIB = 1024

# mallopt(3) of glibc: numbers of settings, with their values while steps are made, and after: the
# greatest to which it would have gone by itself, for once told it no longer does.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
HELD = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 256 * KIB * KIB}
GIVEN_BACK = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 * KIB * KIB, TRIM_THRESHOLD: 64 * KIB * KIB,
              TOP_PAD: 128 * KIB}


@contextmanager
def freed_memory_held() -> Iterator[None]:
    """Inside, what one step of training frees stays for the next one.

    glibc gives each large block back to the system when it is freed, and gets pages full of zeros
    for the next of that size, thousands a step: about a third of the time of a step was measured
    on a CPU. More is held than a step needs at once, for blocks of other sizes leave gaps; all of
    it is given back at the end. A C library without mallopt, or one that does not listen, goes on
    as it is."""
    try:
        libc = ctypes.CDLL(None)
        set_option, trim = libc.mallopt, libc.malloc_trim
    except (OSError, AttributeError, TypeError):
        yield
        return
    for option, value in HELD.items():
        set_option(option, value)
    try:
        yield
    finally:
        for option, value in GIVEN_BACK.items():
            set_option(option, value)
        trim(0)


def check_memory(batch: int, unit: str, run: Callable[[int], object]) -> None:
    """An error if `batch` examples, each a `unit`, would need more memory than is free, with the
    number that fits.
    `run(n)` makes one step of n crops; two small ones tell what a crop takes. Where the system
    does not say (Linux does), or a small step fails by itself, nothing is judged here."""
    free = available_bytes()
    if batch <= 2 or free is None:
        return
    try:
        run(1)  # what is set up once is set up now
        one, two = _peak_bytes(run, 1), _peak_bytes(run, 2)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return
    if one is None or two is None:
        return
    # What the system counts may lag by some MB for each of its processors, so that the process may
    # seem to hold more now than it did at most.
    each, room = max(two - one, 1), free - max(0, one - _status_bytes("VmRSS"))
    if each * (batch - 1) <= room:
        return
    fits = max(1, 1 + room // each)
    why = (f": a {unit.split()[0]} takes about {each / 1e6:.0f} MB in a step, "
           f"{free / 1e9:.1f} GB are free")
    raise too_much(batch, unit, fits, why)


def available_bytes() -> int | None:
    """Memory that this process may still take: the machine's or, if less, its control group's."""
    try:
        lines = MEMINFO.read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * KIB for line in lines if line.startswith("MemAvailable:")]
    try:
        limit = int((GROUP / "memory.max").read_text())  # "max": ValueError
        used = int((GROUP / "memory.current").read_text())
        stat = (GROUP / "memory.stat").read_text().splitlines()
        # Files that were read stay in memory until it is needed.
        cached = sum(int(line.split()[1]) for line in stat if line.startswith("inactive_file "))
        found.append(limit - used + cached)
    except (OSError, ValueError):
        pass
    return max(0, min(found)) if found else None


def _peak_bytes(run: Callable[[int], object], crops: int) -> int | None:
    """Most memory that the process held at once during `run(crops)`; None if it is not told."""
    try:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what is kept for later would hide what is taken
        (PROCESS / "clear_refs").write_text("5")  # VmHWM begins anew
    except (OSError, AttributeError):
        return None
    run(crops)
    return _status_bytes("VmHWM")


def _status_bytes(name: str) -> int:
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) * KIB for line in lines if line.startswith(f"{name}:"))
