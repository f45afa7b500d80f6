"""Timing by turns: several subjects in one process, so that their ratios hold on a noisy machine.

    subject A  |w|1 2 3 4 5 6 7 8|                 |w|9 ...      w: one block that is not timed,
    subject B                    |w|1 2 3 ... 8|                 after which A's weights are back
                                                                 in the cache

A burst is long enough for the caches to settle (8 blocks, and a millisecond of the fastest subject)
and short enough (tens of milliseconds) for all subjects to see the same neighbours. With a single
subject there are no turns and no w.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns, thread_time_ns
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

BURST_BLOCKS = 8
BURST_MS = 1.0
LEAST_BLOCKS = 300  # for a p99 of three blocks; p99.9 is then near the maximum
BUDGET_SECONDS = 60.0  # of wall time, per subject and block size


class Subject(Protocol):
    """Something that plays blocks; `play(i)` plays the i-th, wherever its input comes from."""

    def play(self, index: int) -> object:
        """Process one block and wait until its result is there."""


@dataclass(frozen=True)
class Times:
    """Durations of consecutive blocks, in milliseconds.

    `cpu_ms` is the processor time of the calling thread: on a machine with more work than cores,
    blocks are interrupted, long ones more often than short ones. Processor time leaves that out,
    so its ratios hold where those of the durations do not."""

    block_ms: NDArray[np.float64]
    cpu_ms: NDArray[np.float64] | None = None

    def percentile(self, percent: float) -> float:
        """Linear between the two nearest blocks."""
        return float(np.percentile(self.block_ms, percent))

    @property
    def p50(self) -> float:
        return self.percentile(50)

    @property
    def p99(self) -> float:
        return self.percentile(99)

    @property
    def cpu_p50(self) -> float | None:
        """Median processor time; None where it was not taken."""
        return None if self.cpu_ms is None else float(np.median(self.cpu_ms))

    @property
    def mean(self) -> float:
        return float(self.block_ms.mean())

    @property
    def max(self) -> float:
        return float(self.block_ms.max())

    @property
    def jitter_ms(self) -> float:
        """How much later than usual one block in a hundred is ready: p99 - p50."""
        return self.p99 - self.p50

    def misses(self, deadline_ms: float) -> int:
        """Blocks that took longer than the audio they hold."""
        return int(np.count_nonzero(self.block_ms > deadline_ms))


@contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage collection inside: a pause of the collector is not the model's."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def warm_up(subject: Subject, seconds: float, least_blocks: int = 3) -> float:
    """Play until `seconds` have passed; returns the median block time in milliseconds.

    Just-in-time compilers, allocators and caches settle here, so none of it is counted."""
    times: list[float] = []
    end = perf_counter() + seconds
    while len(times) < least_blocks or perf_counter() < end:
        start = perf_counter_ns()
        subject.play(len(times))
        times.append((perf_counter_ns() - start) / 1e6)
    return float(np.median(times[len(times) // 2 :]))


def block_count(
    wanted_seconds: float, block_seconds: float, slowest_ms: float,
    least: int = LEAST_BLOCKS, budget_seconds: float = BUDGET_SECONDS,
) -> int:
    """How many blocks to time: `wanted_seconds` of audio, at least `least`, within the budget."""
    wanted = max(least, round(wanted_seconds / block_seconds))
    affordable = int(1000 * budget_seconds / max(slowest_ms, 1e-6))
    return max(10, min(wanted, affordable))


def burst_blocks(fastest_ms: float) -> int:
    """Blocks of a turn, when the fastest subject takes `fastest_ms` for one."""
    return max(BURST_BLOCKS, round(BURST_MS / max(fastest_ms, 1e-3)))


def alternate(
    subjects: Sequence[Subject], count: int, burst: int = BURST_BLOCKS
) -> list[Times]:
    """Times of `count` blocks of each subject, taken in turns of `burst` blocks."""
    durations, processor = ([np.zeros(count, np.int64) for _ in subjects] for _ in range(2))
    clock, cpu_clock = perf_counter_ns, thread_time_ns
    with undisturbed():
        for first in range(0, count, burst):
            for subject, record, cpu_record in zip(subjects, durations, processor, strict=True):
                play = subject.play
                if len(subjects) > 1:
                    play(first)
                for index in range(first, min(first + burst, count)):
                    cpu_start = cpu_clock()
                    start = clock()
                    play(index)
                    record[index] = clock() - start
                    cpu_record[index] = cpu_clock() - cpu_start
    return [Times(wall / 1e6, cpu / 1e6) for wall, cpu in zip(durations, processor, strict=True)]
