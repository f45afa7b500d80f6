"""Files for nn~, driven as nn~ drives them, against offline PyTorch."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models.base import Model
from engine.players.torchscript import TorchScriptPlayer
from export.nn.export import export_nn, read_description, write_description
from export.nn.operators import OPERATORS, operators
from tests.export.nn.nn_host import NnHost
from tests.export.nn.offline import TOLERANCE, assert_same, expected, noise
from tests.export.small_models import small_model

SAMPLES = 8192
SHAPES = ("mono", "stereo")
METHODS = ("encode", "decode", "forward")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Model, Path]]:
    """A model and its `.ts` by name of shape."""
    folder = tmp_path_factory.mktemp("nn")
    made = {}
    for shape in SHAPES:
        model = small_model("raw_vae", shape)
        made[shape] = model, folder / f"{shape}.ts"
        export_nn(model, made[shape][1], model.describe(shape))
    return made


@pytest.mark.parametrize("buffer", [0, 512, 2048, 4096])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
def test_plays_as_offline(files, shape: str, method: str, buffer: int) -> None:
    model, path = files[shape]
    for batch in (1, 4):
        host = NnHost(path, method, buffer, batch)
        assert host.buffer == max(buffer, 64, model.ratio)
        signal = noise(batch, host.in_channels, SAMPLES)
        assert_same(host.play(signal), expected(model, method, signal))
        assert not host.errors


def test_methods_keep_states_of_their_own(files) -> None:
    model, path = files["mono"]
    host = NnHost(path, "forward", 512)
    signal = noise(1, 1, 4096)
    latents = torch.from_numpy(noise(1, model.methods["decode"].in_channels, 8))
    parts = []
    for block in np.split(signal, 8, axis=2):
        parts.append(host.perform(block))
        with torch.inference_mode():  # what a second method would do in between
            host.module.decode(latents)
            host.module.encode(torch.from_numpy(block))
    assert_same(np.concatenate(parts, axis=2), expected(model, "forward", signal))


def test_params_labels_and_largest_ratio(files) -> None:
    for model, path in files.values():
        host = NnHost(path)
        for name, spec in model.methods.items():
            assert host.params(name) == [
                spec.in_channels, spec.in_ratio, spec.out_channels, spec.out_ratio]
            assert list(getattr(host.module, f"{name}_input_labels")) == list(spec.input_labels)
            assert list(getattr(host.module, f"{name}_output_labels")) == list(spec.output_labels)
        assert max(max(host.params(name)[1::2]) for name in host.methods) >= 64
        assert set(model.methods) <= set(host.methods)


def test_attributes_make_the_round_trip(files) -> None:
    model, path = files["mono"]
    host = NnHost(path)
    assert host.attributes() == [
        "reset", "temperature", "scale", "bias", "seed", "scale_at", "bias_at"]
    assert host.get("reset") == "0"
    assert host.get("temperature") == "0.000000"
    assert host.set("temperature", "0.123456")
    assert host.get("temperature") == "0.123456"
    count = model.attributes["scale"].size
    text = " ".join(f"{0.5 + 0.111111 * i:f}" for i in range(count))
    assert host.set("scale", text)
    assert host.get("scale") == text
    for wrong in ("5", "-0.1", "nan", "inf", "-inf", "1e30"):
        assert not host.set("temperature", wrong), wrong
        assert host.get("temperature") == "0.123456"
    assert not host.set("scale", " ".join(["1"] * (count - 1) + ["9"]))
    assert host.get("scale") == text, "a refused list must not be half applied"


def test_one_latent_can_be_set_alone(files) -> None:
    _, path = files["mono"]
    host = NnHost(path)
    assert host.set("bias", "0.1 0.2 0.3 0.4")
    assert host.set("bias_at", "3.000000 -1.5")
    assert host.get("bias") == "0.100000 0.200000 -1.500000 0.400000"
    assert host.get("bias_at") == "3 -1.500000"
    assert host.set("scale_at", "1 0.5")
    assert host.get("scale") == "0.500000 1.000000 1.000000 1.000000"
    for wrong in ("0 1", "5 1", "-1 1", "1 9", "2 nan"):
        assert not host.set("bias_at", wrong), wrong
    assert host.get("bias") == "0.100000 0.200000 -1.500000 0.400000"


def test_a_refused_value_says_why(files) -> None:
    _, path = files["mono"]
    host = NnHost(path)
    assert not host.set("temperature", "5")
    assert "temperature goes from 0 to 4, not 5. (the old value stays)" in host.console[-1]
    assert not host.set("bias_at", "7 0.5")
    assert "bias_at takes a number from 1 to 4 and a value, not 7" in host.console[-1]
    assert not host.set("scale", "1 1 1 nan")
    assert "scale goes from -4 to 4, not nan" in host.console[-1]


def test_scale_and_bias_act_as_offline(files) -> None:
    model, path = files["mono"]
    host = NnHost(path, "forward", 512)
    signal = noise(1, 1, 2048)
    scale = torch.tensor([0.5, 1.5, -1.0, 2.0])
    bias = torch.tensor([0.25, -0.5, 0.125, 1.0])
    for name, value in (("scale", scale), ("bias", bias)):
        assert host.set(name, " ".join(f"{v:f}" for v in value.tolist()))
    wanted = model.offline("forward", torch.from_numpy(signal), scale=scale, bias=bias).numpy()
    assert np.abs(wanted - expected(model, "forward", signal)).max() > 1e-3
    assert_same(host.play(signal), wanted)


def test_temperature_follows_the_counter(files) -> None:
    model, path = files["mono"]
    host = NnHost(path, "forward", 512)
    signal = noise(1, 1, 2048)
    assert host.set("temperature", "1.5")
    wanted = model.offline(
        "forward", torch.from_numpy(signal), temperature=torch.tensor([1.5])).numpy()
    assert np.abs(wanted - expected(model, "forward", signal)).max() > 1e-3
    assert_same(host.play(signal), wanted)


@pytest.mark.parametrize("method", METHODS)
def test_reset_is_an_attribute(files, method: str) -> None:
    model, path = files["mono"]
    host = NnHost(path, method, 512, batch=2)
    first = noise(2, host.in_channels, 1024)
    again = noise(2, host.in_channels, 1024, seed=1)
    host.play(first)
    assert host.set("reset", "0")
    carried = host.play(again)
    assert np.abs(carried - expected(model, method, again)).max() > TOLERANCE
    assert host.set("reset", "1")
    assert all(not buffer.any() for name, buffer in host.module.named_buffers()
               if "_state_" in name)
    assert_same(host.play(again), expected(model, method, again))


def test_setters_and_calls_may_alternate(files) -> None:
    """Neither InferenceMode nor its absence may spoil a buffer for the other."""
    model, path = files["mono"]
    host = NnHost(path, "forward", 512)
    signal = noise(1, 1, 512)
    for _ in range(3):
        assert host.set("reset", "1")
        assert host.set("temperature", "0")
        assert_same(host.perform(signal), expected(model, "forward", signal))
        with torch.no_grad():
            host.module.forward(torch.from_numpy(signal))
    assert not host.errors


def test_more_streams_than_preallocated(tmp_path: Path) -> None:
    model = small_model()
    path = tmp_path / "narrow.ts"
    export_nn(model, path, model.describe("narrow"), max_batch=2)
    few, many = NnHost(path, "forward", 512, 2), NnHost(path, "forward", 512, 5)
    many.module = few.module
    signal = noise(5, 1, 2048)
    start, end = signal[:, :, :1024], signal[:, :, 1024:]
    old = few.play(start[:2])
    y = many.play(end)
    assert not many.errors
    assert_same(np.concatenate((old, y[:2]), axis=2), expected(model, "forward", signal[:2]))
    assert_same(y[2:], expected(model, "forward", end)[2:])  # each stream has noise of its own
    assert many.set("reset", "1")
    assert_same(many.play(signal), expected(model, "forward", signal))


@pytest.mark.parametrize("method", METHODS)
def test_unclean_input_is_cleaned(files, method: str) -> None:
    model, path = files["mono"]
    host = NnHost(path, method, 512)
    signal = noise(1, host.in_channels, 1024)
    dirty, clean = signal.copy(), signal.copy()
    last = host.in_ratio - 1  # the sample of a group that nn~ hands over
    for at, (value, means) in enumerate(
        [(np.nan, 0), (np.inf, 0), (-np.inf, 0), (1e30, 8), (-1e30, -8)]
    ):
        position = at * host.in_ratio + last
        dirty[0, 0, position], clean[0, 0, position] = value, means
    got = host.play(dirty)
    assert np.isfinite(got).all()
    assert_same(got, expected(model, method, clean))


@pytest.mark.parametrize("rate", [0, -1, 44100])
def test_sample_rate_is_tolerated(files, rate: int) -> None:
    model, path = files["mono"]
    host = NnHost(path)
    before = host.module.get_sample_rate()
    host.module.set_sample_rate(rate)
    assert host.module.get_sample_rate() == before == model.sample_rate_hz


def test_graph_is_portable(files) -> None:
    """Known operators, no device but the input's, no float64, nothing of this machine."""
    for _, path in files.values():
        module = torch.jit.load(str(path))
        for name in module._c._method_names():
            graph = module._c._get_method(name).inlined_graph
            assert set(operators(graph)) <= OPERATORS
            for node in graph.findAllNodes("prim::Constant"):
                value = node.output().toIValue()
                assert not isinstance(value, torch.device), name
                assert not node.hasAttribute("value") or node.kindOf("value") != "t", name
        tensors = dict(module.named_parameters()) | dict(module.named_buffers())
        assert {t.dtype for t in tensors.values()} <= {torch.float32, torch.int64}
        assert not any(t.requires_grad for t in tensors.values())
        with zipfile.ZipFile(path) as archive:
            assert int(archive.read("model/version")) <= 10
            text = b"".join(archive.read(n) for n in archive.namelist() if "/data/" not in n)
        assert str(Path(__file__).parents[3]).encode() not in text
        assert not any("debug_pkl" in n for n in zipfile.ZipFile(path).namelist())


def test_follows_its_input_to_another_device(files) -> None:
    """The `meta` device computes shapes only, and refuses tensors left behind on the CPU."""
    model, path = files["mono"]
    module = torch.jit.load(str(path), map_location="meta")
    for method, spec in model.methods.items():
        x = torch.zeros(2, spec.in_channels, spec.in_frames * 2, device="meta")
        with torch.inference_mode():
            assert getattr(module, method)(x).device.type == "meta"


def test_metadata_may_be_rewritten(files, tmp_path: Path) -> None:
    model, source = files["mono"]
    path = tmp_path / "copy.ts"
    path.write_bytes(source.read_bytes())
    description = read_description(path)
    assert description == read_description(source)
    assert description.methods.keys() == model.methods.keys()
    write_description(path, replace(description, provenance={"verified": {"max_abs": 1e-6}}))
    assert read_description(path).provenance == {"verified": {"max_abs": 1e-6}}
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        assert json.loads(archive.read("model/extra/tudor.json"))["name"] == "mono"
    assert [p.name for p in tmp_path.iterdir()] == ["copy.ts"]
    signal = noise(1, 1, 2048)
    assert_same(NnHost(path, "forward", 512).play(signal), expected(model, "forward", signal))


def test_player_matches_offline_in_irregular_blocks(files) -> None:
    for model, path in files.values():
        player = TorchScriptPlayer(path, batch=3)
        for method, spec in model.methods.items():
            unit = spec.in_frames
            blocks = [unit * n for n in (1, 2, 8, 3, 1, 5)]
            x = noise(3, spec.in_channels, sum(blocks))
            parts = np.split(x, np.cumsum(blocks)[:-1], axis=2)
            y = np.concatenate([player.process(method, part) for part in parts], axis=2)
            assert_same(y, model.offline(method, torch.from_numpy(x)).numpy())
