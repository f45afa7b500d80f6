"""Plans and flows learn: their losses are what they should be, and fall."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from engine.errors import ConfigError
from engine.layers import Conv1d
from engine.layers.fixed import folded, unfolded
from engine.scores.loops import KNOBS
from tests.export.small_models import small_model
from training.data.band_levels import BANDS
from training.data.base import Batch
from training.objectives import loop_plan
from training.objectives.base import Moment
from training.objectives.loop_flow import FlowObjective, FlowSettings, mixed, normal_as_played
from training.objectives.loop_knobs import KnobReader, swapped
from training.objectives.loop_plan import PlanObjective, PlanSettings

CHUNKS = 8


def config(kind=FlowSettings, **changes):
    return SimpleNamespace(**{**kind().model_dump(), "learning_rate": 3e-3, "betas": (0.9, 0.99),
                              "gradient_clip": 1.0, "seed": 0, **changes})


def batch(model, size=6, seed=0):
    shape = model.config
    generator = torch.Generator().manual_seed(seed)

    def noise(*dims):
        return torch.randn(*dims, generator=generator)

    bars = 2
    place = torch.arange(CHUNKS) * shape.chunk
    return Batch(
        1.0, mean=noise(size, shape.latents, CHUNKS * shape.chunk),
        log_std=0.3 * noise(size, shape.latents, CHUNKS * shape.chunk) - 1,
        levels=noise(size, BANDS, CHUNKS * shape.chunk),
        rows=torch.rand(size, len(shape.labels), CHUNKS, generator=generator),
        style=torch.arange(size) % 3 - 1,
        windows=noise(size, bars, shape.latents, shape.window_frames),
        bar=(place // shape.window_frames).clamp_max(1).expand(size, -1),
        since=(place % shape.window_frames).expand(size, -1))


def test_likelihood_of_drawn_latents_is_divergence_of_posteriors_and_their_entropy():
    """Document 003, section 4.2: the two objectives are one."""
    model = small_model("latent_vae", "loops").eval()
    found = {}
    for kind in ("samples", "posteriors"):
        objective = PlanObjective(model, config(PlanSettings, loss_on=kind)).eval()
        values = []
        for seed in range(1000):  # the same codes for both
            torch.manual_seed(seed)
            values.append(float(objective.planned(batch(model), 2)[0]["nats_per_frame"]))
        found[kind] = sum(values) / len(values)
    _, spread = objective.standard(batch(model))
    entropy = float((spread.log() + 0.5 * torch.log(torch.tensor(2 * torch.pi * torch.e))
                     ).sum(dim=1).mean())
    assert abs(found["samples"] - found["posteriors"] - entropy) < 0.05
    assert abs(entropy) > 0.1


@pytest.mark.parametrize(("family", "kind", "settings"), [
    ("latent_vae", PlanObjective, PlanSettings), ("latent_flow", FlowObjective, FlowSettings)])
def test_losses_fall(family, kind, settings):
    torch.manual_seed(0)
    model = small_model(family, "loops")
    objective = kind(model, config(settings)).train()
    objective.start()
    data = batch(model)
    first = [objective.step(data, Moment(learning_rate=3e-3)) for _ in range(10)]
    for _ in range(150):
        objective.step(data, Moment(learning_rate=3e-3))
    last = [objective.step(data, Moment(learning_rate=3e-3)) for _ in range(10)]
    for name in ("nats_per_frame", *(["flow"] if family == "latent_flow" else [])):
        before, after = (sum(float(terms[name]) for terms in each) / 10 for each in (first, last))
        assert after < before - 0.02, name


def test_the_coder_stays_as_it_is():
    model = small_model("latent_flow", "loops")
    for parameter in model.codec.parameters():
        parameter.requires_grad_(False)
    before = {name: value.clone() for name, value in model.codec.state_dict().items()}
    objective = FlowObjective(model, config()).train()
    objective.start()
    for _ in range(3):
        objective.step(batch(model), Moment(learning_rate=1e-2))
    assert all(torch.equal(value, before[name])
               for name, value in model.codec.state_dict().items())


def test_the_plan_learns_nothing_of_the_flow():
    model = small_model("latent_flow", "loops")
    objective = FlowObjective(model, config()).train()
    torch.manual_seed(0)
    terms = objective.losses(batch(model), Moment())
    (terms["flow"] + terms["shortcut"]).backward()
    assert all(p.grad is None or not p.grad.any() for p in model.plan.parameters())
    assert all(p.grad is None or not p.grad.any() for p in model.windows.parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.velocity.parameters())


def test_codes_are_whitened_and_chosen_by_bar_and_place():
    model = small_model("latent_vae", "loops")
    objective = PlanObjective(model, config(PlanSettings)).train()
    for seed in range(300):
        objective.conditions(batch(model, seed=seed), 2)
    rows = torch.cat([objective.conditions(batch(model, seed=seed), 2)[0] for seed in range(20)])
    at = model.config.place("code")
    normal = torch.atanh(rows[:, at : at + 3].clamp(-0.999, 0.999)) / 0.851
    assert abs(float(normal.mean())) < 0.15
    assert abs(float(normal.std()) - 1) < 0.15
    # One code for a window of 8 frames, two for level 1, four for level 0.
    for level, changes in ((2, 1), (1, 3), (0, 7)):
        one = objective.conditions(batch(model), level)[0][0, at]
        assert int((one[1:] != one[:-1]).sum()) == changes


def test_codes_keep_their_spread_under_noise_and_say_no_more_than_it_lets_them():
    model = small_model("latent_vae", "loops")
    at = slice(model.config.place("code"), model.config.place("code") + model.config.codes)
    data, spread, apart = batch(model, size=1024), {}, {}
    for noise in (0.0, 0.5):
        torch.manual_seed(0)  # the same weights for both
        objective = PlanObjective(model, config(PlanSettings, code_noise=noise, window_noise=0.0,
                                                window_dropout=0.0)).train()
        for head in model.windows.heads:  # posteriors of little width: what is left is the noise
            said = next(part for part in head.modules() if isinstance(part, Conv1d))
            torch.nn.init.constant_(said.bias[model.config.codes :], -20.0)
            torch.nn.init.zeros_(said.weight[model.config.codes :])
            torch.nn.init.normal_(said.weight[: model.config.codes], std=3.0)
        for _ in range(300):
            objective.conditions(data, 2)
        first, second = (torch.atanh(objective.conditions(data, 2)[0][:, at, 0].clamp(-0.999, 0.999)
                                     ) / 0.851 for _ in range(2))
        spread[noise], apart[noise] = float(first.std()), float((first - second).std())
        told = objective.eval().conditions(data, 2)[0][:, at, 0]
        assert torch.allclose(told, objective.conditions(data, 2)[0][:, at, 0], atol=0.03)
    assert apart[0.0] < 0.02
    assert abs(apart[0.5] - 0.5 * (2 / 1.25) ** 0.5) < 0.04
    assert abs(spread[0.5] / spread[0.0] - 1) < 0.06


def test_what_is_left_out_of_windows_is_a_stretch_and_some_channels():
    torch.manual_seed(0)
    kept = loop_plan._kept(torch.zeros(500, 26, 64), 0.4)
    assert torch.equal(loop_plan._kept(torch.zeros(5, 3, 8), 0.0), torch.ones(5, 3, 8))
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    channels, frames = kept.amax(dim=2), kept.amax(dim=1)
    assert torch.equal(kept, channels[:, :, None] * frames[:, None])
    assert 0.7 < float(channels.mean()) < 0.9
    assert 0.75 < float(frames.mean()) < 0.85
    assert int((frames.diff(dim=1) != 0).sum(dim=1).max()) <= 2  # one stretch
    assert float(frames.mean(dim=0).std()) < 0.1  # anywhere


def test_codes_learn_to_leave_to_knobs_what_knobs_say():
    """Latents that go with a knob that is seldom said: without the loss so do codes."""
    found = {}
    for weight in (0.0, 30.0):
        torch.manual_seed(0)
        model = small_model("latent_vae", "loops")
        objective = PlanObjective(model, config(PlanSettings, knob_code_weight=weight,
                                                knob_dropout=1.0, window_noise=0.0,
                                                window_dropout=0.0)).train()
        objective.start()
        for seed in range(500):
            given = batch(model, size=24, seed=seed)
            told = torch.randn(24, 1, generator=torch.Generator().manual_seed(seed))
            given.tensors["rows"][:, model.config.place("density")] = told
            given.tensors["windows"][:, :, 0] += 2 * told[..., None]
            given.tensors["mean"] += 2 * told[..., None]
            objective.step(given, Moment(learning_rate=3e-3))
        found[weight] = float(objective.shared.square().sum())
    assert found[0.0] > 0.2
    assert found[30.0] < 0.3 * found[0.0]


def test_plans_obey_knobs_that_contradict_the_code():
    """Latents follow a knob that is seldom said, so that the code tells it: turned by itself, it
    is to move them all the same."""
    found = {}
    for weight in (0.0, 12.0):
        torch.manual_seed(0)
        model = small_model("latent_vae", "loops")
        objective = PlanObjective(model, config(PlanSettings, knob_code_weight=0.0,
                                                obedience=weight, knob_dropout=0.8)).train()
        objective.start()
        at = model.config.place("density")
        for seed in range(250):
            given = batch(model, size=12, seed=seed)
            told = torch.randn(12, 1, generator=torch.Generator().manual_seed(seed))
            given.tensors["rows"][:, at] = told
            given.tensors["windows"] += 2 * told[..., None, None]
            given.tensors["mean"] += 2 * told[..., None]
            objective.step(given, Moment(learning_rate=5e-3))
        rows = objective.eval().conditions(batch(model), 2)[0].detach()
        low, high = rows.clone(), rows.clone()
        low[:, at], high[:, at] = -1, 1
        found[weight] = float((model.planned(high)[2] - model.planned(low)[2]).mean().detach()) / 2
    assert 1.2 < found[12.0] < 2.5, found  # 2: what the knob means
    assert found[0.0] < 0.6 * found[12.0], found


def test_plans_are_judged_by_a_reader_that_learns_of_real_loops_only():
    model = small_model("latent_vae", "loops")
    reader = KnobReader(model.config)
    z = torch.randn(3, model.config.latents, 16, requires_grad=True)
    assert torch.equal(reader.judging(z), reader(z))
    reader.judging(z).sum().backward()
    assert z.grad is not None
    assert z.grad.any()
    assert all(parameter.grad is None for parameter in reader.parameters())
    rows, knobs = swapped(batch(model, size=24)["rows"], model.config)
    before = batch(model, size=24)["rows"]
    at = [model.config.place(label) for label in KNOBS]
    others = [i for i in range(rows.shape[1]) if i not in at]
    assert torch.equal(rows[:, others], before[:, others])
    assert torch.equal(rows[:, at, 0], knobs)
    assert torch.equal(rows[:, at].sort(dim=0).values, before[:, at].sort(dim=0).values)
    assert len(torch.unique((rows[:, at, 0] == before[:, at, 0]).sum(dim=1))) > 1  # each by itself


def test_plans_tell_how_loud_bands_are():
    model = small_model("latent_vae", "loops")
    objective = PlanObjective(model, config(PlanSettings)).train()
    objective.start()
    data = batch(model)
    heard = [float(objective.step(data, Moment(learning_rate=3e-3))["heard"])
             for _ in range(300)]
    assert heard[0] < 0.05
    assert sum(heard[-20:]) / 20 > heard[0] + 0.1


def test_lengths_of_codes_are_drawn():
    objective = PlanObjective(small_model("latent_vae", "loops"), config(PlanSettings))
    drawn = [objective.drawn_level(torch.tensor([u])) for u in torch.linspace(0, 0.999, 1000)]
    shares = [drawn.count(level) / 1000 for level in (2, 1, 0)]
    assert abs(shares[0] - 0.4) < 0.01
    assert abs(shares[1] - 0.2) < 0.01
    assert set(drawn) == {0, 1, 2}


def test_noise_is_that_of_players():
    x = normal_as_played(torch.zeros(1000, 100))
    assert abs(float(x.mean())) < 0.02
    assert abs(float(x.std()) - 1) < 0.02
    assert float(x.abs().max()) < 12**0.5 + 1e-5
    start, aim = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    assert torch.equal(mixed(start, aim, torch.zeros(2, 4)), start)
    assert folded(aim, 2).shape == (2, 6, 2)
    assert torch.equal(unfolded(folded(aim, 2), 2), aim)


def test_models_of_another_kind_are_refused():
    with pytest.raises(ConfigError, match="makes no loops"):
        PlanObjective(small_model("raw_vae", "mono"), config(PlanSettings))
    with pytest.raises(ConfigError, match="has no flow"):
        FlowObjective(small_model("latent_vae", "loops"), config())
