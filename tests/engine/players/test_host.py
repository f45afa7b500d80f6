"""Any block size through a player; exact latency; settings; loading by name."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.errors import AudioError, ConfigError, ModelFileError
from engine.models.registry import build
from engine.players.base import load
from engine.players.host import Host
from engine.players.play_file import stream
from engine.players.pytorch import PyTorchPlayer

CONFIG = {"latents": 3, "bands": 4, "compression": 16, "widths": (8, 6), "dilations": (1,)}


@pytest.fixture
def player() -> PyTorchPlayer:
    return PyTorchPlayer(build("raw_vae", CONFIG), name="small")


def noise(channels: int, frames: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((channels, frames)).astype(np.float32) * 0.3


@pytest.mark.parametrize("block", [1, 3, 5, 8, 16, 24, 48, 100, 1000])
def test_any_block_size_gives_the_same_sound_later(player, block):
    x = noise(1, 1600)
    whole = player.process("forward", x)
    player.reset()
    host = Host(player, "forward", block)
    out = np.concatenate([host.process(x[:, i : i + block]) for i in range(0, 1600, block)], axis=1)
    late = host.added_latency_samples
    assert out.shape == x.shape
    assert late == 16 - np.gcd(block, 16)
    assert np.abs(out[:, late:] - whole[:, : 1600 - late]).max() <= 1e-5
    assert not out[:, :late].any()


def test_changing_block_sizes(player):
    x = noise(1, 1000)
    whole = player.process("forward", np.pad(x, ((0, 0), (0, 8))))
    player.reset()
    host = Host(player, "forward")
    cuts = [0, 1, 4, 40, 41, 300, 555, 1000]
    out = np.concatenate([host.process(x[:, a:b]) for a, b in pairwise(cuts)],
                         axis=1)
    assert host.added_latency_samples == 15
    assert out.shape == x.shape
    assert np.abs(out[:, 15:] - whole[:, :985]).max() <= 1e-5


@pytest.mark.parametrize("method", ["encode", "decode"])
def test_methods_that_change_rate_give_what_is_ready(player, method):
    spec = player.methods[method]
    x = noise(spec.in_channels, 10 * spec.in_frames)
    whole = player.process(method, x)
    player.reset()
    host = Host(player, method, 7)
    out = np.concatenate([host.process(x[:, i : i + 7]) for i in range(0, x.shape[1], 7)], axis=1)
    assert out.shape == whole.shape
    assert np.abs(out - whole).max() <= 1e-5


def test_aligned_output_lines_up(player):
    x = noise(1, 777)
    late, latency = stream(player, "forward", x, 100, align=False)
    player.reset()
    aligned, _ = stream(player, "forward", x, 100, align=True)
    assert aligned.shape == late.shape == x.shape
    assert latency == 20 + 12
    assert np.abs(aligned[:, : 777 - latency] - late[:, latency:]).max() <= 1e-5


def test_blocks_are_checked(player):
    with pytest.raises(AudioError, match="multiple of 16"):
        player.process("forward", noise(1, 17))
    with pytest.raises(AudioError, match=r"\[1, frames\]"):
        player.process("forward", noise(2, 16))
    with pytest.raises(ModelFileError, match="encode, decode, forward"):
        player.process("sing", noise(1, 16))


def test_attributes_are_checked_and_kept(player):
    player.set("temperature", 0.5)
    assert player.get("temperature") == pytest.approx(0.5)
    player.set("scale", [1, 2, 3])
    player.reset()
    assert player.get("scale").tolist() == [1, 2, 3]
    with pytest.raises(ConfigError, match="did you mean 'temperature'"):
        player.set("temprature", 1)
    with pytest.raises(ConfigError, match="ranges over"):
        player.set("temperature", 1e9)
    with pytest.raises(ConfigError, match="ranges over"):
        player.set("temperature", float("nan"))
    with pytest.raises(ConfigError, match="takes 1 or 3"):
        player.set("scale", [1, 2])


def test_batch_streams_are_independent():
    model = build("raw_vae", CONFIG)
    x = noise(1, 160)
    one = PyTorchPlayer(model).process("forward", x)
    two = PyTorchPlayer(model, batch=2).process("forward", np.stack((x, 0 * x)))
    assert np.abs(two[0] - one).max() <= 1e-6
    assert np.abs(two[1] - one).max() > 1e-3


def test_load_explains_what_it_cannot_load(tmp_path: Path):
    with pytest.raises(ModelFileError, match="techno-tiny"):
        load("techno-tinny")
    with pytest.raises(ModelFileError, match="does not exist"):
        load(tmp_path / "gone.onnx")
    (tmp_path / "x.bin").write_bytes(b"abc")
    with pytest.raises(ModelFileError, match=r"\.ts, \.onnx or \.tudor"):
        load(tmp_path / "x.bin")
    assert load("techno-tiny").name == "techno-tiny"
