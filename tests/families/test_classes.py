"""Each class sounds like itself, from the file as from the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import AudioError
from engine.players.base import load
from tests.families.classes import BLOCK, RATE, TONES, TOY
from tests.families.driver import Trainee, registered
from training.run.config import resolve
from training.run.loop import Machine, train


@pytest.fixture(autouse=True)
def _family() -> Iterator[None]:
    with registered(TOY):
        yield


def test_classes_are_learnt_and_played(tmp_path: Path) -> None:
    trainee = Trainee.of(TOY, tmp_path)
    run = trainee.train("run")
    assert "loose.wav: lies in no folder" in (run / "skipped.txt").read_text()
    file = trainee.export(run, "native", "float32")
    for label, hertz in enumerate(TONES[name] for name in sorted(TONES)):
        frames = np.zeros((2, 64), np.float32)
        frames[label] = 1
        heard, wanted = (load(path).process("generate", frames) for path in (file, run))
        assert np.abs(heard - wanted).max() < 1e-5
        spectrum = np.abs(np.fft.rfft(heard[0, 2 * BLOCK :] * np.hanning(62 * BLOCK)))
        loudest = np.argmax(spectrum) * RATE / (62 * BLOCK)
        assert loudest == pytest.approx(hertz, abs=60)


def test_one_class_is_none(tmp_path: Path) -> None:
    (tmp_path / "data/only").mkdir(parents=True)
    soundfile.write(tmp_path / "data/only/a.wav", 0.3 * np.sin(np.arange(RATE)), RATE)
    (tmp_path / "bells.toml").write_text(TOY.preset)
    with pytest.raises(AudioError, match="fewer than two classes"):
        train(resolve(str(tmp_path / "bells.toml"), tmp_path / "data", []), tmp_path / "run",
              Machine("cpu"))
