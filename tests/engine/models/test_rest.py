"""Streams of a model with start = "rest" begin, and are reset to, what silence leaves behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.layers import GRU, Conv1d, Guard, NoiseMultiply, Parallel, Sequence
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.raw_vae import RawVAE
from engine.models.raw_vae_config import RawVAEConfig
from engine.models.rest import drawn_states, from_zeros, silence
from engine.models.store import load_model
from engine.players.pytorch import PyTorchPlayer
from tests.core.native_cases import graph_of, net
from tests.export.small_models import small_model
from tests.families.classes import Bells, BellsConfig

CLICK_DBFS = -60.0


def resting(model: Model) -> Model:
    """The model as a run of today would have trained it."""
    model.config = model.config.model_copy(update={"start": "rest"})
    return model


@pytest.fixture(scope="module")
def tiny() -> Model:
    return resting(load_model("techno-tiny").model)


def peak_dbfs(y: Tensor | np.ndarray) -> float:
    assert y.shape[-1] > 1000
    return float(20 * np.log10(max(1e-9, float(np.abs(np.asarray(y)).max()))))


class Recurrent(Model):
    """A recurrent layer between convolutions, and noise beside them."""

    def __init__(self, start: str = "rest") -> None:
        super().__init__()
        torch.manual_seed(4)
        self.config = ModelConfig(sample_rate_hz=8000, start=start)
        self.guard = Guard(1)
        self.net = Sequence(
            Conv1d(1, 6, 3), GRU(6, 5),
            Parallel(Conv1d(5, 4, 7), Sequence(Conv1d(5, 4, 1), NoiseMultiply(4))),
            Conv1d(4, 2, 9))
        for parameter in self.net.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)

    def chains(self) -> dict[str, Chain]:
        return {"forward": Chain.of(self.guard, ("net", self.net), inputs=("x",),
                                    outputs=("a", "b"), role="effect")}


def test_a_start_and_a_reset_do_not_click(tiny: Model) -> None:
    quiet = np.zeros((1, 40 * tiny.ratio), np.float32)
    loud = np.random.default_rng(0).standard_normal(quiet.shape).astype(np.float32)
    before, player = PyTorchPlayer(from_zeros(tiny)), PyTorchPlayer(tiny)
    assert peak_dbfs(before.process("forward", quiet)) > -40  # what was to be mended
    assert peak_dbfs(player.process("forward", quiet)) < CLICK_DBFS
    player.process("forward", loud)
    player.reset()
    assert peak_dbfs(player.process("forward", quiet)) < CLICK_DBFS
    other = player.new_state()
    latents = player.process("encode", quiet, other)
    assert np.ptp(latents, axis=1).max() < 1e-5  # silence is one place
    assert peak_dbfs(player.process("decode", latents, other)) < CLICK_DBFS


def test_streaming_is_offline_from_rest(tiny: Model) -> None:
    x = torch.randn(2, 1, 24 * tiny.ratio, generator=torch.Generator().manual_seed(1))
    whole = tiny.offline("forward", x)
    state, parts, at = tiny.init_state("forward", 2), [], 0
    with torch.no_grad():
        for units in (1, 3, 8, 12):
            part = x[:, :, at : at + units * tiny.ratio]
            y, state = tiny.step("forward", part, state, tiny.default_attributes())
            parts.append(y)
            at += part.shape[2]
    assert at == x.shape[2]
    torch.testing.assert_close(torch.cat(parts, dim=2), whole, atol=5e-5, rtol=0)
    zero = from_zeros(tiny).offline("forward", x)
    assert (zero - whole).abs().max() > 1e-3  # it is another state


@pytest.mark.parametrize("name", ["mono", "stereo", "one latent"])
def test_rest_does_not_change_with_more_silence(name: str) -> None:
    """Of random weights too: what is left is all that silence does, noise aside."""
    model = resting(small_model("raw_vae", name)).double()
    for method in model.methods:
        state = model.init_state(method)
        x = silence(model, method)
        assert x is not None
        with torch.no_grad():
            _, after = model.step(method, x, state, model.default_attributes())
        compared = 0
        for a, b, drawn in zip(state, after, model.drawn_states[method], strict=True):
            if drawn:
                assert not a.any(), "noise begins at its beginning"
            elif not model.config.noise or method == "encode":
                assert torch.allclose(a, b, atol=1e-9)
                compared += 1
        assert compared or model.config.noise


def test_what_recurs_has_settled() -> None:
    model = Recurrent().double()
    state = model.init_state("forward")
    hidden = [i for i, s in enumerate(state) if s.shape == (1, 5)]
    _, after = model.step("forward", torch.zeros(1, 1, 4000).double(), state, {})
    assert len(hidden) == 1
    assert state[hidden[0]].abs().max() > 0.01
    assert torch.allclose(state[hidden[0]], after[hidden[0]], atol=1e-6)
    assert not any(s.any() for s in Recurrent("zero").init_state("forward"))


def test_streams_of_a_batch_start_alike(tiny: Model) -> None:
    one, three = tiny.init_state("forward"), tiny.init_state("forward", 3)
    for a, b in zip(one, three, strict=True):
        assert b.shape == (3, *a.shape[1:])
        assert torch.equal(a.expand_as(b), b)
    three[0].fill_(1)
    assert not torch.equal(tiny.init_state("forward")[0], three[0][:1])


def test_what_generates_or_reads_itself_starts_from_zeros() -> None:
    model = Bells(BellsConfig(start="rest"))
    with torch.no_grad():
        model.grains.bias.fill_(1)
    assert silence(model, "generate") is None
    assert not any(s.any() for s in model.init_state("generate"))
    assert drawn_states(graph_of(net("loop"))) is None
    assert drawn_states(graph_of(net("tapped"))).count(True) == 1


def test_nothing_is_said_of_a_start_from_zeros() -> None:
    """Files and runs of before compare equal."""
    config = RawVAEConfig()
    assert "start" not in config.model_dump(mode="json")
    assert RawVAEConfig(start="rest").model_dump(mode="json")["start"] == "rest"
    assert "controls" not in config.model_dump(mode="json")
    assert "start" not in RawVAE(config).describe("x").config
