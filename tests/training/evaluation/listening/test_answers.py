"""Files of answers come from anywhere: what is wrong with each is one line, and never read in full
before it is known to be small."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigError
from tests.training.evaluation.listening.listening_helpers import answer_to, key_for, written
from training.evaluation.listening.answers import read_answers, read_key

SYSTEMS = {"reference": "reference", "noise": "baseline", "mine": "model"}
RATINGS = {"reference": 100.0, "noise": 10.0, "mine": 55.0}
KEY = key_for(SYSTEMS)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return written(tmp_path / "page.key.json", KEY)


def test_ratings_stand_by_trial_and_system(tmp_path: Path, key: Path) -> None:
    answer = answer_to(KEY, RATINGS)
    answer["trials"].reverse()  # the listener's own order
    answer["trials"][0]["ratings"] = {"s32": 7, "s31": 2.5, "s30": 90}
    found, said = read_answers([written(tmp_path / "a.json", answer)], read_key(key))
    assert said == []
    assert (found[0].listener, found[0].seed) == ("anna", 1)
    assert np.array_equal(found[0].ratings, [[100, 10, 55]] * 3 + [[90, 2.5, 7]])


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    answer = answer_to(KEY, RATINGS)
    change(answer)
    return json.dumps(answer)


def rating(text: str) -> str:
    """An answer with this where a rating should be."""
    return changed(lambda a: a["trials"][1]["ratings"].update(s10="HERE")).replace('"HERE"', text)


BAD = {
    "empty": ("", "is not JSON: Expecting value"),
    "half": (changed(lambda a: None)[:200], "is not JSON"),
    "list": ("[1, 2]", "is not an object of JSON"),
    "deep": ("[" * 200_000, "is nested too deeply"),
    "bytes": ("\udcff\udcfe", "is not JSON: 'utf-8' codec"),
    "other program's": ('{"format": "webmushra"}', "is not what a listening test's page saves"),
    "no format": ("{}", '"format" is missing'),
    "later version": (changed(lambda a: a.update(version=2)),
                      "is of version 2, this program reads 1"),
    "version true": (changed(lambda a: a.update(version=True)), "is of version true"),
    "other page": (changed(lambda a: a.update(test="ffff")),
                   "answers another page: test ffff, the key's is 00ff"),
    "nan": (rating("NaN"), "holds NaN, which is not a number"),
    "infinity": (rating("1e999"), "trial t1: rating Infinity is not a number from 0 to 100"),
    "101": (rating("100.01"), "rating 100.01 is not a number from 0 to 100"),
    "-1": (rating("-1"), "rating -1 is not"),
    "true": (rating("true"), "rating true is not"),
    "null": (rating("null"), "rating null is not"),
    "text": (rating('"90"'), 'rating "90" is not'),
    "many digits": (rating("9" * 5000), "is not JSON: Exceeds the limit"),
    "nested": (rating('{"x": [1]}'), "is not a number from 0 to 100"),
    "trial missing": (changed(lambda a: a["trials"].pop()), "1 of 4 trials are missing"),
    "trial twice": (changed(lambda a: a["trials"].append(a["trials"][0])),
                    "trial t0 is there twice"),
    "strange trial": (changed(lambda a: a["trials"][0].update(id="\x1b[31m" + "x" * 99)),
                      "trial ?[31mxxx"),
    "trial no object": (changed(lambda a: a.update(trials=[3])), "is not an object"),
    "trials no list": (changed(lambda a: a.update(trials={})), '"trials" is of the wrong kind'),
    "stimulus missing": (changed(lambda a: a["trials"][2]["ratings"].pop("s21")),
                         "trial t2: stimulus s21 is not rated"),
    "strange stimulus": (changed(lambda a: a["trials"][2]["ratings"].update(zz=3)),
                         "trial t2: stimulus zz is not in the key"),
    "no listener": (changed(lambda a: a.pop("listener")), '"listener" is missing'),
    "escapes": (changed(lambda a: a.update(listener="\x1b[2J")), '"listener" is not a name'),
    "long listener": (changed(lambda a: a.update(listener="x" * 61)), '"listener" is not a name'),
    "seed": (changed(lambda a: a.update(seed=-1)), '"seed" is not a number'),
    "seed true": (changed(lambda a: a.update(seed=True)), '"seed" is not a number'),
    "seed text": (changed(lambda a: a.update(seed="1")), '"seed" is of the wrong kind'),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path: Path, key: Path, name: str) -> None:
    text, said = BAD[name]
    path = tmp_path / "bad.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    good = written(tmp_path / "good.json", answer_to(KEY, RATINGS, "berta"))
    found, lines = read_answers([path, good], read_key(key))
    assert [answer.listener for answer in found] == ["berta"]  # the others still count
    assert len(lines) == 1
    assert lines[0].startswith(f"{path}: ")
    assert said in lines[0]
    assert lines[0].isprintable()
    assert len(lines[0]) < len(str(path)) + 160


def test_what_is_too_large_or_no_file_is_not_read(tmp_path: Path, key: Path) -> None:
    huge = tmp_path / "huge.json"
    with open(huge, "wb") as file:
        file.truncate(500 << 20)
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)  # reading it would wait for ever
    (tmp_path / "empty").mkdir()
    found, lines = read_answers([huge, pipe, tmp_path / "none.json", tmp_path / "empty"],
                                read_key(key))
    assert found == []
    assert lines == [f"{tmp_path / 'empty'}: a folder without .json files",
                     f"{huge}: is larger than 1 MB, which an answer never is",
                     f"{pipe}: is not a file; wanted an answer, a .json file",
                     f"{tmp_path / 'none.json'}: does not exist"]


def test_an_answer_counts_once(tmp_path: Path, key: Path) -> None:
    folder = tmp_path / "answers"
    first = written(folder / "a.json", answer_to(KEY, RATINGS))
    written(folder / "b.json", answer_to(KEY, RATINGS))
    written(folder / "c.json", answer_to(KEY, RATINGS, seed=2))  # another "anna"
    found, lines = read_answers([folder, first], read_key(key))
    assert [answer.seed for answer in found] == [1, 2]
    assert lines == [f"{folder / 'b.json'}: listener 'anna' with seed 1 has answered in "
                     f"{first} already"]


def key_with(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    data = json.loads(json.dumps(KEY))
    change(data)
    return data


@pytest.mark.parametrize(("data", "said"), [
    ("no", "is not JSON"),
    (answer_to(KEY, RATINGS), "is not a key"),
    (key_with(lambda k: k.update(version=0)), "is of version 0"),
    (key_with(lambda k: k.update(systems={"mine": "model"})), "names the reference"),
    (key_with(lambda k: k["systems"].update(mine="best")), "one of reference, anchor"),
    (key_with(lambda k: k["systems"].update(mine=["model"])), "one of reference, anchor"),
    (key_with(lambda k: k.update(trials={})), "has no trials"),
    (key_with(lambda k: k["trials"].update(t0=3)), "trial t0 is no object"),
    (key_with(lambda k: k["trials"]["t0"]["stimuli"].pop("s01")), "does not have each system once"),
    (key_with(lambda k: k["trials"]["t0"]["stimuli"].update(s01={})), '"system" is missing'),
])
def test_a_wrong_key_is_one_line(tmp_path: Path, data: Any, said: str) -> None:
    path = written(tmp_path / "k.json", data)
    with pytest.raises(ConfigError, match=r"--key .*k\.json: ") as raised:
        read_key(path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_key(tmp_path / "k.json")
