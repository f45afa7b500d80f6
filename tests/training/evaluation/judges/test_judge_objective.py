"""What has no sound is judged by its objective; which judge is meant; judges of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from engine.errors import AudioError, ConfigError
from engine.models.store import build_from, read_settings, save_weights
from tests.families import autoregressive, images, prior
from tests.families.driver import Toy, Trainee, registered, tudor
from tests.training.evaluation.judges.judge_helpers import Plays, effect, folder_of, melody
from training.evaluation.judges import registry
from training.evaluation.judges.case import Case, Part, open_case
from training.evaluation.judges.findings import Column, Findings, score_grid
from training.evaluation.judges.registry import JUDGES, Judge, pick, register


@pytest.fixture
def painter(tmp_path: Path) -> Iterator[Trainee]:
    with registered(images.TOY):
        yield Trainee.of(images.TOY, tmp_path)


def test_pictures_are_judged_by_their_objective(
    painter: Trainee, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = painter.train("run")
    capsys.readouterr()
    tudor("evaluate", run, "--data", painter.data, "--json")
    own = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert own["judge"] == "objective"
    assert own["objective"] == "denoise"
    assert "20 pictures of 1 x 8 x 8 (4 for validation)" in own["found"]  # what the run held out
    assert own["results"]["model"]["loss"] < 0.8 * own["results"]["untrained"]["loss"]
    assert own["better"] == {"loss": "lower"}
    (tmp_path / "new").mkdir()
    np.save(tmp_path / "new/a.npy", np.full((10, 1, 8, 8), 128, np.uint8))
    tudor("evaluate", run, "--data", tmp_path / "new", "--report", tmp_path / "page")
    said = capsys.readouterr().out
    assert "10 pictures of 1 x 8 x 8 (5 for validation)" in said
    assert "judge objective" in said
    assert "loss ↓" in said
    page = (tmp_path / "page/report.html").read_text()
    assert "untrained model (floor)" in page
    assert (tmp_path / "page/objective.png").stat().st_size > 0


def untrained_run(toy: Toy, folder: Path) -> Path:
    """A run directory of a model as it was made."""
    folder.mkdir()
    (folder / "config.toml").write_text(toy.preset)
    save_weights(build_from(read_settings(folder / "config.toml"), seed=1),
                 folder / "model.safetensors")
    return folder


def test_pictures_are_refused_by_judges_of_sound(painter: Trainee, tmp_path: Path) -> None:
    run = untrained_run(images.TOY, tmp_path / "run")
    case = open_case(run, painter.data)
    for name in ("reconstruction", "paired", "generation", "conditional"):
        with pytest.raises(ConfigError, match=f"--judge {name}: run has no method that") as raised:
            pick(case, name)
        assert "\n" not in str(raised.value)
    empty = open_case(run, tmp_path / "run")
    with pytest.raises(AudioError, match="holds no pictures"):
        pick(empty)(empty)


@pytest.mark.parametrize("toy", [prior.TOY, autoregressive.TOY])
def test_what_draws_says_how_likely_it_finds_what_it_has_not_heard(
    toy: Toy, tmp_path: Path
) -> None:
    """A prior makes no sound of its own, so nothing else can judge it."""
    with registered(toy):
        case = open_case(untrained_run(toy, tmp_path / "run"), Trainee.of(toy, tmp_path).data)
        made = pick(case).name
        assert made == ("objective" if toy is prior.TOY else "playing")
        found = pick(case, "objective")(case)
    rows = found.result["results"]
    assert found.result["better"]["bits_per_sample"] == "lower"
    assert found.grids[0].head[1] == "bits per sample ↓"
    for subject in ("model", "untrained"):
        assert 0 < rows[subject]["bits_per_sample"] < 32
    assert rows["model"] != rows["untrained"]


def test_a_judge_of_ones_own_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list(JUDGES)
    monkeypatch.setattr(registry, "JUDGES", dict(JUDGES))
    row = Judge("own", "a test's", lambda case: "" if case.role == "effect" else "only effects",
                lambda case: case.description.family == "none", __name__)
    register(row)
    assert list(registry.JUDGES) == ["own", *before]
    case = open_case(Plays(lambda x, *_: x, effect()), tmp_path)
    assert pick(case) is row
    assert pick(case)(case).result == {"judge": "own", "model": "played"}
    assert pick(case, "reconstruction").name == "reconstruction"
    register(replace(row, summary="another"))
    assert list(registry.JUDGES) == ["own", *before]
    assert list(JUDGES) == before


def judge(case: Case) -> Findings:
    """What `Judge.module` calls."""
    return Findings({"judge": "own", "model": case.player.name}, [])


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

    sound = melody(1, 24.0)  # read in blocks of 8 seconds
    (source,) = scan(folder_of(tmp_path, {"a": sound})).sources
    for start, end in ((0.0, 2.0), (0.25, 1.5), (9.0, 17.5), (20.0, float("inf"))):
        found = Part(source, start, end).audio(8000, 1)
        wanted = sound[round(start * 8000) : round(min(end, 24) * 8000)]
        assert found.shape == (1, len(wanted))
        assert np.array_equal(found[0], wanted)
    assert Part(source, 0.5).audio(8000, 1, 0.25).shape == (1, 2000)
