"""Both families that draw sound, going on from a sound that is given to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import AudioError
from engine.models.base import Model
from engine.models.looped import Looped
from engine.players.base import Player, load
from engine.players.pytorch import PyTorchPlayer
from export.native.export import export_native
from tests.engine.models.drawing import config_of, note
from tests.export.small_models import DRAWING, small_model

METHOD = "generate"
ROWS, FIRST = 24, 12  # the note sounds when the known past ends


@pytest.fixture(params=DRAWING, ids="-".join)
def model(request: pytest.FixtureRequest) -> Model:
    return small_model(*request.param)


def asked(model: Model) -> tuple[np.ndarray, int]:
    """Conditions of a note, and input frames to where the past ends."""
    each = 1 if config_of(model).voices else 4
    x = note(model, rows=ROWS * each, first=2 * each, last=16 * each)
    return x[0].numpy(), FIRST * each


def gone_on(player: Player, x: np.ndarray, past: np.ndarray, first: int, block: int) -> np.ndarray:
    """`past` [1, samples] in blocks, then what is drawn after it."""
    player.reset()
    ratio = player.methods[METHOD].in_ratio
    told = [player.force(METHOD, x[:, at : at + block],
                         past[:, at * ratio : (at + block) * ratio])
            for at in range(0, first, block)]
    return np.concatenate([*told, player.process(METHOD, x[:, first:])], axis=1)


def native(model: Model, folder) -> Player:
    export_native(model, folder / "x.tudor", model.describe("x"))
    return load(folder / "x.tudor")


def test_after_its_own_draws_it_goes_on_as_if_nothing_had_been_said(model, tmp_path):
    """To the bit in a file, and in float64 in PyTorch."""
    x, first = asked(model)
    player = native(model, tmp_path)
    free = player.process(METHOD, x)
    assert len(np.unique(free[:, free.shape[1] // 3 : free.shape[1] // 2])) > 3
    for block in (first, first // 4):
        assert np.array_equal(gone_on(player, x, free, first, block), free)
    given, past = torch.from_numpy(x)[None].double(), first * model.methods[METHOD].in_ratio
    whole = model.double().offline(METHOD, given)
    parts, values = Looped.of(model, METHOD), model.default_attributes()
    with torch.no_grad():
        told, said, state = parts.forced(given[..., :first], whole[..., :past],
                                         model.init_state(METHOD), values)
        rest, _ = model.step(METHOD, given[..., first:], state, values)
    assert rest.abs().max() > 0.01
    open_gate = whole[..., :past] != 0  # elsewhere the gate makes silence of what is drawn
    assert open_gate.any()
    assert torch.allclose(said[open_gate], whole[..., :past][open_gate], rtol=0, atol=1e-9)
    assert torch.allclose(torch.cat((told, rest), dim=2), whole, rtol=0, atol=1e-9)


def test_pytorch_and_the_file_go_on_alike_from_any_sound(model, tmp_path):
    """A sound that neither would draw, through a gate that is shut in the middle of it."""
    x, first = asked(model)
    samples = first * model.methods[METHOD].in_ratio
    past = 0.3 * np.sin(np.arange(samples) / 5, dtype=np.float32)[None]
    found = [gone_on(player, x, past, first, first)
             for player in (native(model, tmp_path), PyTorchPlayer(model))]
    told = found[0][:, :samples]
    assert np.array_equal(told, found[1][:, :samples])
    table = 0.0 if config_of(model).head == "mixture" else 0.05  # steps of the coarsest table
    assert np.abs(told - past).max() <= table
    assert np.abs(found[0][:, samples:]).max() > 0.01
    # One draw at an edge may fall to either side, and from there on all is another sound.
    away = np.abs(found[0] - found[1]).max(axis=0) > 1e-3
    assert not away[: samples + 12].any()


def test_following_a_sound_is_one_draw_after_its_past(model, tmp_path):
    """Of its own sound a model expects what it drew; of another, what a stream draws that is told
    all of it but the last sample. PyTorch and the file agree."""
    x, first = asked(model)
    each, player = model.methods[METHOD].in_ratio, native(model, tmp_path)
    free = player.process(METHOD, x)
    player.reset()
    own = player.follow(METHOD, x, free)
    sounds = free != 0
    assert np.array_equal(own[sounds], free[sounds])
    past = 0.3 * np.sin(np.arange(x.shape[1] * each) / 5, dtype=np.float32)[None]
    found = []
    for one in (player, PyTorchPlayer(model)):
        one.reset()
        found.append(one.follow(METHOD, x, past))
    same = np.abs(found[0] - found[1]) < 1e-3
    assert same.mean() > 0.99
    assert np.abs(found[0] - past).max() > 0.01
    assert not np.array_equal(found[0][:, 1:], own[:, 1:])
    player.reset()
    blocks = [player.follow(METHOD, x[:, at : at + first // 4],
                            past[:, at * each : (at + first // 4) * each])
              for at in range(0, x.shape[1], first // 4)]
    assert np.array_equal(np.concatenate(blocks, axis=1), found[0])
    player.reset()
    player.force(METHOD, x[:, :first], past[:, : first * each])
    after = player.process(METHOD, x[:, first:])
    if after[0, 0] != 0:
        assert after[0, 0] == found[0][0, first * each]


def test_what_is_forced_must_fit(model):
    player = PyTorchPlayer(model)
    x, first = asked(model)
    with pytest.raises(AudioError, match="cannot be"):
        player.force(METHOD, x[:, :first], np.zeros((1, 3), np.float32))
    wanted = np.full((1, first * model.methods[METHOD].in_ratio), np.nan, np.float32)
    with pytest.raises(AudioError, match="not finite"):
        player.force(METHOD, x[:, :first], wanted)
