"""Music that the note model makes up, and what `--score` names."""

from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.scores import note_model, score, timed
from engine.scores.choose import played_seconds, score_notes
from engine.scores.events import PITCH_CLASSES, TICKS, bar_ticks, events
from engine.scores.note_model import Piece, compose, play

SCALES = {"minor": {0, 2, 3, 5, 7, 8, 9, 10, 11}, "major": {0, 2, 4, 5, 7, 9, 11}}


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    return [compose(np.random.default_rng(seed), 60) for seed in range(6)]


def tops(piece: Piece) -> list[tuple[Fraction, int]]:
    """The highest note of each onset."""
    found: dict[Fraction, int] = {}
    for onset, _, note in piece.notes:
        found[onset] = max(found.get(onset, 0), note.pitch)
    return sorted(found.items())


def test_within_a_violin_a_key_and_bars(pieces: list[Piece]) -> None:
    assert len({(piece.metre, piece.key) for piece in pieces}) > 3
    for piece in pieces:
        root, mode = PITCH_CLASSES[piece.key.split()[0]], piece.key.split()[1]
        pitches = [note.pitch for _, _, note in piece.notes]
        assert min(pitches) >= 55
        assert max(pitches) <= 91
        inside = np.mean([(pitch - root) % 12 in SCALES[mode] for pitch in pitches])
        assert inside > 0.8  # keys change within a movement, here as in the sources (.8 to .95)
        bar = Fraction(bar_ticks(piece.metre), TICKS)
        assert piece.quarters % bar == 0
        begun = {onset // bar for onset, _, _ in piece.notes}
        assert len(begun) > 0.8 * piece.quarters / bar
        last = max(onset for onset, _, _ in piece.notes)
        assert last % bar + (piece.quarters - last) % bar in (0, bar)
        assert (tops(piece)[-1][1] - root) % 12 == 0
        assert 0.7 * 60 < float(piece.quarters) * 60 / piece.tempo < 60
        leaps = [abs(b - a) for (_, a), (_, b) in pairwise(tops(piece))]
        assert np.mean([leap > 12 for leap in leaps]) < 0.03


def longest_copy(ours: list[tuple[int, int]], theirs: list[tuple[int, int]]) -> int:
    """Onsets in a row whose intervals and rhythm are the same, in any key."""
    numbers = {step: index for index, step in enumerate({*ours, *theirs})}
    other = np.array([numbers[step] for step in theirs])
    run, best = np.zeros(len(other) + 1, np.int64), 0
    for step in ours:
        longer = np.zeros_like(run)
        at = np.flatnonzero(other == numbers[step])
        longer[at + 1] = run[at] + 1
        run, best = longer, max(best, int(longer.max()))
    return best + 1


def test_it_is_no_copy(pieces: list[Piece]) -> None:
    sources = [note_model.steps(events(piece)) for piece in score.movements().values()]
    assert longest_copy(sources[0], sources[0]) == len(sources[0]) + 1
    longest = []
    for piece in pieces:
        line = tops(piece)
        ours = [(b - a, int((after - onset) * TICKS))
                for (onset, a), (after, b) in pairwise(line)]
        longest.append(max(longest_copy(ours, source) for source in sources))
    assert max(longest) <= note_model.LONGEST + 1
    assert min(longest) >= 4  # else nothing of the sources is in it


def test_copies_are_counted_in_onsets() -> None:
    """Against every way to lay one line upon the other."""
    sources = [events(score.movement(name))[:80] for name in ("1001_4", "1004_4")]
    copies = note_model.Copies(sources)
    line = [*note_model.steps(sources[1])[20:34], (40, 1), *note_model.steps(sources[0])[3:9]]
    for count, step in enumerate(line, 1):
        wanted = max(ending_copy(line[:count], note_model.steps(source)) for source in sources)
        assert copies.run(step) == wanted
        copies.add(step)
        assert wanted == count + 1 or count > 14
    assert copies.run((41, 1)) == 1
    # Nothing goes on from the end of one source into the next.
    first, second = (note_model.steps(source) for source in sources)
    joined = note_model.Copies(sources)
    for step in first[-3:]:
        joined.add(step)
    assert joined.run(second[0]) < 4


def ending_copy(ours: list[tuple[int, int]], theirs: list[tuple[int, int]]) -> int:
    """Onsets at the end of `ours` that are somewhere in `theirs`."""
    for length in range(len(ours), 0, -1):
        tail = ours[-length:]
        if any(theirs[at : at + length] == tail for at in range(len(theirs) - length + 1)):
            return length + 1
    return 1


def test_as_long_as_asked_and_the_same_every_time() -> None:
    for seconds in (5.0, 60.0, 300.0):
        notes = play(3, seconds)
        assert notes == play(3, seconds)
        assert notes != play(4, seconds)
        assert notes[0].onset_s < 0.5
        assert 0.8 * seconds < timed.length_s(notes) < seconds + 1
        silences = [b.onset_s - max(n.end_s for n in notes[max(0, i - 5) : i + 1])
                    for i, b in enumerate(notes[1:])]
        assert max(silences) < 4
    assert play(3, 0.2)
    fast, slow = (timed.length_s(play(1, 20, tempo)) for tempo in (60, 180))
    assert fast == pytest.approx(slow, rel=0.35)
    with pytest.raises(ConfigError, match="seed must lie between 0 and 16777215"):
        play(-1, 5)


def test_another_process_plays_the_same() -> None:
    """Nothing hangs on the order of sets or on hashes of strings."""
    code = ("from engine.scores.note_model import play; from engine.scores.timed import written; "
            "import hashlib; print(hashlib.sha256(written(play(7, 20)).encode()).hexdigest())")
    found = {subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True,
        env={"PYTHONHASHSEED": str(number)}).stdout for number in (1, 2)}
    assert len(found) == 1


def test_it_needs_no_torch() -> None:
    code = ("import sys; import engine.scores.choose as c; c.score_notes('bach', 1, 2.0, None); "
            "assert not {'torch', 'scipy'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scores_by_name(tmp_path: Path) -> None:
    assert score_notes("bach", 1, 8.0, None) == play(1, 8.0)
    gigue = score_notes("1006_7", 1, None, None)
    assert len(gigue) == sum(len(bar.notes) for bar in score.movement("1006_7").bars)
    assert gigue != score_notes("1006_7", 2, None, None)
    half = timed.length_s(score_notes("1006_7", 1, None, 60))
    assert timed.length_s(score_notes("1006_7", 1, None, 120)) == pytest.approx(half / 2, rel=0.1)
    path = tmp_path / "a.notes"
    path.write_text(timed.written(gigue))
    again = score_notes(str(path), 1, None, None)
    assert [note.pitch for note in again] == [note.pitch for note in gigue]
    assert played_seconds(str(path), again) == pytest.approx(timed.length_s(gigue) + 0.5, abs=0.01)
    assert played_seconds("bach", gigue) == 10


@pytest.mark.parametrize(("name", "tempo", "message"), [
    ("1006_9", None, "--score 1006_9; did you mean"),
    ("song.txt", None, "give bach, a movement such as 1006_7, or a file .mid or .notes"),
    ("nothing.mid", None, "nothing.mid: No such file"),
    ("nothing.notes", None, "nothing.notes: No such file"),
    ("any.notes", 80.0, "--tempo: any.notes has times in seconds"),
])
def test_what_is_no_score(name: str, tempo: float | None, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        score_notes(name, 0, None, tempo)
