"""ONNX files played by ONNX Runtime equal PyTorch, say what they are, and fail clearly."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import AudioError
from engine.models.registry import FAMILIES
from engine.players.base import load
from engine.players.onnx import OnnxPlayer
from export.onnx.export import export_onnx
from tests.export.small_models import CASES, SMALL, small_model

TOLERANCE = 1e-5


def test_every_family_has_small_configurations():
    assert set(SMALL) == set(FAMILIES)


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case).replace(" ", "_"))
def model(request):
    return small_model(*request.param)


def noise(channels: int, frames: int, batch: int = 1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.5 * rng.standard_normal((batch, channels, frames))).astype(np.float32)


def play(player: OnnxPlayer, method: str, x: np.ndarray, sizes: list[int]) -> np.ndarray:
    """`x` in blocks of the given frames, the last one repeated until the end."""
    outputs, at, todo = [], 0, list(sizes)
    while at < x.shape[-1]:
        size = todo.pop(0) if todo else sizes[-1]
        outputs.append(player.process(method, x[..., at : at + size]))
        at += size
    return np.concatenate(outputs, axis=-1)


@pytest.mark.parametrize("batch", [1, 3])
def test_streamed_files_equal_offline_pytorch(model, batch, tmp_path):
    path = tmp_path / "x.onnx"
    export_onnx(model, path, model.describe("small"))
    player = OnnxPlayer(path, batch=batch)
    rng = np.random.default_rng(1)
    for method, spec in model.methods.items():
        unit = spec.in_frames
        x = noise(spec.in_channels, 40 * unit, batch)
        for values in ({}, {a.name: rng.uniform(0.1, 0.9, a.size).astype(np.float32)
                            for a in model.attributes.values()}):
            wanted = model.offline(method, torch.from_numpy(x),
                                   **{k: torch.from_numpy(v) for k, v in values.items()}).numpy()
            for name, value in values.items():
                player.set(name, value)
            for sizes in ([1], [2], [8], [1, 7, 2, 13, 1]):
                player.reset()
                got = play(player, method, x, [s * unit for s in sizes])
                assert got.shape == wanted.shape
                assert wanted.shape[2] == 40 * spec.out_frames
                assert np.abs(wanted).max() > 1e-3
                assert np.abs(got - wanted).max() <= TOLERANCE * max(1, np.abs(wanted).max())
        for a in model.attributes.values():
            player.set(a.name, a.default)


def test_streams_of_a_batch_do_not_touch_each_other(mono):
    path, _ = mono
    x = noise(1, 640, batch=2)
    both = play(OnnxPlayer(path, batch=2), "forward", x, [128])
    # The second stream keeps its place, and with it the noise that is its own.
    apart = play(OnnxPlayer(path, batch=2), "forward", np.stack((x[1], x[1])), [128])
    alone = play(OnnxPlayer(path), "forward", x[0], [128])
    assert both.shape == (2, 1, 640)
    assert np.abs(both[1] - apart[1]).max() < 1e-6
    # Another batch size may add in another order, no more.
    assert np.abs(both[0] - alone).max() < 1e-6


def test_attributes_set_before_a_method_is_opened_reach_it(mono):
    path, net = mono
    player = OnnxPlayer(path)
    player.set("scale", 0.25)
    z = noise(4, 20)
    wanted = net.offline("decode", torch.from_numpy(z), scale=torch.full((4,), 0.25)).numpy()
    assert np.abs(player.process("decode", z) - wanted).max() < TOLERANCE


def test_output_survives_the_next_block(mono):
    player = OnnxPlayer(mono[0])
    first = player.process("forward", noise(1, 64)[0])
    kept = first.copy()
    player.process("forward", noise(1, 64, seed=5)[0])
    assert np.array_equal(first, kept)


def test_sizes_are_reported(mono):
    path, net = mono
    for batch in (1, 2):
        player = OnnxPlayer(path, batch=batch)
        for method in net.methods:
            numbers = sum(int(np.prod(s)) for s in net.state_shapes(method))
            assert player.state_bytes(method) == 4 * batch * numbers
            assert player.weights_bytes(method) == 4 * net.graph(method).weight_count


def test_load_chooses_the_backend_by_suffix(mono):
    player = load(mono[0])
    assert player.backend == "onnx"
    assert player.name == "small"
    with pytest.raises(AudioError, match="multiple of 64"):
        player.process("forward", np.zeros((1, 65), np.float32))


def test_ten_minutes_without_drift(tmp_path):
    """Irregular blocks for ten minutes at 16 kHz: the last minute is as close as the first.

    The reference is float64, and float32 PyTorch says what rounding alone does to this model."""
    net = small_model("raw_vae", "wide")
    path = tmp_path / "x.onnx"
    export_onnx(net, path, net.describe("small"))
    player, minute = OnnxPlayer(path), 60 * 16000 // 1024 * 1024
    errors, rounding = [], []
    rounded, held = deepcopy(net), net.init_state("forward")
    net = net.double()
    state, controls = net.init_state("forward"), net.default_attributes()
    rng = np.random.default_rng(0)
    for number in range(10):
        x = noise(1, minute, seed=number)
        with torch.no_grad():  # one block a minute, carrying its own state
            wanted, state = net.step("forward", torch.from_numpy(x).double(), state, controls)
            plain, held = rounded.step("forward", torch.from_numpy(x), held,
                                       rounded.default_attributes())
        sizes = (1024 * rng.integers(1, 24, 40)).tolist()
        got = play(player, "forward", x[0], sizes)
        assert got.shape == wanted[0].shape
        errors.append(float(np.abs(got - wanted[0].numpy()).max()))
        rounding.append(float((plain - wanted).abs().max()))
    assert max(errors) < max(TOLERANCE, 2 * max(rounding))
    assert errors[-1] < 3 * errors[0]


def test_the_host_in_the_guide_plays_what_pytorch_plays(tmp_path, monkeypatch):
    guide = (Path(__file__).parents[3] / "docs" / "onnx.md").read_text("utf-8")
    code = guide.split("```python\n")[1].split("```")[0]
    net = small_model()
    export_onnx(net, tmp_path / "model.onnx", net.describe("small"))
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(code, found)
    got = np.concatenate(found["played"], axis=2)
    wanted = net.offline("forward", torch.from_numpy(found["audio"])).numpy()
    assert got.shape == wanted.shape == (1, 1, 40 * 64)
    assert np.abs(got - wanted).max() < TOLERANCE
