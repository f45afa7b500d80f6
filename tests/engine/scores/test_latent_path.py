"""Paths as files: what goes in comes out, and what is wrong is one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.scores.paths import LatentPath, check_path_name, even_places, read_path, write_path

PATH = LatentPath("geodesic", "m", "decode", 16000, 128, ("z 1", "z 2"),
                  np.array([0, 0.25, 1]), np.array([[0, 1], [2, 1], [4, -3]], np.float32), 5,
                  {"kick": 1.0})


def written(tmp_path, **changes):
    data = {**PATH.plain(), **changes}
    file = tmp_path / "x.path"
    file.write_text(json.dumps({key: value for key, value in data.items() if value is not ...}))
    return file


def test_a_path_comes_back(tmp_path):
    write_path(PATH, tmp_path / "p.path")
    found = read_path(tmp_path / "p.path")
    assert found.plain() == PATH.plain()
    assert (found.seed, found.held, found.labels) == (5, {"kick": 1.0}, ("z 1", "z 2"))
    assert [file.name for file in tmp_path.iterdir()] == ["p.path"]


def test_between_knots_lie_straight_lines():
    found = PATH.at([0, 0.125, 0.25, 0.625, 1])
    assert found.dtype == np.float32
    assert np.allclose(found, [[0, 1], [1, 1], [2, 1], [3, -1], [4, -3]])
    assert even_places(5).tolist() == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize(("changes", "said"), [
    ({"version": 2}, "written by a newer tudor"),
    ({"version": True}, "version must be a whole number"),
    ({"knots": ...}, "knots is missing"),
    ({"more": 1}, "unknown key 'more'"),
    ({"kind": "maze"}, "kind must be one of traversal, line"),
    ({"kind": 3}, "kind must be a text"),
    ({"model": "a\nb"}, "model must be a text"),
    ({"seed": 2**24}, "seed must be a whole number of 0 to 16777215"),
    ({"seed": 1.5}, "seed must be a whole number"),
    ({"sample_rate_hz": 0}, "sample_rate_hz must be"),
    ({"labels": []}, "labels must be a list of 1 to 64 names"),
    ({"labels": ["z 1", "z 1"]}, "labels must differ"),
    ({"labels": ["z 1", ""]}, "each of labels must be a text"),
    ({"labels": ["z 1"]}, "knot 1 must be a list of 1 numbers"),
    ({"held": []}, "held must be an object"),
    ({"held": {"kick": "loud"}}, "held 'kick': numbers"),
    ({"places": [0, 1]}, "places must be a list of 3 numbers"),
    ({"places": [0, 0.5, 0.9]}, "places must rise from 0 to 1"),
    ({"places": [0, 0, 1]}, "places must rise from 0 to 1"),
    ({"places": [0, True, 1]}, "places: numbers of -1 to 1, not 'True'"),
    ({"knots": [[0, 1]]}, "knots must be a list of 2 to 4096"),
    ({"knots": [[0, 1]] * 4097}, "knots must be a list of 2 to 4096"),
    ({"knots": [[0, 1], [0], [0, 1]]}, "knot 2 must be a list of 2 numbers"),
    ({"knots": [[0, 1], [0, 65], [0, 1]]}, "knot 2: numbers of -64 to 64, not '65'"),
    ({"knots": [[0, 1], [0, None], [0, 1]]}, "knot 2: numbers of -64 to 64, not 'None'"),
    ({"knots": [[0, 1], [0, float("nan")], [0, 1]]}, "knot 2: numbers of -64 to 64, not 'nan'"),
    ({"knots": [[0, 1], [0, 10**400], [0, 1]]}, "knot 2: numbers of -64 to 64, not '1000"),
])
def test_what_is_wrong_is_one_line(tmp_path, changes, said):
    file = written(tmp_path, **changes)
    with pytest.raises(ConfigError) as error:
        read_path(file)
    text = str(error.value)
    assert said in text
    assert text.startswith(str(file))
    assert len(text.splitlines()) == 1
    assert len(text) < len(str(file)) + 200


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[1]", b"[" * 100000, b"null"])
def test_files_that_are_no_paths(tmp_path, raw):
    file = tmp_path / "x.path"
    file.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"x\.path"):
        read_path(file)


def test_a_file_that_is_not_there_or_too_large(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_path(tmp_path / "gone.path")
    (tmp_path / "x.path").write_bytes(b" " * ((1 << 22) + 1))
    with pytest.raises(ConfigError, match="at most 4194304 bytes"):
        read_path(tmp_path / "x.path")


def test_names_end_in_path(tmp_path):
    (tmp_path / "x.path").mkdir()
    for name, said in (("x.json", "ends in .path"), ("x.path", "is a folder")):
        with pytest.raises(ConfigError, match=said):
            check_path_name(tmp_path / name)
