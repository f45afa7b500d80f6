"""Voices and seeds: every stream has noise of its own, on every backend the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from engine.layers.noise import hash32, seeds_alike, stream_keys, unhash32, uniform
from engine.models.raw_vae import RawVAE, RawVAEConfig
from engine.players.base import load
from engine.players.pytorch import PyTorchPlayer
from export.native.export import compile_graphs
from export.targets import TARGETS

STREAMS, SEED = 3, 12345.0


def model() -> RawVAE:
    torch.manual_seed(0)
    made = RawVAE(RawVAEConfig(latents=4, compression=64, bands=8, strides=[4, 2],
                               widths=[6, 8, 10])).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[RawVAE, dict[str, Path]]:
    made, folder = model(), tmp_path_factory.mktemp("voices")
    paths = {}
    for name, target in TARGETS.items():
        paths[name] = folder / f"small{target.suffix}"
        target.function(target.writer)(made, paths[name], made.describe("small"))
    return made, paths


def test_stream_0_of_seed_0_keeps_the_bits() -> None:
    """Numbers of the hash as it was before there were streams."""
    frames = torch.tensor([[[0, 1, 2, 2**24 - 1]]])
    n = torch.tensor([0, 1, 2, 2**24 - 1])
    before = hash32(n)
    assert before.tolist() == [0, 2261973619, 229111015, 2568458603]
    assert before.tolist() == hash32(n, stream_keys(1, None, n.device).reshape(())).tolist()
    assert torch.equal(uniform(frames, 1, 0, torch.float64)[0, 0],
                       (before >> 8).double() * 2.0**-23 - 1)
    assert int(stream_keys(1, None, n.device)) == 0
    assert int(stream_keys(1, torch.zeros(1), n.device)) == 0


def test_keys_differ() -> None:
    keys = {int(k) for seed in range(64)
            for k in stream_keys(64, torch.tensor([float(seed)]), torch.device("cpu")).flatten()}
    assert len(keys) == 64 * 64


def test_a_hash_can_be_undone() -> None:
    n = torch.cat((torch.arange(1000), 2**32 - 1 - torch.arange(1000)))
    assert torch.equal(unhash32(hash32(n)), n)


@pytest.mark.parametrize("seed", [0, 7, 2**24 - 1])
def test_streams_can_be_alike(seed: int) -> None:
    """All as the first one with that seed."""
    own = stream_keys(1, torch.tensor([float(seed)]), torch.device("cpu"))
    alike = stream_keys(50, seeds_alike(50, seed), torch.device("cpu"))
    assert alike.shape == (50, 1, 1)
    assert torch.equal(alike, own.expand(50, 1, 1))


def test_streams_are_unlike_at_every_lag() -> None:
    """Not one sequence shifted: no lag within a second of frames shows a likeness."""
    frames = torch.arange(1000).reshape(1, 1, -1).expand(4, 1, -1)
    u = uniform(frames, 8, 1, torch.float64, stream_keys(4, None, frames.device)).flatten(1)
    spectra = torch.fft.rfft(u, 2 * u.shape[1])
    for a in range(4):
        for b in range(a):
            lags = torch.fft.irfft(spectra[a] * spectra[b].conj()) / u.shape[1] * 3
            assert lags.abs().max() < 0.08, "6 to 7 standard deviations"


@pytest.mark.parametrize("backend", ["nn", "onnx", "native"])
@pytest.mark.parametrize("seed", [0.0, SEED, 2.0**24 - 1])
def test_every_backend_gives_every_stream_its_noise(files: Any, backend: str, seed: float) -> None:
    made, paths = files
    x = np.zeros((STREAMS, 1, 512), np.float32)  # what is heard is the noise of both heads
    player = load(paths[backend], batch=STREAMS)
    player.set("seed", seed)
    player.set("temperature", 2.0)
    y = np.concatenate([player.process("forward", x[:, :, :64]),
                        player.process("forward", x[:, :, 64:])], axis=2)
    wanted = made.offline("forward", torch.from_numpy(x), seed=torch.tensor([seed]),
                          temperature=torch.tensor([2.0])).numpy()
    assert y.shape == wanted.shape
    assert np.abs(y - wanted).max() < 1e-5
    for one in range(1, STREAMS):
        assert np.abs(wanted[one] - wanted[0]).max() > 1e-3, "voices share their noise"
    other = made.offline("forward", torch.from_numpy(x), seed=torch.tensor([7.0]),
                         temperature=torch.tensor([2.0])).numpy()
    assert np.abs(wanted - other).max() > 1e-3, "the seed does nothing"


EACH = {"seed": [[0.0], [SEED], [SEED]], "temperature": [[2.0], [2.0], [0.5]],
        "scale": [[1.0] * 4, [2.0, 1.0, -1.0, 0.5], [1.0] * 4],
        "bias": [[0.0] * 4, [0.5, 0.0, -1.0, 0.25], [0.0] * 4]}


@pytest.mark.parametrize("backend", ["onnx", "native", "pytorch"])
def test_every_stream_plays_its_own_attributes(files: Any, backend: str) -> None:
    made, paths = files
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 1, 512)).astype(np.float32)
    x = np.repeat(x, STREAMS, axis=0)
    player = (PyTorchPlayer(made, STREAMS) if backend == "pytorch"
              else load(paths[backend], batch=STREAMS))
    y = [player.process("forward", x[:, :, :64])]  # as they are at the start
    for name, values in EACH.items():
        player.set(name, values)
    y.append(player.process("forward", x[:, :, 64:256]))
    player.set("temperature", 0.0, stream=1)
    y.append(player.process("forward", x[:, :, 256:]))
    assert player.get("temperature", 1).tolist() == [0.0]
    assert player.get("temperature", 2).tolist() == [0.5]
    given, state, wanted, at = made.default_attributes(), made.init_state("forward", STREAMS), [], 0
    for end in (64, 256, 512):
        part, state = made.step("forward", torch.from_numpy(x[:, :, at:end]), state, given)
        wanted.append(part.detach().numpy())
        given.update({k: torch.tensor(v) for k, v in EACH.items()})
        if end == 256:
            given["temperature"] = torch.tensor([[2.0], [0.0], [0.5]])
        at = end
    for got, right in zip(y, wanted, strict=True):
        assert got.shape == right.shape
        assert np.abs(got - right).max() < 1e-5
    assert all(np.abs(y[2][one] - y[2][other]).max() > 1e-3
               for one in range(STREAMS) for other in range(one))


def test_values_for_streams_that_do_not_fit_are_one_line(files: Any) -> None:
    player = load(files[1]["native"], batch=STREAMS)
    for value, stream, message in (
            (np.zeros((2, 4)), None, r"takes 1 or 4 numbers, or \[3, 4\] of them, got 8"),
            (np.zeros((3, 4)), 1, "takes 1 or 4 numbers, got 12"),
            (0.0, 3, "plays 3 streams, counted from 0; there is no stream 3"),
            ([[0, 0, 0, 0], [0, 0, 0, 99], [0, 0, 0, 0]], None, "ranges over")):
        with pytest.raises(ConfigError, match=message):
            player.set("bias", value, stream)
    assert not any(player.get("bias", stream).any() for stream in range(STREAMS))


def test_first_stream_is_that_of_a_single_one(files: Any) -> None:
    made, _ = files
    x = torch.zeros(STREAMS, 1, 512)
    hot = {"temperature": torch.tensor([2.0])}
    many, one = made.offline("forward", x, **hot), made.offline("forward", x[:1], **hot)
    assert torch.allclose(many[:1], one, atol=1e-6)


def test_a_native_file_without_the_attribute_plays_as_seed_0(files: Any, tmp_path: Path) -> None:
    """Files of before: the op names no attribute."""
    made, paths = files
    description = made.describe("old")
    old = replace(description, attributes={k: v for k, v in description.attributes.items()
                                           if k != "seed"})
    path = tmp_path / "old.tudor"
    path.write_bytes(compile_graphs({m: made.graph(m) for m in made.methods}, old))
    x = np.zeros((1, 512), np.float32)
    before, now = load(path), load(paths["native"])
    assert "seed" not in before.attributes
    y = before.process("forward", x)
    assert y.any()
    assert np.array_equal(y, now.process("forward", x))
