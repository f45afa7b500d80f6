"""`hold`: z is what its gate took, to the bit what it always was, or follows what is asked for now.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from engine.models import latched
from engine.models.registry import build
from engine.models.spectrogram_gan import SpectrogramGAN
from engine.scores import strokes
from tests.export.small_models import SMALL, small_model

FRAMES, FIRST = 96, 5
KINDS = ("drums", "notes", "kit")
MOVES = {0: 1.0, 20: 0.0, 33: 0.3, 34: 0.8, 70: 1.0, 85: 0.0}  # hold from these frames on


def voice(kind: str) -> SpectrogramGAN:
    model = small_model("spectrogram_gan", "notes" if kind == "notes" else "drums")
    assert isinstance(model, SpectrogramGAN)
    return model.in_voices("a,b") if kind == "kit" else model


def held_for_good(kind: str) -> SpectrogramGAN:
    """The voice as it was before `hold`: what notes hold is what is told."""
    model = voice("drums" if kind == "kit" else kind)
    if model.config.pitched:
        held, bent = model.strokes.branches
        model.strokes.branches = torch.nn.ModuleList([held.branches[0], bent])
    else:
        model.strokes = model.strokes.branches[0]
    if kind != "kit":
        return model
    several = model.in_voices("a,b")
    for one in several.panel[0].branches:
        one.layers[1] = one.layers[1].branches[0]
    return several


def asked(model: SpectrogramGAN, moving: bool = True) -> Tensor:
    """Strokes whose z wanders all the while, or stands still."""
    labels = model.config.labels
    x = torch.from_numpy(strokes.made_up(labels, model.config.groups, FRAMES, 4))[None]
    for index, label in enumerate(labels):
        if label.startswith("gate"):
            x[0, index] = 0
            x[0, index, [FIRST, 40, 41, 72]] = 1
        if label.startswith("velocity"):
            x[0, index] = 0.8
        if label.startswith("z "):
            x[0, index] = torch.sin(torch.arange(FRAMES) / (3 + index % 5)) if moving else 0.5
            x[0, index, :FIRST] = 0  # before the first gate there is nothing to be away from
    return x


def frames(model: SpectrogramGAN, x: Tensor, hold: float, **more: float) -> Tensor:
    values = {name: torch.tensor([float(value)]) for name, value in {"hold": hold, **more}.items()}
    with torch.no_grad():
        return model.offline("magnitudes", x, **values)


@pytest.mark.parametrize("kind", KINDS)
def test_held_it_is_what_it_was_to_the_bit(kind: str) -> None:
    model, before = voice(kind), held_for_good(kind)
    x = asked(model)
    for method in model.methods:
        with torch.no_grad():
            now, then = (each.offline(method, x) for each in (model, before))
        assert now.std() > 1e-3
        assert torch.equal(now, then)
    assert (frames(model, x, 0.0) - frames(before, x, 0.0)).abs().max() > 1e-2  # it is another


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_asked_for_at_the_gate_all_along_is_what_is_held(kind: str) -> None:
    model = voice(kind)
    x = asked(model, moving=False)
    assert (frames(model, x, 0.0) - frames(model, x, 1.0)).abs().max() < 1e-5
    assert (frames(model, asked(model), 0.0) - frames(model, asked(model), 1.0)).abs().max() > 1e-2


@pytest.mark.parametrize("kind", ["drums", "notes"])
@pytest.mark.parametrize("hold", [0.0, 0.25, 1.0])
def test_z_moves_from_where_it_was_taken_with_what_was_drawn(kind: str, hold: float) -> None:
    model = voice(kind)
    x, z, size = asked(model), len(model.config.asked), model.config.z
    values = {**model.default_attributes(), "hold": torch.tensor([hold])}

    def told(x: Tensor) -> Tensor:
        with torch.no_grad():
            return model.strokes(x, model.strokes.init_state(1), values)[0][0]

    found, values["hold"] = told(x), torch.ones(1)
    taken = told(x)
    for gate, end in pairwise([FIRST, 40, 72, FRAMES]):
        moved = x[0, 1 + z : 1 + z + size, gate:end] - x[0, 1 + z : 1 + z + size, gate : gate + 1]
        wanted = taken[z : z + size, gate:end] + (1 - hold) * moved
        assert (found[z : z + size, gate:end] - wanted).abs().max() < 1e-6
        assert moved.abs().max() > 0.5
    drawn = taken[z : z + size, 72] - x[0, 1 + z : 1 + z + size, 72]
    assert drawn.abs().max() > 0.1
    assert torch.equal(found[:z], taken[:z])
    assert torch.equal(found[z + size :], taken[z + size :])


@pytest.mark.parametrize("kind", KINDS)
def test_hold_that_moves_is_heard_alike_in_any_chunks(kind: str) -> None:
    model = voice(kind)
    x, found = asked(model), {}
    for method in model.methods:
        for size in (1, 3, 7, FRAMES):
            state, parts = model.init_state(method), []
            for begin, end in pairwise([*MOVES, FRAMES]):
                values = {**model.default_attributes(), "hold": torch.tensor([MOVES[begin]])}
                for at in range(begin, end, size):
                    with torch.no_grad():
                        y, state = model.step(method, x[:, :, at : min(at + size, end)], state,
                                              values)
                    parts.append(y)
            found[size] = torch.cat(parts, dim=2)
            assert found[size].shape == found[1].shape
            assert (found[size] - found[1]).abs().max() < 1e-4
        with torch.no_grad():
            held = model.offline(method, x)
        assert (found[1] - held).abs().max() > 1e-2 * held.std()


def test_a_seed_gives_the_weights_that_it_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants are drawn before they are set; those of `hold` take no numbers from others."""
    shape = SMALL["spectrogram_gan"]["drums"]

    def weights() -> list[Tensor]:
        torch.manual_seed(3)
        return list(build("spectrogram_gan", shape).state_dict().values())

    first, moved = weights(), latched._moved

    def drawing(*given: int) -> torch.nn.Module:
        torch.rand(11)
        return moved(*given)

    monkeypatch.setattr(latched, "_moved", drawing)
    assert all(torch.equal(one, other) for one, other in zip(first, weights(), strict=True))
