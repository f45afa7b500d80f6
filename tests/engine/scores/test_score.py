"""The shipped notes against what is known of these works."""

from __future__ import annotations

import lzma
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.scores import score
from engine.scores.events import TICKS, events, places, tonic

MOVEMENTS = {"1001": 4, "1002": 8, "1003": 4, "1004": 5, "1005": 4, "1006": 7}
# These end on another note of their key in the bass: two lead into a fugue by the dominant, one
# closes with the third below.
OTHER_END = {"1001_3": 4, "1003_1": 7, "1005_1": 7}


def test_all_movements_are_there() -> None:
    found = score.movements()
    assert Counter(name[:4] for name in found) == MOVEMENTS
    assert sum(len(bar.notes) for piece in found.values() for bar in piece.bars) == 25989
    assert sum(len(piece.bars) for piece in found.values()) == 2443
    assert set(score.HELD_OUT) < set(found)
    assert score.FILE.stat().st_size < 40_000


def test_written_and_read_back() -> None:
    text = lzma.decompress(score.FILE.read_bytes()).decode()
    assert score.written(score.parsed(text)) == text


@pytest.mark.parametrize("name", score.movements())
def test_bars_are_whole(name: str) -> None:
    """Short ones stand where one may: at the ends, around repeats and in endings, or as two halves
    of one."""
    piece = score.movement(name)
    whole = [4 * piece.ticks * bar.metre[0] // bar.metre[1] for bar in piece.bars]
    for number, bar in enumerate(piece.bars):
        assert bar.length <= whole[number], bar
        around = piece.bars[max(0, number - 1) : number + 2]
        halves = any(a.length + b.length == whole[number]
                     for a, b in pairwise(around))
        edge = number in (0, len(piece.bars) - 1)
        repeated = any(b.begins_repeat or b.ends_repeat or b.ending for b in around)
        assert bar.length == whole[number] or edge or repeated or halves, bar
        assert all(0 <= note.onset < bar.length and note.duration > 0 for note in bar.notes)
        assert {flag for note in bar.notes for flag in note.flags} <= set("stg")


@pytest.mark.parametrize("name", score.movements())
def test_a_violin_can_play_it(name: str) -> None:
    piece = score.movement(name)
    edges = []
    for onset, duration, note in piece.timed():
        assert 55 <= note.pitch <= 91
        edges += [(onset, 1), (onset + duration, -1)]
    sounding, most = 0, 0
    for _, change in sorted(edges):
        sounding += change
        most = max(most, sounding)
    assert 1 <= most <= 4
    assert sounding == 0


@pytest.mark.parametrize("name", score.movements())
def test_it_ends_on_its_tonic(name: str) -> None:
    piece = score.movement(name)
    notes = piece.timed()
    last = max(onset for onset, _, _ in notes)
    bass = min(note.pitch for onset, _, note in notes if onset == last)
    assert (bass - tonic(piece)) % 12 == OTHER_END.get(name, 0)


@pytest.mark.parametrize("name", score.movements())
def test_onsets_as_events(name: str) -> None:
    piece = score.movement(name)
    assert TICKS % piece.ticks == 0
    found = events(piece)
    assert len(found) == len({onset for onset, _, _ in piece.timed()})
    first = piece.timed()[0][0]
    assert sum(event.step for event in found) == (piece.quarters() - first) * TICKS
    # A bar line stands where the next bar begins, upbeats and divided bars included.
    whole = {4 * TICKS * bar.metre[0] // bar.metre[1] for bar in piece.bars}
    for event, after in pairwise(found):
        assert any((event.place + event.step - after.place) % bar == 0 for bar in whole)
    assert len(list(places(piece))) == len(piece.bars)


def test_parts_of_a_movement() -> None:
    piece = score.movement("1006_7")
    whole, half = piece.timed(), piece.timed(0, 20)
    assert half == whole[: len(half)]
    assert piece.quarters(0, 20) + piece.quarters(20) == piece.quarters()
    assert piece.timed(20)[0][0] == 0


@pytest.mark.parametrize(("text", "message"), [
    ("1 3/4 6 | 0:2:60\n", "line 1 of the score is neither"),
    ('= a "b" C major 80 2\n1 3/4 6 | 0:2\n', "line 2 of the score: '0:2' is no"),
])
def test_what_is_no_score(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        score.parsed(text)


def test_an_unknown_movement() -> None:
    with pytest.raises(ConfigError, match="no movement '1006_8'"):
        score.movement("1006_8")


def test_it_is_part_of_the_package() -> None:
    """`package-data` takes all files of a package's folder: it has to be one, and no suffix of it
    may be excluded."""
    import tomllib

    root = Path(__file__).parents[3]
    assert (score.FILE.parent / "__init__.py").exists()
    tool = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert tool["package-data"] == {"*": ["*"]}
    assert not any(score.FILE.match(pattern) for pattern in tool["exclude-package-data"]["*"])
