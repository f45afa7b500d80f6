"""Presets, `--set` and the errors that a mistyped run gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.errors import ConfigError, TudorError
from engine.models.store import load_model
from engine.presets import preset_names
from tests.training.training_helpers import TINY, preset
from training.run.assignments import parse_assignment
from training.run.config import differences, resolve, training_config
from training.run.loop import _seeded_model as seeded_model
from training.run.run_folder import RunFolder

KNOWN = {"model": ["latents", "seed"], "training": ["batch_size", "seed"]}


def test_assignments() -> None:
    assert parse_assignment("model.latents=8", KNOWN) == ("model", "latents", 8)
    assert parse_assignment("latents = 8", KNOWN) == ("model", "latents", 8)
    assert parse_assignment("batch_size=[1, 2]", KNOWN) == ("training", "batch_size", [1, 2])
    assert parse_assignment("batch_size=some text", KNOWN)[2] == "some text"
    assert parse_assignment("batch_size=none", KNOWN)[2] is None


@pytest.mark.parametrize(("text", "message"), [
    ("latents", "wanted key=value"),
    ("=8", "wanted key=value"),
    ("latnets=8", "did you mean 'latents'"),
    ("model.latnets=8", "did you mean 'model.latents'"),
    ("training.latents=8", "did you mean 'model.latents'"),
    ("seed=1", "say model.seed or training.seed"),
])
def test_wrong_assignments(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_assignment(text, KNOWN)


@pytest.mark.parametrize(("key", "value"), [
    ("batch_size", "many"), ("batch_size", 0), ("batch_size", 2.5), ("batch_size", True),
    ("learning_rate", -1), ("learning_rate", float("inf")), ("objective", "gan"),
    ("schedule", "cosines"), ("nothing", 1),
])
def test_wrong_training_values_name_their_key(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"training.{key}"):
        training_config({key: value})


@pytest.mark.parametrize(("assignments", "message"), [
    (["adversarial.objective=wgan"], "training.adversarial.objective: Input should be 'hinge', "
     "'least-squares', 'non-saturating' or 'classical' (got 'wgan')"),
    (["regulariser.kind=wae-mmd", "regulariser.prior=normal"], "training.regulariser.prior: Input "
     "should be 'gaussian', 'uniform' or 'mixture' (got 'normal')"),
    (["regulariser.kind=wea-mmd"],
     "training.regulariser.kind: unknown 'wea-mmd'; did you mean 'wae-mmd'?"),
    (["adversarial.weight=inf"],
     "training.adversarial.weight: Input should be a finite number (got inf)"),
])
def test_what_is_wrong_in_a_table_is_said_once(
    tmp_path: Path, assignments: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        resolve(preset(tmp_path), tmp_path, assignments)
    assert str(error.value) == message


def test_resolve(tmp_path: Path) -> None:
    run = resolve(preset(tmp_path), tmp_path, ["latents=7", "training.batch_size=3"], seed=5)
    assert run.settings()["model"]["latents"] == 7
    assert (run.training.batch_size, run.training.seed, run.training.steps) == (3, 5, 6)
    assert resolve(preset(tmp_path), tmp_path, [], minutes=2.0).training.steps is None
    both = resolve(preset(tmp_path), tmp_path, [], minutes=2.0, steps=9).training
    assert (both.minutes, both.steps) == (2.0, 9)
    longer = preset(tmp_path, TINY + "minutes = 3.0\n")
    assert resolve(longer, tmp_path, [], steps=9).training.minutes is None
    assert resolve(longer, tmp_path, []).training.minutes == 3
    with pytest.raises(ConfigError, match="latents"):
        resolve(preset(tmp_path), tmp_path, ["latents=many"])
    with pytest.raises(TudorError, match="did you mean 'techno-tiny'"):
        resolve("techno-tinny", tmp_path, [])
    with pytest.raises(ConfigError, match="does not exist"):
        resolve(str(tmp_path / "absent.toml"), tmp_path, [])


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_resolves(name: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loop.wav", np.zeros(16000), 16000)  # some look for styles
    assert resolve(name, tmp_path, []).training.batch_size >= 1


def test_differences_name_keys_but_not_the_budget() -> None:
    before = {"model": {"latents": 4}, "training": {"steps": 10, "batch_size": 2}}
    after = {"model": {"latents": 5}, "training": {"steps": 20, "batch_size": 2}}
    assert differences(before, after) == ["model.latents was 4, is now 5"]


def test_a_model_that_cannot_run_on_its_target_is_refused_before_training(tmp_path):
    from training.commands import train

    with pytest.raises(TudorError, match="on daisy: does not fit"):
        train("techno-desktop", data=tmp_path, out=tmp_path / "run", target="daisy")
    assert not (tmp_path / "run").exists()
    with pytest.raises(TudorError, match="did you mean 'daisy'"):
        train("techno-tiny", data=tmp_path, out=tmp_path / "run", target="dasy")


def test_new_runs_start_at_rest_and_old_ones_as_they_were_begun(tmp_path: Path) -> None:
    source, run = preset(tmp_path), tmp_path / "run"

    def start(*assignments: str, of: str = str(source), out: Path | None = run) -> str:
        return resolve(of, tmp_path, list(assignments), out).model.start

    assert start() == start(of="techno-tiny") == start(out=None) == "rest"
    assert start("start=zero") == "zero"
    with pytest.raises(ConfigError, match=r"model\.start: Input should be 'zero' or 'rest'"):
        start("start=one")
    RunFolder(run).open(resolve(str(source), tmp_path, [], run))
    RunFolder(run).write_config(resolve(str(source), tmp_path, [], run))
    assert 'start = "rest"' in (run / "config.toml").read_text()
    assert start() == start(of=str(run)) == "rest"
    RunFolder(run).write_config(resolve(str(source), tmp_path, ["start=zero"], run))
    assert "start =" not in (run / "config.toml").read_text()  # as runs of before have it
    assert start() == start(of=str(run)) == start(of=str(run), out=tmp_path / "new") == "zero"
    assert differences(resolve(str(source), tmp_path, [], run).settings(),
                       resolve(str(run), tmp_path, [], run).settings()) == []


def test_weights_of_a_model_that_starts_otherwise_may_be_gone_on_from(tmp_path: Path) -> None:
    run = resolve("techno-tiny", tmp_path, ["model.start=zero"], start_from="techno-tiny")
    assert run.model.start == "zero"
    model = seeded_model(run)
    assert model.config.start == "zero"
    shipped = load_model("techno-tiny").model
    assert shipped.config.start == "rest"
    state = shipped.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
