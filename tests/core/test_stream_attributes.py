"""Attributes as rows of a network, and other ones for each stream of a batch."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from engine.layers import Control, Conv1d, Embed, Film, Parallel, Sequence
from engine.players.native_model import NativeFile, NativeModel
from tests.core import control_cases
from tests.core.control_cases import CONTROLLED, different
from tests.core.loop_cases import LOOPS
from tests.core.native_cases import case, net, noise
from tests.core.native_quantised_cases import FORMS
from tests.firmware.machines import instruction_sets

STREAMS = 3
SETTINGS = {  # of each stream, in the cases that are not made of control rows
    "temperature": [[0.5], [1.0], [2.0]], "seed": [[7.0], [7.0], [8.0]],
    "top_p": [[1.0], [0.5], [0.9]], "share": [[0.9], [0.6], [1.0]],
    "scale": [[1.5, -1, 2, 0.5, 1], [1, 1, 1, 1, 1], [-2, 0, 0.25, 3, 1]],
    "bias": [[0, 0, 0, 0, 0], [1, -1, 2, -2, 0.5], [0.25, 0, 0, 1, -1]],
}


def settings(name: str) -> dict[str, np.ndarray]:
    base = name.partition(":")[0]
    if base in CONTROLLED:
        return {k: v.numpy() for k, v in different(net(base), STREAMS).items()}
    known = NativeFile.from_bytes(case(base)).attributes
    return {k: np.float32(v) for k, v in SETTINGS.items() if k in known}


def signal(name: str, frames: int = 40) -> np.ndarray:
    spec = NativeFile.from_bytes(case(name)).methods["forward"]
    return noise(spec.in_channels, frames * spec.frame_samples // spec.in_ratio, STREAMS)


def played(name: str, values: dict[str, np.ndarray], x: np.ndarray, isa: str | None = None,
           slices: int = 0) -> np.ndarray:
    """A batch of which every stream has the values [size], or its own ones [batch, size]."""
    model = NativeModel(NativeFile.from_bytes(case(name)), batch=len(x), isa=isa)
    for key, value in values.items():
        for stream in range(len(x)):
            model.set(key, value if value.ndim == 1 else value[stream], stream)
    if not slices:
        return model.process("forward", x)
    spec = model.methods["forward"]
    rows = x.shape[2] * spec.in_ratio // spec.out_ratio
    out = np.zeros((len(x), spec.out_channels, rows), np.float32)
    for number in range(slices):
        model.process_slice("forward", x, out, number, slices)
    return out


def assert_same(a: np.ndarray, b: np.ndarray) -> None:
    assert a.shape == b.shape
    assert np.abs(a).max() > 1e-3, "silence proves nothing"
    assert np.array_equal(a.view(np.uint32), b.view(np.uint32))


@pytest.mark.parametrize("name", [
    "latents", *LOOPS, *CONTROLLED, *(f"{name}:{form}" for name in CONTROLLED for form in FORMS)])
def test_streams_of_one_batch_play_their_own_attributes(name: str) -> None:
    """Bit for bit what a batch plays of which all have them, on every instruction set; and what a
    player of one stream plays, where no noise tells streams apart."""
    x, values = signal(name), settings(name)
    x[:] = x[:1]  # what differs comes of the attributes
    assert len(values) >= 1
    together = played(name, values, x)
    for isa in instruction_sets():
        assert_same(played(name, values, x, isa), together)
    assert_same(played(name, values, x, slices=5), together)
    for stream in range(STREAMS):
        own = {key: value[stream] for key, value in values.items()}
        assert_same(played(name, own, x)[stream], together[stream])
        if name.partition(":")[0] in CONTROLLED:
            assert_same(played(name, own, x[:1])[0], together[stream])
        others = [together[other] for other in range(STREAMS) if other != stream]
        assert all(not np.array_equal(together[stream], other) for other in others)


@pytest.mark.parametrize("key", ["seed", "temperature", "top_p"])
def test_each_attribute_of_a_draw_is_the_stream_s(key: str) -> None:
    x = signal("loop")
    same = {k: v[0] for k, v in settings("loop").items()}
    changed = {**same, key: np.stack([same[key], settings("loop")[key][2] * 0.75, same[key]])}
    one, other = played("loop", same, x), played("loop", changed, x)
    assert [np.array_equal(a, b) for a, b in zip(one, other, strict=True)] == [True, False, True]


@pytest.mark.parametrize("name", CONTROLLED)
def test_native_equals_pytorch(name: str) -> None:
    x, values = signal(name, 64), different(net(name), STREAMS)
    with torch.no_grad():
        exact = copy.deepcopy(net(name)).double()
        double = {k: v.double() for k, v in values.items()}
        wanted, _ = exact(torch.from_numpy(x).double(), exact.init_state(STREAMS), double)
        single, _ = net(name)(torch.from_numpy(x), net(name).init_state(STREAMS), values)
    got = played(name, {k: v.numpy() for k, v in values.items()}, x)
    assert got.shape == wanted.shape
    scale = max(1.0, float(wanted.abs().max()))
    error = float(np.abs(got - wanted.numpy()).max()) / scale
    assert error < max(4 * float((single - wanted).abs().max()) / scale, 2e-6)


@pytest.mark.parametrize("name", CONTROLLED)
def test_streamed_equals_offline_and_gradients_reach_what_hears_the_attribute(name: str) -> None:
    layers = copy.deepcopy(net(name)).double().requires_grad_(True)
    values = {k: v.double().requires_grad_(k != "class")
              for k, v in different(layers, STREAMS).items()}
    x = torch.from_numpy(signal(name, 24)).double()
    offline, _ = layers(x, layers.init_state(STREAMS), values)
    state, parts, at = layers.init_state(STREAMS), [], 0
    for blocks in (1, 5, 2, 16):
        end = at + blocks * layers.granularity
        y, state = layers(x[:, :, at:end], state, values)
        parts.append(y)
        at = end
    assert at == x.shape[2]
    assert torch.allclose(torch.cat(parts, dim=2), offline, atol=1e-12)
    offline.square().sum().backward()
    for value in values.values():
        assert not value.requires_grad or bool((value.grad.abs().sum(dim=1) > 0).all())


def test_a_value_set_between_two_blocks_holds_from_the_next_row() -> None:
    file = NativeFile.from_bytes(case("controls_only"))
    model, x = NativeModel(file), np.zeros((1, 1, 4), np.float32)
    model.set("weights", np.float32([1, 0, 0]))
    first = model.process("forward", x)
    model.set("weights", np.float32([0, 0, 1]))
    second = model.process("forward", x)
    with torch.no_grad():
        layers = net("controls_only")
        weights = torch.tensor([[1.0, 0, 0]] * 4 + [[0, 0, 1.0]] * 4).T[None]
        rows = Sequence(*list(layers)[2:])
        wanted, _ = rows(weights, rows.init_state(1), {})
    got = np.concatenate([first, second], axis=2)
    assert got.shape == tuple(wanted.shape)
    assert np.abs(got - wanted.numpy()).max() < 1e-6


def test_settings_are_no_state() -> None:
    """Reset, saving and restoring leave them; each stream's own ones take memory of their own."""
    file = NativeFile.from_bytes(case("controls"))
    model = NativeModel(file, batch=2)
    assert model.get("tone").tolist() == model.get("tone", 1).tolist() == [0.5, 0.5]
    model.set("tone", np.float32([1, -1]), 1)
    saved = model.save_state()
    model.set("tone", np.float32([2, 9]))
    model.set("tone", np.float32([0.25, 0]), 0)
    model.reset()
    model.load_state(saved)
    assert model.get("tone", 0).tolist() == [0.25, 0]
    assert model.get("tone", 1).tolist() == [2, 2], "clamped to the range"
    for call in (lambda: model.set("tone", np.float32([1, 1]), 2), lambda: model.get("tone", -1)):
        with pytest.raises(ConfigError, match="there are 2"):
            call()
    with pytest.raises(ConfigError, match="attribute"):
        model.set("tone", np.float32([1]), 1)
    floats = sum(a.count for a in file.attributes.values())
    fast, _, state = zip(*(file.memory(batch, 64) for batch in (1, 1001)), strict=True)
    assert (fast[1] - fast[0]) - (state[1] - state[0]) == pytest.approx(4 * floats * 1000, abs=128)


def test_film_begins_close_to_passing_on() -> None:
    film = Film(3, "tone", 2, 4)
    x = torch.randn(2, 3, 5)
    tone = {"tone": torch.tensor([[0.5, -0.5], [1.0, 1.0]])}
    y, _ = film(x, (), tone)
    assert torch.allclose(y, x, atol=0.2)
    film.net.layers[-1].weight.data += 1
    y, _ = film(x, (), tone)
    alone, _ = film(x[1:], (), {"tone": tone["tone"][1]})
    assert torch.allclose(y[1:], alone)
    assert not torch.allclose(y, x, atol=0.2)


def test_control_says_what_does_not_fit_and_keeps_the_field_of_what_is_beside_it() -> None:
    with pytest.raises(ValueError, match="'tone' has 2 numbers, the layer was made for 3"):
        Control(1, "tone", 3)(torch.zeros(1, 1, 4), (), {"tone": torch.zeros(2)})
    assert Parallel(Conv1d(1, 4, 5), Sequence(Control(1, "class"), Embed(4, 4))
                    ).receptive_field == 5
    assert control_cases.beside_sound().uses == ("weights", "tone", "scale", "bias")
