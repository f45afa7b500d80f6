"""The judge of loops asks a model for loops."""

from __future__ import annotations

import json

import pytest

from engine.errors import ConfigError
from engine.models.store import Stored
from tests.export.small_models import SMALL, small_model
from tests.training.data.test_loop_data import folder
from training.evaluation.judges import looping
from training.evaluation.judges.case import open_case
from training.evaluation.judges.registry import JUDGES, pick


def case(tmp_path, family="latent_flow", name="loops", **options):
    sounds = folder(tmp_path / "held", sounds=((125, 1), (128, 2), (140, 1)))
    settings = {"model": {"family": family, **SMALL[family][name]}}
    return open_case(Stored("x", small_model(family, name), settings, True, None), sounds,
                     seconds=2.0, seeds=2, **options)


def test_everything_is_judged(tmp_path, monkeypatch):
    monkeypatch.setattr(looping, "PATHS", 2)
    monkeypatch.setattr(looping, "PATH_BARS", 6)
    found = pick(case(tmp_path))(case(tmp_path, long_seconds=8.0))
    assert found.result["judge"] == "loops"
    assert set(found.result["results"]) >= {"model", "real", "codec", "gaussian", "noise"}
    assert set(found.result["knobs"]) == {"density", "brightness", "loudness"}
    assert len(found.result["repeat"]) == 3
    assert 0 <= found.result["code_rank"] <= 1
    assert set(found.result["paths"]) == {"line between codes", "one loop held",
                                          "crossfade of sounds"}
    long = found.result["long"]
    assert (long["seconds"], long["part_seconds"], long["loops"]) == (8.0, 4.0, 4)
    assert long["first"]["level_error_db"] != long["last"]["level_error_db"]
    assert any("without a stop" in grid.title for grid in found.grids)
    json.dumps(found.result, allow_nan=False, default=float)
    assert any("code of a held-out loop" in note for note in found.notes)


def test_a_model_of_loops_is_judged_by_it_and_others_are_not(tmp_path):
    assert pick(case(tmp_path)).name == "loops"
    assert pick(case(tmp_path, "latent_vae")).name == "loops"
    other = open_case("bach-daisy", tmp_path / "held")
    assert pick(other).name == "playing"
    with pytest.raises(ConfigError, match="not asked for loops"):
        pick(other, "loops")
    assert JUDGES["loops"].seconds == 4.0
