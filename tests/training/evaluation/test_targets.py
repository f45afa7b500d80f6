"""Targets: each is read from its own figure, and met on the right side of its limit."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from training.evaluation.evaluate import UNITS
from training.evaluation.sound_table import summary
from training.evaluation.targets import HELD, NOTES, TARGETS, verdicts

SUBJECT = {"energy_score": 0.4, "texture_db": 5.2, "texture_error_db": 0.2, "modulation": 0.1,
           "modulation_ratio": 1.1, "comb": 0.25, "octave_error_db": 0.9, "partials_to_hz": 3100.0,
           "pitch_cents": 4.0, "pitch_kept": 0.95}


def result() -> dict[str, Any]:
    """Of a model that meets everything, as `evaluate_folder` has it."""
    subjects = {name: dict(SUBJECT) for name in ("model", "noise_128", "shifted", "original")}
    subjects["noise_128"]["energy_score"] = 0.6
    subjects["original"]["texture_db"] = 5.4
    scores = dict.fromkeys(UNITS, 0.5) | {"log_mel_db": 2.9, "onset_f": 0.95}
    return {"results": {"model": scores, "noise_128": scores}, "sound": {"subjects": subjects},
            "standing": {"start_dbfs": -70.0, "reset_dbfs": -71.0, "held_at_frame_rate": 0.06}}


def missed(change: Any, rate_hz: int = 48000) -> list[str]:
    """Which targets are missed after `change` was made to both results."""
    both = {HELD: result(), NOTES: result()}
    for one in both.values():
        change(one)
    return [v.target.key for v in verdicts(both, rate_hz) if v.met is not True]


def put(*path: str, value: float | None) -> Any:
    def change(found: dict[str, Any]) -> None:
        for key in path[:-1]:
            found = found[key]
        assert path[-1] in found
        found[path[-1]] = value
    return change


def own(key: str, value: float | None) -> Any:
    return put("sound", "subjects", "model", key, value=value)


def test_a_good_model_meets_all() -> None:
    assert missed(lambda found: None) == []
    assert len(verdicts({HELD: result(), NOTES: result()}, 48000)) == len(TARGETS) - 1


@pytest.mark.parametrize(("change", "key"), [
    (own("energy_score", 0.46), "energy"), (own("texture_db", 5.05), "texture"),
    (own("texture_db", 5.75), "texture"), (own("modulation_ratio", 1.25), "modulation"),
    (own("modulation_ratio", 0.75), "modulation"), (own("octave_error_db", 1.05), "octaves"),
    (put("results", "model", "log_mel_db", value=3.1), "mel"),
    (put("results", "model", "onset_f", value=0.92), "onsets"),
    (put("standing", "held_at_frame_rate", value=0.11), "held"),
    (put("standing", "start_dbfs", value=-59.0), "start"),
    (put("standing", "reset_dbfs", value=-33.0), "reset"),
    (own("partials_to_hz", 2900.0), "partials"), (own("pitch_kept", 0.85), "pitch"),
])
def test_each_figure_decides_its_own_target(change: Any, key: str) -> None:
    assert missed(change) == [key]


def test_the_distance_is_no_target() -> None:
    assert missed(put("results", "model", "spectral_distance", value=9.0)) == []


def test_small_models_are_asked_for_fewer_partials() -> None:
    assert missed(own("partials_to_hz", 1600.0), 16000) == []
    assert missed(own("partials_to_hz", 1600.0), 48000) == ["partials"]
    assert missed(own("partials_to_hz", 1400.0), 16000) == ["partials"]


def test_what_cannot_be_had_is_neither_met_nor_missed() -> None:
    found = verdicts({HELD: result()}, 48000)
    unknown = {v.target.key for v in found if v.met is None}
    assert unknown == {"partials", "pitch"}
    assert {v.word for v in found} == {"met", "not measured"}
    assert {v.text for v in found if v.met is None} == {"-"}


def test_a_summary_has_all_subjects_beside_each_other() -> None:
    found = deepcopy(result())
    found["sound"]["subjects"]["model"]["energy_score"] = 0.123
    head, energy, *rest = summary(found)
    assert head.split("  ")[-1].strip() == "original"
    assert energy.split()[:3] == ["energy", "score", "↓"]
    assert energy.split()[3:] == ["0.123", "0.6", "0.4", "0.4"]
    assert {len(line) for line in (head, energy, rest[0])} == {len(head)}
    assert any(line.startswith("held latents") and "0.06 (below 0.1" in line for line in rest)
