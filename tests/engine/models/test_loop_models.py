"""Models of loops: what they are told, that streaming is offline, and that a bar can come again."""

from __future__ import annotations

import json
from math import pi

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engine.description import Description
from engine.errors import ConfigError, ModelFileError
from engine.layers.base import call
from engine.layers.fixed import Measured, Unfold, folded
from engine.models.coded import Coded
from engine.models.loops_config import VARIATION
from engine.models.loops_parts import TURNS, features, held, normal, uniform
from engine.models.registry import FAMILIES, build, configure
from engine.models.store import load_model
from engine.scores import loops
from engine.scores.loops import KNOBS
from tests.export.small_models import LOOPS, SMALL, small_model

BPM = 125.0


def rows(model, bars=2.0, bpm=BPM, seed=1):
    config = model.config
    code = loops.made_up_code(config.codes, seed)
    x = loops.conditions(config.labels, config.row_samples, config.sample_rate_hz, bars, bpm, code)
    return torch.from_numpy(x)[None]


def streamed(model, method, x, sizes):
    state, values, parts = model.init_state(method), model.default_attributes(), []
    at, turn, unit = 0, 0, model.methods[method].in_frames
    while at < x.shape[2]:
        frames = min(sizes[turn % len(sizes)] * unit, x.shape[2] - at)
        y, state = model.step(method, x[:, :, at : at + frames], state, values)
        parts.append(y)
        at, turn = at + frames, turn + 1
    return torch.cat(parts, dim=2)


@pytest.mark.parametrize("family", ["latent_vae", "latent_flow"])
def test_families_are_in_the_registry(family):
    assert FAMILIES[family].data == "loops"


@pytest.mark.parametrize(("settings", "said"), [
    ({"chunk": 0}, "model.chunk"), ({"steps": 3}, "model.steps"), ({"codes": 0}, "model.codes"),
    ({"backbone": "transformer", "heads": 5}, "heads = 5 must divide history_width = 96"),
])
def test_mistakes_are_one_line(settings, said):
    with pytest.raises(ConfigError) as raised:
        configure("latent_flow", settings)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("case", LOOPS, ids="-".join)
def test_streaming_is_offline_for_any_chunking(case):
    model = small_model(*case)
    for name in model.methods:
        x = rows(model, bars=1.0) if name in ("play", "generate") else torch.randn(
            1, model.methods[name].in_channels, 8 * model.methods[name].in_frames)
        with torch.no_grad():
            whole = model.offline(name, x)
            for sizes in ((1,), (3, 1, 2), (5,)):
                parts = streamed(model, name, x, sizes)
                assert parts.shape == whole.shape
                assert (parts - whole).abs().max() < 1e-5
        assert whole.shape[2] > 0
        assert whole.std() > 1e-4


def test_files_keep_the_range_of_every_input():
    described = small_model("latent_flow", "loops").describe("x")
    text = described.to_json()
    assert Description.from_json(text, "x").methods == described.methods
    assert set(json.loads(text)["input_ranges"]) == {"play", "generate"}
    broken = json.loads(text)
    broken["input_ranges"]["play"].pop()
    with pytest.raises(ModelFileError, match="11 input channels, but 10 ranges"):
        Description.from_json(json.dumps(broken), "x")


def test_play_is_decode_of_generate():
    model = small_model("latent_flow", "loops")
    x = rows(model)
    z = model.offline("generate", x)
    assert torch.equal(model.offline("play", x), model.offline("decode", z))


def test_without_a_coder_there_are_only_latents():
    settings = {key: value for key, value in SMALL["latent_vae"]["loops"].items()
                if key != "coder"}
    assert list(build("latent_vae", settings).methods) == ["generate"]
    assert "embed" not in build("latent_vae", {**SMALL["latent_vae"]["loops"],
                                               "embed": False}).methods


def test_the_place_in_the_bar_is_told_in_sines():
    model = build("latent_vae", SMALL["latent_vae"]["loops"])
    config = model.config
    x = torch.zeros(1, len(config.labels), 50)
    phase = torch.linspace(0, 1, 50)
    x[:, config.place("phase")] = phase
    told = features(config).offline(x)[0]
    for i, turns in enumerate(TURNS):
        assert (told[2 * i] - torch.sin(2 * pi * turns * phase)).abs().max() < 5e-5
        assert (told[2 * i + 1] - torch.cos(2 * pi * turns * phase)).abs().max() < 5e-5


def test_conditions_are_held_in_their_ranges():
    config = small_model("latent_flow", "loops").config
    torch.manual_seed(0)
    wild = 20 * torch.randn(1, len(config.labels), 4000)
    kept = held(config).offline(wild)[0]
    for label, (low, high) in {"phase": (0, 1), "tempo": (-2, 2), VARIATION: (0, 1),
                               KNOBS[0]: (-4, 4), "style x": (-1, 1), "code 1": (-1, 1)}.items():
        row = kept[config.place(label)]
        assert row.min() >= low - 1e-6
        assert row.max() <= high + 1e-6
        inside = (wild[0, config.place(label)] >= low) & (wild[0, config.place(label)] <= high)
        assert (row - wild[0, config.place(label)])[inside].abs().max() < 1e-5


def test_a_code_of_the_box_of_knobs_is_a_normal_one():
    u = torch.rand(1, 2, 20000) * 2 - 1
    w = normal(2).offline(u)
    assert abs(float(w.mean())) < 0.03
    assert abs(float(w.std()) - 1) < 0.08
    assert (uniform(2).offline(w) - u).abs().max() < 3e-3  # the ends are cut off


def test_frames_and_rows():
    x = torch.randn(2, 3, 8)
    layer = Unfold(3, 4)
    assert torch.equal(layer.offline(folded(x, 4)), x)
    assert torch.equal(layer.taken_back(x), folded(x, 4))
    known = Measured(3)
    known.set(torch.tensor([2.0, 0.5, 1.0]), torch.tensor([1.0, 0.0, -1.0]))
    assert (known.taken_back(known.offline(x)) - x).abs().max() < 1e-6
    assert "weight" in known.state_dict()
    assert not list(known.parameters())


@pytest.mark.parametrize("name", ["loops", "transformer"])
def test_the_loop_is_what_training_worked_out_at_once(name):
    model = small_model("latent_flow", name)
    x, size, values = rows(model), model.config.chunk, model.default_attributes()
    z = folded(model.made.taken_back(model.offline("generate", x)), size)
    told, plan, mean, log_std = model.planned(model.held.offline(x))
    context = model.heard_before(told, plan, F.pad(z, (1, 0))[:, :, :-1])
    first = next(iter(model.before))
    noise = call(first, model.held.offline(x), first.init_state(1), values)[0]
    time = torch.zeros(1, x.shape[2])
    left = noise + model.velocity(noise, context, time, time + 1)
    moved = mean + torch.exp(log_std) * left
    assert (moved.clamp(-8, 8) - z).abs().max() < 1e-4


CHUNKS = 16  # of a bar of `bars_of`


def bars_of(model, variation, bars=4, **attributes):
    """Latents [latents, bars, frames] of bars that are whole numbers of chunks, drawn without a
    past: what is fed back would settle only after some bars."""
    config = model.config
    bpm = 240 * config.sample_rate_hz / (CHUNKS * config.row_samples)
    x = torch.zeros(1, len(config.labels), bars * CHUNKS)
    x[:, config.place("phase")] = torch.arange(bars * CHUNKS) % CHUNKS / CHUNKS
    x[:, config.place("tempo")] = np.log2(bpm / loops.USUAL_BPM)
    x[:, config.place(VARIATION)] = variation
    z = model.offline("generate", x, **attributes)[0]
    return z.unflatten(1, (bars, -1))


def test_a_transformer_hears_as_far_back_as_its_windows_reach():
    model = small_model("latent_flow", "transformer")
    config, size = model.config, model.config.chunk * model.config.latents
    reach = config.history * (config.window - 1)  # chunks before the present one's own past
    told = torch.randn(1, model.features.out_channels, 3 * reach)
    plan = torch.randn(1, config.width, 3 * reach)
    before = torch.randn(1, size, 3 * reach)
    whole = model.heard_before(told, plan, before)
    assert whole.shape == (1, config.history_width, 3 * reach)
    changed = before.clone()
    changed[:, :, reach] += 3
    heard = (model.heard_before(told, plan, changed) - whole).abs().amax(dim=(0, 1)) > 1e-6
    assert heard[reach : 2 * reach + 1].all()
    assert not heard[:reach].any()
    assert not heard[2 * reach + 1 :].any()


def without_past(model, monkeypatch):
    monkeypatch.setattr(model.loop, "forward", lambda x, state, attributes=None: (
        x[:, : model.loop.out_channels], state))


def test_locked_noise_repeats_with_the_bar_and_free_noise_does_not(monkeypatch):
    model = build("latent_flow", {**SMALL["latent_flow"]["loops"], "compression": 512,
                                  "coder": {}})  # so that tempi are usual ones
    without_past(model, monkeypatch)
    locked, free = bars_of(model, 0.0), bars_of(model, 1.0)
    for bar in (1, 2, 3):
        assert (locked[:, bar] - locked[:, 0]).abs().max() < 1e-6
    assert (locked[:, 0, 1:] - locked[:, 0, :-1]).std() > 0.3
    assert (free[:, 1] - free[:, 0]).std() > 0.3
    seven = {"seed": torch.tensor([7.0])}
    assert (bars_of(model, 0.0, **seven)[:, 0] - locked[:, 0]).std() > 0.3
    assert torch.equal(bars_of(model, 0.0, **seven), bars_of(model, 0.0, **seven))


def test_between_both_kinds_of_noise_the_variance_stays(monkeypatch):
    model = build("latent_flow", {**SMALL["latent_flow"]["loops"], "compression": 512,
                                  "coder": {}})
    without_past(model, monkeypatch)
    for variation in (0.0, 0.3, 1.0):
        assert abs(float(bars_of(model, variation, bars=40).std()) - 1) < 0.15


def test_a_plan_has_no_memory():
    model = small_model("latent_vae", "loops")
    x = rows(model, 1.0)
    values = {"temperature": torch.zeros(1)}
    z = model.offline("generate", x, **values)
    back = torch.flip(x, (2,))
    again = model.offline("generate", back, **values)
    size = model.config.chunk
    assert torch.allclose(folded(z, size), torch.flip(folded(again, size), (2,)), atol=1e-6)


def test_the_coder_is_taken_in_with_what_was_measured():
    coder = load_model("techno-tiny").model
    assert isinstance(coder, Coded)
    shape = {"family": "raw_vae", **coder.config.model_dump(mode="json")}
    model = build("latent_vae", {"coder": shape, "width": 8, "window_width": 8,
                                  "start": "rest"})
    model.adopt(coder)
    described = model.describe("x")
    assert described.latents == coder.latents
    assert model.methods["decode"].input_labels == coder.methods["decode"].input_labels
    z = torch.randn(1, 16, 8)
    assert torch.equal(model.offline("decode", z), coder.offline("decode", z))
    assert all(not p.requires_grad for p in model.codec.parameters())
