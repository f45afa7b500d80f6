"""What draws sound sample by sample, judged: players that keep to scores or not, and a toy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from engine.errors import ConfigError
from engine.models.base import Model
from engine.models.registry import build
from engine.players import compiled
from engine.players.base import Player
from engine.players.pytorch import PyTorchPlayer
from tests.families import autoregressive as draws
from tests.families.driver import registered
from tests.training.evaluation.judges.judge_helpers import tape as generator_tape
from tests.training.evaluation.judges.playing_helpers import (
    GENERATE,
    LABELS,
    RATE,
    ROW,
    corpus,
    playing,
    rendered,
)
from training.evaluation.asked_notes import Asked
from training.evaluation.judges import playing as judge_module
from training.evaluation.judges.case import Case, open_case
from training.evaluation.judges.findings import Findings
from training.evaluation.judges.playing_table import TARGETS
from training.evaluation.judges.registry import JUDGES, pick
from training.evaluation.judges.scores_beside import beside
from training.evaluation.judges.tape import Tape

SECONDS, SEEDS = 4.0, 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("scores"))


@pytest.fixture(autouse=True)
def one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scales of predictors are looked for among fewer."""
    monkeypatch.setattr("training.evaluation.predictors.FOLLOWING", ((0.99, 0.55, 2e-4),))
    monkeypatch.setattr("training.evaluation.predictors.SCALES", np.geomspace(1e-3, 0.1, 6))


def judged(player: Player, data: Path, **options: Any) -> Findings:
    case = Case(player, data, "crops", None, seconds=SECONDS, seeds=SEEDS, **options)
    judge = pick(case)
    assert judge.name == "playing"
    return judge(case)


def noisy(x: np.ndarray, start: int, seed: int) -> np.ndarray:
    return 0.05 * np.random.default_rng((seed, start)).standard_normal(x.shape[1] * ROW)


def test_what_keeps_to_the_score_is_told_from_what_does_not(data: Path) -> None:
    found = judged(playing(lambda x, start, seed: rendered(x)), data)
    rows = found.result["results"]
    assert list(rows)[-4:] == ["model", "held_out", "shuffled", "noise"]
    assert rows["model"]["pitch"] > 0.95
    assert rows["held_out"]["pitch"] > 0.95
    assert rows["shuffled"]["pitch"] < 0.2
    assert rows["noise"]["pitch"] < 0.2
    assert abs(rows["model"]["level_db"]) < 1
    assert rows["model"]["jumps"] == pytest.approx(1, abs=0.1)
    assert rows["model"]["quiet_windows"] == 0
    assert rows["noise"]["clarity"] < 0.6 < 0.8 < rows["model"]["clarity"]
    assert len(found.result["generated"]["by_seed"]) == SEEDS
    met = {key: row["met"] for key, row in found.result["targets"].items()}
    assert all(met[key] for key in ("pitch", "clarity", "level", "jumps", "quiet"))
    assert met["bits"] is None  # a file has no likelihood
    assert met["long"] is None
    assert any("only a run says them" in note for note in found.notes)
    other = judged(playing(noisy), data).result
    assert other["results"]["model"]["pitch"] < 0.2
    assert other["targets"]["clarity"]["met"] is False
    json.dumps(other)


def test_each_sound_has_its_own_score_and_seed(data: Path) -> None:
    seen = []

    def answer(x: np.ndarray, start: int, seed: int) -> np.ndarray:
        seen.append((seed, x.copy()))
        return rendered(x)

    judged(playing(answer), data, baselines=False)
    scores = {seed: np.concatenate([x for at, x in seen if at == seed], axis=1)
              for seed in (0, 1)}
    whole = np.concatenate([np.load(data / f"{i}.npy") for i in range(3)], axis=1)
    whole[1, np.r_[5940:6000, 11940:12000, 17940:18000]] = 0  # a file ends
    assert np.array_equal(scores[0], whole[:, :4000])
    assert np.array_equal(scores[1], whole[:, 9000:13000])


def test_predictors_stand_beside_and_are_ordered(data: Path) -> None:
    rows = judged(playing(noisy), data).result["results"]
    bits = {name: rows[name]["bits"] for name in
            ("unigram", "bigram", "fixed", "following", "adaptive")}
    assert bits["adaptive"] < bits["following"] < bits["fixed"] + 1e-9
    assert bits["bigram"] < bits["unigram"] < 8


def test_long_sounds_that_fall_silent_are_found(data: Path) -> None:
    def fades(x: np.ndarray, start: int, seed: int) -> np.ndarray:
        rows = start + np.arange(x.shape[1])
        return rendered(x) * np.repeat(rows < 6000, ROW)

    found = judged(playing(fades), data, long_seconds=14.0)
    long = found.result["long"]
    assert long["model"]["silence"] == {"longest_seconds": 8.0, "from_seconds": 6.0}
    assert long["model"]["first_seconds"] == 6.0
    assert long["held_out"]["share"] == 0
    assert found.result["targets"]["long"]["met"] is False
    assert len(long["level_db"]) == 14


def test_without_notes_the_pitch_that_is_heard_is_asked_for(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "plain", count=1)
    wanted = np.load(folder / "0.npy")
    (folder / "0.npy").unlink()
    seen = []

    def answer(x: np.ndarray, start: int, seed: int) -> np.ndarray:
        seen.append(x.copy())
        return rendered(x)

    found = judged(playing(answer), folder, baselines=False)
    asked = np.concatenate(seen, axis=1)[:, :4000]
    both = (asked[1] > 0.5) & (wanted[1, :4000] > 0.5)
    assert both.sum() > 2000
    assert np.median(np.abs(asked[0] - wanted[0, :4000])[both]) < 0.02
    assert found.result["results"]["model"]["pitch"] > 0.8
    assert any("1 sounds have no notes beside them" in note for note in found.notes)


def test_what_takes_no_notes_is_not_asked_for_any(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "plain", count=1)
    player = playing(noisy)
    spec = replace(player.description.main, input_labels=("free", *"abcde"))
    player.description.methods[spec.name] = spec
    seen = []
    real = player.answer
    player.answer = lambda x, start, values: (seen.append(x[:, 0]), real(x, start, values))[1]
    case = Case(player, folder, "crops", None, seconds=SECONDS, seeds=SEEDS, baselines=False)
    found = pick(case, "playing")(case)
    assert seen
    assert all(np.array_equal(row, [1, 0, 0, 0, 0, 0]) for row in seen)
    assert found.result["results"]["model"]["pitch"] is None


def test_notes_beside_a_sound_know_more_voices_than_the_model(tmp_path: Path) -> None:
    (tmp_path / "a.notes").write_text("onset_s,duration_s,pitch,velocity\n"
                                      "0.5,1.0,60,0.6\n1.0,1.5,72,0.6\n")
    audio = 0.1 * np.sin(0.4 * np.arange(3 * RATE)).astype(np.float32)
    one = replace(GENERATE, in_channels=4, input_labels=("pitch_oct", "gate", "loudness", "free"))
    found = beside(tmp_path / "a.wav", audio, 0, one, RATE)
    assert found is not None
    assert found.conditions.shape == (4, 3000)
    assert np.abs(found.conditions[2, 500:2500] - found.conditions[2, 1000]).max() < 0.01
    assert not found.conditions[3].any()
    single = np.isfinite(Asked.of(found.score, ROW, RATE, len(audio)).octaves)
    at = np.arange(len(single)) * 0.032
    assert single[(at > 0.5) & (at < 0.93)].all()
    assert not single[(at > 0.95) & (at < 1.49)].any()  # two notes, of which the model knows one
    assert single[(at > 1.51) & (at < 2.43)].all()
    later = beside(tmp_path / "a.wav", audio[RATE:], 1000, one, RATE)  # a part of the file
    assert later is not None
    assert np.array_equal(later.score, found.score[:, 1000:])


def test_assigned_conditions_win(data: Path) -> None:
    seen = []

    def answer(x: np.ndarray, start: int, seed: int) -> np.ndarray:
        seen.append(x.copy())
        return rendered(x)

    found = judged(playing(answer), data, assignments=["pitch_oct=0.5", "gate=1"])
    assert all((x[0] == 0.5).all() and (x[1] == 1).all() for x in seen)
    assert found.result["results"]["model"]["pitch"] == 1


def test_conditions_of_another_shape_are_named(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "odd", count=1)
    np.save(folder / "0.npy", np.zeros((3, 100), np.float32))
    with pytest.raises(ConfigError, match=r"0\.npy: make takes conditions \[6, rows\].*\[3, 100\]"):
        judged(playing(noisy), folder)


def test_late_sound_is_moved_to_its_score(data: Path) -> None:
    """By the method's lookahead."""
    late = 800
    state = {}

    def answer(x: np.ndarray, start: int, seed: int) -> np.ndarray:
        if start == 0:
            state["held"] = np.zeros((len(LABELS), late // ROW), np.float32)
        joined = np.concatenate((state["held"], x), axis=1)
        state["held"] = joined[:, x.shape[1] :]
        return rendered(joined[:, : x.shape[1]])

    player = playing(answer)
    spec = replace(player.description.main, lookahead_samples=late)
    player.description.methods[spec.name] = spec
    rows = judged(player, data).result["results"]
    assert rows["model"]["pitch"] > 0.95


def test_the_page_has_tables_pictures_and_sounds(data: Path, tmp_path: Path) -> None:
    found = judged(playing(lambda x, start, seed: rendered(x)), data, out=tmp_path / "page",
                   long_seconds=8.0)
    page = found.write_page(tmp_path / "page").read_text("utf-8")
    for file in ("bits.png", "played.png", "real.png", "long_level_db.png", "long_clarity.png",
                 "played_1.wav", "held_out_2.wav"):
        assert (tmp_path / "page" / file).is_file()
        assert file in page
    sound, rate = soundfile.read(tmp_path / "page" / "played_1.wav")
    assert (len(sound), rate) == (round(SECONDS * RATE), RATE)
    assert all(escape(target.title) in page for target in TARGETS)


def test_other_generators_keep_their_judge() -> None:
    case = Case(generator_tape([np.zeros(100, np.float32)]), Path(), "crops", None)
    assert pick(case).name == "generation"
    assert not JUDGES["playing"].refuses(case)  # but may be asked for


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[tuple[Model, Path]]:
    """A model that draws, and tones."""
    draws.fill(tmp_path)
    with registered(draws.TOY), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        shape = {"channels": 8, "layers": 3, "sample_rate_hz": 8000}
        yield build("autoregressive", shape).eval(), tmp_path


def test_a_model_is_judged_with_bits_and_played_natively(
    toy: tuple[Model, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backends = []
    real = judge_module._played
    monkeypatch.setattr(judge_module, "_played", lambda case, player, stretches: (
        backends.append(player.backend), real(case, player, stretches))[1])
    case = open_case(*toy, seconds=0.5, seeds=2)
    judge = pick(case)
    assert judge.name == "playing"
    found = judge(case).result
    assert backends == ["native"]
    model, adaptive = (found["results"][name] for name in ("model", "adaptive"))
    assert 5 < model["bits"] < 9
    assert model["bits_saved"] == pytest.approx(adaptive["bits"] - model["bits"])
    assert found["targets"]["bits"]["met"] is False


def test_without_an_exporter_it_plays_in_pytorch_and_says_so(
    toy: tuple[Model, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "WRITERS", [])
    case, notes = open_case(*toy, long_seconds=2.0), []
    with judge_module._quick(case, notes) as player:
        assert isinstance(player, PyTorchPlayer)
        tape = Tape(np.zeros(RATE, np.float32), ROW, RATE)
        assert judge_module._long(case, player, tape, notes) is None
    assert notes == ["played in PyTorch, which is slow: nothing here writes native files",
                     "nothing long was played: PyTorch is too slow for it"]
