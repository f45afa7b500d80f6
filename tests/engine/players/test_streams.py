"""Streams through one player: each with a state of its own, on every backend; what hosts refuse."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import AudioError, ConfigError
from engine.players.base import Player, load
from engine.players.host import Host
from tests.engine.players.backends import FILES, write_files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    write_files(folder)
    return folder


@pytest.fixture(params=FILES)
def players(request: pytest.FixtureRequest, files: Path):
    """A function that makes a player of one backend with so many streams."""

    def make(batch: int = 1) -> Player:
        return load(files / FILES[request.param], batch)

    return make


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 0.3


def alone(player: Player, x: np.ndarray, block: int) -> np.ndarray:
    return played(Host(player, "forward", block), x, block)


def played(host: Host, x: np.ndarray, block: int) -> np.ndarray:
    parts = [host.process(x[..., i : i + block]) for i in range(0, x.shape[-1], block)]
    return np.concatenate(parts, axis=-1)


def test_hosts_on_one_player_do_not_hear_each_other(players):
    a, b = noise(1, 320), noise(1, 320, seed=1)
    wanted = [alone(players(), x, 32) for x in (a, b)]
    assert wanted[0].shape == (1, 320)
    player = players()
    one, two = Host(player, "forward", 32), Host(player, "forward", 32)
    parts = []
    for at in range(0, 320, 32):
        part = slice(at, at + 32)
        parts.append((one.process(a[:, part]), two.process(b[:, part]),
                      player.process("forward", a[:, part])))
    got = [np.concatenate(heard, axis=1) for heard in zip(*parts, strict=True)]
    for have, want in zip(got, (*wanted, wanted[0]), strict=True):
        assert np.abs(have - want).max() <= 1e-6
    assert np.abs(wanted[0] - wanted[1]).max() > 0.01


def test_a_host_is_reset_alone(players):
    x = noise(1, 320)
    player = players()
    first, other = Host(player, "forward", 40), Host(player, "forward", 40)
    wanted = played(first, x, 40)
    played(other, x[:, :200], 40)
    first.process(x[:, :40])
    first.reset()
    assert np.abs(played(first, x, 40) - wanted).max() <= 1e-6
    assert np.abs(played(other, x[:, 200:], 40) - wanted[:, 200:]).max() <= 1e-6
    player.process("forward", x[:, :160])
    player.reset()
    assert np.abs(player.process("forward", x) - alone(player, x, 320)).max() <= 1e-6


def test_attributes_hold_for_every_stream(players):
    x = noise(1, 320)
    player = players()
    name = "gain" if "gain" in player.attributes else "scale"
    before = Host(player, "forward", 320)
    player.set(name, 0.5)
    after = Host(player, "forward", 320)
    changed = player.process("forward", x)
    assert np.abs(changed - alone(players(), x, 320)).max() > 1e-3
    for host in (before, after):
        assert np.abs(host.process(x) - changed).max() <= 1e-6
        host.reset()
        assert np.abs(host.process(x) - changed).max() <= 1e-6


def test_a_host_plays_streams_side_by_side(players):
    x = noise(2, 1, 330)
    got = played(Host(players(2), "forward", 33), x, 33)
    assert got.shape == x.shape
    for stream in (0, 1):
        one = played(Host(players(), "forward", 33), x[stream], 33)
        assert np.abs(got[stream] - one).max() <= 1e-5
    with pytest.raises(AudioError, match=r"for each of 2 streams, got an array of shape \[1, 33\]"):
        Host(players(2), "forward").process(x[0, :, :33])


def test_a_refused_value_changes_nothing(files):
    player = load(files / "foreign.ts")
    with pytest.raises(ConfigError, match="refused gain"):
        player.set("gain", -1)
    assert player.get("gain") == 1
    assert Host(player).process(noise(1, 8)).shape == (1, 8)


@pytest.fixture
def player(files: Path) -> Player:
    return load(files / "m.tudor")


def test_a_host_made_for_one_block_size_gives_as_much_as_it_gets(player):
    """Frames of 16: blocks of 24 are multiples of 8 whatever comes, one of 20 is not."""
    host = Host(player, "forward", 24)
    sizes = [host.process(noise(1, n)).shape[1] for n in (24, 8, 48, 16, 24)]
    assert sizes == [24, 8, 48, 16, 24]
    with pytest.raises(AudioError, match=r"made for blocks of 24 frames, got 20: it takes "
                                         r"multiples of 8; without block=... it takes any size, 7"):
        host.process(noise(1, 20))
    assert host.process(noise(1, 24)).shape[1] == 24, "a refused block counts for nothing"
    with pytest.raises(ConfigError, match="at least 1 frame, got 0"):
        Host(player, "forward", 0)


def test_any_sizes_give_as_much_as_they_get(player):
    host = Host(player, "forward")
    for n in (1, 0, 100, 15, 16, 17):
        assert host.process(noise(1, n)).shape == (1, n)


@pytest.mark.parametrize(("block", "says"), [
    (np.zeros((1, 16), np.int16), r"floating point, got int16 .*give block / 32768"),
    (np.zeros((1, 16), np.int32), r"got int32 .*give block / 2147483648"),
    (np.zeros((1, 16), np.uint8), r"got uint8 .*give \(block - 128.0\) / 128"),
    (np.zeros((1, 16), bool), "floating point, got bool"),
    (np.zeros((1, 16), complex), "floating point, got complex128"),
    ("sound", "floating point, got <U5"),
    ([[0.0] * 16, [0.0] * 3], "rows of different lengths"),
    (np.zeros(16), r"takes \[1, frames\], got an array of shape \[16\]; give block\[None\]"),
    (np.zeros((16, 1)), r"shape \[16, 1\]; is that \[frames, channels\]\? give block.T"),
    (np.zeros((2, 16)), r"got an array of shape \[2, 16\]"),
    (np.zeros((1, 1, 1, 16)), r"got an array of shape \[1, 1, 1, 16\]"),
    (0.5, r"got an array of shape \[\]"),
])
def test_blocks_of_other_kinds_are_refused_in_our_words(block, says, player):
    for play in (Host(player).process, lambda x: player.process("forward", x)):
        with pytest.raises(AudioError, match=says):
            play(block)


def test_scaled_as_the_error_says_integers_are_the_same_sound(player):
    x = np.clip(noise(1, 320), -1, 1)
    wanted = player.process("forward", x)
    for kind in (np.int16, np.int32):
        full = -float(np.iinfo(kind).min)
        player.reset()
        got = player.process("forward", (x.astype(float) * full).astype(kind) / full)
        assert np.abs(got - wanted).max() < 1e-3


def test_integer_latents_are_told_how(player):
    with pytest.raises(AudioError, match=r"got int64; give latents as block.astype\('float32'\)"):
        player.process("decode", np.zeros((3, 4), np.int64))


@pytest.mark.parametrize("name", ["m.tudor", "m.onnx", "m.ts"])
def test_a_device_that_is_not_there_is_refused(name, files):
    if torch.cuda.is_available() and name != "m.tudor":
        pytest.skip("this machine has it")
    for device in ("cuda", "cuda:0", "gpu"):
        with pytest.raises(ConfigError, match=f"device '?{device}") as error:
            load(files / name, device=device)
        assert "\n" not in str(error.value)


def test_changing_sizes_and_a_copy_of_the_block(player):
    """What the caller does with a block afterwards is not heard."""
    x = noise(1, 100)
    wanted = Host(player).process(x)
    host, parts = Host(player), []
    for a, b in pairwise((0, 5, 30, 31, 100)):
        block = x[:, a:b].copy()
        parts.append(host.process(block))
        block[:] = 9
    assert np.abs(np.concatenate(parts, axis=1) - wanted).max() <= 1e-6
