"""What data of pairs wants, and whose the keys of `[training]` are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from engine.errors import AudioError, ConfigError
from tests.families.driver import Trainee, registered
from tests.families.paired import TOY
from training.objectives.base import Objective
from training.objectives.registry import OBJECTIVES
from training.objectives.registry import register as register_objective
from training.run.config import resolve, training_config
from training.run.loop import Machine, train
from training.settings import Settings


@pytest.fixture(autouse=True)
def _family() -> Iterator[None]:
    with registered(TOY):
        yield


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    trainee = Trainee.of(TOY, tmp_path)
    preset = str(tmp_path / "shaper.toml")

    def run(out: str, data: Path = trainee.data) -> Path:
        return train(resolve(preset, data, [], steps=2), tmp_path / out, Machine("cpu"),
                     Console(quiet=True)).folder

    (trainee.data / "target/3.wav").unlink()
    assert "input/3.wav: target has no file of this name" in (
        run("run") / "skipped.txt").read_text()
    for file in (trainee.data / "target").iterdir():
        file.rename(file.with_name(f"other{file.name}"))
    with pytest.raises(AudioError, match="no file of input has one of the same name in target"):
        run("other")
    with pytest.raises(AudioError, match="has no folder 'input'"):
        run("third", tmp_path)


def test_keys_have_owners() -> None:
    assert training_config({}, "shaper").data == "pairs"
    with pytest.raises(ConfigError, match=r"unknown key training\.gain_db"):
        training_config({"gain_db": 3.0}, "shaper")
    with pytest.raises(ConfigError, match=r"training\.data: unknown kind of data; did you mean"):
        training_config({"data": "pair"})

    class Greedy(Settings):
        steps: int = 3

    class Rival(Settings):
        crop_seconds: float = 1.0

    class One(Objective):
        settings = Greedy

    class Two(Objective):
        settings = Rival

    with pytest.raises(ValueError, match=r"objective 'one': training\.steps is the loop's own"):
        register_objective("one", One)
    assert "one" not in OBJECTIVES
    register_objective("two", Two)
    try:
        with pytest.raises(ValueError, match=r"crop_seconds belongs to Rival and to CropSettings"):
            training_config({"objective": "two"})
    finally:
        del OBJECTIVES["two"]
