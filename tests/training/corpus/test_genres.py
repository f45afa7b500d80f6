"""Strokes of genres: what they are called, that they differ, and that nothing else changed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.training.corpus.test_kinds import tudor
from training.corpus import genres, hits, kinds
from training.data.hit_facts import classes_of, read_strokes

RATE = 16000
ALL = tuple(sorted(genres.GENRES))


def strokes(of_class: str, genre: str, count: int, rate: int = RATE) -> list[tuple]:
    index = hits.ORDER.index(of_class)
    return [hits.render_hit(3, index + turn * len(hits.ORDER), rate, of_genres=(genre,))
            for turn in range(count)]


def test_there_are_enough_of_them() -> None:
    assert len(genres.GENRES) >= 6
    assert len(hits.ORDER) >= 8
    names = {name for genre in genres.GENRES.values() for name in genre.ranges}
    assert names <= set(hits.ORDER)


def test_every_range_moves_a_parameter_that_a_class_has() -> None:
    """A slip in a name would leave a genre as it is without a word."""
    for name, genre in genres.GENRES.items():
        for of_class, ranges in genre.ranges.items():
            drawn = [draw(np.random.default_rng(0)) for _, draw, _ in hits.CLASSES[of_class]]
            for key, (low, high) in ranges.items():
                assert 0 < low < high, (name, of_class, key)
                having = [spec for spec in drawn if getattr(spec, key, 0.0)]
                assert having, (name, of_class, key)
                for spec in having:
                    moved = genres.of_genre(spec, name, of_class, np.random.default_rng(1))
                    assert low <= getattr(moved, key) <= high


def test_without_genres_a_corpus_is_what_it_was() -> None:
    """Figures of the version before there were genres."""
    audio, row = hits.render_hit(5, 18, RATE)
    assert {key: row[key] for key in ("file", "way", "velocity", "samples")} == {
        "file": "kick/kick_00018.wav", "way": "machine", "velocity": 0.8108, "samples": 5193}
    assert row["rms_dbfs"] == pytest.approx(-15.29, abs=0.02)
    assert '"tune_hz":55.5,"sweep_hz":173.9' in row["voices"]
    assert "genre" not in row
    assert audio.shape == (1, 5193)


@pytest.mark.parametrize("genre", ALL)
def test_levels_are_those_of_any_corpus(genre: str) -> None:
    for index in range(len(hits.ORDER)):
        audio, row = hits.render_hit(2, index, RATE, of_genres=(genre,))
        assert row["file"].split("/")[:2] == [genre, row["kind"]]
        assert row["genre"] == genre
        assert np.isfinite(audio).all()
        assert 0.05 < np.abs(audio).max() < 0.9, row["file"]
        assert np.abs(audio[:, -1]).max() < 1e-3


def test_a_genre_can_be_heard() -> None:
    """Kicks of trap are lower and longer than those of jazz; hats of hip-hop were sampled."""
    def length_s(sound: np.ndarray) -> float:
        power = np.square(sound).cumsum()
        return float(np.searchsorted(power, 0.95 * power[-1])) / RATE

    longest = [np.median([length_s(audio[0]) for audio, _ in strokes("kick", genre, 12)])
               for genre in ("trap", "dnb")]
    assert longest[0] > 2 * longest[1]

    def above_12k(genre: str) -> float:
        shares = []
        for audio, _ in strokes("hat_closed", genre, 8, 48000):
            power = np.square(np.abs(np.fft.rfft(audio[0])))
            shares.append(power[len(power) // 2 :].sum() / power.sum())
        return float(np.median(shares))

    assert above_12k("hiphop") < 0.5 * above_12k("trap")


def test_the_command_makes_folders_that_data_of_hits_reads(tmp_path: Path) -> None:
    assert tudor("corpus", "drums", tmp_path / "d", "--minutes", 0.1, "--genre", "trap",
                 "--genre", "house", "--sample-rate-hz", RATE) == 0
    assert {path.name for path in (tmp_path / "d").iterdir()} == {"house", "trap", "metadata.csv"}
    with (tmp_path / "d" / "metadata.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert len(rows) >= 13
    assert (tmp_path / "d" / rows[0]["file"]).exists()
    found = read_strokes(tmp_path / "d")
    assert found[rows[0]["file"]].velocity == float(rows[0]["velocity"])
    classes, subclasses = classes_of(found, found)
    assert (len(classes), subclasses) == (12, ("house", "trap"))
    # Another corpus of the kind replaces it, and leaves no empty folders.
    kinds.write_corpus("drums", tmp_path / "d", 0.02, sample_rate_hz=RATE, genres=("jazz",))
    assert {path.name for path in (tmp_path / "d").iterdir()} == {"jazz", "metadata.csv"}


def test_all_are_all_and_files_do_not_depend_on_how_they_are_said(tmp_path: Path) -> None:
    assert kinds._genres(["all"]) == ALL
    assert kinds._genres(["trap", "house", "trap"]) == ("house", "trap")


@pytest.mark.parametrize(("words", "said"), [
    (("drums", "--genre", "tecno"), "did you mean 'techno'"),
    (("notes", "--genre", "house"), "--genre is for drums, not for notes"),
    (("real", "--from", "x", "--genre", "house"), "--genre is not for tudor corpus real"),
])
def test_mistakes_are_one_line(words: tuple, said: str, tmp_path: Path,
                               capsys: pytest.CaptureFixture[str]) -> None:
    assert tudor("corpus", words[0], tmp_path / "x", *words[1:]) == 1
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1
