"""A corpus on disk: written whole, safe for what others put there, and refused in one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

from training.corpus import kinds, writing

RATE = 16000


def test_a_corpus_on_disk(tmp_path: Path) -> None:
    shares: list[float] = []
    paths = kinds.write_corpus("techno", tmp_path / "new" / "corpus", 0.2, seed=1,
                               progress=shares.append)
    folder = tmp_path / "new" / "corpus"
    with (folder / "metadata.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [path.name for path in paths] == [row["file"] for row in rows]
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(
        [*(path.name for path in paths), "metadata.csv"])
    total_s = 0.0
    for path, row in zip(paths, rows, strict=True):
        info = soundfile.info(str(path))
        assert (info.subtype, info.samplerate, info.channels) == ("PCM_16", RATE, 1)
        assert info.frames == int(row["samples"])
        assert set(json.loads(row["voices"])) == {*row["instruments"].split(), "space"}
        total_s += info.frames / RATE
    assert total_s >= 12.0
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) == len(paths)


def test_an_earlier_corpus_is_replaced_whole(tmp_path: Path) -> None:
    kinds.write_corpus("techno", tmp_path, 0.25, seed=1)
    paths = kinds.write_corpus("techno", tmp_path, 0.05, seed=2)
    assert {entry.name for entry in tmp_path.glob("*.wav")} == {path.name for path in paths}
    assert next(csv.DictReader((tmp_path / "metadata.csv").open(encoding="utf-8")))["seed"] == "2"


def test_interruption_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kinds.write_corpus("techno", tmp_path / "fresh", 0.2, progress=stop)
    assert not (tmp_path / "fresh").exists()

    kinds.write_corpus("techno", tmp_path / "kept", 0.05, seed=1)
    before = {entry.name: entry.read_bytes() for entry in (tmp_path / "kept").iterdir()}
    with pytest.raises(KeyboardInterrupt):
        kinds.write_corpus("techno", tmp_path / "kept", 0.2, seed=2, progress=stop)
    assert {entry.name: entry.read_bytes() for entry in (tmp_path / "kept").iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"minutes": -1.0}, "minutes"),
        ({"minutes": 0.0}, "minutes"),
        ({"minutes": float("nan")}, "minutes"),
        ({"minutes": 0.1, "sample_rate_hz": 4000}, "sample rate"),
        ({"minutes": 0.1, "sample_rate_hz": 200000}, "sample rate"),
        ({"minutes": 0.1, "channels": 3}, "channels"),
        ({"minutes": 0.1, "seed": -1}, "seed"),
    ],
)
def test_silly_arguments(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kinds.write_corpus("techno", tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_other_peoples_files_are_safe(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "metadata.csv").write_text("name,label\n", encoding="utf-8")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "loop_00000.wav").write_bytes(b"mine")
    (tmp_path / "d").write_text("a file", encoding="utf-8")
    before = sorted(str(entry) for entry in tmp_path.rglob("*"))
    for name in "abcd":
        with pytest.raises(ValueError, match="folder"):
            kinds.write_corpus("techno", tmp_path / name, 0.05)
    assert sorted(str(entry) for entry in tmp_path.rglob("*")) == before
    assert (tmp_path / "c" / "loop_00000.wav").read_bytes() == b"mine"


def test_leftovers_of_a_killed_run_are_cleared(tmp_path: Path) -> None:
    (tmp_path / ".partial-dead").mkdir()
    (tmp_path / ".partial-dead" / "loop_00000.wav").write_bytes(b"half")
    paths = kinds.write_corpus("techno", tmp_path, 0.02)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(
        [*(path.name for path in paths), writing.METADATA])
