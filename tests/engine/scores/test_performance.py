"""Scores as they are played, and notes in files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.scores import score, timed
from engine.scores.performance import GAP_S, LEAST_S, OVERLAP_S, Manner, perform
from engine.scores.score import ScoreNote
from engine.scores.timed import Note

STILL = Manner(60, 0.0, 0.5, 0.0, 1.0, (0.0,) * 5)  # a quarter is a second, no rubato


def played(*notes: tuple[float, float, int, str], quarters: float = 8, closes: bool = False,
           manner: Manner = STILL) -> list[Note]:
    scored = [(Fraction(onset), Fraction(length), ScoreNote(0, 0, pitch, flags))
              for onset, length, pitch, flags in notes]
    return perform(scored, quarters, manner, np.random.default_rng(1), closes)


def test_the_bow_turns_between_notes_but_not_within_a_slur() -> None:
    first, second, third = played((0, 1, 60, ""), (1, 1, 62, "s"), (2, 1, 64, ""))
    assert first.end_s - second.onset_s == pytest.approx(OVERLAP_S)
    assert GAP_S[0] / 2 < third.onset_s - second.end_s < 2 * GAP_S[1]
    assert (first.slurred, second.slurred, third.slurred) == (False, True, False)


def test_a_repeated_note_has_a_gap_even_in_a_slur() -> None:
    first, second = played((0, 1, 60, ""), (1, 1, 60, "s"))
    assert second.onset_s - first.end_s >= GAP_S[0] - 1e-9


def test_chords_of_four_are_broken_from_below() -> None:
    chord = played(*((0, 4, pitch, "") for pitch in (55, 62, 71, 79)))
    assert [note.pitch for note in chord] == [55, 62, 71, 79]
    onsets = [note.onset_s for note in chord]
    assert min(np.diff(onsets)) > 0.02
    assert chord[0].duration_s < 0.3 > chord[1].duration_s
    assert chord[2].duration_s > 3 < chord[3].duration_s
    two = played((0, 4, 62, ""), (0, 4, 71, ""))
    assert two[0].onset_s == two[1].onset_s


def test_tempo_rubato_and_the_end() -> None:
    quarters = [(float(at), 1.0, 60 + at % 7, "") for at in range(40)]
    even = np.diff([note.onset_s for note in played(*quarters, quarters=40)])
    assert np.abs(even - 1).max() < 0.03
    closing = np.diff([note.onset_s for note in played(*quarters, quarters=40, closes=True)])
    assert closing[-1] > 1.25
    assert np.abs(closing[:30] - 1).max() < 0.03
    free = Manner(60, 0.05, 0.5, 0.0, 1.0, (0.0,) * 5)
    moved = np.diff([note.onset_s for note in played(*quarters, quarters=40, manner=free)])
    assert 0.05 < np.ptp(moved) < 0.3
    tempi = [Manner.drawn(np.random.default_rng(seed), 100).tempo for seed in range(50)]
    assert 85 <= min(tempi) < 90
    assert 110 < max(tempi) <= 115


def test_every_movement_can_be_played() -> None:
    rng = np.random.default_rng(0)
    for piece in score.movements().values():
        notes = perform(piece.timed(), float(piece.quarters()), Manner.drawn(rng, piece.tempo), rng)
        assert len(notes) == sum(len(bar.notes) for bar in piece.bars)
        assert notes == timed.in_order(notes)
        assert min(note.duration_s for note in notes) > LEAST_S / 2
        assert all(0.1 <= note.velocity <= 1 for note in notes)
        written = float(piece.quarters()) * 60 / piece.tempo
        assert 0.8 * written < timed.length_s(notes) < 1.4 * written


def test_notes_in_files(tmp_path: Path) -> None:
    notes = [Note(0.1, 0.25, 64.0, 0.5), Note(0.35, 1.5, 71.25, 0.75)]
    path = tmp_path / "a.notes"
    path.write_text(timed.written(notes[::-1]))
    assert timed.read_notes(path) == notes
    assert timed.length_s(notes) == 1.85


@pytest.mark.parametrize(("text", "message"), [
    ("", "does not begin with the line"),
    ("0,1,60,0.5\n", "does not begin with the line"),
    (timed.HEADER + "\n", "holds no notes"),
    (timed.HEADER + "\n0,1,60,0.5\n1,2,60\n", "line 3: '1,2,60' is not four numbers"),
    (timed.HEADER + "\n0,-1,60,0.5\n", "line 2: a note begins at 0 s or later"),
    (timed.HEADER + "\n0,nan,60,0.5\n", "line 2: a note begins"),
    (timed.HEADER + "\n0,1,128,0.5\n", "line 2: pitches lie between 0 and 127"),
    (timed.HEADER + "\n0,1,60,64\n", "velocities above 0, up to 1"),
])
def test_files_of_notes_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.notes"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        timed.read_notes(path)
    assert "\n" not in str(error.value)
