"""`forward` of models that draw sound: what the loop would draw after the same past."""

from __future__ import annotations

import pytest
import torch

from engine.errors import ConfigError
from engine.models.looped import Looped
from engine.models.registry import build
from tests.engine.models.drawing import config_of
from tests.export.small_models import DRAWING, SMALL

ROWS = 80


def effect(family: str, name: str, **settings):
    """A small model with both methods."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(family, {**SMALL[family][name], "effect": True, **settings}).eval()


def sound(model, first: int = 10, last: int = 40):
    """Noise with conditions [1, in_channels, samples]; the gate is on in rows `first` to `last`."""
    spec, row = model.methods["forward"], config_of(model).row_samples
    x = torch.zeros(1, spec.in_channels, ROWS * row)
    x[:, 0] = 0.3 * torch.randn(ROWS * row, generator=torch.Generator().manual_seed(1))
    said = {"gate": 1.0, "pitch_oct": 0.3, "loudness": -2.0}
    for label, value in said.items():
        if label in spec.input_labels:
            x[:, spec.input_labels.index(label), first * row : last * row] = value
    return x


def in_rows(model, x):
    """What `generate` is told where `forward` hears `x`."""
    spec, effects = model.methods["generate"], model.methods["forward"]
    told = torch.zeros(1, spec.in_channels, x.shape[2] // spec.in_ratio)
    for at, label in enumerate(spec.input_labels):
        if label in effects.input_labels:
            told[:, at] = x[:, effects.input_labels.index(label),
                            spec.in_ratio - 1 :: spec.in_ratio]
    if "free" in spec.input_labels:
        gates = [at for at, label in enumerate(spec.input_labels) if label.startswith("gate")]
        told[:, spec.input_labels.index("free")] = 1 - told[:, gates].amax(dim=1)
    return told


@pytest.mark.parametrize(("family", "name"), DRAWING, ids="-".join)
def test_an_effect_draws_what_the_loop_would(family, name):
    model = effect(family, name)
    x, parts = sound(model), Looped.of(model, "generate")
    with torch.no_grad():
        y = model.offline("forward", x)
        _, wanted, _ = parts.forced(in_rows(model, x), x[:, :1], model.zero_state("generate"),
                                    model.default_attributes())
        last = x.clone()
        last[:, 0, -1] = 1
        assert torch.equal(model.offline("forward", last), y)  # no sample hears itself
    assert torch.equal(y, wanted)
    assert y.std() > 0.05


@pytest.mark.parametrize("name", ["mixture", "classes"])
@pytest.mark.parametrize("family", ["wavenet", "two_tier"])
def test_any_chunks_of_an_effect_are_the_whole(family, name):
    model = effect(family, name, start="rest")
    spec, x = model.methods["forward"], sound(model)
    with torch.no_grad():
        whole = model.offline("forward", x)
        for blocks in (1, 3, 7):
            state, parts, size = model.init_state("forward"), [], blocks * spec.ratio
            for at in range(0, x.shape[2], size):
                y, state = model.step("forward", x[:, :, at : at + size], state,
                                      model.default_attributes())
                parts.append(y)
            assert torch.allclose(torch.cat(parts, dim=2), whole, atol=1e-5)


def test_an_effect_is_silent_where_nothing_has_sounded():
    model = effect("two_tier", "mixture")
    config, x = config_of(model), sound(model)
    x[:, 0, : 5 * config.row_samples] = 0
    x[:, 0, 30 * config.row_samples :] = 0
    y = model.offline("forward", x)[0, 0]
    sounds = y.nonzero()[:, 0]
    assert sounds[0] >= 5 * config.row_samples
    assert 30 <= sounds[-1] // config.row_samples < 30 + config.release_rows
    assert (y[sounds[0] : sounds[-1]] != 0).float().mean() > 0.99


def test_what_is_played_is_still_what_generates():
    model = effect("wavenet", "periods")
    assert list(model.methods) == ["generate", "forward"]
    assert model.main.name == "generate"
    assert "free" not in model.methods["forward"].input_labels


def test_weights_are_those_of_a_model_without_an_effect():
    plain = build("two_tier", SMALL["two_tier"]["mixture"])
    grown = effect("two_tier", "mixture")
    assert plain.state_dict().keys() == grown.state_dict().keys()
    grown.begin_with(plain)
    assert "effect" in grown.config.grown


def test_more_steps_than_an_effect_compares_are_an_error():
    with pytest.raises(ConfigError, match=r"levels\s+of at most 1024, got 2048"):
        build("wavenet", {**SMALL["wavenet"]["classes"], "levels": 2048, "effect": True})
