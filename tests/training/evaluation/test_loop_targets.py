"""Targets of loops: each is read from its own figure, and met on the right side of its limit."""

from __future__ import annotations

from typing import Any

import pytest

from training.evaluation.loop_targets import LINE, TARGETS, target_grid, verdicts

MODEL = {"descriptor_mmd": 0.09, "rhythm_mmd": 0.015, "tempo_hit": 0.98, "lock16": 0.5,
         "lock4": 0.15, "bar": 0.75, "level_error_db": -0.5, "neighbour_low_db": 4.5}


def result() -> dict[str, Any]:
    """Of a model that meets everything, as the judge has it."""
    return {"results": {"model": dict(MODEL), "codec": {"lock16": 0.52, "lock4": 0.18},
                        "codec_learnt": {"neighbour_low_db": 3.0}},
            "knobs": {"density": {"spearman": 0.95, "cross_talk": 0.1},
                      "loudness": {"spearman": 0.92, "cross_talk": 0.15}},
            "repeat": [0.05, 0.002, 0.0001], "code_rank": 0.15,
            "paths": {LINE: {"middle_over_ends": 1.2}, "one loop held": {"middle_over_ends": 9.0}}}


def put(*path: Any, value: Any) -> Any:
    def change(found: Any) -> None:
        for key in path[:-1]:
            found = found[key]
        assert path[-1] in found or isinstance(found, list)
        found[path[-1]] = value
    return change


def own(key: str, value: float | None) -> Any:
    return put("results", "model", key, value=value)


def test_a_good_model_meets_all() -> None:
    assert [v.met for v in verdicts(result())] == [True] * len(TARGETS)


@pytest.mark.parametrize(("change", "key", "value"), [
    (own("descriptor_mmd", 0.101), "descriptor_mmd", 0.101),
    (own("rhythm_mmd", 0.021), "rhythm_mmd", 0.021), (own("tempo_hit", 0.96), "tempo", 0.96),
    (own("lock16", 0.52 * 0.91), "lock16", 0.91), (own("lock4", 0.18 * 0.74), "lock4", 0.74),
    (own("bar", 0.69), "bar", 0.69), (own("level_error_db", -1.1), "level", -1.1),
    (own("level_error_db", 1.1), "level", 1.1), (own("neighbour_low_db", 2.9), "copies", -0.1),
    (put("code_rank", value=0.21), "code", 0.21),
    (put("knobs", "loudness", "spearman", value=0.89), "knobs", 0.89),
    (put("knobs", "density", "cross_talk", value=0.21), "cross_talk", 0.21),
    (put("repeat", 1, value=0.0026), "repeat", 0.0052),
    (put("paths", LINE, "middle_over_ends", value=1.51), "path", 1.51),
])
def test_a_figure_beyond_its_limit_misses_its_target_alone(
    change: Any, key: str, value: float
) -> None:
    found = result()
    change(found)
    (missed,) = [v for v in verdicts(found) if not v.met]
    assert (missed.target.key, missed.value) == (key, pytest.approx(value))


def test_what_cannot_be_had_is_neither_met_nor_missed() -> None:
    found = result()
    del found["results"]["codec"], found["results"]["codec_learnt"]
    found |= {"code_rank": None, "repeat": []}
    known = {v.target.key: v.met for v in verdicts(found)}
    assert {key for key, met in known.items() if met is None} == {
        "lock16", "lock4", "copies", "code", "repeat"}
    assert {v.word for v in verdicts(found)} == {"met", "not measured"}


def test_the_table_has_them_all_and_the_result_too() -> None:
    found = result()
    grid = target_grid(found)
    assert [row[0] for row in grid.rows] == [target.title for target in TARGETS]
    assert set(found["targets"]) == {target.key for target in TARGETS}
    assert found["targets"]["level"] == {"value": -0.5, "wanted": "within ±1", "met": True}
