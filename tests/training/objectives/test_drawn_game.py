"""The adversarial phase of what draws frame by frame: its losses by hand, its steps."""

from __future__ import annotations

from math import log
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.objectives.drawing import SMALL, batch, objective
from training.objectives.adversarial import AdversarialConfig, Adversary
from training.objectives.autoregressive import AutoregressiveObjective
from training.objectives.base import Moment
from training.objectives.discriminators import Opinion
from training.objectives.losses import EPSILON
from training.objectives.match import on_log_spectra, on_waveform
from training.objectives.scheduled_sampling import ScheduledSamplingConfig
from training.run.config import training_config
from training.run.schedule import check_schedule


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
