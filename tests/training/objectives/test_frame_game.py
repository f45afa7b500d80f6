"""The game on frames: what discriminators are told, mode seeking, penalties, and that it learns."""

from __future__ import annotations

from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch

from engine.errors import ConfigError
from tests.export.small_models import small_model
from training.data.base import Batch, Shard
from training.objectives.adversarial import AdversarialConfig, Adversary
from training.objectives.base import Moment
from training.objectives.discriminators import Discriminators, Opinion
from training.objectives.frame_discriminators import FRAME_DISCRIMINATORS, band_edges
from training.objectives.frame_game import (
    FrameGameConfig,
    FrameGameObjective,
    FrameGameSettings,
    ages,
    apart,
    strokes_before,
)
from training.objectives.frame_spectra import heard_power, scaled
from training.objectives.gan_losses import gradient_penalty
from training.run.health import LossHealth
from training.run.noise import vary_noise

FRAMES = 48


def config(**changes):
    game = FrameGameConfig(**{"width": 4, "learning_rate": 2e-3,
                              **changes.pop("adversarial", {})})
    return SimpleNamespace(**{
        **dict(FrameGameSettings(adversarial=game)), "learning_rate": 2e-3, "betas": (0.0, 0.99),
        "gradient_clip": 10.0, "seed": 0, **changes})


def batch(model, size=8, seed=0):
    """Class a is a low tone, class b noise; each from frame 3 on, one example in two once more."""
    shape = model.config
    generator = torch.Generator().manual_seed(seed)
    rows = torch.zeros(size, len(shape.labels), FRAMES)
    audio = torch.zeros(size, 1, FRAMES * shape.hop)
    t = torch.arange(audio.shape[2]) / shape.sample_rate_hz
    for index in range(size):
        for start in (3, 24)[: 1 + index % 2]:
            rows[index, :, start:] = 0
            rows[index, 0, start : start + 2] = 1
            rows[index, 1, start:] = 0.5
            rows[index, 3 + index // 2 % 2, start:] = 1
            begin = start * shape.hop
            falls = torch.exp(-12 * t[: len(t) - begin])
            sound = (torch.sin(2 * torch.pi * 500 * t[: len(falls)]) if index // 2 % 2 == 0
                     else torch.randn(len(falls), generator=generator))
            audio[index, 0, begin:] = 0.4 * falls * sound
    return Batch(1.0, audio=audio, rows=rows)


def objective(**changes):
    model = small_model("spectrogram_gan", "drums")
    return FrameGameObjective(model, config(**changes))


def test_the_age_of_a_frame_is_that_of_its_stroke():
    gate = torch.tensor([[0.0, 0, 1, 1, 0, 0, 0.6, 1, 0, 0], [1.0, 0, 0, 0, 1, 0, 1, 0, 0, 0.4]])
    assert ages(gate)[0].tolist() == [4095, 4095, 0, 1, 2, 3, 0, 1, 2, 3]
    assert ages(gate)[1].tolist() == [0, 1, 2, 3, 0, 1, 0, 1, 2, 3]
    assert strokes_before(gate)[1].tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2]


def test_ages_are_those_that_the_model_counts():
    model = small_model("spectrogram_gan", "drums")
    x = batch(model)["rows"]
    told = model.strokes(x, model.strokes.init_state(len(x)), {
        **model.default_attributes(), "temperature": torch.zeros(1)})[0]
    assert torch.equal(told[:, -1], ages(x[:, 0]))
    asked = len(model.config.asked)
    assert torch.equal(told[:, :asked], x[:, 1 : 1 + asked])  # data says what is latched


def test_a_sine_and_noise_are_as_loud_as_the_operation_has_them():
    """A sine of amplitude a is a / 2; noise made of the model's own e^noise is as loud as noise."""
    found = objective()
    shape = found.model.config
    t = torch.arange(FRAMES * shape.hop)
    sine = 0.5 * torch.cos(2 * torch.pi * 8 * t / shape.fft)
    level = found.spectra.magnitudes(sine[None, None])[0, 8, 10:]
    assert level.numpy() == pytest.approx(0.25, rel=1e-3)
    torch.manual_seed(0)
    rows = torch.zeros(40, len(shape.labels), FRAMES)
    white = found.white(rows, Shard())[:, 4:-4, 8:]
    assert float(white.abs().square().mean()) == pytest.approx(1, abs=0.03)
    silence = torch.full_like(white.real, -30.0)
    made = scaled(heard_power(silence, silence * 0 - 2.0, white))
    noise = torch.randn(40, 1, FRAMES * shape.hop)
    power = found.spectra.magnitudes(noise).square()[:, 4:-4, 8:].mean().log() / 2
    real = found.spectrum(noise * torch.exp(-2.0 - power))[:, 4:-4, 8:]
    assert float(made.mean() - real.mean()) == pytest.approx(0, abs=0.01)
    assert float(made.std() / real.std()) == pytest.approx(1, abs=0.05)  # and as grainy


def test_what_is_not_said_is_not_said_to_anyone():
    found = objective(condition_dropout=0.999).train()
    data = batch(found.model)
    rows = found.conditions(data["rows"], Shard())
    assert not rows[:, 3:7].any()
    assert torch.equal(rows[:, :3], data["rows"][:, :3])
    assert not found.told(rows)[:, 2:6].any()
    assert torch.equal(found.eval().conditions(data["rows"], Shard()), data["rows"])


def test_each_stroke_has_a_z_of_its_own():
    found = objective()
    rows = found.with_z(batch(found.model)["rows"], Shard())
    z = rows[:, -found.model.config.z :]
    assert torch.equal(z[:, :, 3:24], z[:, :, 3:4].expand(-1, -1, 21))
    assert (z[1, :, 23] - z[1, :, 24]).abs().min() > 0  # two strokes
    assert torch.equal(z[0, :, 23], z[0, :, 24])  # one
    assert (z[0, :, 3] - z[2, :, 3]).abs().min() > 0


def test_two_draws_differ_by_z_alone():
    """Without z's influence mode seeking sees no distance, whatever the frames' noise does."""
    found = objective().train()
    vary_noise(found.model)  # as in a run: other noise in every call
    data = batch(found.model)
    with torch.no_grad():
        free = float(found.losses(data, Moment())["mode_seeking"])
        first = found.model.told.branches[0].layers[1]
        first.weight[:, len(found.model.config.asked) :] = 0
        assert float(found.losses(data, Moment())["mode_seeking"]) == pytest.approx(100, rel=1e-4)
    assert free < 95
    assert "mode_seeking" not in objective(mode_seeking=0.0).train().losses(data, Moment())


@pytest.mark.parametrize("kind", sorted(FRAME_DISCRIMINATORS))
@pytest.mark.parametrize("bins", [65, 513])
def test_discriminators_hear_what_was_asked_for(kind, bins):
    torch.manual_seed(0)
    network = Discriminators((kind,), bins, 4, FRAME_DISCRIMINATORS, 3).eval()
    heard_frames, told = torch.randn(2, bins, FRAMES), torch.zeros(2, 3, FRAMES)
    told[:, 1] = 1
    (one,) = network(heard_frames, told)
    assert isinstance(one, Opinion)
    assert one.scores.shape[:2] == (2, 1)
    assert len(one.features) == 5
    other = told.flip(1)
    other[:, 1], other[:, 2] = 0, 1
    assert (network(heard_frames, other)[0].scores - one.scores).abs().max() > 1e-4
    late = told.clone()
    late[:, :, FRAMES // 2 :] = 0  # what is asked for later moves later scores
    moved = (network(heard_frames, late)[0].scores - one.scores).abs()
    assert moved[..., -1].max() > 1e-5
    assert moved[..., 0].max() < 1e-7 if moved.shape[-1] > 1 else True


def test_bands_cover_all_bins():
    for bins in (65, 257, 513):
        edges = band_edges(bins)
        assert edges[0] == 0
        assert edges[-1] == bins
        assert edges == sorted(set(edges))
    network = FRAME_DISCRIMINATORS["bands"](513, 4, 0)[0]
    assert network.bands.mean.sum(dim=1).numpy() == pytest.approx(1)


def test_the_penalty_is_the_squared_slope_where_sound_is_real():
    x = torch.randn(4, 3, 5, requires_grad=True)
    weight = torch.randn(3, 5)
    opinion = Opinion((x * weight).sum(dim=(1, 2))[:, None, None], ())
    assert float(gradient_penalty([opinion], x)) == pytest.approx(
        float(weight.square().sum()), rel=1e-5)
    assert float(gradient_penalty([opinion, opinion], x)) == pytest.approx(
        4 * float(weight.square().sum()), rel=1e-5)


def test_the_penalty_flattens_discriminators_and_comes_now_and_then():
    def slope(weight):
        torch.manual_seed(0)
        game = FrameGameConfig(width=4, r1_weight=weight, r1_steps=2)
        adversary = Adversary(game, 65, 8000, 0, 2)
        adversary.began_step = 0
        real, fake, told = torch.randn(8, 65, 48), torch.randn(8, 65, 48) + 1, torch.ones(8, 2, 48)
        for step in range(30):
            adversary.play(fake, real, step, told)
        real.requires_grad_(True)
        return float(gradient_penalty(adversary.networks(real, told), real).detach())

    assert slope(500.0) < 0.5 * slope(0.0)


def test_a_game_of_audio_is_played_as_before():
    """Nothing is told, nothing penalised: the same numbers as without the keys."""
    def played(**more):
        torch.manual_seed(0)
        adversary = Adversary(AdversarialConfig(width=2, seconds=0.1, discriminators=("patch",),
                                                **more), 1, 8000, 0)
        adversary.began_step = 0
        loss, figures = adversary.play(torch.ones(2, 1, 1600), torch.randn(2, 1, 1600), 500)
        return float(loss), {name: float(value) for name, value in figures.items()}

    assert played() == played(r1_weight=0.0)
    assert set(played(feature_weight=0.0)[1]) == set(played()[1]) == {
        "discriminator_loss", "adversarial_loss", "feature_matching"}


@pytest.mark.parametrize("kind", ["hinge", "non-saturating", "least-squares"])
def test_both_sides_learn(kind):
    """Discriminators tell made from real while the model stands; then the model wins against
    discriminators that stand."""
    torch.manual_seed(0)
    found = objective(adversarial={"objective": kind, "learning_rate": 1e-2}).train()
    found.start()
    assert found.adversary is not None
    data = batch(found.model)

    def played(steps, rate):
        told = []
        for step in range(steps):
            torch.manual_seed(step % 4)
            told.append(found.step(data, Moment(step=step, learning_rate=rate)))
        assert set(told[0]) == {"loss", "mode_seeking", "discriminator_loss", "adversarial_loss"}
        return [[float(terms[f"{name}_loss"].detach()) for terms in told]
                for name in ("discriminator", "adversarial")]

    telling, _ = played(30, 0.0)
    assert sum(telling[-4:]) < 0.7 * sum(telling[:4])
    for group in found.adversary.optimizer.param_groups:
        group["lr"] = 0.0
    _, fooling = played(24, 1e-2)
    assert sum(fooling[-4:]) / 4 < sum(fooling[:4]) / 4 - 0.15


def test_validation_measures_statistics_and_gives_sounds():
    found = objective().eval()
    found.start()
    after = found.validate(found.model, [batch(found.model)])
    assert after.figures["spectra"] > 0.1
    assert after.sounds["made_1"].shape == after.fixed["held_out_1"].shape


def test_state_goes_through_a_checkpoint():
    found = objective().train()
    found.start()
    data = batch(found.model)
    for step in range(3):
        found.step(data, Moment(step=step, learning_rate=1e-3))
    saved = deepcopy(found.state())
    other = objective().train()
    other.load(saved)
    other.model.load_state_dict(found.model.state_dict())
    other.start()
    assert other.adversary is not None
    assert other.adversary.steps == 3
    for each in (found, other):
        torch.manual_seed(5)
        each.last = each.step(data, Moment(step=3, learning_rate=1e-3))
    assert float(found.last["loss"].detach()) == float(other.last["loss"].detach())


def test_a_loss_that_rises_is_no_divergence():
    """Checkpoints are kept on, and the run goes on: no loss of a game falls."""
    found, health = objective().train(), LossHealth()
    terms = found.losses(batch(found.model), Moment())
    for factor in (1, 3, 30):
        for _ in range(100):
            health.look(found.watch({name: factor * term for name, term in terms.items()}))
        health.check(0, 1e-3)
        assert not health.worse_than(1.5)


def test_mistakes_are_one_line():
    with pytest.raises(ConfigError, match="makes no frames"):
        FrameGameObjective(small_model("raw_vae", "mono"), config())
    with pytest.raises(ConfigError, match="without the game"):
        objective(adversarial={"on": False})
    several = small_model("spectrogram_gan", "drums").in_voices("2")
    with pytest.raises(ConfigError, match=r"model\.voices names voices .* leave it out"):
        FrameGameObjective(several, config())
    for names, said in ((["scales"], "unknown discriminator"), ([], "at least 1")):
        with pytest.raises(ConfigError, match=said):
            FrameGameSettings.game_of({"discriminators": names})


def test_distance_of_statistics():
    torch.manual_seed(0)
    real = torch.randn(200, 65, 4)
    assert float(apart(real, real)) == 0
    assert float(apart(real + 0.5, real)) == pytest.approx(0.5, abs=1e-4)
    assert float(apart(real * 2, real)) > 0.3
