"""Figures by hand, intervals that hold what they promise, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from engine.errors import TudorError
from nn_tudor.cli import main
from tests.training.evaluation.listening.listening_helpers import answer_to, key_for, written
from training.evaluation.listening.analysis import (
    analyse,
    bootstrap,
    holm,
    interval,
    pairs,
    screen,
    variance_of_mean,
)
from training.evaluation.listening.answers import Answer, Key

SYSTEMS = {"reference": "reference", "anchor": "anchor", "one": "model", "two": "model"}


def key_of(systems: dict[str, str], trials: int) -> Key:
    return Key("id", systems, {f"t{i}": {f"s{i}{name}": name for name in systems}
                               for i in range(trials)})


def answers_of(ratings: np.ndarray) -> list[Answer]:
    """From [listeners, trials, systems]."""
    return [Answer(f"l{i}", i, each) for i, each in enumerate(ratings)]


def ratings_of(listeners: int, trials: int, seed: int = 0) -> np.ndarray:
    """Of the four systems: 97 (always recognised), 25, 60, 70, as people and sounds differ."""
    rng = np.random.default_rng(seed)
    shape = (listeners, trials, 4)
    mean = np.array([97.0, 25, 60, 70])
    spread = np.array([0.0, 1, 1, 1])
    people, sounds, rest = (6 * rng.standard_normal((listeners, 1, 4)),
                            5 * rng.standard_normal((1, trials, 4)), 8 * rng.standard_normal(shape))
    return np.clip(mean + spread * (people + sounds + rest), 0, 100)


@pytest.mark.parametrize(("trials", "missed", "kept"), [
    (10, 1, True), (10, 2, False), (6, 1, False), (7, 1, True), (20, 3, True), (20, 4, False)])
def test_who_did_not_hear_the_reference_in_more_than_15_percent_is_left_out(
    trials: int, missed: int, kept: bool
) -> None:
    one = np.full((trials, 2), 100.0)
    one[:missed, 0] = 89.9
    one[missed:, 0] = 90  # is not below 90
    one[:, 1] = 0  # another system's ratings do not matter
    stay, gone = screen([Answer("a", 3, one)], 0)
    assert (len(stay), len(gone)) == (kept, not kept)
    if gone:
        assert gone == [{"listener": "a", "seed": 3, "missed": missed, "trials": trials}]


def test_what_is_left_out_does_not_count() -> None:
    ratings = ratings_of(5, 4)
    deaf = np.full((1, 4, 4), 50.0)
    key = key_of(SYSTEMS, 4)
    result = analyse(answers_of(np.concatenate((ratings, deaf))), key)
    alone = analyse(answers_of(ratings), key)
    assert result["listeners"] == 5
    assert [row["listener"] for row in result["excluded"]] == ["l5"]
    assert result["systems"] == alone["systems"]
    with pytest.raises(TudorError, match="none of 1 listeners is left"):
        analyse(answers_of(deaf), key)


def test_means_are_in_order_and_by_hand() -> None:
    ratings = ratings_of(5, 4)
    result = analyse(answers_of(ratings), key_of(SYSTEMS, 4))
    assert list(result["systems"]) == ["reference", "two", "one", "anchor"]
    for i, name in enumerate(SYSTEMS):
        row = result["systems"][name]
        assert row["mean"] == pytest.approx(ratings[..., i].mean())
        assert row["by_listener"] == pytest.approx(ratings[..., i].mean(axis=1))
    assert result["systems"]["reference"]["low"] == result["systems"]["reference"]["high"]
    assert {(row["a"], row["b"]) for row in result["pairs"]} == {
        ("one", "reference"), ("two", "reference"), ("one", "anchor"), ("two", "anchor"),
        ("one", "two")}
    row = next(row for row in result["pairs"] if (row["a"], row["b"]) == ("one", "two"))
    assert row["difference"] == pytest.approx((ratings[..., 2] - ratings[..., 3]).mean())
    assert row["low"] < row["difference"] < row["high"]
    assert row["p"] <= row["p_holm"] <= 1


def test_with_one_of_either_it_is_the_t_test() -> None:
    values = np.random.default_rng(2).normal(5, 3, 7)
    wanted = ttest_1samp(values, 0)
    bounds = wanted.confidence_interval(0.95)
    for shape in ((7, 1), (1, 7)):
        found = interval(values.reshape(shape))
        assert found == pytest.approx((values.mean(), bounds.low, bounds.high, wanted.pvalue))
    assert interval(np.array([[5.0]])) == (5.0, None, None, None)
    assert interval(np.full((3, 3), 5.0)) == (5.0, 5.0, 5.0, None)
    assert interval(np.zeros((3, 3))) == (0.0, 0.0, 0.0, 1.0)


def test_the_variance_of_the_crossed_layout_by_hand() -> None:
    # Listeners differ by 4 and sounds by 2, nothing is left over.
    values = np.array([[0.0], [4.0]]) + np.array([[0.0, 2.0, 4.0]])
    variance, freedom = variance_of_mean(values)
    people, sounds = 3 * 8.0, 2 * 4.0  # mean squares
    assert variance == pytest.approx((people + sounds) / 6)
    assert freedom == pytest.approx((people + sounds) ** 2 / (people**2 / 1 + sounds**2 / 2))
    # Never less than either of them alone gives.
    tied = np.array([[0.0, 9.0], [10.0, 0.0]])
    variance, freedom = variance_of_mean(tied)
    assert variance == pytest.approx(max(2 * np.var([4.5, 5], ddof=1),
                                         2 * np.var([5, 4.5], ddof=1)) / 4)
    assert freedom == 1


@pytest.mark.parametrize(("listeners", "trials"), [(5, 4), (12, 10)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(listeners: int, trials: int) -> None:
    """Of new listeners and new sounds, 300 tests: 95 % is promised, chance allows 2.5 % more or
    less; a bootstrap of few is known to be a little narrow."""
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        values = 50 + 6 * rng.standard_normal((listeners, 1)) + (
            5 * rng.standard_normal((1, trials))) + 8 * rng.standard_normal((listeners, trials))
        drawn = bootstrap(values[..., None], 400)[:, 0] if listeners > 8 else None
        found = interval(values, drawn)
        held += found.low <= 50 <= found.high
    assert 0.91 <= held / 300 <= 0.99


def test_the_bootstrap_draws_listeners_and_sounds_whole() -> None:
    ratings = ratings_of(10, 9)
    drawn = bootstrap(ratings, 3000)
    assert drawn.shape == (3000, 4)
    assert np.array_equal(drawn, bootstrap(ratings, 3000))
    assert drawn.mean(axis=0) == pytest.approx(ratings.mean(axis=(0, 1)), abs=0.3)
    # People who rate everything higher raise all systems together: differences know it.
    same = ratings.copy()
    same[..., 2] = same[..., 3] - 5
    drawn = bootstrap(same, 500)
    assert drawn[:, 3] - drawn[:, 2] == pytest.approx(np.full(500, 5))
    # With one sound only the listeners vary: as the mean of a sample does.
    spread = bootstrap(ratings[:, :1], 20000).std(axis=0)[1]
    assert spread == pytest.approx(ratings[:, 0, 1].std() / np.sqrt(10), rel=0.05)


def test_enough_of_both_is_bootstrapped() -> None:
    for listeners, trials, word in ((7, 8, "crossed layout, as"), (8, 7, "crossed layout, as"),
                                    (8, 8, "bootstrap over listeners and sounds"),
                                    (1, 8, "over sounds: one listener"),
                                    (8, 1, "over listeners: one sound"), (1, 1, "one rating")):
        result = analyse(answers_of(ratings_of(listeners, trials)), key_of(SYSTEMS, trials))
        assert word in result["method"]
        row = result["systems"]["one"]
        assert (row["low"] is None) == (listeners == trials == 1)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([None, 0.02]) == [None, 0.04]
    assert holm([]) == []


def test_a_difference_is_paired() -> None:
    """Listeners who differ by 30 agree on 3: unpaired it would be lost."""
    rng = np.random.default_rng(4)
    base = rng.uniform(20, 70, (6, 1)) + rng.uniform(-2, 2, (6, 5))
    ratings = np.stack((base, base + 3 + 0.5 * rng.standard_normal((6, 5))), axis=-1)
    row = pairs(ratings, None, ["a", "b"], {"a": "model", "b": "baseline"})[0]
    assert row["difference"] == pytest.approx(-3, abs=0.3)
    assert row["high"] < -2
    assert row["p"] < 1e-4
    assert row["p_holm"] == row["p"]
    means = ratings.mean(axis=1)
    unpaired = abs(np.diff(means.mean(axis=0))) / np.sqrt(means.var(axis=0, ddof=1).sum() / 6)
    assert 2 * student.sf(unpaired[0], 10) > 0.2


# --- the command ---------------------------------------------------------------------------------


def listening(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["listening", *map(str, words)])
    return int(ended.value.code or 0)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Answers of four, one of whom is deaf and one broken, and the key."""
    key = key_for({"reference": "reference", "noise $x$ [red]": "baseline", "mine": "model"})
    folder = tmp_path / "answers"
    for i, name in enumerate(("anna", "berta", "carl")):
        written(folder / f"{name}.json", answer_to(
            key, {"reference": 100, "noise $x$ [red]": 10 + i, "mine": 50 + 3 * i}, name))
    written(folder / "deaf.json", answer_to(
        key, {"reference": 50, "noise $x$ [red]": 50, "mine": 50}, "dora"))
    written(folder / "nan.json", '{"format": NaN}')
    return folder, written(tmp_path / "page.key.json", key)


def test_the_command_tells_all(files: tuple[Path, Path], tmp_path: Path,
                               capsys: pytest.CaptureFixture[str]) -> None:
    folder, key = files
    assert listening(folder, "--key", key, "--plot", tmp_path / "out.png") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "3 listeners, 4 sounds" in out
    assert "noise $x$ [red]" in out
    assert "mine - reference" in out
    assert "left out dora (seed 1): rated the hidden reference below 90 in 4 of 4 trials" in out
    assert f"skipped {folder / 'nan.json'}: holds NaN, which is not a number" in out
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_json(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder, key = files
    assert listening(folder, "--key", key, "--json") == 0
    out, err = capsys.readouterr()
    result = json.loads(out, parse_constant=pytest.fail)
    assert result["systems"]["mine"]["mean"] == pytest.approx(53)
    assert result["systems"]["mine"]["low"] < 53 < result["systems"]["mine"]["high"]
    assert result["listeners"] == 3
    assert len(result["skipped"]) == 1
    assert err == f"skipped {folder / 'nan.json'}: holds NaN, which is not a number\n"


def test_mistakes_end_in_one_line(files: tuple[Path, Path], tmp_path: Path,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    folder, key = files
    for words, said in (
        ((folder, "--key", tmp_path / "none.json"), "none.json: does not exist"),
        ((folder, "--key", key, "--plot", "x.txt"), "--plot x.txt: name a .png, .svg or .pdf"),
        ((folder / "deaf.json", "--key", key), "none of 1 listeners is left"),
    ):
        assert listening(*words) == 1
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
    assert listening(folder / "nan.json", "--key", key) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"skipped {folder / 'nan.json'}: holds NaN, which is not a number",
        "error: no answer can be used, of 1 given"]
