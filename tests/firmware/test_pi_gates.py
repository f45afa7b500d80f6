"""From the kernel's records of edges to events of the instrument: every pulse is seen, at its own
time, and contacts that bounce are one. And what the LEDs say."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise

import numpy as np
import pytest
from pi_build import HERE, controls_driver

RATE, BLOCK = 48000, 128
LOW, HIGH = 0, 1  # of the pin: low means on
MS = 1_000_000
START = 5 * 10**9 + 123_456  # ns
JACK, BUTTON = "j", "b"
PLAYING, EMPTY = 1, 0
FROZEN, RECORDING, LOOPING = 1, 2, 4


def said(*lines: str) -> list[str]:
    done = subprocess.run([str(controls_driver(HERE / "pi_gates.c"))], input="".join(
        f"{line}\n" for line in lines), capture_output=True, text=True)
    assert done.returncode == 0, f"{done.returncode} {done.stderr}"
    return done.stdout.splitlines()


def heard(kinds: str, *lines: str) -> list[tuple[int, int, int]]:
    """(gate, level, stamp) of what was pushed after the levels at the start."""
    pushes = [tuple(map(int, line.split()[1:])) for line in said(f"gates {kinds}", *lines)
              if line.startswith("push")]
    assert pushes[:len(kinds)] == [(i, 0, 5000 + BLOCK) for i in range(len(kinds))]
    return [(gate, level, at) for gate, level, at in pushes[len(kinds):]]


def at_sample(ns: int, samples: int = 0, begun: int = START) -> int:
    """The stamp of what happened at `ns` when block `samples` began at `begun`: a block later."""
    return (samples + (ns - begun) * RATE // 10**9 + BLOCK) % 2**32


@pytest.mark.parametrize("length_ms", [0.3, 0.5, 1, 2, 4, 5, 8, 20])
def test_a_pulse_is_seen_at_its_own_time(length_ms: float) -> None:
    rose, fell = START + 700_000, START + 700_000 + int(length_ms * MS)
    lines = [f"block 0 {START}", f"edge 17 {LOW} {rose}", f"read {rose + 90_000}",
             f"edge 17 {HIGH} {fell}", f"read {fell + 90_000}", f"read {fell + MS}"]
    # The audio thread goes on meanwhile.
    for n in range(1, 9):
        begun = START + n * BLOCK * 10**9 // RATE
        at = next((i for i, line in enumerate(lines) if int(line.split()[-1]) > begun), len(lines))
        lines.insert(at, f"block {n * BLOCK} {begun}")
    (gate, on, first), (_, off, last) = heard(JACK, *lines)
    assert (gate, on, off) == (0, 1, 0)
    assert abs(first - at_sample(rose)) <= 1
    # No shorter than the lock-out of a jack.
    assert abs(last - at_sample(max(fell, rose + MS // 2))) <= 1


def test_a_pulse_that_is_over_before_it_is_read_is_seen() -> None:
    rose = START + 100_000
    got = heard(JACK, f"block 0 {START}", f"edge 17 {LOW} {rose}",
                f"edge 17 {HIGH} {rose + 300_000}", f"read {rose + 310_000}", f"read {rose + MS}")
    assert got == [(0, 1, at_sample(rose)), (0, 0, at_sample(rose + MS // 2))]


def test_what_is_held_back_is_due_at_the_end_of_the_lock_out() -> None:
    told = said("gates b", f"block 0 {START}", f"edge 17 {LOW} {START}",
                f"edge 17 {HIGH} {START + MS}", f"read {START + MS}",
                f"read {START + 8 * MS - 1}", f"read {START + 8 * MS}")
    due = [line for line in told if line.startswith("due")]
    assert due == [f"due {START + 8 * MS}"] * 2
    assert told[-1] == f"push 0 0 {at_sample(START + 8 * MS)}"


def bounces(rng: np.random.Generator, at: int, within_ns: int, level: int) -> list[tuple[int, int]]:
    """(ns, level) of contacts that come to rest at `level` after `at`."""
    times = np.sort(rng.integers(1, within_ns, 2 * int(rng.integers(1, 12))))
    return [(at, level), *((at + int(t), level if i % 2 else 1 - level)
                           for i, t in enumerate(times))]


@pytest.mark.parametrize(("kind", "within_ns"), [(BUTTON, 6 * MS), (JACK, 400_000)])
def test_contacts_that_bounce_are_one_edge(kind: str, within_ns: int) -> None:
    rng = np.random.default_rng(3)
    lines, wanted = [f"block 0 {START}"], []
    for n in range(20):
        down, up = START + n * 60 * MS, START + n * 60 * MS + 30 * MS
        for at, level in ((down, LOW), (up, HIGH)):
            begun = at - at % MS
            lines.append(f"block {n} {begun}")
            lines += [f"edge 17 {went} {t}" for t, went in bounces(rng, at, within_ns, level)]
            lines.append(f"read {at + 9 * MS}")
            wanted.append((0, 1 - level, at_sample(at, n, begun)))
    assert heard(kind, *lines) == wanted


def test_only_the_word_button_makes_a_gate_slow() -> None:
    """Two presses 4 ms apart: two for a jack, one long for a button."""
    edges = [f"edge {line} {level} {START + at * MS}" for at, level in
             ((0, LOW), (2, HIGH), (4, LOW), (6, HIGH)) for line in (17, 18)]
    got = heard("jb", f"block 0 {START}", *edges, f"read {START + 20 * MS}")
    assert [level for gate, level, _ in got if gate == 0] == [1, 0, 1, 0]
    assert [level for gate, level, _ in got if gate == 1] == [1, 0]


def test_times_wrap() -> None:
    """Nanoseconds are compared modulo 2^32, samples counted so."""
    for begun in (2**32 - 1000, 7 * 2**32 - 2_000_000, 2**40 - 500_000):
        for samples in (0, 2**32 - 40, 2**31 - 10):
            rose = begun + 900_000
            got = heard(JACK, f"block {samples} {begun}", f"edge 17 {LOW} {rose}",
                        f"edge 17 {HIGH} {rose + 2 * MS}", f"read {rose + 3 * MS}")
            assert got == [(0, 1, at_sample(rose, samples, begun)),
                           (0, 0, at_sample(rose + 2 * MS, samples, begun))]


def test_a_block_that_wakes_up_late_does_not_shift_the_gates() -> None:
    """The audio thread is late by up to 0.1 ms, now and then by 0.5; the card's clock drifts."""
    rng = np.random.default_rng(6)
    lines, wanted = [], []
    block_ns = BLOCK * 10**9 / RATE * 1.0001
    for n in range(400):
        began = START + int(n * block_ns)
        late = 500_000 if n % 50 == 49 else int(rng.integers(0, 100_000))
        lines.append(f"wake {n * BLOCK} {began + late}")
        at = began + int(rng.integers(600_000, 2_000_000))
        lines += [f"edge 17 {n % 2} {at}", f"read {at}"]
        wanted.append(n * BLOCK + BLOCK + (at - began) * RATE / 10**9)
    got = np.array([at for _, _, at in heard(JACK, *lines)])
    late_samples = got - np.array(wanted)
    assert len(got) == 400
    assert np.ptp(late_samples[50:]) <= 4  # 0.08 ms; as woken up it would be 24


def test_edges_of_before_the_block_count_back() -> None:
    got = heard(JACK, f"block 1000 {START}", f"edge 17 {LOW} {START - MS}", f"read {START}")
    assert got == [(0, 1, 1000 - 48 + BLOCK)]


def test_without_a_block_the_count_of_blocks_is_the_time() -> None:
    """None has begun, or the sound has stopped."""
    old = heard(JACK, f"block 77 {START}", f"edge 17 {LOW} {START + 900 * MS}",
                f"read {START + 900 * MS}")
    none = heard(JACK, f"edge 17 {LOW} {START}", f"read {START}")
    assert old == none == [(0, 1, 5000 + BLOCK)]


def test_a_thread_that_wakes_up_late_still_finds_every_pulse() -> None:
    """Two pulses shorter than the lock-out are read at once: the first has ended in between."""
    edges = [f"edge 17 {level} {START + at}" for at, level in
             ((0, LOW), (300_000, HIGH), (5 * MS, LOW), (5 * MS + 300_000, HIGH))]
    got = heard(JACK, f"block 0 {START}", *edges, f"read {START + 10 * MS}")
    assert got == [(0, on, at_sample(START + at)) for at, on in (
        (0, 1), (500_000, 0), (5 * MS, 1), (5 * MS + 500_000, 0))]


def test_gates_do_not_hold_each_other_back_and_keep_their_order() -> None:
    rng = np.random.default_rng(4)
    at, lines = START, [f"block 0 {START}"]
    level = dict.fromkeys((17, 18, 19), HIGH)
    edges = 0
    for _ in range(300):
        at += int(rng.integers(200_000, 900_000))
        line = int(rng.choice([17, 18, 19]))
        level[line] = 1 - level[line]
        lines += [f"block {(at - START) * RATE // 10**9} {at}", f"edge {line} {level[line]} {at}"]
        edges += 1
        if rng.random() < 0.5:
            lines.append(f"read {at}")
    got = heard("jjj", *lines, f"read {at + 10 * MS}")
    assert all(a <= b for (_, _, a), (_, _, b) in pairwise(got))
    for gate in range(3):
        levels = [on for g, on, _ in got if g == gate]
        assert all(a != b for a, b in pairwise(levels))
        assert levels[-1] == 1 - level[17 + gate]
    assert edges * 0.7 < len(got) <= edges


def test_a_record_that_the_kernel_dropped_leaves_no_gate_hanging() -> None:
    """Its buffer drops the oldest: two edges of the same kind follow each other."""
    got = heard(JACK, f"block 0 {START}", f"edge 17 {LOW} {START}", f"edge 17 {LOW} {START + MS}",
                f"edge 17 {HIGH} {START + 2 * MS}", f"edge 17 {HIGH} {START + 3 * MS}",
                f"read {START + 4 * MS}")
    assert [on for _, on, _ in got] == [1, 0]


def lit(led: int, flags: int, slot: int = 0, clipped: frozenset[int] = frozenset(),
        state: int = PLAYING) -> str:
    """One LED for 8 s, a letter each 20 ms."""
    told = said(*(f"leds {slot} {state} {flags} {int(ms in clipped)} {ms}"
                  for ms in range(20, 8020, 20)))
    return "".join("#" if int(line.split()[1]) >> led & 1 else "." for line in told)


@pytest.mark.parametrize("slot", [0, 1, 4, 7])
def test_the_light_counts_the_slot_that_was_chosen(slot: int) -> None:
    pattern = lit(0, 0, slot)
    flashes = re.findall("#+", pattern)
    assert len(flashes) == slot + 2
    assert {len(flash) for flash in flashes[:-1]} <= {7, 8}
    assert len(flashes[-1]) > 200  # then it is steady
    assert pattern.endswith("#")


def test_recording_looping_and_frozen_blink_differently() -> None:
    shares = {}
    for name, flags in (("recording", RECORDING), ("looping", LOOPING), ("frozen", FROZEN)):
        pattern = lit(0, flags)[100:]
        shares[name] = pattern.count("#") / len(pattern)
        changes = sum(a != b for a, b in pairwise(pattern)) / (len(pattern) * 0.02)
        assert changes == pytest.approx({"recording": 10, "looping": 4, "frozen": 2}[name], rel=0.1)
    assert shares["frozen"] < 0.15 < 0.45 < shares["recording"] < 0.55 < 0.8 < shares["looping"]
    assert set(lit(0, 0, state=EMPTY)) == {"."}
    assert set(lit(1, 0, state=EMPTY)) == {"#"}


def test_lights_of_their_own_are_steady_and_a_clip_is_held() -> None:
    for led, flags in ((3, FROZEN), (4, RECORDING), (5, LOOPING)):
        assert set(lit(led, flags)) == {"#"}
        assert set(lit(led, 7 - flags)) == {"."}
    pattern = lit(2, 0, clipped=frozenset({4000}))
    assert re.findall("#+", pattern) == ["#" * 8]
    assert pattern.index("#") == 4000 // 20 - 1
