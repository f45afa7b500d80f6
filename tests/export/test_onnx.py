"""ONNX files equal PyTorch, operation by operation and model by model, and fail clearly."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from onnx import TensorProto, helper
from torch import Tensor

from engine.backends.onnx import OnnxPlayer
from engine.description import Attribute, Description, Method
from engine.errors import AudioError, ConfigError, ModelFileError
from engine.graph import OPS, Builder, Graph
from engine.layers import (
    ELU,
    GRU,
    LSTM,
    Conv1d,
    ConvTranspose1d,
    Delay,
    GatedUnit,
    Guard,
    Identity,
    LatentSample,
    LeakyReLU,
    NoiseMultiply,
    Parallel,
    Sequence,
    Sigmoid,
    Snake,
    State,
    Streaming,
    Tanh,
)
from engine.models.registry import FAMILIES
from engine.runtime import load
from export.onnx import build_method, export_onnx, granularity, method_files, read_description
from export.onnx_ops import EMIT, IR_VERSION, OPSET
from tests.engine.stacks import signal, stack
from tests.export.small_models import CASES, SMALL, small_model

TOLERANCE = 1e-5
ATTRIBUTES = {
    "temperature": Attribute("temperature", 1, 0.0, 0.0, 4.0, ""),
    "scale": Attribute("scale", 4, 1.0, -4.0, 4.0, ""),
    "bias": Attribute("bias", 4, 0.0, -8.0, 8.0, ""),
}
Step = Callable[[Tensor, State], tuple[Tensor, State]]


# --- operation by operation -------------------------------------------------------------------


def _randomised(layer: Streaming) -> Streaming:
    torch.manual_seed(1)
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    return layer.eval()


LAYERS: dict[str, list[Streaming]] = {
    "guard": [Guard(4)],
    "conv1d": [Conv1d(4, 6, 3, dilation=2, groups=2), Conv1d(4, 3, 5, stride=2, bias=False),
               Conv1d(4, 3, 1, stride=3), Conv1d(4, 4, 1)],
    "conv_transpose1d": [ConvTranspose1d(4, 6, 7, 3, groups=2), ConvTranspose1d(4, 2, 2, 2),
                         ConvTranspose1d(4, 2, 5, 1, bias=False)],
    "gru": [GRU(4, 5)],
    "lstm": [LSTM(4, 3)],
    "leaky_relu": [LeakyReLU(4, 0.3)],
    "elu": [ELU(4)],
    "tanh": [Tanh(4)],
    "sigmoid": [Sigmoid(4)],
    "snake": [Snake(4, 0.7)],
    "gated": [GatedUnit(4), GatedUnit(4, "linear")],
    "add": [Parallel(Conv1d(4, 4, 2), Identity(4))],
    "mul": [Parallel(Conv1d(4, 4, 2), Identity(4), combine="product")],
    "concat": [Parallel(Conv1d(4, 4, 2), Identity(4), combine="concat")],
    "delay": [Delay(4, 3)],
    "noise_multiply": [NoiseMultiply(4, seed=9)],
}
# Operations that no layer of a stack emits: how a model emits them, and what they mean.
OTHERS = ("slice", "affine", "latent_sample")


def _other(kind: str, given: dict[str, Tensor]) -> tuple[Graph, Step, State]:
    build = Builder("forward", 4)
    if kind == "slice":
        y = build.op("slice", build.input, channels=2, attributes={"start": 1, "stop": 3})
        return build.finish(y), lambda x, state: (x[:, 1:3], state), ()
    if kind == "affine":
        y = build.op("affine", build.input, attributes={"scale": "scale", "bias": "bias"})
        scale, bias = given["scale"][:, None], given["bias"][:, None]
        return build.finish(y), lambda x, state: (x * scale + bias, state), ()
    layer = LatentSample(2)
    return (build.finish(layer.lower(build, build.input)),
            lambda x, state: layer(x, state, given["temperature"]), layer.init_state(3))


def run_graph(
    graph: Graph, x: Tensor, states: State, given: dict[str, Tensor], chunks: list[int]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A graph through ONNX Runtime, chunk by chunk; the output and the last states."""
    methods = {"forward": Method("forward", 1, 1, 1, 1, ("in",), ("out",))}
    proto = build_method(graph, Description("test", "test", 16000, methods, ATTRIBUTES))
    onnx.checker.check_model(proto, full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options)
    known = {i.name for i in session.get_overridable_initializers()}
    feed = {f"attribute_{k}": v.numpy() for k, v in given.items() if f"attribute_{k}" in known}
    held = [s.numpy() for s in states]
    outputs, at, unit = [], 0, granularity(graph)
    for chunk in chunks:
        block = x[:, :, at : at + chunk * unit].numpy()
        carried = {f"state_in_{i}": s for i, s in enumerate(held)}
        y, *held = session.run(None, {"x": block, **carried, **feed})
        outputs.append(y)
        at += chunk * unit
    assert at == x.shape[2]
    return np.concatenate(outputs, axis=2), held


def compare(graph: Graph, step: Step, x: Tensor, state: State, given: dict[str, Tensor],
            chunks: list[int]) -> float:
    """Largest error, relative to the reference's peak; states are compared too."""
    with torch.no_grad():
        wanted, after = step(x, state)
    got, held = run_graph(graph, x, state, given, chunks)
    assert got.shape == wanted.shape
    assert wanted.numel() > 0
    assert [h.shape for h in held] == [s.shape for s in after]
    pairs = [(got, wanted.numpy()), *((h, s.numpy()) for h, s in zip(held, after, strict=True))]
    return max(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) for a, b in pairs)


def test_every_operation_has_a_form_and_a_test():
    assert set(EMIT) == set(OPS)
    assert {*LAYERS, *OTHERS} == set(OPS)


@pytest.mark.parametrize("kind", OPS)
def test_operation_equals_pytorch_for_three_streams(kind):
    given_values = {"temperature": torch.tensor([0.7]),
                    "scale": torch.tensor([0.5, -1.0, 2.0, 1.5]),
                    "bias": torch.tensor([1.0, 0.0, -2.0, 0.25])}
    generator = torch.Generator().manual_seed(2)
    chunks = [1, 4, 1, 2, 8]
    if kind in OTHERS:
        graph, step, state = _other(kind, given_values)
        x = torch.randn(3, 4, 16, generator=generator)
        assert compare(graph, step, x, state, given_values, chunks) < TOLERANCE
        return
    for layer in map(_randomised, LAYERS[kind]):
        build = Builder("forward", 4)
        graph = build.finish(layer.lower(build, build.input))
        assert kind in [op.kind for op in graph.ops]
        assert granularity(graph) == layer.granularity
        x = torch.randn(3, 4, 16 * layer.granularity, generator=generator)
        state = tuple(torch.randn(s.shape, generator=generator) for s in layer.init_state(3))
        if kind == "noise_multiply":
            state = (torch.tensor([[0.0], [2.0**24 - 3], [123456.0]]),)  # one about to wrap
        error = compare(graph, layer, x, state, {}, chunks)
        assert error < TOLERANCE


def test_noise_is_the_same_bit_for_bit():
    layer = NoiseMultiply(7, seed=3)
    build = Builder("forward", 7)
    graph = build.finish(layer.lower(build, build.input))
    x, state = torch.ones(2, 7, 50), (torch.tensor([[5.0], [2.0**24 - 20]]),)
    got, held = run_graph(graph, x, state, {}, [1, 30, 19])
    wanted, after = layer(x, state)
    assert got.shape == wanted.shape
    assert np.array_equal(got, wanted.numpy())
    assert np.array_equal(held[0], after[0].numpy())


def test_guard_cleans_every_wrong_number():
    layer = Guard(1)
    build = Builder("forward", 1)
    graph = build.finish(layer.lower(build, build.input))
    x = torch.tensor([[[0.5, torch.nan, torch.inf, -torch.inf, 1e30, -1e30, 3.5e38, -9.0, 8.0]]])
    got, _ = run_graph(graph, x, (), {}, [9])
    assert got.tolist() == [[[0.5, 0, 0, 0, 8, -8, 0, -8, 8]]]


@settings(max_examples=25, deadline=None)
@given(net=stack())
def test_random_stacks_equal_pytorch(net):
    build = Builder("forward", net.in_channels)
    graph = build.finish(net.lower(build, build.input))
    chunks = [1, 3, 1, 7]
    x = signal(net, sum(chunks), 2, torch.float32)
    assert granularity(graph) == net.granularity
    assert graph.output.ratio == net.ratio
    assert compare(graph, net, x, net.init_state(2, x.dtype), {}, chunks) < TOLERANCE


def test_a_method_that_only_passes_on_is_a_valid_file():
    build = Builder("forward", 2)
    x = torch.randn(1, 2, 5)
    got, _ = run_graph(build.finish(build.input), x, (), {}, [2, 3])
    assert np.array_equal(got, x.numpy())


def test_parametrised_weights_are_folded_and_the_model_left_alone():
    conv = torch.nn.utils.parametrizations.weight_norm(Conv1d(2, 3, 3))
    with torch.no_grad():
        conv.parametrizations.weight.original0.mul_(1.7)
    net = Sequence(conv)
    build = Builder("forward", 2)
    graph = build.finish(net.lower(build, build.input))
    x = torch.randn(1, 2, 9)
    assert compare(graph, net, x, net.init_state(), {}, [9]) < TOLERANCE
    assert "parametrizations.weight.original0" in dict(conv.named_parameters())


# --- model by model ---------------------------------------------------------------------------


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
    alone = play(OnnxPlayer(path), "forward", x[1], [128])
    assert both.shape == (2, 1, 640)
    # Another batch size may add in another order, no more.
    assert np.abs(both[1] - alone).max() < 1e-6


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

    The reference is float64: over ten million samples, the rounding of two float32 runs that add
    in different order is apart by up to twice what each is wrong."""
    net = small_model("raw_vae", "wide")
    path = tmp_path / "x.onnx"
    export_onnx(net, path, net.describe("small"))
    player, minute = OnnxPlayer(path), 60 * 16000 // 1024 * 1024
    errors = []
    net = net.double()
    state, controls = net.init_state("forward"), net.default_attributes()
    rng = np.random.default_rng(0)
    for number in range(10):
        x = noise(1, minute, seed=number)
        with torch.no_grad():  # one block a minute, carrying its own state
            wanted, state = net.step("forward", torch.from_numpy(x).double(), state, controls)
        sizes = (1024 * rng.integers(1, 24, 40)).tolist()
        got = play(player, "forward", x[0], sizes)
        assert got.shape == wanted[0].shape
        errors.append(float(np.abs(got - wanted[0].numpy()).max()))
    assert max(errors) < TOLERANCE
    assert errors[-1] < 3 * errors[0]


# --- the files themselves ---------------------------------------------------------------------


def test_metadata_says_what_a_host_needs(mono):
    path, net = mono
    files = method_files(path, list(net.methods))
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
        "attribute_scale", "attribute_bias", "attribute_temperature"}
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
    for file in method_files(path, list(net.methods)).values():
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
        "from engine.runtime import load\nimport numpy as np\n"
        f"y = load({str(mono[0])!r}).process('forward', np.zeros((1, 64), np.float32))\n"
        "assert y.shape == (1, 64)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr


def test_rates_of_every_value_make_the_granularity():
    build = Builder("forward", 1)
    x = build.op("conv1d", build.input, channels=1, ratio=4)
    x = build.op("conv_transpose1d", x, channels=1, ratio=Fraction(1, 3))
    assert granularity(build.finish(x)) == 4
