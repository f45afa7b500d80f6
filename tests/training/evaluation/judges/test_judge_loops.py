"""The judge of loops on our own techno loops, with what should be better and what worse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import AudioError
from tests.training.evaluation.loop_helpers import FOUR, RATE, clicks, techno
from training.evaluation.judges.loops import LoopJudge, Loops, evaluate_loops
from training.evaluation.loop_floors import shuffled, tiled
from training.evaluation.loop_paths import Path as Bars
from training.evaluation.loop_paths import bar_curves, path_figures
from training.evaluation.loop_table import grids, knob_grid, path_grid, path_plots, step_plot
from training.evaluation.page import picture_parts

COUNT = 10


@pytest.fixture(scope="module")
def judge() -> LoopJudge:
    return LoopJudge(techno(1000, COUNT), RATE, techno(0, COUNT))


@pytest.fixture(scope="module")
def result(judge: LoopJudge) -> dict[str, Any]:
    copies = techno(0, COUNT)
    rng = np.random.default_rng(0)
    noisy = [(0.5 * sound + 0.002 * rng.standard_normal(len(sound))).astype(np.float32)
             for sound in copies.sounds]
    return evaluate_loops(judge.real, [techno(2000, COUNT), techno(3000, COUNT)], RATE, copies,
                          {"codec_learnt": Loops(noisy, copies.bpm)}, judge=judge)


def test_real_loops_are_good_and_floors_bad(result: dict[str, Any]) -> None:
    rows = result["results"]
    assert list(rows) == ["model", "real", "learnt", "codec_learnt", "own_steps", "own_frames",
                          "all_frames", "noise"]
    assert abs(rows["real"]["descriptor_mmd"]) < 0.01
    assert rows["real"]["level_error_db"] == rows["real"]["ks_loudness"] == 0
    assert rows["model"]["descriptor_mmd"] < rows["all_frames"]["descriptor_mmd"]
    assert rows["all_frames"]["descriptor_mmd"] < rows["noise"]["descriptor_mmd"]
    assert rows["model"]["rhythm_mmd"] < rows["own_steps"]["rhythm_mmd"]
    assert rows["model"]["ks_loudness"] < rows["all_frames"]["ks_loudness"]
    assert rows["model"]["tempo_hit"] >= 0.9 > rows["own_frames"]["tempo_hit"]


def test_shuffling_takes_what_it_should(result: dict[str, Any]) -> None:
    rows = result["results"]
    # Quarter-beats in another order keep the grid and lose the bar; frames lose both.
    assert rows["own_steps"]["lock16"] > 0.85 * rows["real"]["lock16"]
    assert rows["own_steps"]["bar"] < rows["real"]["bar"] - 0.2
    assert rows["own_frames"]["lock16"] < 0.4 * rows["real"]["lock16"]
    assert abs(rows["own_frames"]["bar"]) < 0.15
    assert abs(rows["noise"]["level_error_db"]) < 0.1


def test_copies_are_near_to_what_was_learnt(result: dict[str, Any], judge: LoopJudge) -> None:
    rows = result["results"]
    copied, new = rows["codec_learnt"], rows["real"]
    assert copied["neighbour_db"] < 0.5 * new["neighbour_db"]
    assert copied["neighbour_low_db"] < 0.5 * new["neighbour_low_db"]
    learnt = techno(0, COUNT)
    # One that begins elsewhere, quieter: between two of the frames that were looked up.
    late = Loops([tiled(0.5 * sound[: round(RATE * 240 / bpm)], len(sound), 5000)
                  for sound, bpm in zip(learnt.sounds, learnt.bpm, strict=True)], learnt.bpm)
    found = judge.figures(late)
    assert found["neighbour_db"] is not None
    assert found["neighbour_db"] < 0.7 * new["neighbour_db"]


def test_the_same_sounds_at_other_tempi_are_not_in_time(judge: LoopJudge) -> None:
    real = judge.real
    other = judge.figures(Loops(real.sounds, [1.07 * bpm for bpm in real.bpm]), False)
    own = judge.figures(real, False)
    for key in ("lock16", "beat", "tempo_hit"):
        a, b = other[key], own[key]
        assert a is not None
        assert b is not None
        assert a < 0.6 * b


def test_loops_are_judged_wherever_they_begin(judge: LoopJudge) -> None:
    """From the middle of a beat on, with the bar position that says so."""
    real, start = judge.real, 5000
    later = real.part(RATE, start, len(real.sounds[0]))
    found, own = judge.figures(later, False), judge.figures(real, False)
    assert found["rhythm_mmd"] == pytest.approx(own["rhythm_mmd"], abs=0.05)
    untold = judge.figures(Loops(later.sounds, later.bpm), False)
    assert untold["rhythm_mmd"] is not None
    assert found["rhythm_mmd"] is not None
    assert untold["rhythm_mmd"] > found["rhythm_mmd"] + 0.05


def test_quiet_and_broken_sounds_are_told(judge: LoopJudge) -> None:
    real = judge.real
    quiet = judge.figures(Loops([0.5 * sound for sound in real.sounds], real.bpm), False)
    assert quiet["level_error_db"] == pytest.approx(-6.02, abs=0.01)
    sounds = [np.full_like(real.sounds[0], np.nan), np.zeros_like(real.sounds[0]),
              np.full_like(real.sounds[0], 1e30), *real.sounds[3:]]
    broken = judge.figures(Loops(sounds, real.bpm))
    assert broken["broken"] == pytest.approx(2 / COUNT)
    assert all(value is None or np.isfinite(value) for value in broken.values())


def test_drift_of_a_stream_that_fades_and_slows() -> None:
    seconds = 12.0
    steady = [clicks(120 + 4 * i, seconds, steps=FOUR, seed=i) for i in range(3)]
    bpm = [120.0 + 4 * i for i in range(3)]
    judge = LoopJudge(Loops([sound[: 4 * RATE] for sound in steady], bpm), RATE)
    still = judge.drift(Loops(steady, bpm), 4.0)
    assert still["level_error_db"] == pytest.approx(0, abs=0.5)
    assert abs(still["lock16"] or 0) < 0.05
    half = len(steady[0]) // 2
    slower = [0.5 * clicks(tempo / 1.05, seconds, steps=FOUR)[half:] for tempo in bpm]
    falling = [np.concatenate([sound[:half], rest]).astype(np.float32)
               for sound, rest in zip(steady, slower, strict=True)]
    found = judge.drift(Loops(falling, bpm), 4.0)
    assert found["level_error_db"] == pytest.approx(-6, abs=1.5)  # slower: fewer clicks
    assert found["lock16"] is not None
    assert found["lock16"] < -0.2
    with pytest.raises(ValueError, match="twice that"):
        judge.drift(Loops(steady, bpm), 7.0)


def test_clicks_where_chunks_meet_are_heard(judge: LoopJudge) -> None:
    real = judge.real
    assert judge.border_flux(real, 1024, 128) == pytest.approx(1, abs=0.1)
    clicking = [sound + 0.5 * (np.arange(len(sound)) % 1024 == 0) for sound in real.sounds]
    found = judge.border_flux(Loops(clicking, real.bpm), 1024, 128)
    assert found is not None
    assert found > 1.3


def test_a_shuffled_sound_is_made_of_its_source_without_clicks() -> None:
    sound = np.sin(2 * np.pi * 100 * np.arange(32000) / RATE).astype(np.float32)
    same = shuffled(sound, [sound], 160.0, RATE, 0)  # pieces of whole periods: one wave again
    assert len(same) == len(sound)
    np.testing.assert_allclose(same[320:-640], sound[320:-640], atol=1e-4)
    other = shuffled(sound, [sound], 512.0, RATE, 0)
    assert np.abs(np.diff(other)).max() < 0.12  # the wave's own steps are 0.04 at most
    assert (other != shuffled(sound, [sound], 512.0, RATE, 1)).any()


def test_tables_json_and_pictures(result: dict[str, Any], judge: LoopJudge, tmp_path: Path) -> None:
    assert json.loads(json.dumps(result)) == result
    grid = grids(result, "loops-tiny")[0]
    assert grid.rows[0][0] == "model"
    assert grid.rows[1][0] == "± of the draws"
    assert {len(row) for row in grid.rows} == {len(grid.head)}
    assert result["better"]["descriptor_mmd"] == "lower"
    sound = np.concatenate([clicks(120, 8, steps=FOUR), 0.3 * clicks(120, 8)])
    path = Bars(sound.astype(np.float32), 120, 8)
    found = path_figures([path], RATE, judge.points)
    assert len(path_grid({"code": found}).rows[0]) == len(path_grid({"code": found}).head)
    rows = {"density": {"spearman": 0.9, "slope": 1.0, "cross_talk": None, "into": None}}
    assert knob_grid(rows).rows == [["density", "0.9", "1", "-", "-"]]
    plots = [step_plot(result), *path_plots({"code path": bar_curves(path, RATE)})]
    shown = picture_parts(plots, tmp_path)
    assert len(shown) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["path_centroid.png", "path_level.png",
                                                          "steps.png"]


def test_what_cannot_be_judged_is_named() -> None:
    sound = clicks(120, 2)
    with pytest.raises(ValueError, match="2 tempi"):
        Loops([sound], [120, 120])
    with pytest.raises(ValueError, match="a sound at least"):
        Loops([], [])
    for bpm in (0.0, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            Loops([sound], [bpm])
    with pytest.raises(ValueError, match="mono"):
        Loops([sound[None]], [120])
    with pytest.raises(AudioError, match=r"sound 2 of 2 has 0\.50 s"):
        LoopJudge(Loops([sound, sound[:8000]], [120, 120]), RATE)
    with pytest.raises(ValueError, match="no draw"):
        evaluate_loops(Loops([sound], [120]), [], RATE)
