"""The adversarial phase of what draws frame by frame, and scheduled sampling: by hand, in a step,
in a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.models.store import load_model
from nn_tudor.cli import main
from tests.families.autoregressive import TOY, Autoregressive, AutoregressiveConfig
from tests.families.driver import Trainee, registered, rows
from training.data.base import Batch, Shard
from training.objectives.adversarial import Adversary
from training.objectives.autoregressive import AutoregressiveObjective
from training.objectives.base import Moment, Terms
from training.objectives.discriminators import Opinion
from training.objectives.free_running import FreeRunConfig
from training.objectives.losses import EPSILON
from training.objectives.match import on_log_spectra, on_waveform
from training.objectives.relaxed import Relaxed, noise_for
from training.objectives.scheduled_sampling import ScheduledSamplingConfig, own_past
from training.run.config import training_config
from training.run.run_folder import RunFolder
from training.run.schedule import check_schedule

SMALL = {"start": 0.0, "warmup_steps": 0, "ramp_steps": 0, "every": 1, "windows": 2,
         "window_samples": 32, "gradient_samples": 8, "width": 2}


def objective(kind: str = "tiers", **table: Any) -> AutoregressiveObjective:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = Autoregressive(AutoregressiveConfig(kind=kind, layers=3, channels=6, classes=16))
    table = {"objective": "autoregressive", **table}
    found = AutoregressiveObjective(model, training_config(table))
    found.start()
    return found


def batch(count: int = 2, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(audio=0.3 * torch.randn(count, 1, 64, generator=generator),
                 conditions=torch.randn(count, 2, 4, generator=generator))


class Judge(nn.Module):
    """Scores are samples times a weight; remembers what it heard."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.heard: list[Tensor] = []

    def forward(self, audio: Tensor) -> list[Opinion]:
        self.heard.append(audio.detach())
        return [Opinion(self.weight * audio, (audio,))]


def judged(**table: Any) -> tuple[AutoregressiveObjective, Judge]:
    """An objective whose discriminators are the judge."""
    made = objective(adversarial={**SMALL, **table})
    assert made.adversary is not None
    judge = Judge()
    made.adversary.networks = judge  # type: ignore[assignment]
    made.adversary.optimizer = torch.optim.SGD(judge.parameters(), 0.1)  # type: ignore[assignment]
    return made, judge


# --- losses by hand ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["least-squares", "non-saturating", "classical"])
def test_losses_of_a_step_are_those_of_the_document(name: str) -> None:
    """L_D = -E(log D(x) + log(1 - D(G))) or its squares, after the discriminator's step L_G =
    weight * E(-log D(G), or what stands for it) + match_weight * || x - G ||_2."""
    made, judge = judged(objective=name, weight=0.3, match_weight=0.7, match_on="waveform")
    terms = made.step(batch(), Moment(step=3, learning_rate=1e-3))
    real, fake = judge.heard[:2]
    assert real.shape == fake.shape == (2, 1, 32)
    assert torch.equal(real, batch()["audio"][:, :, 32:])
    assert (real - fake).abs().max() > 0.01

    def said(weight: float, x: Tensor) -> Tensor:
        return torch.sigmoid(weight * x)

    if name == "least-squares":
        wanted_d = (0.5 * real - 1).square().mean() + (0.5 * fake).square().mean()
    else:
        wanted_d = -(said(0.5, real).log().mean() + (1 - said(0.5, fake)).log().mean())
    assert float(terms["discriminator_loss"]) == pytest.approx(float(wanted_d), rel=1e-5)
    after = float(judge.weight.detach())
    assert after != 0.5
    wanted_g = {"least-squares": (after * fake - 1).square().mean(),
                "non-saturating": -said(after, fake).log().mean(),
                "classical": (1 - said(after, fake)).log().mean()}[name]
    assert float(terms["adversarial_loss"]) == pytest.approx(float(wanted_g), rel=1e-5)
    match = (real - fake).square().mean().sqrt()
    assert float(terms["match"]) == pytest.approx(float(match), rel=1e-5)
    nats = float(terms["bits_per_sample"]) * log(2)
    assert float(terms["loss"].detach()) == pytest.approx(
        nats + 0.3 * float(wanted_g) + 0.7 * float(match), rel=1e-5)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, 40.0])
def test_any_norm(p: float) -> None:
    torch.manual_seed(0)
    made, real = torch.randn(2, 1, 2048).requires_grad_(), torch.randn(2, 1, 2048)
    wanted = (made - real).detach().double().abs().pow(p).mean() ** (1 / p)
    assert float(on_waveform(made, real, p).detach()) == pytest.approx(float(wanted), rel=1e-5)
    same = on_waveform(made, made.detach(), p)
    assert float(same.detach()) < 1e-11
    same.backward()
    assert torch.isfinite(made.grad).all()  # type: ignore[union-attr]
    levels = []
    for size in (1024, 512, 256):
        window = torch.hann_window(size) / torch.hann_window(size).sum()
        logs = [torch.log(torch.sqrt((torch.fft.rfft(x.detach()[:, 0].unfold(
            1, size, size // 4) * window)).abs() ** 2 + EPSILON**2)) for x in (made, real)]
        levels.append((logs[0] - logs[1]).double().abs().pow(p).mean() ** (1 / p))
    wanted = sum(levels) / 3  # type: ignore[assignment]
    assert float(on_log_spectra(made, real, p).detach()) == pytest.approx(float(wanted), rel=1e-4)


def test_silence_has_a_gradient_in_log_spectra() -> None:
    made = torch.zeros(1, 1, 2048, requires_grad=True)
    on_log_spectra(made, torch.randn(1, 1, 2048), 2.0).backward()
    assert torch.isfinite(made.grad).all()  # type: ignore[union-attr]


# --- steps -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tiers", "wavenet"])
def test_gradients_of_the_game_reach_every_weight(kind: str) -> None:
    """Those of the adversarial loss alone, through the windows."""
    made = objective(kind, adversarial=SMALL)
    assert made.adversary is not None
    made.adversary.began(0, 0.0, 0.0)
    terms = made(batch(), Moment())
    heard, figures = made.adversary.play(terms["output"], terms["target"], 0)
    assert float(figures["adversarial_loss"]) > 0
    heard.backward()
    for name, parameter in made.model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_the_discriminators_take_k_steps_on_windows_of_their_own() -> None:
    made, judge = judged(discriminator_steps=3)
    assert made.adversary is not None
    taken = []
    step = made.adversary.optimizer.step
    made.adversary.optimizer.step = lambda: taken.append(step())  # type: ignore[assignment, method-assign]
    made.step(batch(), Moment(learning_rate=1e-3))
    assert len(taken) == 3
    heard = judge.heard  # real and fake for each, then the fake ones of the last, and the real ones
    assert len(heard) == 8
    fakes = [heard[1], heard[3], heard[5]]
    assert torch.equal(heard[6], fakes[2])
    assert not any(torch.equal(a, b) for a, b in ((fakes[0], fakes[1]), (fakes[1], fakes[2])))


def test_k_steps_of_the_autoencoders_game_hear_other_places() -> None:
    from training.objectives.adversarial import AdversarialConfig

    config = AdversarialConfig(discriminator_steps=2, seconds=0.01, discriminators=("patch",))
    adversary = Adversary(config, 1, 8000, seed=0)
    judge = adversary.networks = Judge()  # type: ignore[assignment]
    adversary.optimizer = torch.optim.SGD(judge.parameters(), 0.1)  # type: ignore[assignment]
    adversary.began_step = 0
    sound = torch.arange(400.0).reshape(1, 1, 400)
    adversary.play(sound, sound + 1000, 500)
    starts = [int(x[0, 0, 0]) for x in judge.heard]
    assert [len(x[0, 0]) for x in judge.heard] == [80] * 6
    assert starts[0] == starts[1] + 1000  # real, then made, at the same place
    assert starts[1] != starts[3]
    assert starts[4] == starts[3]


def test_a_turn_every_so_many_steps_and_the_weight_rises() -> None:
    made, judge = judged(start="2 steps", every=3, warmup_steps=3, ramp_steps=6, weight=0.6)
    played, weights = [], []
    for step in range(15):
        before = len(judge.heard)
        terms = made.step(batch(seed=step), Moment(step=step, learning_rate=0.0))
        if len(judge.heard) > before:
            played.append(step)
            nats = float(terms["bits_per_sample"]) * log(2)
            more = float(terms["loss"].detach()) - nats
            weights.append(more / float(terms.get("adversarial_loss", 1.0)))
    assert played == [2, 5, 8, 11, 14]
    assert weights == pytest.approx([0, 0, 0.3, 0.6, 0.6], abs=1e-4)
    assert set(made.figures()) == {"discriminator_loss", "adversarial_loss", "feature_matching"}


def test_validation_draws_nothing() -> None:
    made, judge = judged()
    made.config = made.config.model_copy(update={
        "scheduled_sampling": ScheduledSamplingConfig(share=1.0, start=0.0, ramp=0.0)})
    made.step(batch(), Moment(learning_rate=0.0))
    before = len(judge.heard)
    found = made.validate(made.model, [batch()])
    plain = objective().validate(made.model, [batch()])
    assert found.figures == plain.figures
    assert set(found.figures) == {"loss", "bits_per_sample"}
    assert len(judge.heard) == before


def test_the_mean_step_counts_turns_as_often_as_they_come() -> None:
    made = objective(adversarial={**SMALL, "every": 10})
    assert made.usual_seconds((1.0, 11.0)) == (1.0, 2.0)
    made.enter(2)
    assert made.adversary is not None
    assert all(made.adversary.plays(step) for step in (10**9, 10**9 + 1))
    config = training_config({"objective": "autoregressive", "steps": 100,
                              "adversarial": {"start": 0.5}})
    said = check_schedule(config, (1.0, 2.0), AutoregressiveObjective.first_phase)
    assert said.startswith("phase 1 likelihood until 50% of the run; then phase 2 adversarial "
                           "(least-squares, in one step of 10)")


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
