"""Classes that are asked for and controls that are moved: players that obey, and ones that do not;
a toy family of bells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.description import Attribute
from engine.errors import AudioError
from engine.models.store import save_weights
from engine.players.base import Player
from tests.families import classes as toy
from tests.families.driver import registered, tudor
from tests.training.evaluation.judges.judge_helpers import (
    BLOCK,
    RATE,
    SEED,
    Plays,
    effect,
    folder_of,
    generator,
    melody,
)
from training.evaluation.judges.case import open_case
from training.evaluation.judges.classes import Classifier, class_input
from training.evaluation.judges.registry import pick

HERTZ = (300.0, 1000.0, 2500.0)
CLASS = Attribute("class", 1, 0.0, 0.0, 2.0, "which instrument")


def note(kind: int, seed: int) -> np.ndarray:
    """A class of noisy tones: [samples]."""
    rng = np.random.default_rng((kind, seed))
    t = np.arange(RATE) / RATE
    tone = np.sin(6.2831853 * HERTZ[kind] * rng.uniform(0.9, 1.1) * t)
    return (0.3 * rng.uniform(0.5, 1) * tone + 0.01 * rng.standard_normal(RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("labelled"), {
        f"{name}/{i}": note(kind, i) for kind, name in enumerate(("bass", "horn", "whistle"))
        for i in range(8)})


def block_of(sound: np.ndarray, start: int, frames: int) -> np.ndarray:
    return sound[np.arange(start * BLOCK, (start + frames) * BLOCK) % len(sound)][None]


def asked_by_attribute(turn: int = 0) -> Player:
    """Makes the class that is asked for, or, with a turn, another."""
    def answer(x: np.ndarray, start: int, values: dict) -> np.ndarray:
        kind = (int(values["class"][0]) + turn) % 3
        return block_of(note(kind, 50 + int(values["seed"][0])), start, x.shape[1])

    return Plays(answer, generator(), SEED, CLASS)


def judged(player: Player, folder: Path) -> dict:
    case = open_case(player, folder, seconds=1.0, seeds=3)
    judge = pick(case)
    assert judge.name == "conditional"
    return judge(case).result


def test_classes_that_are_heard(data: Path) -> None:
    result = judged(asked_by_attribute(), data)
    rows = result["results"]
    assert result["classes"] == ["bass", "horn", "whistle"]
    assert result["better"]["class_accuracy"] == "higher"
    assert rows["chance"]["class_accuracy"] == pytest.approx(1 / 3)
    assert rows["recordings"]["class_accuracy"] == 1
    assert rows["model"]["class_accuracy"] == rows["model"]["worst_class"] == 1
    assert result["confusion"]["model"] == [[6, 0, 0], [0, 6, 0], [0, 0, 6]]  # by two classifiers
    wrong = judged(asked_by_attribute(1), data)
    assert wrong["results"]["model"]["class_accuracy"] == 0
    assert wrong["confusion"]["model"][0] == [0, 6, 0]
    assert wrong["results"]["model"]["descriptor_mmd"] > 2 * rows["model"]["descriptor_mmd"]


@pytest.mark.parametrize("labels", [("class 0", "class 1", "class 2"), ("class",),
                                    ("bass", "horn", "whistle"), ("level", "class")])
def test_every_way_to_ask(data: Path, labels: tuple[str, ...]) -> None:
    def answer(x: np.ndarray, start: int, values: dict) -> np.ndarray:
        row = x[labels.index("class")] if "class" in labels else np.arange(3) @ x
        assert (row == row[0]).all()
        return block_of(note(int(row[0]), 50 + int(values["seed"][0])), start, x.shape[1])

    result = judged(Plays(answer, generator(*labels), SEED), data)
    assert result["results"]["model"]["class_accuracy"] == 1
    assert [row["control"] for row in result["responses"]] == [
        label for label in labels if label == "level"]


def test_an_effect_that_makes_classes(data: Path) -> None:
    heard = []

    def answer(x: np.ndarray, start: int, values: dict) -> np.ndarray:
        heard.append(x)
        sound = note(int(values["class"][0]), 60)
        return sound[np.arange(start, start + x.shape[1]) % len(sound)][None]

    result = judged(Plays(answer, effect(), CLASS), data)
    assert result["results"]["model"]["class_accuracy"] == 1
    played = np.concatenate(heard, axis=1)[0, : 3 * RATE].reshape(3, RATE)
    loudest = [np.abs(np.fft.rfft(row)).argmax() for row in played]
    assert loudest == pytest.approx(HERTZ, rel=0.15)  # a recording of each class went in


def test_classes_that_do_not_fit_are_one_line(data: Path, tmp_path: Path) -> None:
    two = folder_of(tmp_path, {f"{k}/{i}": note(k, i) for k in range(2) for i in range(2)})
    with pytest.raises(AudioError, match=r"has 3 classes, but .* holds sounds of 2") as raised:
        judged(asked_by_attribute(), two)
    assert "\n" not in str(raised.value)


def test_the_classifier_tells_clouds_apart_whatever_their_scale() -> None:
    rng = np.random.default_rng(0)
    scale = np.array([1e-3, 1.0, 1e4])
    clouds = [scale * (rng.standard_normal((40, 3)) + centre)
              for centre in ([0, 0, 0], [4, 0, 0], [0, 0, 4])]
    found = Classifier([[point[None] for point in cloud[:20]] for cloud in clouds])
    assert [found.hear(cloud[20:]) for cloud in clouds] == [0, 1, 2]
    assert [found.hear(cloud[25:26]) for cloud in clouds] == [0, 1, 2]


# --- controls ----------------------------------------------------------------------------------


def test_controls_that_work_and_one_that_does_not(tmp_path: Path) -> None:
    def answer(x: np.ndarray, start: int, values: dict) -> np.ndarray:
        hertz = 200 * 2 ** (2 * x[0])  # of each row
        phase = np.cumsum(np.repeat(hertz, BLOCK)) / RATE
        return (10 ** (values["level"][0] / 20) * np.sin(6.2831853 * phase))[None]

    level = Attribute("level", 1, -6.0, -40.0, 0.0, "dB")
    data = folder_of(tmp_path, {str(i): melody(i) for i in range(2)})
    case = open_case(Plays(answer, generator("tune", "idle"), level, SEED), data)
    assert pick(case).name == "generation"
    rows = pick(case, "conditional")(case).result["responses"]
    found = {row["control"]: row for row in rows}
    assert list(found) == ["level", "tune", "idle"]
    assert found["level"]["descriptor"] == "RMS dBFS"
    assert found["level"]["rank_correlation"] == 1
    assert found["level"]["at_high"] - found["level"]["at_low"] == pytest.approx(40, abs=1)
    assert found["tune"]["spearman"]["centroid"] == 1
    assert found["idle"]["rank_correlation"] == 0
    for name in ("level", "tune"):
        assert 0.5 < found[name]["chance"] < 1
    assert case.player.get("level")[0] == -6  # as it was before


def test_what_moves_an_effect_downwards(tmp_path: Path) -> None:
    cut = Attribute("cut", 1, 0.0, 0.0, 30.0, "dB")
    data = folder_of(tmp_path, {"a": melody(1)})
    case = open_case(Plays(lambda x, _, values: x * 10 ** (-values["cut"][0] / 20), effect(), cut),
                     data)
    assert pick(case).name == "reconstruction"
    (row,) = pick(case, "conditional")(case).result["responses"]
    assert row["spearman"]["rms"] == -1
    assert row["at_high"] < row["at_low"]
    assert case.player.get("cut")[0] == 0


# --- the toy family ------------------------------------------------------------------------------


def bells(folder: Path, tones: list[float]) -> Path:
    """A run of the toy, each of whose grains is a tone."""
    model = toy.Bells(toy.BellsConfig(sample_rate_hz=RATE))
    n = np.arange(2 * BLOCK)
    window = 0.5 - 0.5 * np.cos(np.pi * (n + 0.5) / BLOCK)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for grain, hertz in zip(model.grains.weight, tones, strict=True):
            grain[0] = torch.tensor(0.3 * window * np.sin(6.2831853 * hertz * n / RATE))
    folder.mkdir()
    (folder / "config.toml").write_text(toy.TOY.preset)
    save_weights(model, folder / "model.safetensors")
    return folder


def test_the_command_picks_it_for_bells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder_of(tmp_path / "fresh", {
        f"{name}/{i}": 0.3 * np.sin(6.2831853 * hertz * (np.arange(RATE) / RATE + 0.1 * i))
        for name, hertz in toy.TONES.items() for i in range(3)})
    page = tmp_path / "page"
    for name, tones, share in (("right", [1000.0, 250.0], 1.0), ("wrong", [250.0, 1000.0], 0.0)):
        run = bells(tmp_path / name, tones)
        with registered(toy.TOY):
            tudor("evaluate", run, "--data", data, "--json", "--seconds", "0.5", "--seeds", "2",
                  "--report", page)
        result = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        assert result["judge"] == "conditional"
        assert result["classes"] == ["high", "low"]
        rows = result["results"]
        assert rows["model"]["class_accuracy"] == share
        assert rows["recordings"]["class_accuracy"] == 1
        assert rows["untrained"]["class_accuracy"] is not None
    text = (page / "report.html").read_text()
    assert "classes are numbered in the order of their folders&#x27; names: 0 high, 1 low" in text
    for name in ("classes.png", "class_1.wav", "class_2.wav"):
        assert name in text
        assert (page / name).stat().st_size > 0


def test_a_model_without_classes_has_no_class_input(tmp_path: Path) -> None:
    assert class_input(open_case(Plays(lambda x, *_: x, generator("pitch", "level")),
                                 tmp_path)) is None
