"""Notes as the channels that a model reads."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.scores.conditions import FLOOR_BELS, Roll, conditions, voices_of
from engine.scores.timed import Note

RATE, RATIO = 16000, 16  # rows of a millisecond


def rows(*notes: tuple[float, float, float], voices: int = 2, seconds: float | None = None
         ) -> np.ndarray:
    return conditions([Note(*note, 0.5) for note in notes], RATIO, RATE, voices, seconds)


def test_the_layout() -> None:
    x = rows((0.1, 0.2, 72), (0.5, 0.1, 54), seconds=1.0)
    assert x.shape == (6, 1000)
    assert x.dtype == np.float32
    pitch, gate, other, closed, loudness, free = x
    assert np.array_equal(np.flatnonzero(gate), [*range(100, 300), *range(500, 600)])
    assert np.array_equal(pitch[:500], np.ones(500))  # an octave above middle C; it stays
    assert np.allclose(pitch[500:], -0.5)
    assert not other.any()
    assert not closed.any()
    assert not free.any()
    assert loudness[200] == pytest.approx(-2.3, abs=0.1)
    assert loudness[450] == FLOOR_BELS


def test_the_lowest_of_a_chord_is_first() -> None:
    x = rows((0, 1, 76), (0, 1, 60), (0, 1, 67), voices=3)
    assert np.allclose(x[0:6:2, 500], [0, 7 / 12, 16 / 12])
    assert x[1:6:2].all()
    assert x[6, 500] == pytest.approx(rows((0, 1, 60))[4, 500] + np.log10(3), abs=1e-3)


def test_a_held_note_keeps_its_pair() -> None:
    x = rows((0, 1, 67), (0.5, 0.5, 60), (1.0, 0.5, 62), (0.75, 0.25, 64), voices=3)
    assert np.allclose(x[0, :1000], 7 / 12)
    assert np.allclose(x[2, 500:1000], 0)
    assert np.allclose(x[4, 750:1000], 4 / 12)
    assert np.allclose(x[0, 1000:], 2 / 12)


def test_legato_stays_in_one_pair_with_its_gate_open() -> None:
    x = rows((0, 0.512, 60), (0.5, 0.512, 62), (1.0, 0.5, 64))
    assert x[1].all()
    assert not x[3].any()
    assert np.array_equal(np.flatnonzero(np.diff(x[0])) + 1, [500, 1000])


def test_a_repeated_note_opens_its_gate_anew() -> None:
    """Without a gap, with one too short for a row, and where it sounds on."""
    for end in (0.5, 0.4997, 0.9):
        x = rows((0, end, 60), (0.5, 0.5, 60), voices=1)
        assert np.array_equal(np.flatnonzero(x[1] == 0), [496, 497, 498, 499])
    wide = rows((0, 0.45, 60), (0.5, 0.5, 60), voices=1)
    assert np.array_equal(np.flatnonzero(wide[1] == 0), range(450, 500))


def test_more_notes_than_voices_take_over_from_what_ends_first() -> None:
    x = rows((0, 1, 60), (0, 0.7, 67), (0.5, 0.4, 72))
    assert np.allclose(x[0], 0)
    assert x[1].all()
    assert np.allclose(x[2, :500], 7 / 12)
    assert np.allclose(x[2, 500:], 1)
    one = rows((0, 1, 60), (0.04, 1, 64), (0.08, 1, 67), voices=1)  # a broken chord: its top
    assert one[0, 900] == np.float32(7 / 12)


def test_parts_are_parts_of_the_whole() -> None:
    rng = np.random.default_rng(3)
    notes = [Note(float(rng.uniform(0, 5)), float(rng.uniform(0.01, 1)),
                  float(rng.integers(55, 91)), 0.5) for _ in range(60)]
    roll = Roll.of(notes, RATIO, RATE, 3)
    whole = roll.rows(0, 6000)
    assert 0.5 < whole[1].mean() < 1
    for first, count in ((0, 1), (17, 1000), (3001, 2999), (5990, 50)):
        part = roll.rows(first, count)
        assert part.shape == (6, count)
        inside = part[:, : 6000 - first]
        assert np.array_equal(inside, whole[:, first : first + count])
    # One note at a time in each pair.
    for pair in range(3):
        own = roll.pairs == pair
        assert (roll.ends[own][:-1] <= roll.starts[own][1:]).all()


def test_rows_of_another_rate() -> None:
    x = conditions([Note(0.5, 0.25, 60, 0.5)], 32, 8000, 1, 1.0)  # 250 rows a second
    assert x.shape == (4, 250)
    assert np.array_equal(np.flatnonzero(x[1]), range(125, 188))
    with pytest.raises(ConfigError, match="voices must lie between 1 and 4, not 5"):
        conditions([], RATIO, RATE, 5, 1.0)
    assert conditions([], RATIO, RATE, 1, 0.5).shape == (4, 500)


@pytest.mark.parametrize(("labels", "voices"), [
    (("pitch_oct", "gate", "loudness", "free"), 1),
    (("pitch_oct", "gate", "pitch_oct 2", "gate 2", "loudness", "free", "class"), 2),
    (("pitch_oct_1", "gate_1", "pitch_oct_2", "gate_2", "loudness", "free"), 2),
    (("pitch_oct", "gate") * 4 + ("loudness", "free"), 4),
    (("time",), 0),
    (("loudness", "free"), 0),
    (("pitch", "level"), 0),
    (("gate", "pitch_oct", "loudness", "free"), 0),
    (("pitch_oct", "gate", "loudness"), 0),
])
def test_voices_by_the_labels(labels: tuple[str, ...], voices: int) -> None:
    assert voices_of(labels) == voices
