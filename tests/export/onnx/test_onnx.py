"""ONNX files played by ONNX Runtime equal PyTorch, say what they are, and fail clearly."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from engine.errors import AudioError, ConfigError, ModelFileError
from engine.models.registry import FAMILIES
from engine.players.base import load
from engine.players.onnx import OnnxPlayer
from export.onnx.export import export_onnx, method_files, read_description
from export.onnx.writer import IR_VERSION, OPSET
from tests.export.small_models import CASES, SMALL, small_model

TOLERANCE = 1e-5


def test_every_family_has_small_configurations():
    assert set(SMALL) == set(FAMILIES)


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case).replace(" ", "_"))
def model(request):
    return small_model(*request.param)


@pytest.fixture
def mono(tmp_path: Path) -> tuple[Path, Any]:
    """The file of a small model, and the model."""
    net = small_model()
    path = tmp_path / "x.onnx"
    export_onnx(net, path, net.describe("small", {"weights_sha256": "abc"}))
    return path, net


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


# --- the files themselves ---------------------------------------------------------------------


def test_metadata_says_what_a_host_needs(mono):
    path, net = mono
    files = method_files(path, net.methods)
    assert sorted(f.name for f in files.values()) == ["x.decode.onnx", "x.encode.onnx", "x.onnx"]
    for method, file in files.items():
        proto, spec = onnx.load(file), net.methods[method]
        props = {p.key: p.value for p in proto.metadata_props}
        assert props["method"] == method
        assert props["ratio"] == str(net.ratio) == "64"
        assert props["sample_rate_hz"] == "16000"
        assert props["latency_samples"] == str(spec.lookahead_samples)
        assert json.loads(props["attributes"])["scale"] == [1.0] * 4
        assert json.loads(props["files"]) == {m: f.name for m, f in files.items()}
        assert read_description(file) == net.describe("small", {"weights_sha256": "abc"})
        shapes = {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim]
                  for i in [*proto.graph.input, *proto.graph.output]}
        frames = [f"{n}*frames" if n > 1 else "frames" for n in (spec.in_frames, spec.out_frames)]
        assert shapes["x"] == ["batch", spec.in_channels, frames[0]]
        assert shapes["y"] == ["batch", spec.out_channels, frames[1]]
        states = net.state_shapes(method)
        assert len([n for n in shapes if n.startswith("state_in_")]) == len(states)
        for i, shape in enumerate(states):
            assert shapes[f"state_in_{i}"] == shapes[f"state_out_{i}"] == ["batch", *shape]


def test_files_suit_onnx_runtime_1_20(mono):
    proto = onnx.load(mono[0])
    # 1.20 reads up to opset 21 and IR version 10.
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", OPSET)]
    assert OPSET <= 21
    assert proto.ir_version == IR_VERSION <= 10
    assert {n.domain for n in proto.graph.node} == {""}
    onnx.checker.check_model(proto, full_check=True)


def test_a_plain_host_may_leave_attributes_out(mono):
    path, net = mono
    session = ort.InferenceSession(path)
    assert {i.name for i in session.get_overridable_initializers()} == {
        "attribute_scale", "attribute_bias", "attribute_temperature", "attribute_seed"}
    x = noise(1, 640)
    states = {f"state_in_{i}": np.zeros((1, *s), np.float32)
              for i, s in enumerate(net.state_shapes("forward"))}
    y = session.run(["y"], {"x": x, **states})[0]
    wanted = net.offline("forward", torch.from_numpy(x)).numpy()
    assert y.shape == wanted.shape
    assert np.abs(y - wanted).max() < TOLERANCE


def test_exporting_twice_gives_the_same_bytes(mono, tmp_path):
    path, net = mono
    again = tmp_path / "again" / "x.onnx"
    export_onnx(net, again, net.describe("small", {"weights_sha256": "abc"}))
    assert again.read_bytes() == path.read_bytes()


def test_each_file_plays_alone_and_names_what_is_missing(mono, tmp_path):
    path, _ = mono
    alone = tmp_path / "alone" / "mine.onnx"
    alone.parent.mkdir()
    alone.write_bytes(path.with_name("x.encode.onnx").read_bytes())
    player = OnnxPlayer(alone)
    assert player.process("encode", noise(1, 64)[0]).shape == (4, 1)
    with pytest.raises(ModelFileError, match=r"lacks method 'decode'.*x\.decode\.onnx"):
        player.process("decode", noise(4, 1)[0])


def test_a_set_may_be_renamed_together(mono, tmp_path):
    path, net = mono
    for file in method_files(path, net.methods).values():
        file.rename(tmp_path / file.name.replace("x", "my.model", 1))
    for start in ("my.model.onnx", "my.model.decode.onnx"):
        player = OnnxPlayer(tmp_path / start)
        assert player.process("encode", noise(1, 64)[0]).shape == (4, 1)
        assert player.process("forward", noise(1, 64)[0]).shape == (1, 64)


def test_a_sibling_of_another_model_is_refused(mono):
    path, _ = mono
    other = small_model(seed=1)
    export_onnx(other, path.with_name("o.onnx"), other.describe("o", {"weights_sha256": "def"}))
    path.with_name("o.decode.onnx").replace(path.with_name("x.decode.onnx"))
    with pytest.raises(ModelFileError, match="belongs to another model"):
        OnnxPlayer(path).process("decode", noise(4, 1)[0])


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9, 0.999, 0.99999])
def test_truncated_files_are_named(mono, part):
    path, _ = mono
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ModelFileError, match=r"x\.onnx"):
        OnnxPlayer(path)
    with pytest.raises(ModelFileError, match=r"x\.onnx"):
        read_description(path)


def test_any_flipped_byte_is_noticed(mono):
    path, _ = mono
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in [0, 1, len(data) - 1, *rng.integers(0, len(data), 60).tolist()]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match=r"x\.onnx"):
            OnnxPlayer(path)


def test_foreign_files_are_told_apart(tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("this is no model\n" * 20)
    with pytest.raises(ModelFileError, match="no ONNX file"):
        OnnxPlayer(text)
    with pytest.raises(ModelFileError, match="cannot read"):
        OnnxPlayer(tmp_path / "none.onnx")
    foreign = tmp_path / "foreign.onnx"
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [info], [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8),
              foreign)
    for opened in (OnnxPlayer, read_description):
        with pytest.raises(ModelFileError, match="tudor did not write it"):
            opened(foreign)


def test_devices_are_checked(mono):
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        with pytest.raises(ConfigError, match="CUDAExecutionProvider"):
            OnnxPlayer(mono[0], device="cuda")
    with pytest.raises(ConfigError, match="cpu, cuda"):
        OnnxPlayer(mono[0], device="mps")


def test_playing_needs_neither_torch_nor_onnx(mono):
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = sys.modules['pydantic'] = None\n"
        "from engine.players.base import load\nimport numpy as np\n"
        f"y = load({str(mono[0])!r}).process('forward', np.zeros((1, 64), np.float32))\n"
        "assert y.shape == (1, 64)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr


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
