"""Norms, logarithms and attention against what they are defined as; frames that do not exist."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engine.errors import ModelFileError
from engine.layers import Attention, CausalAttention, Exp, LayerNorm, Log, RMSNorm, Softplus, Sqrt
from engine.players import native_format as fmt
from engine.players.native_model import NativeFile, NativeModel
from export.native.file import seal
from tests.core.native_cases import file_of, noise


def signal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_norms_are_pytorch_s():
    x, weight, bias = signal(2, 6, 9), signal(6), signal(6) + 1
    norm = LayerNorm(6, 1e-3).double()
    norm.weight.data, norm.bias.data = weight, bias
    wanted = F.layer_norm(x.mT, (6,), weight, bias, 1e-3).mT
    assert torch.allclose(norm.offline(x), wanted, atol=1e-12)
    norm = RMSNorm(6, 1e-3).double()
    norm.weight.data = weight
    assert torch.allclose(norm.offline(x), F.rms_norm(x.mT, (6,), weight, 1e-3).mT, atol=1e-12)


def test_what_a_function_is_not_defined_for_is_the_floor_s():
    x = torch.tensor([[[-1.0, 0.0, 0.25, 4.0, 1000.0]]])
    assert Log(1, 0.25).offline(x)[0, 0, :3].tolist() == [np.float32(np.log(0.25))] * 3
    assert Sqrt(1, 0.25).offline(x)[0, 0].tolist()[:4] == [0.5, 0.5, 0.5, 2.0]
    assert Exp(1).offline(x)[0, 0, -1].isfinite()
    assert Softplus(1).offline(x)[0, 0, -1] == 1000
    for layer in (Log(1, 0.25), Sqrt(1, 0.25), Exp(1), Softplus(1)):
        native = NativeModel(NativeFile.from_bytes(file_of(layer))).process("forward", x.numpy())
        assert np.allclose(native, layer.offline(x).numpy(), rtol=1e-6)


def by_hand(x: np.ndarray, heads: int, window: int) -> np.ndarray:
    """Attention as its definition reads, x [3 * channels, time]."""
    q, k, v = np.split(x, 3)
    size, y = len(q) // heads, np.zeros_like(q)
    for t in range(x.shape[1]):
        seen = slice(max(0, t - window + 1), t + 1)
        for h in range(heads):
            own = slice(h * size, (h + 1) * size)
            weight = np.exp(q[own, t] @ k[own, seen] / np.sqrt(size))
            y[own, t] = v[own, seen] @ weight / weight.sum()
    return y


@pytest.mark.parametrize(("channels", "heads", "window"), [(6, 1, 4), (6, 3, 2), (4, 4, 12)])
def test_attention_is_what_its_definition_says(channels, heads, window):
    x = signal(1, 3 * channels, 20)
    layer = Attention(channels, heads, window).double()
    wanted = by_hand(x[0].numpy(), heads, window)
    assert np.abs(layer.offline(x)[0].numpy() - wanted).max() < 1e-12
    file = NativeFile.from_bytes(file_of(layer.float()))
    got = NativeModel(file).process("forward", x.float().numpy())[0]
    assert np.abs(got - wanted).max() < 1e-5
    other = by_hand(x[0].numpy(), heads, window + 1)
    assert np.abs(got - other).max() > 1e-3, "one frame more would be seen"


def test_frames_before_the_start_are_left_out_whatever_stands_there():
    layer = Attention(4, 2, 6).double()
    x = signal(1, 12, 9)
    fresh = layer.offline(x)
    past, count = layer.init_state(1, torch.float64)
    y, state = layer(x, (torch.full_like(past, torch.nan), count))
    assert torch.equal(y, fresh)
    assert state[0].isfinite().all()
    y, _ = layer(x, (past, count + 5))  # five frames of zeros are no such thing
    assert not torch.allclose(y, fresh)


def test_the_runtime_counts_its_frames_too():
    """A state whose count says 0 starts afresh, although its ring is full."""
    file = NativeFile.from_bytes(file_of(Attention(4, 2, 6)))
    x = noise(12, 16)
    model = NativeModel(file)
    fresh = model.process("forward", x)
    state = np.frombuffer(model.save_state(), np.float32).copy()
    count = np.flatnonzero(state == 5.0)
    assert len(count) == 1
    for value, same in ((0.0, True), (3.0, False), (5.0, False), (np.nan, True), (1e9, True)):
        state[count] = value
        model.load_state(state.tobytes())
        assert np.array_equal(model.process("forward", x), fresh) is same, value


def test_a_stream_of_many_windows_equals_the_whole():
    layer = CausalAttention(4, 2, 3).double()
    x = signal(2, 4, 200)
    state, parts = layer.init_state(2, torch.float64), []
    for part in x.split(7, dim=2):
        y, state = layer(part, state)
        parts.append(y)
    assert torch.allclose(torch.cat(parts, dim=2), layer.offline(x), atol=1e-12)
    assert state[1].tolist() == [[2.0], [2.0]]


@pytest.mark.parametrize(("field", "value"), [
    ("kernel", 7), ("kernel", 1), ("groups", 0), ("groups", 3), ("stride", 2), ("state", 3)])
def test_a_file_that_asks_for_more_than_there_is_is_refused(field, value):
    data = file_of(Attention(4, 2, 6))
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    at = int(header["ops"])
    op = fmt.unpack("op", data, at)
    assert op["kind"] == fmt.ops()["attention"]
    changed = data[:at] + fmt.pack("op", **{**op, field: value}) + data[
        at + fmt.record_bytes("op"):]
    with pytest.raises(ModelFileError):
        NativeFile.from_bytes(seal(changed))
    assert NativeFile.from_bytes(seal(data)).methods


@pytest.mark.parametrize(("build", "message"), [
    (lambda: Attention(4, 3, 5), "heads"), (lambda: Attention(4, 2, 1), "window"),
    (lambda: Log(1, 0.0), "floor"), (lambda: Sqrt(1, -1.0), "floor"),
    (lambda: RMSNorm(1, 0.0), "epsilon"),
])
def test_wrong_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
