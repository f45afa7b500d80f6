"""ONNX files themselves: what they say, what is noticed in damaged ones, and what plays them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from engine.errors import ConfigError, ModelFileError
from engine.players.onnx import OnnxPlayer
from export.onnx.export import export_onnx, method_files, read_description
from export.onnx.writer import IR_VERSION, OPSET
from tests.export.small_models import small_model

TOLERANCE = 1e-5


def noise(channels: int, frames: int, batch: int = 1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.5 * rng.standard_normal((batch, channels, frames))).astype(np.float32)


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
