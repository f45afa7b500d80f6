"""Strokes that are asked for: players that obey, that do not, and that always play the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import AudioError, ConfigError
from engine.models.spectrogram_gan import SpectrogramGAN
from engine.players.base import Player
from engine.players.pytorch import PyTorchPlayer
from tests.export.small_models import small_model
from tests.training.evaluation.judges.judge_helpers import (
    BLOCK,
    RATE,
    SEED,
    Plays,
    folder_of,
    generator,
)
from training.evaluation import points
from training.evaluation import stroke_measures as measures
from training.evaluation.judges import strokes
from training.evaluation.judges.case import open_case
from training.evaluation.judges.registry import JUDGES, pick

CLASSES = ("drum", "hat", "noise")
LABELS = ("gate", "velocity", "pitch_oct", *CLASSES, "dry", "wet")


def stroke(kind: int, seed: int) -> np.ndarray:
    """[samples] of a low tone, a high one or noise, each of its own length and pitch."""
    rng = np.random.default_rng((kind, seed))
    t = np.arange(RATE // 2) / RATE
    tone = np.sin(2 * np.pi * (90, 2500, 0)[kind] * rng.uniform(0.8, 1.25) * t)
    body = tone if kind < 2 else rng.standard_normal(len(t))
    sound = 0.5 * np.exp(-rng.uniform(8, 30) * t) * body + 1e-4 * rng.standard_normal(len(t))
    return np.asarray(sound, np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("strokes"), {
        f"{genre}/{name}/{i}": stroke(kind, i + 100 * (genre == "wet"))
        for genre in ("dry", "wet") for kind, name in enumerate(CLASSES) for i in range(10)})


def voice(kind_of, seed_of=lambda values, x: int(values["seed"][0])) -> Player:
    """Plays a stroke of the class `kind_of(x)` from its first block on."""
    def answer(x: np.ndarray, start: int, values: dict) -> np.ndarray:
        sound = np.pad(stroke(kind_of(x), 1000 + seed_of(values, x)), (0, 2 * RATE))
        return sound[start * BLOCK : (start + x.shape[1]) * BLOCK][None]

    player = Plays(answer, generator(*LABELS), SEED)
    player.description = replace(player.description, config={
        "classes": list(CLASSES), "subclasses": ["dry", "wet"]})
    return player


def asked(x: np.ndarray) -> int:
    return int(x[3:6, 0].argmax())


def judged(player: Player, data: Path, seeds: int = 12) -> dict:
    case = open_case(player, data, seconds=1.0, seeds=seeds, baselines=False)
    judge = pick(case)
    assert judge.name == "strokes"
    return judge(case).result


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strokes, "classifier", lambda *given: measures.classifier(*given, steps=60))
    monkeypatch.setattr(strokes, "ENOUGH_TO_TEACH", 12)


def test_who_obeys_is_heard(data: Path) -> None:
    rows = judged(voice(asked), data)["results"]
    assert rows["model"]["class_accuracy"] > 0.9
    assert rows["recordings"]["class_accuracy"] > 0.9
    assert rows["shuffled"]["class_accuracy"] < 0.6
    assert rows["model"]["taught_accuracy"] > 0.8
    assert 0.6 < rows["model"]["diversity"] < 1.5
    assert rows["model"]["recall"] > 0.3


def test_who_plays_another_class_is_heard(data: Path) -> None:
    result = judged(voice(lambda x: (asked(x) + 1) % 3), data)
    assert result["results"]["model"]["class_accuracy"] < 0.2
    assert result["results"]["model"]["taught_accuracy"] < 0.3
    assert np.array(result["confusion"]).sum(axis=1).tolist() == [12, 12, 12]


def test_who_always_plays_the_same_has_no_diversity(data: Path) -> None:
    rows = judged(voice(asked, lambda *_: 3), data)["results"]
    assert rows["model"]["class_accuracy"] > 0.9
    assert rows["model"]["diversity"] < 0.1
    assert rows["model"]["recall"] < 0.2


def test_every_subclass_is_asked_for_and_gates_open(data: Path) -> None:
    heard: list[np.ndarray] = []

    def kind(x: np.ndarray) -> int:
        heard.append(x[:, 0].copy())
        return asked(x)

    judged(voice(kind), data, seeds=4)
    first = np.array([x for x in heard if x[0] == 1])
    assert first[:, 6:8].sum(axis=1).tolist() == [1] * len(first)
    assert first[:, 6].mean() == pytest.approx(0.5)
    assert first[:, 1].min() >= 0.2
    assert first[:, 1].std() > 0.1


def test_the_family_is_judged_from_its_run_and_untrained(data: Path) -> None:
    config = small_model("spectrogram_gan", "drums").config.model_copy(update={
        "classes": CLASSES, "subclasses": ("dry", "wet")})
    torch.manual_seed(0)
    case = open_case(PyTorchPlayer(SpectrogramGAN(config)), data, seconds=1.0, seeds=3)
    found = pick(case)(case)
    assert set(found.result["results"]) == {"model", "untrained", "recordings", "shuffled",
                                            "class_means"}
    assert found.result["results"]["model"]["frechet"] > 0.3
    assert found.result["generated"]["sounds"] == 9


def test_what_cannot_be_judged_is_one_line(data: Path, tmp_path: Path) -> None:
    few = folder_of(tmp_path, {f"{name}/{i}": stroke(0, i) for name in CLASSES[:1]
                               for i in range(10)})
    with pytest.raises(AudioError, match=r"1 of the classes .* have 4 sounds to judge by"):
        judged(voice(asked), few)
    case = open_case(Plays(lambda x, *_: x, generator()), data)
    assert JUDGES["strokes"].refuses(case)
    with pytest.raises(ConfigError, match=r"played\.make is not asked for strokes"):
        pick(case, "strokes")


def test_classes_of_which_there_are_none_are_left_out(tmp_path: Path) -> None:
    """And said: a folder of real strokes rarely has all that a model makes."""
    two = folder_of(tmp_path, {f"{name}/{i}": stroke(kind, i) for kind, name in
                               enumerate(CLASSES[:2]) for i in range(10)})
    # Of what is left out nothing that the model plays counts.
    case = open_case(voice(lambda x: asked(x) if asked(x) < 2 else 0), two, seconds=1.0, seeds=12,
                     baselines=False)
    found = pick(case)(case)
    assert found.result["results"]["model"]["class_accuracy"] > 0.9
    assert any("not judged: noise" in note for note in found.notes)
    assert sum(found.result["confusion"][2]) == 12


def test_a_mean_is_of_its_class_and_like_no_stroke(data: Path) -> None:
    rows = judged(voice(asked), data)["results"]
    assert rows["class_means"]["class_accuracy"] > 0.9
    assert rows["class_means"]["diversity"] < 0.05


def test_bins_differ_where_shares_do() -> None:
    rng = np.random.default_rng(0)
    def cloud(shares: tuple[float, float], count: int) -> torch.Tensor:
        which = (rng.random(count) < shares[1]).astype(np.float32)
        noise = 0.1 * rng.standard_normal((count, 1, 8, 8))
        return torch.from_numpy((which[:, None, None, None] + noise).astype(np.float32))

    real = cloud((0.5, 0.5), 1200)
    assert measures.different_bins(real, cloud((0.5, 0.5), 1200)) < 0.2
    assert measures.different_bins(real, cloud((0.9, 0.1), 1200)) > 0.7


def test_measures_of_known_clouds() -> None:
    rng = np.random.default_rng(0)
    real = rng.standard_normal((800, 4))
    assert points.frechet(real, real) == pytest.approx(0, abs=1e-6)
    # Shifted by 1 in one of four axes: 1 over a trace of 4; spread doubled: 4 over 4.
    assert points.frechet(real, real + np.eye(4)[0]) == pytest.approx(0.25, rel=0.1)
    assert points.frechet(real, 2 * real) == pytest.approx(1, rel=0.1)
    other = rng.standard_normal((800, 4))
    precision, recall = points.precision_recall(real, other)
    assert precision > 0.85
    assert recall > 0.85
    precision, recall = points.precision_recall(real, 0.05 * other)
    assert precision > 0.95
    assert recall < 0.2
    far, near = points.nearest(real + 10, real), points.nearest(real, real)
    assert near == 0
    assert far > 5
    labels = np.arange(800) % 2
    assert points.diversity(2 * real, labels) == pytest.approx(
        2 * points.diversity(real, labels))
