"""The machine's ceilings, and what follows from them."""

from __future__ import annotations

import os

import numpy as np
import pytest

from benchmarks import peak
from benchmarks.bounds import block_bound, memory_of
from benchmarks.machine import describe_machine, peak_memory_bytes
from benchmarks.stimulus import beats, blocks
from engine.boards.cost import MethodCost, OpCost


def test_peak_is_plausible_and_above_what_numpy_reaches_on_small_work():
    found = peak.fma_peak(0.05)
    assert 0.5 < found.gflops < 2000
    assert found.method


def test_without_a_compiler_numpy_stands_in(monkeypatch):
    monkeypatch.setattr(peak, "_library", lambda avx2: None)
    assert "matrix product" in peak.fma_peak(0.02).method
    assert peak.read_bandwidth(1 << 20, 0.01) > 1e8


def test_a_failing_compiler_is_no_error(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", "false")
    peak._library.cache_clear()
    try:
        assert peak.fma_peak(0.02).gflops > 0
        assert not list(tmp_path.rglob("*.so"))
    finally:
        peak._library.cache_clear()


def test_compiled_loops_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    peak._library.cache_clear()
    try:
        if peak._library(False) is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)("no compiler here")
        assert [p.parent.name for p in tmp_path.rglob("*.so")] == ["nn-tudor"]
    finally:
        peak._library.cache_clear()


def test_small_buffers_are_read_faster_than_large_ones():
    # Each is the best of its time; a busy machine may take that time away, but not three times.
    small = max(peak.read_bandwidth(16 << 10, 0.02) for _ in range(3))
    assert small > 1.2 * peak.read_bandwidth(128 << 20, 0.05)


def test_machine_names_what_a_reader_needs():
    machine = describe_machine(2)
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert machine["threads"] == 2
    assert {"python", "numpy"} <= set(machine["versions"])
    assert peak_memory_bytes() is None or peak_memory_bytes() > 1e7


def _op(macs: float, weights: int) -> OpCost:
    return OpCost("x", "conv1d", 1, 1, 100.0, macs, weights, 0, ("pytorch",))


def test_bound_takes_the_slower_of_arithmetic_and_reading_per_operation():
    # 1 GFLOP/s: 1e6 MAC/s over 10 ms are 1e4 MACs, 0.02 ms; 1 GB/s: 1000 bytes are 0.001 ms.
    cost = MethodCost("m", (_op(1e6, 1000), _op(0.0, 50_000)))
    bound = block_bound(cost, 0.01, 1.0, {"L1d": "32K", "L2": "1M"}, lambda size: 1e9)
    assert bound.arithmetic_ms == pytest.approx(0.02)
    assert bound.reading_ms == pytest.approx(0.051)
    assert bound.combined_ms == pytest.approx(0.02 + 0.05)
    assert bound.memory == "L2"
    assert bound.limit == "L2 reads"


def test_memory_levels():
    caches = {"L1d": "32K", "L2": "1024K", "L3": "32768K"}
    assert memory_of(1000, caches) == "L1d"
    assert memory_of(2 << 20, caches) == "L3"
    assert memory_of(1 << 30, caches) == "DRAM"
    assert memory_of(1000, {}) == "memory"


def test_stimulus_has_loud_quiet_and_silent_blocks():
    x = beats(2, 64000, 16000)
    assert x.shape == (2, 64000)
    assert x.dtype == np.float32
    assert np.abs(x).max() <= 1
    levels = np.array([np.sqrt(np.mean(b**2)) for b in blocks(x, 256)])
    assert levels.max() > 0.1
    assert levels.min() == 0
    assert ((levels > 0) & (levels < 0.003)).any()
    assert np.array_equal(x, beats(2, 64000, 16000))
