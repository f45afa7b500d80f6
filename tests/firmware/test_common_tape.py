"""A frozen model of loops: its last bars come again from a tape, to the bit, on the clock."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.simulate_rack import Racked, events, play_rack
from tests.firmware.common_models import CHUNK, COMPRESSION, LOOP_RATE, FloatArray, beats, loops
from tests.firmware.common_play import BLOCK, RATE, native, refusal
from tests.firmware.machines import assert_same_bits, machine
from tests.firmware.test_common_clock import clock, silent

Row = tuple[float, str, int, float]
ROW = COMPRESSION * RATE // LOOP_RATE  # of the board's samples
# The decoder hears 0.13 s of what was before, and what keeps a steady voltage off remembers 0.6 s.
SETTLED = 4 * RATE // 5
FROZEN = 1
MAPPING = "way source\nknob1 latent 9\nknob2 latent 8\nknob6 output 0 0.5\ngate1 freeze\n"


def hands(bpm: float, at: float, *more: Row) -> list[Row]:
    """A host's song, noise that is new in every chunk, and a gate that holds what was."""
    return [(0.0, "knob", 0, 0.8), (0.0, "knob", 1, 1.0), (0.0, "knob", 5, 1.0),
            (0.0, "tempo", 0, bpm), (0.0, "at beat", 0, 0.0), (at, "gate", 0, 1.0), *more]


def frozen(bpm: float, seconds: float, at: float = 7.0, *more: Row, bars: int = 1,
           mapping: str = MAPPING) -> FloatArray:
    return native([loops()], f"{mapping}tape {bars}\n", hands(bpm, at, *more),
                  audio=silent(seconds)).audio[0]


def apart(y: FloatArray, begin: int, length: int, by: int) -> float:
    a, b = y[begin : begin + length], y[begin + by : begin + by + length]
    assert a.size == b.size == length
    assert a.std() > 0.01
    return float(np.abs(a - b).max())


@pytest.mark.parametrize("bars", [1, 2])
def test_what_is_frozen_comes_again_to_the_bit(bars: int) -> None:
    """At 125 beats a minute a bar is 240 rows. The gate falls on beat 14.6: the loop ends at 15."""
    length = bars * 4 * 60 * RATE // 125
    y = frozen(125, 20, bars=bars)
    begin, heard = 15 * 60 * RATE // 125, length - SETTLED
    assert apart(y, begin - length + SETTLED, heard, -length) > 0.1, "every bar was another"
    assert apart(y, begin - length + SETTLED, heard, length) == 0, "the bar that was heard"
    assert apart(y, begin + SETTLED, len(y) - begin - SETTLED - length, length) == 0


@pytest.mark.parametrize(("bpm", "beats_held", "rows"), [
    (128, 4, (234, 235)), (93.7, 4, (320, 321)), (35, 2, (428, 429))])
def test_a_bar_that_is_no_whole_number_of_rows(
    bpm: float, beats_held: int, rows: tuple[int, int]
) -> None:
    """Rounds are a row longer or shorter, so that they stay on the beat; all other rows are the
    same. Where a bar has no room on the tape, half of it is repeated."""
    y = frozen(bpm, 24)
    line = beats_held * 60 / bpm * RATE
    begin = round(7 * bpm / 60) * 60 / bpm * RATE
    found = []
    for k in range(1, int((len(y) - begin) / line) - 1):
        at, length = round(begin + k * line) + SETTLED, round(line) - SETTLED - 3 * ROW
        same = [n for n in rows if apart(y, at, length, n * ROW) == 0]
        assert len(same) == 1
        found += same
    assert set(found) == set(rows)
    assert sum(found) * ROW == pytest.approx(len(found) * line, abs=ROW)


def clicks(run: Racked, bpm: float, since: float) -> np.ndarray:
    """Seconds of clicks from a moment on."""
    y, near = run.audio[0].astype(float), round(20 / bpm * RATE)
    high = np.flatnonzero(y[1:-1] > 0.1) + 1
    peaks = [i for i in high if y[i] == y[max(0, i - near) : i + near].max()]
    return np.array([i / RATE for i in peaks if i / RATE > since])


def test_it_stays_on_a_jittering_clock_and_follows_its_tempo() -> None:
    """Thirty bars later clicks are within half a row of their lines, and one row, when the tempo
    has changed and rows are left out or come twice."""
    rows = [*clock(128, 62, seed=3), (8.0, "gate", 0, 1.0)]
    run = native([beats()], "way source\ngate1 freeze\n", rows, audio=silent(62))
    assert run.status["flags"][-1] & FROZEN
    at = clicks(run, 128, 9.0)
    assert at.size > 100
    beat = (at - 0.1) * 128 / 60
    assert np.abs(beat - np.round(beat)).max() * 60 / 128 < ROW / 2 / RATE + 0.002
    changed = [(0.0, "tempo", 0, 120.0), (0.0, "at beat", 0, 0.0), (6.0, "gate", 0, 1.0),
               (10.0, "tempo", 0, 99.0)]
    run = native([beats()], "way source\ngate1 freeze\n", changed, audio=silent(30))
    at = clicks(run, 99, 12.0)
    beat = 20 + (at - 10.0) * 99 / 60
    assert at.size >= 28
    assert np.abs(beat - np.round(beat)).max() * 60 / 99 < ROW / RATE + 0.002


def test_a_loop_that_is_not_there_yet_is_waited_for() -> None:
    length = 4 * 60 * RATE // 125
    y = frozen(125, 12, at=0.3)
    assert apart(y, SETTLED, length - SETTLED, length) == 0
    assert apart(y, 2 * length, length * 3, length) == 0


def test_what_goes_on_is_as_if_nothing_had_been_held() -> None:
    """The generator runs on beneath the tape."""
    held, free = frozen(125, 14, 5.0, (9.0, "gate", 0, 0.0)), frozen(125, 14, at=20.0)
    same = held == free
    line = 60 * RATE // 125
    assert same[: 10 * line].all(), "beat 10.4: the loop ends at 10"
    assert not same[11 * line : 18 * line].any()
    assert same[19 * line + SETTLED :].all(), "freed at beat 18.8"


def test_freezing_again_waits_for_a_loop_of_its_own() -> None:
    y = frozen(125, 18, 5.0, (9.0, "gate", 0, 0.0), (9.4, "gate", 0, 1.0))
    free, length, line = frozen(125, 18, at=20.0), 4 * 60 * RATE // 125, 60 * RATE // 125
    first = 20 * line + SETTLED // 4  # freed at beat 18.8; what was held has died away
    assert np.array_equal(y[first : 22 * line], free[first : 22 * line])
    assert apart(y, first, 2 * length, length) == 0
    assert apart(y, 6 * RATE, RATE, 3 * length) > 0.1


def test_at_the_bar_the_loop_is_a_whole_one() -> None:
    mapping = MAPPING.replace("freeze", "freeze at=bar")
    y, free = frozen(125, 14, mapping=mapping), frozen(125, 14, at=20.0)
    bar = 4 * 60 * RATE // 125
    different = np.flatnonzero(y != free)
    assert abs(int(different[0]) - 4 * bar) < ROW
    assert apart(y, 3 * bar + SETTLED, bar - SETTLED - ROW, bar) == 0


def test_a_reset_empties_the_tape() -> None:
    mapping = MAPPING + "gate2 reset\n"
    y = frozen(125, 16, 5.0, (8.0, "gate", 1, 1.0), mapping=mapping)
    length = 4 * 60 * RATE // 125
    assert apart(y, 6 * RATE, RATE // 2, length // 4) > 0.1
    assert apart(y, 6 * RATE, RATE, length * 2) > 0.1, "another loop is recorded"
    assert apart(y, 8 * RATE + 2 * length, length, length) == 0


@pytest.mark.parametrize("line", ["tape", "tape 0", "tape 9", "tape 1 2"])
def test_mistakes_are_named(line: str) -> None:
    said = refusal(f"way source\n{line}\n", loops())
    assert said.startswith("m0: line 2: tape wants the bars that a freeze repeats, from 1 to 8")


def test_memory_is_that_of_one_loop() -> None:
    """Four latents and a position, 125 rows a second, for a bar of 40 beats a minute."""
    def bulk(mapping: str) -> int:
        run = native([loops()], "way source\n" + mapping, [], seconds=1)
        return int(run.slots[0]["bulk_bytes"])

    one, two = bulk("tape 1\n"), bulk("tape 2\n")
    assert two - one == pytest.approx(6 * 125 * 5 * 4, abs=128)
    assert bulk("tape 1\nmeter 8\n") == two


@pytest.mark.parametrize("target", ["aarch64", "m7"])
def test_the_same_bits_everywhere(target: str) -> None:
    """Frozen, freed, morphed, jumped and reset, with two streams, on a board of another rate."""
    mapping = (MAPPING + "stereo on\nknob3 morph\nknob4 walk\nknob5 rate unit=beat\nnote jump\n"
               "gate2 reset at=beat\ngate3 jump at=bar\ncc14 attribute seed 0 127 smooth=0\n")
    rows = hands(137, 2.2, (4.6, "gate", 0, 0.0), (0.7, "midi", 0, 0x904064),
                 (0.9, "midi", 0, 0xB00E31), (1.2, "knob", 2, 0.7), (1.3, "knob", 3, 0.4),
                 (1.5, "gate", 2, 1.0), (5.1, "gate", 1, 1.0))

    def play(name: str) -> Racked:
        return play_rack(machine(name), [loops()], maps=[mapping], script=events(rows, RATE),
                         seconds=6, channels=(1, 2), block=BLOCK, heard=64)

    wanted, got = play("native"), play(target)
    assert wanted.refused == ()
    assert wanted.audio.shape == (2, 6 * RATE)
    assert not np.array_equal(*wanted.audio), "two streams draw by themselves"
    assert_same_bits(got.audio, wanted.audio, target)
    assert got.status.tobytes() == wanted.status.tobytes()
    assert CHUNK * ROW == 3072
