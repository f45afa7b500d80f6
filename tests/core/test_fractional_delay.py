"""The fractional delay: what it reads, whatever the lag, and that damaged ones are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.op_cases import cases
from benchmarks.ops import compiled
from engine.errors import ModelFileError
from engine.layers import FractionalDelay
from engine.players import native_format as fmt
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_graphs
from export.native.file import seal
from tests.core.native_cases import describe, graph_of, method_of

LAGS = (8.0, 8.25, 3.0, 2.0, 40.0, 1e30, 0.0, -5.0, float("nan"), 20.999, 1.0, 4.0)
LEAST, MOST, AHEAD = 6, 21, 4


def wanted(lag: float) -> float:
    """How many rows back, as the layer's text says it."""
    lag = lag if lag >= 1 else 1.0
    if lag < LEAST:
        lag *= LEAST // lag + 1
    return max(min(lag, MOST) - AHEAD, 0.0)


def test_it_reads_where_it_is_told_in_pytorch_and_in_c() -> None:
    layer, count = FractionalDelay(LEAST, MOST, AHEAD), 40
    ramp = np.arange(1, count + 1, dtype=np.float32)  # sample n is n + 1: a place can be read off
    for lag in LAGS:
        x = np.stack([ramp, np.full(count, lag, np.float32)])
        y = layer(torch.from_numpy(x)[None], layer.init_state(1))[0][0, 0].numpy()
        back = wanted(lag)
        late = int(np.ceil(back)) + 1  # from here on nothing before the beginning is read
        assert np.abs(y[late:] - (ramp[late:] - back)).max() < 1e-4, lag
        assert not y[: int(back)].any()
        model = NativeModel(NativeFile.from_bytes(compile_graphs(
            {"forward": graph_of(layer)}, describe(method_of(layer), {}))))
        assert np.abs(model.process("forward", x[None])[0, 0] - y).max() < 1e-5, lag


def test_gradients_reach_sound_and_lag() -> None:
    layer = FractionalDelay(LEAST, MOST, AHEAD)
    x = torch.stack((torch.arange(60.0) ** 2 / 900, torch.full((60,), 12.4)))[None]
    x.requires_grad_(True)
    y = layer(x, layer.init_state(1))[0]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad[0, 0, :40].min() > 0
    assert (x.grad[0, 1, 30:] < 0).all(), "of a sound that rises, older is less"


@pytest.mark.parametrize(("least", "most", "ahead"), [(0, 4, 0), (5, 4, 0), (3, 9, 4), (3, 9, -1)])
def test_impossible_ones_are_refused(least: int, most: int, ahead: int) -> None:
    with pytest.raises(ValueError, match="must not fall"):
        FractionalDelay(least, most, ahead)


@pytest.mark.parametrize(("field", "value", "message"), [
    ("kernel", 0, "impossible shape"), ("kernel", 1, "impossible shape"),
    ("kernel", 1 << 20, "looks back further"), ("kernel", 12, "looks back further"),
    ("kernel", 3, "impossible shape"),  # less than the least lag
    ("phases", 0, "impossible shape"), ("phases", 1 << 30, "impossible shape"),
    ("seed", 6, "impossible shape"), ("seed", 0xFFFFFFFF, "impossible shape"),
    ("stride", 2, "impossible shape"), ("dilation", 2, "impossible shape"),
    ("in_b", 99, "outside its buffer"),
])
def test_damaged_ones_are_refused(field: str, value: int, message: str) -> None:
    data = compiled(cases("fractional_delay", 4)[1], "float32")
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    size = fmt.record_bytes("op")
    for at in range(int(header["ops"]), int(header["ops"]) + int(header["ops_count"]) * size, size):
        fields = fmt.unpack("op", data, at)
        if fields["kind"] == fmt.ops()["fractional_delay"]:
            break
    else:
        raise AssertionError("no such operation")
    assert fields[field] != value
    fields[field] = value
    broken = seal(data[:at] + fmt.pack("op", **fields) + data[at + size:])
    with pytest.raises(ModelFileError, match=message):
        NativeModel(NativeFile.from_bytes(broken))
