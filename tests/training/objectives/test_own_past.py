"""Scheduled sampling by hand; runs with it and with discriminators, killed and mistaken ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.errors import ConfigError
from engine.models.store import load_model
from nn_tudor.cli import main
from tests.families.autoregressive import TOY
from tests.families.driver import Trainee, registered, rows
from tests.training.objectives.drawing import batch, objective
from training.data.base import Batch, Shard
from training.objectives.autoregressive import AutoregressiveObjective
from training.objectives.base import Moment, Terms
from training.objectives.free_running import FreeRunConfig
from training.objectives.relaxed import Relaxed, noise_for
from training.objectives.scheduled_sampling import ScheduledSamplingConfig, own_past
from training.run.config import training_config
from training.run.run_folder import RunFolder

# --- scheduled sampling --------------------------------------------------------------------------


def test_the_past_is_real_or_drawn_and_the_target_stays() -> None:
    made = objective("wavenet")
    asked = made.asked(batch(8))
    config = ScheduledSamplingConfig(share=0.3, examples=0.5, start=0.0, ramp=0.0)
    torch.manual_seed(3)
    past = own_past(config, asked, 0.5, Shard())
    torch.manual_seed(3)
    own = torch.rand(8, 1, 64) < 0.3
    some = torch.rand(8, 1, 1) < 0.5
    assert 0 < some.sum() < 8
    given = asked.parts.given(asked.x, asked.drawn, asked.attributes)
    draw = asked.parts.draw
    drawn = Relaxed(draw)(given, noise_for(draw, (8, 64), Shard(), given)).value
    assert torch.equal(past, torch.where(own & some, drawn, asked.drawn))
    assert not past.requires_grad
    scored = made._log_likelihood(asked, past)
    given = asked.parts.given(asked.x, past, asked.attributes)
    assert torch.equal(scored, draw.log_prob(given, asked.drawn))


def test_with_more_passes_draws_follow_draws() -> None:
    """With all of them drawn, the second pass is what the net draws from the first's."""
    asked = objective("wavenet").asked(batch())
    config = ScheduledSamplingConfig(share=1.0, passes=2, start=0.0, ramp=0.0)
    torch.manual_seed(3)
    twice = own_past(config, asked, 0.5, Shard())
    torch.manual_seed(3)
    once = own_past(config.model_copy(update={"passes": 1}), asked, 0.5, Shard())
    given = asked.parts.given(asked.x, once, asked.attributes)
    draw = asked.parts.draw
    assert torch.equal(twice, Relaxed(draw)(
        given, noise_for(draw, (2, 64), Shard(), given)).value)
    assert not torch.equal(once, twice)


def test_the_share_rises_and_without_one_nothing_is_drawn() -> None:
    config = ScheduledSamplingConfig(share=0.4, start=0.2, ramp=0.5)
    assert [round(config.probability(at), 6) for at in (0.0, 0.2, 0.45, 0.7, 1.0)] == [
        0, 0, 0.2, 0.4, 0.4]
    assert ScheduledSamplingConfig(share=0.4, start=0.2, ramp=0.0).probability(0.2) == 0.4
    asked = objective().asked(batch())
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert own_past(config, asked, 0.2, Shard()) is asked.drawn
    assert torch.equal(torch.get_rng_state(), before)


# --- runs ----------------------------------------------------------------------------------------

GAME = """
[training.scheduled_sampling]
share = 0.3
start = 0.0
ramp = 0.5
[training.adversarial]
start = "4 steps"
every = 2
warmup_steps = 2
ramp_steps = 4
windows = 2
window_samples = 64
gradient_samples = 16
match_weight = 0.1
width = 2
"""


@pytest.fixture
def trainee(tmp_path: Path) -> Iterator[Trainee]:
    torch.set_num_threads(1)
    with registered(TOY):
        text = TOY.preset.replace('"autoregressive"', '"autoregressive"\nkind = "tiers"', 1)
        text = text.replace("[training]", "[training]\ncheckpoint_seconds = 1e-9")
        yield Trainee.of(replace(TOY, preset=text + GAME), tmp_path)


class Killed(BaseException):
    """Nobody gets to save anything."""


def test_a_killed_run_goes_on_as_if_it_had_not_been(
    trainee: Trainee, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trainee.train("whole", 14)

    def killed(own: AutoregressiveObjective, batch: Batch, at: Moment) -> Terms:
        if at.step == 9:
            raise Killed
        return forward(own, batch, at)

    forward = AutoregressiveObjective.forward
    monkeypatch.setattr(AutoregressiveObjective, "forward", killed)
    with pytest.raises(Killed):
        trainee.train("parts", 14)
    monkeypatch.undo()
    before = RunFolder(trainee.folder / "parts").load()
    assert before is not None
    assert before.step == 9
    parts = trainee.train("parts", 14)
    one, other = (RunFolder(run).load() for run in (whole, parts))
    assert one is not None
    assert other is not None
    assert one.adversary is not None
    assert other.adversary is not None
    assert other.adversary["began_step"] == 4
    for a, b in ((one.model, other.model),
                 (one.adversary["networks"], other.adversary["networks"]),
                 (load_model(whole).model.state_dict(), load_model(parts).model.state_dict())):
        assert len(a) > 5
        assert all(torch.equal(a[name], b[name]) for name in a)
    found = rows(whole, "train")
    assert [row["phase"] for row in found] == [1] * 4 + [2] * 10
    heard = [row.get("adversarial_loss") for row in found]
    assert [value is not None for value in heard] == [False] * 6 + [True] * 8
    assert heard[6] != heard[8]
    assert {"match", "discriminator_loss"} <= found[-2].keys()


def test_a_run_without_these_tables_is_not_changed_by_them(trainee: Trainee) -> None:
    """A share of 0, and a phase that is off, draw no random number."""
    plain = replace(trainee.toy, preset=trainee.toy.preset.split("[training.scheduled")[0])
    off = plain.preset + "[training.adversarial]\non = false\n"
    found = []
    for name, text in (("plain", plain.preset), ("off", off)):
        (trainee.folder / f"{TOY.name}.toml").write_text(text)
        found.append(load_model(trainee.train(name, 5)).model.state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize(("assignment", "said"), [
    ("adversarial.weigth=1", "did you mean 'training.adversarial.weight'"),
    ("adversarial.match_norm=0.5", "training.adversarial.match_norm: Input should be greater"),
    ("adversarial.match_on=spectrum", "'log-spectra' or 'waveform'"),
    ("adversarial.gradient_samples=60", "training.adversarial.*: window_samples (64) must be a "
     "multiple of gradient_samples (60)"),
    ("adversarial.gradient_samples=2", "must be a multiple of 4, the samples of this model's"),
    ("adversarial.window_samples=4096", "do not fit into an example of 800"),
    ("adversarial.freeze_encoder=true", "unknown key"),
    ("adversarial.discriminators=['pach']", "did you mean 'patch'"),
    ("scheduled_sampling.share=2", "training.scheduled_sampling.share: Input should be less"),
    ("scheduled_sampling.shares=1", "did you mean"),
    ("scheduled_sampling=yes", "must be a table, for example --set scheduled_sampling.share=0.2"),
])
def test_a_mistake_is_one_line(
    trainee: Trainee, assignment: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", str(trainee.folder / f"{TOY.name}.toml"), "--data", str(trainee.data),
              "--out", str(trainee.folder / "run"), "--steps", "8", "--device", "cpu",
              "--set", assignment])
    assert ended.value.code == 1
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1


def test_the_table_of_one_objective_is_not_that_of_the_other() -> None:
    with pytest.raises(ConfigError, match=r"unknown key training\.adversarial\.every"):
        training_config({"adversarial": {"every": 3}})
    config = training_config({"objective": "autoregressive", "adversarial": {}})
    assert isinstance(config.adversarial, FreeRunConfig)  # type: ignore[attr-defined]
    assert json.loads(config.model_dump_json())["adversarial"]["every"] == 10
