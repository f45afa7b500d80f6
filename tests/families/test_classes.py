"""Each class sounds like itself, from the files as from the run, and streams may differ in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import AudioError, ConfigError
from engine.players.base import Player, load
from tests.families.classes import BLOCK, RATE, TONES, TOY
from tests.families.driver import Trainee, registered
from training.run.config import resolve
from training.run.loop import Machine, train

FRAMES = np.zeros((2, 1, 64), np.float32)


@pytest.fixture(autouse=True)
def _family() -> Iterator[None]:
    with registered(TOY):
        yield


def test_classes_are_learnt_and_played(tmp_path: Path) -> None:
    trainee = Trainee.of(TOY, tmp_path)
    run = trainee.train("run")
    assert "loose.wav: lies in no folder" in (run / "skipped.txt").read_text()
    for target in ("native", "onnx"):
        two_classes_at_once(load(trainee.export(run, target, "float32"), batch=2),
                            load(run, batch=2))
    one_class_for_all(load(trainee.export(run, "nn", "float32"), batch=2), load(run, batch=2))


def two_classes_at_once(player: Player, wanted: Player) -> None:
    """Each stream of the batch plays a class of its own, and then the other one."""
    for weights in (np.eye(2), np.eye(2)[::-1]):
        for each in (player, wanted):
            each.reset()
            each.set("class", weights)
        heard = player.process("generate", FRAMES)
        assert np.abs(heard - wanted.process("generate", FRAMES)).max() < 1e-5
        for sound, shares in zip(heard, weights, strict=True):
            hertz = TONES[sorted(TONES)[int(np.argmax(shares))]]
            spectrum = np.abs(np.fft.rfft(sound[0, 2 * BLOCK :] * np.hanning(62 * BLOCK)))
            loudest = np.argmax(spectrum) * RATE / (62 * BLOCK)
            assert loudest == pytest.approx(hertz, abs=60)


def one_class_for_all(player: Player, wanted: Player) -> None:
    """A `.ts` file has one set of attributes, and says so."""
    with pytest.raises(ConfigError, match=r"class is shared by all streams in a \.ts file"):
        player.set("class", np.eye(2))
    assert player.get("class", 1).tolist() == [0.5, 0.5], "what was refused changes nothing"
    for each in (player, wanted):
        each.set("class", [0.25, 0.75])
    heard = player.process("generate", FRAMES)
    assert np.abs(heard).max() > 1e-3
    assert np.abs(heard - wanted.process("generate", FRAMES)).max() < 1e-5


def test_one_class_is_none(tmp_path: Path) -> None:
    (tmp_path / "data/only").mkdir(parents=True)
    soundfile.write(tmp_path / "data/only/a.wav", 0.3 * np.sin(np.arange(RATE)), RATE)
    (tmp_path / "bells.toml").write_text(TOY.preset)
    with pytest.raises(AudioError, match="fewer than two classes"):
        train(resolve(str(tmp_path / "bells.toml"), tmp_path / "data", []), tmp_path / "run",
              Machine("cpu"))
