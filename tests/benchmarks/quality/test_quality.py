"""Repeated trainings: what is kept, what is refused, and the tables; a step taken apart."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.quality.tables import tables
from benchmarks.quality.throughput import measure
from benchmarks.quality.trials import Plan, run_trials, sounds
from engine.errors import ConfigError
from tests.training import training_helpers

QUIET = Console(quiet=True)


def test_trials_are_kept_and_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = training_helpers.fill(tmp_path / "data", 3)
    held = training_helpers.fill(tmp_path / "held", 2, 2.0)
    preset = training_helpers.preset(tmp_path)
    plan = Plan(preset, {"none": ["regulariser.kind=none"]}, 1, None, 3, "cpu")
    out = tmp_path / "out"
    first = run_trials(plan, data, held, out, QUIET)
    found = [(row["variant"], row["seed"], row["steps"]) for row in first["rows"]]
    assert found == [("none", 0, 3)]
    assert json.loads((out / "results.json").read_text())["rows"] == json.loads(
        json.dumps(first["rows"]))
    assert (out / "none-s0" / "report" / "report.html").exists()
    trained: list[Any] = []
    from training.run import loop

    real = loop.train
    monkeypatch.setattr(loop, "train", lambda *a, **k: (trained.append(a), real(*a, **k))[1])
    again = run_trials(replace(plan, seeds=2), data, held, out, QUIET)
    assert [folder.name for _, folder, _, _ in trained] == ["none-s1"]
    assert again["rows"][0] == json.loads(json.dumps(first["rows"][0]))
    with pytest.raises(ConfigError, match=r"not of .*\{'steps': 4\}; choose another --out"):
        run_trials(replace(plan, steps=4), data, held, out, QUIET)
    with pytest.raises(ConfigError, match=r"with settings \['regulariser.kind=none'\], not \[\]"):
        run_trials(replace(plan, variants={"none": []}), data, held, out, QUIET)
    with pytest.raises(ConfigError, match="with held_out"):
        run_trials(plan, data, data, out, QUIET)
    text = tables(again)
    assert "3 steps a run, 2 seeds" in text
    assert text.count("±") > 10
    assert "| noise 128 |" in text
    assert "untrained |" not in text
    sound, scores, latents = [part.splitlines() for part in text.split("\n\n")[1:]]
    for part in (sound, scores, latents):
        assert {line.count("|") for line in part} == {part[0].count("|")}
    assert sound[0].startswith("| | energy score | texture dB |")
    assert [line.split(" | ")[0] for line in sound[3:]] == [
        "| noise 128 (floor)", "| silence", "| 1 ms late (ceiling)", "| original"]
    energy = [line.split(" | ")[1] for line in sound[2:]]
    assert all(re.fullmatch(r"\d\.\d{3}( ± \d\.\d{3})?", cell) for cell in energy)


def row(variant: str, distance: float) -> dict[str, Any]:
    scores = dict.fromkeys(("spectral_distance", "log_mel_db", "onset_f", "loudness_error_db",
                            "si_sdr_db", "descriptor_mmd"), distance)
    return {"variant": variant, "scores": scores, "parameters": 1000, "macs_per_second": 2e6,
            "prior": {"mmd": dict.fromkeys(("prior", "noise_untrained", "shuffled"), 0.5)},
            "borders": {}, "active_latents": 3, "bits_per_second": 90.0, "sweep_smoothness": None,
            "strongest_correlation": 0.5, "steps": 7}


def test_means_and_spreads_by_hand() -> None:
    text = tables({"plan": {"preset": "p", "minutes": 2.0, "steps": None, "seeds": 2},
                   "rows": [row("a", 1.0), row("a", 2.0), row("b", 4.0)],
                   "baselines": {"silence": row("", 9.0)["scores"]}})
    lines = text.splitlines()
    assert lines[0].startswith("p, 1,000 parameters, 2 MMAC/s; 2 minutes a run, 2 seeds")
    assert "| a | 1.500 ± 0.707 | 1.50 ± 0.71 |" in text
    assert "| b | 4.000 | 4.00 |" in text
    assert "| silence | 9.000 |" in text


def test_sound_comes_first_and_old_trials_have_none() -> None:
    old, new = row("a", 1.0), {**row("b", 2.0), "sound": {"energy_score": 0.4, "comb": 0.25},
                               "standing": {"held_at_frame_rate": 0.05}}
    text = tables({"plan": {"preset": "p", "minutes": 2.0, "steps": None, "seeds": 1},
                   "rows": [old, new], "baselines": {},
                   "sound_baselines": {"noise_128": {"energy_score": 0.6}}})
    assert "| a | - | - |" in text
    assert "| b | 0.400 | - | - | - | 0.25 | - | - | 0.050 | - | - |" in text
    assert "| noise 128 (floor) | 0.600 |" in text
    assert text.index("energy score") < text.index("spectral distance")


def test_shapes_are_shown_by_how_they_sound() -> None:
    from benchmarks.trials import table

    shape = {"name": "wide", "parameters": 1e5, "macs_per_second": 2e6, "latency_ms": 8.0,
             "worst_callback": [0.2, 0.4], "spectral_distance": 0.7, "log_mel_db": 3.0,
             "onset_f": 0.9}
    new = {**shape, "standing": {"held_at_frame_rate": 0.07},
           "sound": {"model": {"energy_score": 0.4, "texture_db": 5.1, "modulation_ratio": 1.1,
                               "octave_error_db": 0.8}, "original": {"texture_db": 5.4}}}
    head, line, old, found = table([shape, new]).splitlines()
    assert {part.count("|") for part in (head, line, old, found)} == {14}
    assert "| 0.400 | 5.10 of 5.40 | 1.10 | 0.80 | 0.070 | 3.00 | 0.90 | 0.700 |" in found
    assert "| - | - | - | - | - | 3.00 |" in old


def test_sounds_are_made_once_or_given(tmp_path: Path) -> None:
    loops, held = sounds("other", tmp_path, (0.05, 0.05), 8000)
    paths = sorted(loops.glob("*.wav"))
    assert paths
    assert sorted(held.glob("*.wav"))
    before = paths[0].stat().st_mtime_ns
    assert sounds("other", tmp_path, (0.05, 0.05), 8000) == (loops, held)
    assert paths[0].stat().st_mtime_ns == before
    assert paths[0].read_bytes() != (held / paths[0].name).read_bytes()
    assert sounds("a:b", tmp_path, (1, 1), 8000) == (Path("a"), Path("b"))
    with pytest.raises(ConfigError, match="did you mean 'techno'"):
        sounds("tekno", tmp_path, (1, 1), 8000)


def test_a_step_taken_apart(tmp_path: Path) -> None:
    found = measure(training_helpers.preset(tmp_path), 3, [])
    assert found["batch"] == 2
    assert found["step_ms"] > found["plain_ms"] * 0.8
    assert found["ratio_low"] <= found["ratio"] <= found["ratio_high"]
    assert 0.5 < sum(found["parts_ms"].values()) / found["step_ms"] < 1.5
