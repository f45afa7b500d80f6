"""What a sound that plays by itself falls into, on sounds that do."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.evaluation.judges.playing_helpers import LABELS, RATE, ROW, rendered, score
from training.evaluation.asked_notes import Asked, Layout
from training.evaluation.fragments import Jumps, frame_edges
from training.evaluation.free_play import Heard, collapses, runs

SECONDS = 24


def heard(audio: np.ndarray, x: np.ndarray | None) -> Heard:
    layout = Layout.of(LABELS)
    assert layout is not None
    return Heard.of(audio, RATE, None if x is None else Asked.of(
        layout.score(x), ROW, RATE, len(audio)))


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return score(1, SECONDS)


@pytest.fixture(scope="module")
def real(x: np.ndarray) -> np.ndarray:
    return rendered(x)


def test_real_sound_has_the_right_figures_and_no_collapse(x: np.ndarray, real: np.ndarray) -> None:
    own = heard(real, x)
    found = own.figures(own)
    assert found["pitch"] == 1
    assert found["clarity"] is not None
    assert found["clarity"] > 0.9
    assert found["level_db"] == 0
    assert found["jumps"] == 1
    assert found["quiet_windows"] == 0
    fallen = collapses(own, own)
    assert fallen["first_seconds"] is None
    assert fallen["share"] == 0


def test_figures_follow_what_is_done_to_the_sound(x: np.ndarray, real: np.ndarray) -> None:
    own = heard(real, x)
    assert heard(real / 4, x).figures(own)["level_db"] == pytest.approx(-12.04, abs=0.01)
    assert heard(3 * real, x).figures(own)["jumps"] == pytest.approx(3, rel=1e-3)
    other = heard(rendered(score(2, SECONDS)), x).figures(own)["pitch"]
    assert other is not None
    assert other < 0.15
    gone = real.copy()
    gone[3 * RATE : 7 * RATE] = 0
    assert heard(gone, x).figures(own)["quiet_windows"] == 4


def test_silence_that_is_asked_for_is_none(x: np.ndarray, real: np.ndarray) -> None:
    rest = x.copy()
    rest[1, 3000:7000] = 0
    own = heard(rendered(rest), rest)
    assert own.figures(own)["quiet_windows"] == 0
    assert heard(rendered(rest), None).figures(own)["quiet_windows"] == 4  # no score: all counts


FALLS = {
    "silence": lambda real: np.zeros_like(real),
    "noise": lambda real: 0.05 * np.random.default_rng(0).standard_normal(len(real)),
    "stuck": lambda real: 0.1 * np.sign(np.sin(0.17 * np.arange(len(real)))),
    "scream": lambda real: np.sign(np.random.default_rng(0).standard_normal(len(real))),
}


@pytest.mark.parametrize("state", FALLS)
def test_each_collapse_is_found_from_where_it_begins(
    state: str, x: np.ndarray, real: np.ndarray
) -> None:
    at = 10
    sound = real.copy()
    sound[at * RATE :] = FALLS[state](real)[at * RATE :]
    found = collapses(heard(sound, x), heard(real, x))
    assert found[state]["from_seconds"] == at
    assert found[state]["longest_seconds"] == SECONDS - at
    assert found["first_seconds"] == at
    assert found["share"] == pytest.approx((SECONDS - at) / SECONDS)
    others = {"silence", "stuck"} - {state}
    assert all(found[name]["from_seconds"] is None for name in others)


def test_a_short_fall_is_no_collapse(x: np.ndarray, real: np.ndarray) -> None:
    sound = real.copy()
    sound[5 * RATE : 8 * RATE] = 0
    found = collapses(heard(sound, x), heard(real, x))
    assert found["silence"] == {"longest_seconds": 3.0, "from_seconds": None}
    assert found["first_seconds"] is None


def test_a_tone_that_the_score_holds_is_not_stuck() -> None:
    held = np.zeros((len(LABELS), 20 * RATE // ROW), np.float32)
    held[0], held[1] = 0.25, 1
    sound = heard(rendered(held), held)
    found = collapses(sound, sound)
    assert found["stuck"]["longest_seconds"] == 0


def test_stretches() -> None:
    assert runs(np.array([True, True, False, True, False])) == [(0, 2), (3, 1)]
    assert runs(np.array([], bool)) == []


# --- fragments ------------------------------------------------------------------------------------


def chopped(sound: np.ndarray, seed: int) -> np.ndarray:
    """With gaps: fragments of a fifth of a second, each at a level of its own."""
    rng = np.random.default_rng(seed)
    size = RATE // 5
    gains = np.repeat(10 ** rng.uniform(-1.5, 0, len(sound) // size + 1), size)
    return sound * gains[: len(sound)]


def test_gaps_between_fragments_are_found(x: np.ndarray, real: np.ndarray) -> None:
    other, score_of_it = rendered(score(2, SECONDS)), score(2, SECONDS)
    base, alike, broken = (
        Jumps.of([sound], RATE, [heard(sound, asked).asked]) for sound, asked in (
            (real, x), (other, score_of_it), (chopped(other, 0), score_of_it)))
    assert len(base.loudness) == len(base.flux) == len(base.inside) > 700
    assert 0.5 < base.inside.mean() < 0.8
    same, near, far = (jumps.against(base) for jumps in (base, alike, broken))
    assert same["loudness_apart"] == same["flux_apart"] == 0
    assert same["loudness_gaps"] == pytest.approx(1, abs=0.3)
    for key, most, least in (("loudness_gaps", 3, 8), ("flux_gaps", 3, 5),
                             ("loudness_apart", 0.1, 0.11)):
        own, other_one = near[key], far[key]
        assert own is not None
        assert own < most
        assert other_one is not None
        assert other_one > least


def test_noise_has_other_jumps_than_notes(real: np.ndarray) -> None:
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(real))
    found = Jumps.of([noise], RATE).against(Jumps.of([real], RATE))
    assert found["flux_apart"] is not None
    assert found["flux_apart"] > 0.5


def test_too_short_a_sound_says_nothing(real: np.ndarray) -> None:
    found = Jumps.of([real[: RATE // 2]], RATE).against(Jumps.of([real], RATE))
    assert set(found.values()) == {None}


def test_edges_of_frames_are_heard(real: np.ndarray) -> None:
    smooth = frame_edges([real], 16)
    steps = real + np.repeat(0.03 * np.random.default_rng(0).standard_normal(len(real) // 16), 16)
    assert smooth == pytest.approx(1, abs=0.02)
    found = frame_edges([steps], 16)
    assert found is not None
    assert found > 1.5
    other = frame_edges([np.roll(steps, 5)], 16)
    assert other is not None
    assert other < 1.1
    assert frame_edges([real], 1) is None
