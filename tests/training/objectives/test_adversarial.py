"""The adversarial phase: its losses, its schedule, and that it begins, freezes and resumes."""

from __future__ import annotations

import json
from io import StringIO
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from engine.errors import ConfigError
from tests.training.training_helpers import fill, preset
from training.objectives.adversarial import AdversarialConfig, Adversary
from training.objectives.discriminators import DISCRIMINATORS, Discriminators, Opinion
from training.objectives.gan_losses import (
    GAN_OBJECTIVES,
    discriminator_loss,
    feature_matching,
    generator_loss,
)
from training.run.config import resolve, training_config
from training.run.loop import Machine, train
from training.run.run_folder import RunFolder
from training.run.schedule import begins, check_schedule, start_of

SMALL = ("adversarial.width=2", "adversarial.seconds=0.1", "adversarial.warmup_steps=2",
         "schedule=constant")


def run(tmp_path: Path, *assignments: str, out: str = "run", console: Any = None, **options: Any):
    data = tmp_path / "data"
    settings = resolve(preset(tmp_path), data if data.exists() else fill(data),
                       [*SMALL, *assignments], **options)
    return train(settings, tmp_path / out, Machine("cpu"), console or Console(quiet=True)).folder


def rows(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == "train"]


@pytest.mark.parametrize(("name", "real", "fake", "generator"), [
    ("classical", log(1 + exp(-2)), log(1 + exp(0.5)), -log(1 + exp(0.5))),
    ("non-saturating", log(1 + exp(-2)), log(1 + exp(0.5)), log(1 + exp(-0.5))),
    ("least-squares", 1.0, 0.25, 0.25),
    ("hinge", 0.0, 1.5, -0.5),
])
def test_objectives_by_hand(name: str, real: float, fake: float, generator: float) -> None:
    """Scores of 2 for the real sound and 0.5 for the decoded one."""
    objective = GAN_OBJECTIVES[name]
    high, low = (Opinion(torch.full((1, 1, 3), value), ()) for value in (2.0, 0.5))
    found = discriminator_loss(objective, [high, high], [low, low])
    assert float(found) == pytest.approx(real + fake, abs=1e-6)
    assert float(generator_loss(objective, [low])) == pytest.approx(generator, abs=1e-6)
    scores = torch.full((4,), 0.2, requires_grad=True)
    objective.generator(scores).backward()
    assert (scores.grad < 0).all()  # every one of them wants a higher score


def test_feature_matching_is_relative_and_zero_for_itself() -> None:
    torch.manual_seed(0)
    one = [Opinion(torch.zeros(1), (torch.randn(2, 3, 5), 100 * torch.randn(2, 4)))]
    double = [Opinion(torch.zeros(1), tuple(2 * x for x in one[0].features))]
    assert float(feature_matching(one, one)) == 0
    assert float(feature_matching(one, double)) == pytest.approx(1)


@pytest.mark.parametrize("kind", list(DISCRIMINATORS))
def test_discriminators_learn_to_tell_a_tone_from_noise(kind: str) -> None:
    adversary = Adversary(AdversarialConfig(discriminators=(kind,), width=4, learning_rate=1e-2),
                          1, 8000, seed=0)
    adversary.began_step = 0
    torch.manual_seed(1)
    t = torch.arange(3001) / 8000
    losses = []
    for step in range(30):
        tone = 0.3 * torch.sin(6.28 * (300 * t + torch.rand(4, 1, 1)))
        noise = 0.2 * torch.randn(4, 1, 3001)
        _, figures = adversary.play(noise, tone, step)
        losses.append(float(figures["discriminator_loss"]))
    assert losses[-1] < 0.6 * losses[0]
    with torch.no_grad():
        for real, fake in zip(adversary.networks(tone), adversary.networks(noise), strict=True):
            assert real.scores.mean() > fake.scores.mean()
            assert len(real.features) >= 4


def test_short_sounds_and_stereo_pass_through_all() -> None:
    networks = Discriminators(tuple(DISCRIMINATORS), 2, 2)
    opinions = networks(torch.randn(1, 2, 101))
    assert len(opinions) == 12
    assert all(bool(torch.isfinite(opinion.scores).all()) for opinion in opinions)


def test_start_is_a_share_or_a_number_of_steps_or_minutes() -> None:
    assert start_of(0.6) == ("share", 0.6)
    assert start_of("12000 steps") == ("steps", 12000)
    assert start_of("1.5 min") == ("minutes", 1.5)
    for wrong in (1.0, -0.1, "soon", "3 hours"):
        with pytest.raises(ValueError, match="share of the run"):
            start_of(wrong)


@pytest.mark.parametrize(("budget", "start", "message"), [
    ({"steps": 100}, "100 steps", "run ends after 100 steps. "),
    ({"steps": None, "minutes": 5.0}, "7 minutes", "run ends after 5 minutes. "),
    ({"steps": None, "minutes": 5.0}, "400 steps", r"after 5 minutes, about 300 steps here"),
    ({"steps": 100}, 0.995, "after 100 steps. "),
    ({"steps": 100}, "2 minutes", r"after 100 steps, about 2 minutes here"),
    ({"steps": 10**6, "minutes": 5.0}, "400 steps", r"after 5 minutes, about 300 steps here"),
])
def test_a_phase_that_would_never_begin_is_refused(
    budget: dict[str, Any], start: str | float, message: str
) -> None:
    config = training_config({**budget, "adversarial": {"start": start}})
    with pytest.raises(ConfigError, match=f"would never begin.*{message}"):
        check_schedule(config, (1.0, 2.0), "reconstruction")


def test_reachable_schedules_are_told() -> None:
    assert "reconstruction" in check_schedule(training_config({}), (1.0, 1.0), "reconstruction")
    for budget, start, text in (({"minutes": 1.0, "steps": None}, 0.6, "until 60% of the run"),
                                ({"steps": 100}, "99 steps", "until 99 steps"),
                                ({"steps": 100}, "1 minutes", "until 1 minutes")):
        config = training_config({**budget, "adversarial": {"start": start}})
        assert text in check_schedule(config, (1.0, 1.0), "reconstruction")


@pytest.mark.parametrize(("budget", "start", "left"), [
    ({"steps": 100}, 0.75, 25), ({"steps": 100}, "80 steps", 20), ({"steps": 100}, "1 minutes", 40),
    ({"steps": None, "minutes": 2.0}, 0.5, 20), ({"steps": None, "minutes": 2.0}, "90 steps", 10),
    ({"steps": None, "minutes": 2.0}, "1 minutes", 20), ({"minutes": 2.0}, 0.5, 20),
])
def test_a_warm_up_that_lasts_to_the_end_is_told_before_the_run(
    budget: dict[str, Any], start: str | float, left: int
) -> None:
    """With steps of 1 second in phase 1 and of 3 in phase 2."""
    for warmup, told in ((left, True), (left - 1, False)):
        table = {"start": start, "warmup_steps": warmup}
        said = check_schedule(training_config({**budget, "adversarial": table}), (1.0, 3.0),
                              "reconstruction")
        assert f"heard after {warmup} steps" in said
        assert (f"does not reach (about {left} steps in phase 2)" in said) == told


def test_a_run_that_begins_in_phase_two_says_so(tmp_path: Path) -> None:
    shown = Console(file=StringIO(), width=300)
    run(tmp_path, "adversarial.start=0", "adversarial.warmup_steps=0", steps=3, console=shown)
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "schedule phase 2 adversarial (hinge" in text
    assert "step 0: phase 2 begins" in text
    assert "step 0: discriminators are heard" in text


def test_wrong_tables_are_named(tmp_path: Path) -> None:
    for assignment, message in (
        ("adversarial.strat=0.5", "did you mean 'training.adversarial.start'"),
        ("adversarial.objective=wgan", r"training\.adversarial\.objective"),
        ('adversarial.discriminators=["scale"]', "did you mean 'scales'"),
        ("adversarial.start=2", "between 0 and 1"),
        ("adversarial=yes", "must be a table"),
    ):
        with pytest.raises(ConfigError, match=message):
            resolve(preset(tmp_path), tmp_path, [assignment])


def test_the_phase_begins_is_told_and_leaves_the_encoder_alone(tmp_path: Path) -> None:
    shown = Console(file=StringIO(), width=300)
    before = RunFolder(run(tmp_path, "adversarial.start='3 steps'", out="a", steps=4)).load()
    folder = run(tmp_path, "adversarial.start='3 steps'", out="b", steps=8, console=shown)
    after = RunFolder(folder).load()
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "phase 1 reconstruction until 3 steps; then phase 2 adversarial (hinge, enc" in text
    assert "step 3: phase 2 begins: discriminators listen" in text
    assert "step 5: discriminators are heard from here" in text
    found = rows(folder)
    assert [row["phase"] for row in found] == [1, 1, 1, 2, 2, 2, 2, 2]
    assert ["adversarial_loss" in row for row in found] == [False] * 5 + [True] * 3
    assert [row.get("discriminator_loss", 0) > 0 for row in found] == [False] * 3 + [True] * 5
    assert max(row["learning_rate"] for row in found[3:]) == pytest.approx(5e-4)
    assert before is not None
    assert after is not None
    same = {name: torch.equal(value, after.model[name]) for name, value in before.model.items()}
    assert all(value for name, value in same.items() if name.startswith("encoder"))
    assert not any(value for name, value in same.items()
                   if name.startswith("decoder") and name.endswith("weight"))


def test_a_share_begins_when_minutes_limit_the_run(tmp_path: Path) -> None:
    assert [begins(0.5, 1, 1.0, progress) for progress in (0.2, 0.49, 0.5, 1.0)] == [
        False, False, True, True]
    folder = run(tmp_path, "adversarial.start=0.5", minutes=0.05)
    assert rows(folder)[-1]["phase"] == 2


def test_taken_up_again_in_phase_two_equals_uninterrupted(tmp_path: Path) -> None:
    start = "adversarial.start='2 steps'"
    whole = RunFolder(run(tmp_path, start, out="whole", steps=9)).load()
    run(tmp_path, start, out="parts", steps=6)
    parts = RunFolder(run(tmp_path, start, out="parts", steps=9)).load()
    assert whole is not None
    assert parts is not None
    assert whole.adversary is not None
    assert parts.adversary is not None
    for a, b in ((whole.model, parts.model),
                 (whole.adversary["networks"], parts.adversary["networks"])):
        assert len(a) > 20
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert parts.adversary["began_step"] == 2


def test_a_run_that_ends_before_says_so(tmp_path: Path) -> None:
    shown = Console(file=StringIO(), width=300)
    run(tmp_path, "adversarial.start=0.8", "adversarial.warmup_steps=50", console=shown)
    assert "which this run does not reach" in shown.file.getvalue()  # type: ignore[attr-defined]
    assert "discriminators were never heard" in shown.file.getvalue()  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="would never begin"):
        run(tmp_path, "adversarial.start='6 steps'", out="other")
    assert not (tmp_path / "other" / "model.safetensors").exists()
