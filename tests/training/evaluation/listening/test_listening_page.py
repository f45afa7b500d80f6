"""The page: nothing in it tells who is who, it needs nothing from elsewhere, and the key beside it
does tell; the scripts are checked by node."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.errors import ConfigError
from nn_tudor.cli import main
from tests.training.evaluation.listening.listening_helpers import (
    HERE,
    RATE,
    SCRIPTS,
    case_of,
    node,
    sounds,
)
from training.evaluation.listening.analysis import analyse
from training.evaluation.listening.answers import read_answers, read_key
from training.evaluation.listening.compose import compose
from training.evaluation.listening.page import write_test
from training.evaluation.listening.stimuli import MOST_PEAK, loudness_db

SYSTEMS = {"reference": "reference", "anchor 3.5 kHz": "anchor", "anchor 7 kHz": "anchor",
           "noise in octave bands": "baseline", "secret-one": "model", "secret-two": "model"}


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = sounds(tmp_path / "data", monkeypatch)
    test = compose(case_of(0.2, data, "secret-one", limit=2), [case_of(0.9, data, "secret-two")])
    assert write_test(test, tmp_path / "page") == tmp_path / "page.key.json"
    return tmp_path / "page"


def shown(page: Path) -> dict[str, Any]:
    text = (page / "index.html").read_text("utf-8")
    return json.loads(re.search(r'id="test">(.*?)</script>', text, re.S)[1])


def key_of(page: Path) -> dict[str, Any]:
    return json.loads(page.with_name("page.key.json").read_text())


def test_the_page_shows_trials_and_the_key_says_what_they_are(page: Path) -> None:
    test, key = shown(page), key_of(page)
    assert key["systems"] == SYSTEMS
    assert test["id"] == key["test"]
    assert len(test["trials"]) == 2
    assert {row["id"] for row in test["trials"]} == set(key["trials"])
    names = set()
    for row in [test["practice"], *test["trials"]]:
        assert len(row["stimuli"]) == len(SYSTEMS)
        assert row["reference"] not in row["stimuli"]
        assert row["stimuli"] == sorted(row["stimuli"])
        names |= {row["reference"], *row["stimuli"]}
    assert len(names) == 3 * (len(SYSTEMS) + 1)  # no name stands for two
    assert {path.stem for path in (page / "sounds").iterdir()} == names
    assert {row["sound"] for row in key["trials"].values()} == {"loop_0.wav", "loop_1.wav"}
    for row in test["trials"]:
        meant = key["trials"][row["id"]]["stimuli"]
        assert sorted(each["system"] for each in meant.values()) == sorted(SYSTEMS)
        assert sorted(meant) == row["stimuli"]


def test_stimuli_are_alike_but_for_what_is_judged(page: Path) -> None:
    test, key = shown(page), key_of(page)
    for row in test["trials"]:
        meant = {each["system"]: (name, each["gain_db"])
                 for name, each in key["trials"][row["id"]]["stimuli"].items()}
        heard = {system: soundfile.read(page / f"sounds/{name}.wav", always_2d=True)
                 for system, (name, _) in meant.items()}
        reference, rate = heard["reference"]
        assert rate == RATE
        assert len(reference) == RATE  # a second
        loud = loudness_db(reference.T.astype("f4"), rate)
        for x, rate in heard.values():
            assert (x.shape, rate) == (reference.shape, RATE)
            assert np.abs(x).max() <= MOST_PEAK + 1e-4
            assert loudness_db(x.T.astype("f4"), rate) == pytest.approx(loud, abs=0.2)
        open_one = soundfile.read(page / f"sounds/{row['reference']}.wav", always_2d=True)[0]
        assert np.array_equal(open_one, reference)
        assert meant["secret-one"][1] == pytest.approx(20 * np.log10(5), abs=0.5)
        assert meant["secret-two"][1] == pytest.approx(20 * np.log10(1 / 0.9), abs=0.5)
        error = heard["secret-two"][0] - reference
        assert np.square(error).mean() < 0.05 * np.square(reference).mean()  # no delay

        def above(x: np.ndarray, hz: float) -> float:
            power = np.square(np.abs(np.fft.rfft(x[:, 0])))
            return float(power[round(hz) :].sum() / power.sum())

        assert above(heard["anchor 3.5 kHz"][0], 4100) < 1e-4 < above(reference, 4100)
        assert above(heard["anchor 7 kHz"][0], 7600) < 1e-4 < above(reference, 7600)


def test_nothing_in_the_folder_tells_who_is_who(page: Path) -> None:
    told = ("secret", "anchor 3", "3500", "noise", "octave", "loop_", "hidden ref",
            str(page.parent))
    for path in page.rglob("*"):
        assert path.is_dir() or re.fullmatch(r"[0-9a-f]{16}\.(wav|js)|index\.html|listening\.js|"
                                             r"page\.js", path.name)
        if path.is_file() and path.parent == page:
            text = path.read_text("utf-8").lower()
            assert [word for word in told if word in text] == []
        if path.suffix == ".wav":
            assert len(path.read_bytes()) == 44 + 2 * RATE  # a header and samples, nothing else
    assert len({path.stat().st_mtime for path in page.rglob("*.*")}) == 1  # servers tell it


def test_two_pages_of_the_same_have_no_name_in_common(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = sounds(tmp_path / "data", monkeypatch)
    test = compose(case_of(0.2, data, "secret-one", limit=2), [case_of(0.9, data, "secret-two")])
    write_test(test, tmp_path / "again")
    mine, other = ({path.name for path in (folder / "sounds").iterdir()}
                   for folder in (page, tmp_path / "again"))
    assert len(mine) == len(other) > 0
    assert not mine & other
    assert shown(page)["id"] != shown(tmp_path / "again")["id"]


def test_scripts_bring_the_same_sounds(page: Path) -> None:
    scripts = sorted((page / "sounds").glob("*.js"))
    assert len(scripts) == 21
    for script in scripts:
        name, text = re.fullmatch(r'listeningSound\("(\w+)","([\w+/=]+)"\);\n',
                                  script.read_text("ascii")).groups()
        assert name == script.stem
        assert base64.b64decode(text) == script.with_suffix(".wav").read_bytes()


class Reader(HTMLParser):
    """Ids, and what is loaded or linked."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(page: Path) -> None:
    text = (page / "index.html").read_text("utf-8")
    read = Reader(text)
    assert read.open == []
    assert read.links == ["data:,", "listening.js", "page.js"]
    assert len(read.ids) == len(set(read.ids)) > 20
    scripts = {name: (page / name).read_text("utf-8") for name in ("listening.js", "page.js")}
    for each in (text, *scripts.values()):
        assert not re.search(r"https?:|//\w+\.\w+/|\bimport\b|@import|url\(", each)
    asked = set(re.findall(r'\$\("(\w+)"\)', scripts["page.js"]))
    assert len(asked) > 15
    assert asked <= set(read.ids)
    assert 'lang="en"' in text
    assert "width=device-width" in text
    assert "By beginning you agree" in text


def test_node_checks_the_page() -> None:
    said = node(HERE / "page_checks.js", SCRIPTS / "listening.js").splitlines()
    assert len(said) == 10
    node("--check", SCRIPTS / "page.js")


def test_what_the_page_saves_is_what_the_analysis_reads(page: Path, tmp_path: Path) -> None:
    key = key_of(page)
    wanted = {"reference": 100, "anchor 3.5 kHz": 20, "anchor 7 kHz": 60,
              "noise in octave bands": 10, "secret-one": 40, "secret-two": 80}
    ratings = {name: wanted[each["system"]] for row in key["trials"].values()
               for name, each in row["stimuli"].items()}
    program = f"""
        const page = require({json.dumps(str(page / "listening.js"))});
        const [test, ratings] = {json.dumps([shown(page), ratings])};
        const session = page.newSession(test, "Anna", 5);
        for (const trial of session.trials) for (const name of trial.stimuli)
          trial.ratings[name] = ratings[name] ?? 50;
        console.log(JSON.stringify(page.answerOf(session)));"""
    (tmp_path / "answer.json").write_text(node("-e", program))
    meant = read_key(page.with_name("page.key.json"))
    found, skipped = read_answers([tmp_path / "answer.json"], meant)
    assert skipped == []
    result = analyse(found, meant)
    assert {name: row["mean"] for name, row in result["systems"].items()} == wanted


def test_a_page_and_its_key_are_never_overwritten(page: Path, tmp_path: Path) -> None:
    test = compose(case_of(0.5, tmp_path / "data"), [])
    before = (page / "index.html").read_bytes()
    with pytest.raises(ConfigError, match=r"exists and is not empty; name a new folder"):
        write_test(test, page)
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "other.key.json").write_text("{}")
    with pytest.raises(ConfigError, match="is the key of an earlier page"):
        write_test(test, other)
    (tmp_path / "other.key.json").unlink()
    write_test(test, other)  # an empty folder may be there
    assert (page / "index.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def evaluate(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", *map(str, words)])
    return int(ended.value.code or 0)


def test_the_command_makes_a_page_of_real_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = sounds(tmp_path / "data", monkeypatch, 2)
    words = ("techno-tiny", "--data", data, "--seconds", 1, "--limit", 1)
    page = tmp_path / "page"
    assert evaluate(*words, "--listen", page, "--against", "techno-tiny", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["key"] == str(tmp_path / "page.key.json")
    assert said["page"] == str(page / "index.html")
    assert said["trials"] == 1
    assert list(said["systems"])[-2:] == ["techno-tiny", "techno-tiny (2)"]
    assert len(list((page / "sounds").glob("*.wav"))) == 14
    heard = {each["system"]: soundfile.read(page / f"sounds/{name}.wav")[0]
             for row in key_of(page)["trials"].values() for name, each in row["stimuli"].items()}
    assert np.array_equal(heard["techno-tiny"], heard["techno-tiny (2)"])
    assert np.abs(heard["techno-tiny"] - heard["reference"]).max() > 0.01
    for more, error in (
        (("--listen", page), "exists and is not empty"),
        (("--listen", tmp_path / "p", "--report", tmp_path / "r"), "leave out --report"),
        (("--against", "techno-pi"), "--against is for --listen"),
        (("--listen", tmp_path / "p", "--judge", "generation"), "not 'generation'"),
    ):
        assert evaluate(*words, *more) == 1
        out, err = capsys.readouterr()
        assert error in err
        assert err.count("\n") == 1
        assert out == ""
    assert not (tmp_path / "p").exists()
