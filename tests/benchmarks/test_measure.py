"""Times, percentiles, turns: judged with players of known speed."""

from __future__ import annotations

import gc
from time import sleep

import numpy as np
import pytest

from benchmarks.measure import (
    Times,
    alternate,
    block_count,
    burst_blocks,
    undisturbed,
    warm_up,
)
from benchmarks.results import busy_note


class Counter:
    def __init__(self, name, log):
        self.name, self.log = name, log

    def play(self, index):
        self.log.append((self.name, index))


def test_percentiles_and_misses_of_known_times():
    times = Times(np.arange(1.0, 1002.0))  # 1 ... 1001 ms
    assert times.p50 == 501
    assert times.p99 == 991
    assert times.percentile(99.9) == pytest.approx(1000)
    assert (times.max, times.mean) == (1001, 501)
    assert times.jitter_ms == 490
    assert times.misses(1000.5) == 1
    assert times.misses(1001) == 0  # on time is not late


def test_turns_are_bursts_with_one_untimed_block_each():
    log = []
    times = alternate([Counter("a", log), Counter("b", log)], 5, burst=3)
    assert [t.block_ms.size for t in times] == [5, 5]
    turn = [[(n, 0), (n, 0), (n, 1), (n, 2)] for n in "ab"]
    rest = [[(n, 3), (n, 3), (n, 4)] for n in "ab"]
    assert log == [*turn[0], *turn[1], *rest[0], *rest[1]]


def test_a_single_subject_plays_every_block_once():
    log = []
    alternate([Counter("a", log)], 5, burst=3)
    assert [index for _, index in log] == list(range(5))


def test_times_are_those_of_the_player(fake):
    from benchmarks.subject import FileSubject

    fast, slow = (FileSubject(fake(cost_ms=ms), "forward", 64) for ms in (0.5, 2.0))
    a, b = alternate([fast, slow], 40)
    assert (a.block_ms == 0.5).all()
    assert (b.block_ms == 2.0).all()


def test_warm_up_returns_the_usual_time(fake):
    from benchmarks.subject import FileSubject

    log = []
    subject = FileSubject(fake(cost_ms=1.0, log=log), "forward", 64)
    assert warm_up(subject, 0.02) == 1.0
    assert len(log) == 20
    assert warm_up(subject, 0) == 1.0
    assert len(log) == 23


def test_block_count_takes_the_asked_seconds_within_the_budget():
    assert block_count(10, 0.008, 1.0) == 1250
    assert block_count(1, 0.128, 1.0) == 300  # too few for percentiles otherwise
    assert block_count(1, 0.128, 1000.0) == 60  # a minute
    assert block_count(1, 0.128, 1e6) == 10


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_and_is_put_back(enabled):
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with undisturbed():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


def test_processor_time_leaves_out_waiting():
    class Sleeper:
        def play(self, index):
            sleep(0.005)

    (times,) = alternate([Sleeper()], 5)
    assert times.p50 >= 5
    assert times.cpu_p50 < 2


def test_a_busy_machine_is_named():
    row = {"block_ms_p50": 1.0, "block_cpu_ms_p50": 0.99, "block_ms_p99": 1.2}
    assert busy_note([row]) is None
    assert busy_note([]) is None
    assert "up to 2.0 times" in busy_note([row, {**row, "block_cpu_ms_p50": 0.5}])
    assert "9 times the median" in busy_note([row, {**row, "block_ms_p99": 9.0}])


@pytest.mark.parametrize(("fastest_ms", "blocks"), [(50.0, 8), (0.2, 8), (0.01, 100), (0.0, 1000)])
def test_bursts_of_short_blocks_are_long_enough_for_caches_to_settle(fastest_ms, blocks):
    assert burst_blocks(fastest_ms) == blocks
