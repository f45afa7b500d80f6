"""An effect against the target of its input: figures by hand, floors, and a toy family."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.errors import AudioError, ConfigError
from tests.families.driver import Trainee, registered, tudor
from tests.families.paired import TOY
from tests.training.evaluation.judges.judge_helpers import Plays, effect, folder_of, melody
from training.evaluation.judges.case import open_case
from training.evaluation.judges.linear import TAPS, Filter, LinearFit
from training.evaluation.judges.paired import emphasised
from training.evaluation.judges.registry import pick


def pairs(folder: Path, change: object, count: int = 2) -> Path:
    sounds = {str(i): melody(i) for i in range(count)}
    folder_of(folder / "input", sounds)
    return folder_of(folder / "target", {k: change(v) for k, v in sounds.items()}).parent


def played(answer: object, folder: Path) -> dict:
    case = open_case(Plays(lambda x, *_: answer(x), effect()), folder)
    judge = pick(case)
    assert judge.name == "paired"
    return judge(case).result


def test_esr_by_hand(tmp_path: Path) -> None:
    data = pairs(tmp_path, lambda x: 0.5 * x)
    result = played(lambda x: 0.4 * x, data)
    rows = result["results"]
    assert result["files"] == 2
    assert result["seconds"] == pytest.approx(4.0)
    assert rows["model"]["esr"] == pytest.approx(0.2**2, rel=1e-4)
    assert rows["model"]["esr_pre"] == pytest.approx(0.2**2, rel=1e-4)
    assert rows["model"]["level_error_db"] == pytest.approx(1.938, abs=0.001)
    assert rows["dry"]["esr"] == pytest.approx(1, rel=1e-4)
    assert rows["silence"]["esr"] == rows["silence"]["esr_pre"] == 1
    assert rows["linear"]["esr"] < 1e-8
    assert "untrained" not in rows  # a family that is not known here
    assert result["better"]["esr"] == "lower"


def test_pre_emphasis_minds_the_treble() -> None:
    x = np.sin(np.arange(4000) * np.array([[0.05], [2.0]])).astype(np.float32)
    low, high = np.square(emphasised(x)[:, 10:]).mean(axis=1) / np.square(x).mean(axis=1)
    wanted = [abs(1 - 0.95 * np.exp(-1j * w)) ** 2 for w in (0.05, 2.0)]
    assert (low, high) == (pytest.approx(wanted[0], rel=0.02), pytest.approx(wanted[1], rel=0.02))


def test_a_curve_beats_what_is_linear_only_if_the_model_has_one(tmp_path: Path) -> None:
    data = pairs(tmp_path, lambda x: np.tanh(8 * x))
    rows = played(lambda x: np.tanh(8 * x), data)["results"]
    assert rows["model"]["esr"] < 1e-9
    assert 0.02 < rows["linear"]["esr"] < rows["dry"]["esr"]


def test_the_linear_filter_is_found_across_pieces() -> None:
    rng = np.random.default_rng(1)
    taps = rng.standard_normal((2, TAPS)) * np.exp(-np.arange(TAPS) / 40)
    size = 60000
    x = rng.standard_normal((2, size)).astype(np.float32)
    player = Filter(taps, lambda piece: piece)
    player.begin()
    parts = [x[:, :3], *(x[:, at : at + 300] for at in range(3, size, 300))]
    y = np.concatenate([player.hear(part) for part in parts], axis=1)
    wanted = np.stack([np.convolve(a, b)[:size] for a, b in zip(x, taps, strict=True)])
    assert y.shape == wanted.shape
    assert np.abs(y - wanted).max() < 1e-4
    fit = LinearFit(2)
    at = 0
    for part in parts:
        fit.add(part, y[:, at : at + part.shape[1]])
        at += part.shape[1]
    assert np.abs(fit.taps() - taps).max() < 0.03 * np.abs(taps).max()


@pytest.fixture
def trainee(tmp_path: Path) -> Iterator[Trainee]:
    with registered(TOY):
        yield Trainee.of(TOY, tmp_path)


def test_the_command_picks_it_for_a_toy_family(
    trainee: Trainee, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trainee.train("run")
    capsys.readouterr()
    words = ("evaluate", run, "--data", trainee.data)
    tudor(*words, "--json")
    result = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    rows = result["results"]
    assert result["judge"] == "paired"
    assert list(rows) == ["model", "linear", "dry", "silence", "untrained"]
    assert rows["model"]["esr"] < rows["untrained"]["esr"]
    held = json.loads((run / "held_out.json").read_text())
    assert result["files"] == len(held) < 4  # the folder is the run's own
    tudor(*words, "--report", tmp_path / "page")
    said = capsys.readouterr().out
    assert "judge paired" in said
    assert "ESR ↓" in said
    assert "only what was held out is used" in said
    page = (tmp_path / "page/report.html").read_text()
    assert "best linear filter (floor)" in page
    for name in ("spectrum.png", "input.wav", "target.wav", "model.wav"):
        assert name in page
        assert (tmp_path / "page" / name).stat().st_size > 0


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    data = pairs(tmp_path / "d", lambda x: 0.5 * x)
    player = Plays(lambda x, *_: x, effect())
    case = open_case(player, data)
    for name, said in (("generation", "has no method that generates"),
                       ("pared", "unknown judge 'pared'; did you mean 'paired'"),
                       ("objective", "only a run or preset has an objective"),
                       ("conditional", "neither classes to ask for nor attributes to move")):
        with pytest.raises(ConfigError, match=said) as raised:
            pick(case, name)
        assert "\n" not in str(raised.value)
    other = open_case(player, folder_of(tmp_path / "e", {"a": melody(1)}))
    assert pick(other).name == "reconstruction"
    with pytest.raises(ConfigError, match=r"--judge paired: .* has no folder 'input'"):
        pick(other, "paired")
    for sound in (data / "target").iterdir():
        sound.rename(sound.with_name(f"other_{sound.name}"))
    with pytest.raises(AudioError, match="no file of input has one of the same name in target"):
        pick(case)(case)
