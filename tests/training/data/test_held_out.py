"""What is held out of few files and of many."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nn_tudor.demo import _copy_sound, gather_held_out
from tests.training.data.small_runs import tiny, trained
from tests.training.training_helpers import RATE, fill, loop
from training.data.held_out import read_held_out
from training.data.sounds import Sound, sides
from training.evaluation.evaluate import evaluate_folder


def test_of_one_recording_the_end_is_held_out(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 1, 10.0)
    text = trained(tmp_path, folder, "training.validation_fraction=0.05")
    assert "1 files (1 for validation, 0:02 in all: the end of loop0.wav)" in text
    (place,) = read_held_out(tmp_path / "run")
    assert place.name == "loop0.wav"
    assert place.start_seconds == pytest.approx(8.0)
    rows = [json.loads(row) for row in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert any(row["kind"] == "validation" for row in rows)
    gather_held_out(folder, tmp_path / "run", tmp_path / "held")
    (copy,) = (tmp_path / "held").iterdir()
    sound, _ = soundfile.read(copy)
    assert np.allclose(sound, loop(0, 10.0)[8 * RATE :], atol=1e-3)
    _copy_sound(tmp_path / "held", tmp_path / "listen.wav")
    assert len(soundfile.read(tmp_path / "listen.wav")[0]) > RATE


def test_sides_of_small_folders() -> None:
    def of(*seconds: float, fraction: float = 0.05):
        return sides([Sound(f"{i}.wav", 0, round(s * RATE)) for i, s in enumerate(seconds)],
                     fraction, RATE)

    for lengths in ((60,), (1.5,), (1, 1, 1, 1, 1), (0.3,) * 40, (3600, 0.2), (0.2, 3600),
                    (4, 4)):
        found = of(*lengths)
        learn, held = (sum(len(s) for s in part) / RATE for part in (found.learn, found.held))
        assert learn + held == pytest.approx(sum(lengths))
        assert held >= min(2.0, 0.1 * sum(lengths)) - 1e-3, lengths
        assert learn >= 0.5 * sum(lengths), lengths
        taken = {(s.name, place) for s in found.learn for place in range(s.start, s.end, 100)}
        assert not any((s.name, s.start) in taken for s in found.held)
    assert of(60, fraction=0.0).held == ()


def test_sides_of_a_large_folder_stay_when_files_are_added() -> None:
    def of(count: int) -> tuple[set[str], set[str]]:
        found = sides([Sound(f"loop{i}.wav", 0, RATE) for i in range(count)], 0.1, RATE)
        return {s.name for s in found.learn}, {s.name for s in found.held}

    (learn, held), (more_learn, more_held) = of(200), of(300)
    assert 8 <= len(held) <= 35
    assert learn <= more_learn
    assert held <= more_held


def test_a_silent_file_that_names_would_hold_out_is_passed_over(tmp_path: Path) -> None:
    from training.data.audio_folder import split

    folder = fill(tmp_path / "data", 4)
    _, (first, *_) = split([f"loop{i}.wav" for i in range(4)], 0.01)
    soundfile.write(folder / first, np.zeros(RATE), RATE)
    trained(tmp_path, folder)
    places = read_held_out(tmp_path / "run")
    assert places
    assert first not in {place.name for place in places}
    gather_held_out(folder, tmp_path / "run", tmp_path / "held")
    assert evaluate_folder(tiny(tmp_path), tmp_path / "held", baselines=False)["files"]
