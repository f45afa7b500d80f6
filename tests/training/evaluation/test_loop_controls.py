"""Knobs that are obeyed or not, and codes that say which loop."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.evaluation.loop_helpers import FOUR, RATE, clicks, tone
from training.evaluation.loop_controls import code_rank, knob_response
from training.evaluation.loop_measures import measured_knobs

DRAWS = 100


def draws(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-1, 1, DRAWS) for name in ("density", "brightness", "loudness")}


def test_knobs_that_are_obeyed() -> None:
    asked = draws(0)
    measured = {"density": 6 + 2 * asked["density"], "brightness": np.exp(asked["brightness"]),
                "loudness": -14 + asked["loudness"]}
    found = knob_response(asked, measured)
    for name in asked:
        assert found[name]["spearman"] == pytest.approx(1, abs=0.02)
        assert found[name]["cross_talk"] < 0.05
    assert found["density"]["slope"] == pytest.approx(2)


def test_a_knob_that_turns_another() -> None:
    asked = draws(1)
    measured = {**asked, "loudness": asked["loudness"] + asked["density"]}
    found = knob_response(asked, measured)
    assert found["density"]["into"] == "loudness"
    assert found["density"]["cross_talk"] > 0.5
    assert found["brightness"]["cross_talk"] < 0.1


def test_knobs_that_were_turned_together_are_told_apart() -> None:
    """Asked values that have something in common are no cross-talk."""
    asked = draws(2)
    asked["loudness"] = 0.8 * asked["density"] + 0.6 * asked["loudness"]
    found = knob_response(asked, dict(asked))
    assert found["density"]["cross_talk"] < 0.05
    assert found["density"]["spearman"] > 0.95


def test_a_knob_that_does_nothing() -> None:
    found = knob_response(draws(3), draws(4))
    assert abs(found["density"]["spearman"]) < 0.3
    still = knob_response(draws(3), {"density": np.ones(DRAWS)})
    assert still["density"]["spearman"] == 0
    assert still["density"]["cross_talk"] is None
    silent = knob_response(draws(3), {"density": np.full(DRAWS, np.nan)})
    assert silent["density"]["slope"] is None


def test_one_value_for_each_draw() -> None:
    with pytest.raises(ValueError, match="one for each draw"):
        knob_response(draws(0), {"density": np.ones(DRAWS - 1)})


def test_what_knobs_are_about_is_measured() -> None:
    sounds = [clicks(120, steps=FOUR), clicks(120), tone(500, 4), tone(2000, 4, 0.03),
              np.zeros(4 * RATE, np.float32)]
    found = measured_knobs(sounds, RATE)
    assert found["density"][0] == pytest.approx(2, abs=0.3)
    assert found["density"][1] == pytest.approx(8, abs=0.5)
    assert found["brightness"][3] - found["brightness"][2] == pytest.approx(2, abs=0.2)
    assert found["loudness"][2] - found["loudness"][3] == pytest.approx(20, abs=0.1)
    assert np.isnan(found["brightness"][4])


def test_codes_that_say_which_loop() -> None:
    rng = np.random.default_rng(0)
    real = rng.dirichlet(np.ones(16), 50)
    assert code_rank(real + 0.002 * rng.standard_normal(real.shape), real) == pytest.approx(
        0, abs=0.002)
    other = code_rank(rng.dirichlet(np.ones(16), 50), real)
    assert other == pytest.approx(0.5, abs=0.08)
    turned = code_rank(real[np.arange(50) ^ 1], real)
    assert turned is not None
    assert turned > 0.3
    near = code_rank(0.5 * real + 0.5 * real.mean(axis=0), real)  # fainter, but the same
    assert near == pytest.approx(0, abs=1e-9)


def test_one_rhythm_for_all_is_chance() -> None:
    real = np.random.default_rng(0).dirichlet(np.ones(16), 20)
    assert code_rank(np.tile(real[:1], (20, 1)), real) == pytest.approx(0.5)
    assert code_rank(real[:1], real[:1]) is None
    with pytest.raises(ValueError, match="do not pair"):
        code_rank(real[:3], real)
