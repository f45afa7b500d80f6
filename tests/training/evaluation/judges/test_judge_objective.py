"""What has no sound is judged by its objective; which judge is meant; judges of one's own."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from engine.errors import AudioError, ConfigError
from engine.models.registry import FAMILIES, Family
from nn_tudor.cli import main
from tests.families import test_images as toy
from tests.training.evaluation.judges.judge_helpers import Plays, effect, folder_of, melody
from training.evaluation.judges import registry
from training.evaluation.judges.case import Case, Part, open_case
from training.evaluation.judges.findings import Column, Findings, score_grid
from training.evaluation.judges.registry import JUDGES, Judge, pick, register
from training.objectives.registry import OBJECTIVES


@pytest.fixture
def painter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.set_num_threads(1)
    monkeypatch.setitem(FAMILIES, "painter", Family(
        toy.PainterConfig, toy.Painter, "a toy", "denoise", "images"))
    monkeypatch.setitem(OBJECTIVES, "denoise", toy.Denoise)
    return toy.run(tmp_path, "run", 30)


def test_pictures_are_judged_by_their_objective(
    painter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tudor(*words: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["evaluate", str(painter), *map(str, words)])
        assert not ended.value.code
        return capsys.readouterr().out

    own = json.loads(tudor("--data", tmp_path / "data", "--json"), parse_constant=pytest.fail)
    assert own["judge"] == "objective"
    assert own["objective"] == "denoise"
    assert "20 pictures of 1 x 8 x 8 (4 for validation)" in own["found"]  # what the run held out
    assert own["results"]["model"]["loss"] < 0.8 * own["results"]["untrained"]["loss"]
    assert own["better"] == {"loss": "lower"}
    (tmp_path / "new").mkdir()
    np.save(tmp_path / "new/a.npy", np.full((10, 1, 8, 8), 128, np.uint8))
    said = tudor("--data", tmp_path / "new", "--report", tmp_path / "page")
    assert "10 pictures of 1 x 8 x 8 (5 for validation)" in said
    assert "judge objective" in said
    assert "loss ↓" in said
    page = (tmp_path / "page/report.html").read_text()
    assert "untrained model (floor)" in page
    assert (tmp_path / "page/objective.png").stat().st_size > 0


def test_pictures_are_refused_by_judges_of_sound(painter: Path, tmp_path: Path) -> None:
    case = open_case(painter, tmp_path / "data")
    for name in ("reconstruction", "paired", "generation", "conditional"):
        with pytest.raises(ConfigError, match=f"--judge {name}: run has no method that") as raised:
            pick(case, name)
        assert "\n" not in str(raised.value)
    empty = open_case(painter, tmp_path / "run")
    with pytest.raises(AudioError, match="holds no pictures"):
        pick(empty)(empty)


def test_a_judge_of_ones_own_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list(JUDGES)
    monkeypatch.setattr(registry, "JUDGES", dict(JUDGES))
    row = Judge("mine", "a test's", lambda case: "" if case.role == "effect" else "only effects",
                lambda case: case.description.family == "none", __name__)
    register(row)
    assert list(registry.JUDGES) == ["mine", *before]
    case = open_case(Plays(lambda x, *_: x, effect()), tmp_path)
    assert pick(case) is row
    assert pick(case)(case).result == {"judge": "mine", "model": "played"}
    assert pick(case, "reconstruction").name == "reconstruction"
    register(replace(row, summary="another"))
    assert list(registry.JUDGES) == ["mine", *before]
    assert list(JUDGES) == before


def judge(case: Case) -> Findings:
    """What `Judge.module` calls."""
    return Findings({"judge": "mine", "model": case.player.name}, [])


def test_columns_say_which_way_is_good_and_empty_ones_go() -> None:
    result = {"judge": "x", "model": "m", "results": {
        "floor": {"a": 2.0, "b": None}, "model": {"a": 1.0, "b": None, "c": 3.0}}}
    columns = [Column("a", "first"), Column("b", "second", "higher"), Column("c", "third", "one")]
    grid = score_grid("[b]title[b]", result, columns, {"model": "[b]m[b]", "floor": "no training"})
    assert grid.head == ["", "first ↓", "third →1"]
    assert grid.rows == [["[b]m[b]", "1", "3"], ["no training", "2", "-"]]
    assert result["better"] == {"a": "lower", "c": "one"}
    console = Console(file=StringIO(), width=200)
    Findings(result, [grid], ["a [b]note[b]"]).show(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for said in ("[b]title[b]", "[b]m[b]", "a [b]note[b]", "lower is better"):
        assert said in text


def test_a_stretch_of_a_file_is_read_as_such(tmp_path: Path) -> None:
    from training.data.audio_folder import scan

    sound = melody(1)
    (source,) = scan(folder_of(tmp_path, {"a": sound})).sources
    for start, end in ((0.0, 2.0), (0.25, 1.5), (1.0, float("inf")), (0.0, 0.1)):
        found = Part(source, start, end).audio(8000, 1)
        wanted = sound[round(start * 8000) : round(min(end, 2) * 8000)]
        assert found.shape == (1, len(wanted))
        assert np.array_equal(found[0], wanted)
    assert Part(source, 0.5).audio(8000, 1, 0.25).shape == (1, 2000)
