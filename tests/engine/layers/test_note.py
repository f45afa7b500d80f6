"""Gates hold what is said with them, and count: by hand, streamed, and in every backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.layers import Conv1d, Note, Sequence
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.players import native_format as fmt
from engine.players.base import load
from export.targets import TARGETS
from tests.core.native_cases import ALONE
from tests.core.test_native_loader import changed, conv_of, refusal
from tests.engine.layers.stacks import check_causal, check_reset, check_streaming

MOST = 9


def signal(frames: int, batch: int = 2, seed: int = 0) -> Tensor:
    """Gates of all lengths and heights, values everywhere."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, 4, frames, generator=generator)
    x[:, 0] = torch.rand(batch, frames, generator=generator).gt(0.7) * 0.8
    x[0, 0, :5] = torch.tensor([0.0, 0.5, 0.0, 0.51, 0.9])  # a half is shut
    x[-1, 0, 12:40] = 0  # older than `most`
    return x


def by_hand(x: np.ndarray) -> np.ndarray:
    """[channels, frames] of one stream."""
    held, age, was = np.zeros(len(x) - 1, np.float32), MOST, False
    rows = []
    for frame in x.T:
        if frame[0] > 0.5 and not was:
            held, age = frame[1:], 0
        else:
            age = min(MOST, age + 1)
        was = frame[0] > 0.5
        rows.append([*held, age])
    return np.array(rows, np.float32).T


def test_what_is_held_and_how_old_it_is() -> None:
    x = signal(60)
    y = Note(3, MOST).offline(x)
    for got, given in zip(y, x, strict=True):
        assert np.array_equal(got.numpy(), by_hand(given.numpy()))
    assert y[:, -1].min() == 0
    assert y[1, -1, :60].max() == MOST
    assert y[0, :, 0].tolist() == [0, 0, 0, MOST]


def test_it_keeps_the_contract() -> None:
    net = Sequence(Conv1d(2, 4, 1), Note(3, MOST)).double()
    check_streaming(net, [1, 3, 1, 7, 2], 2, torch.float64)
    check_causal(net, 30, 11)
    check_reset(net, 20)
    x = signal(40).requires_grad_(True)
    (gradient,) = torch.autograd.grad(Note(3, MOST).offline(x)[:, :3].sum(), x)
    y = Note(3, MOST).offline(x.detach())
    assert gradient[:, 1:].sum() == 3 * (y[:, :3].abs().sum(dim=1) > 0).sum()  # each comes from one
    assert not gradient[:, 0].any()


@pytest.mark.parametrize("wrong", [{"values": 0}, {"values": 1, "most": 0},
                                   {"values": 1, "most": 1 << 24}])
def test_what_cannot_be_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="Note: wants"):
        Note(**wrong)


class Held(Model):
    """A note by itself."""

    family = "held"

    def __init__(self) -> None:
        super().__init__()
        self.config = ModelConfig()
        same = Conv1d(4, 4, 1)  # a model has weights
        with torch.no_grad():
            same.weight[:, :, 0] = torch.eye(4)
        self.layers = Sequence(same, Note(3, MOST))

    def chains(self) -> dict[str, Chain]:
        names = ("a", "b", "c", "d")
        return {"hold": Chain.of(self.layers, inputs=names, outputs=names, in_ratio=16,
                                 role="encode")}


@pytest.mark.parametrize("target", TARGETS)
def test_every_backend_has_the_same(target: str, tmp_path: Path) -> None:
    model, row = Held().eval().requires_grad_(False), TARGETS[target]
    path = tmp_path / f"held{row.suffix}"
    row.function(row.writer)(model, path, model.describe("held"))
    player, x = load(path, batch=2), signal(60, seed=3)
    for _ in range(2):  # again, from fresh state
        player.reset()
        parts = [player.process("hold", np.ascontiguousarray(x[:, :, a:b]))
                 for a, b in ((0, 1), (1, 4), (4, 5), (5, 60))]
        got = np.concatenate(parts, axis=2)
        assert got.shape == (2, 4, 60)
        for one, given in zip(got, x, strict=True):
            assert np.array_equal(one, by_hand(given.numpy()))


@pytest.mark.parametrize(("value", "field", "message"), [
    (0, "kernel", "impossible shape"), (1 << 24, "kernel", "impossible shape"),
    (99, "state", "state lies outside"), (3, "act", "unknown kind"), (1, "attr_seed", "reserved")])
def test_a_damaged_note_is_refused(value: int, field: str, message: str) -> None:
    name = f"{ALONE}note"
    index = conv_of(name, kind=fmt.ops()["note"])
    assert message in refusal(changed("op", field, value, index, name))
