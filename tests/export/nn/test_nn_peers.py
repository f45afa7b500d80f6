"""Second opinions and strangers: nn_tilde's own checks, its files, damaged files, odd layers."""

from __future__ import annotations

import importlib
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.errors import AudioError, ConfigError, ModelFileError
from engine.layers import (
    ELU,
    GRU,
    LSTM,
    Conv1d,
    ConvTranspose1d,
    Delay,
    GatedUnit,
    Guard,
    LeakyReLU,
    NoiseMultiply,
    Parallel,
    PQMFAnalysis,
    PQMFSynthesis,
    Residual,
    Sequence,
    Sigmoid,
    Snake,
    State,
    Tanh,
)
from engine.models.base import Attributes, Model, ModelConfig
from engine.models.chain import Chain
from engine.players.torchscript import TorchScriptPlayer
from export.nn.export import export_nn
from tests.export.nn.nn_host import NnHost
from tests.export.small_models import small_model

# nn_tilde's modules tidy up a folder of their own when they are collected, and may not find it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def nn_tilde() -> Any:
    """The package of nn~, with a stand-in for cached_conv, of which it reads one number."""
    stand_in = types.ModuleType("cached_conv")
    stand_in.MAX_BATCH_SIZE = 64  # type: ignore[attr-defined]
    sys.modules.setdefault("cached_conv", stand_in)
    try:
        return importlib.import_module("nn_tilde")
    except ImportError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"nn_tilde: {error}")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nn") / "small.ts"
    model = small_model()
    export_nn(model, path, model.describe("small"))
    return path


def test_nn_tilde_accepts_every_method(nn_tilde: Any, exported: Path) -> None:
    """`register_method` plays 1 and 4 batches and checks shapes, lengths and types."""

    class Wrapped(nn_tilde.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.jit.load(str(exported))
            for name in self.inner.get_methods():
                setattr(self, name, getattr(self.inner, name))
                self.register_method(
                    name, *getattr(self.inner, f"{name}_params").tolist(),
                    input_labels=list(getattr(self.inner, f"{name}_input_labels")),
                    output_labels=list(getattr(self.inner, f"{name}_output_labels")))

    wrapped = Wrapped()
    assert set(wrapped._methods) == {"encode", "decode", "forward"}
    codes = {code for name in wrapped.inner.get_attributes()
             for code in getattr(wrapped.inner, f"{name}_params").tolist()}
    assert codes <= {nn_tilde.TYPE_HASH[int], nn_tilde.TYPE_HASH[float]}


def test_plays_a_file_that_nn_tilde_wrote(nn_tilde: Any, tmp_path: Path) -> None:
    path = tmp_path / "foreign.ts"
    foreign_module(nn_tilde).export_to_ts(str(path))
    player = TorchScriptPlayer(path, batch=2)
    spec = player.methods["smooth"]
    assert (spec.in_channels, spec.in_ratio, spec.out_channels, spec.out_ratio) == (1, 1, 2, 64)
    assert spec.input_labels == ("in",)
    assert player.sample_rate_hz == 32000
    x = np.ones((2, 1, 128), np.float32)
    first = player.process("smooth", x)
    assert first.shape == (2, 2, 2)
    assert not np.array_equal(player.process("smooth", x), first), "it carries state"
    player.set("gain", 3.0)
    assert float(player.get("gain")[0]) == 3.0
    player.reset()
    np.testing.assert_allclose(player.process("smooth", x), 3 * first)


def foreign_module(nn_tilde: Any) -> Any:
    class Foreign(nn_tilde.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sampling_rate = 32000
            self.register_attribute("gain", 1.0)
            self.register_buffer("total", torch.zeros(1))
            self.register_method("smooth", 1, 1, 2, 64, ["in"], ["a", "b"], test_method=False)

        @torch.jit.export
        def smooth(self, x: Tensor) -> Tensor:
            self.total += 1
            y = x[:, :, ::64] * self.total * self.gain[0]
            return torch.cat([y, y], 1)

        @torch.jit.export
        def get_gain(self) -> float:
            return self.gain[0]

        @torch.jit.export
        def set_gain(self, value: float) -> int:
            self.gain = (value,)
            return 0

    return Foreign()


def broken_files(exported: Path) -> dict[str, bytes]:
    whole = exported.read_bytes()
    return {"half": whole[: len(whole) // 2], "empty": b"", "text": b"not a model", "tail":
            whole[len(whole) // 2 :]}


@pytest.mark.parametrize("kind", ["half", "empty", "text", "tail"])
def test_damaged_files_are_named(exported: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"{kind}.ts"
    path.write_bytes(broken_files(exported)[kind])
    with pytest.raises(ModelFileError, match=path.name) as error:
        TorchScriptPlayer(path)
    assert "\n" not in str(error.value)


def test_foreign_archives_are_named(tmp_path: Path) -> None:
    pickled, scripted = tmp_path / "weights.ts", tmp_path / "scripted.ts"
    torch.save({"weight": torch.zeros(3)}, pickled)
    torch.jit.script(nn.ReLU()).save(str(scripted))
    with pytest.raises(ModelFileError, match="no TorchScript model"):
        TorchScriptPlayer(pickled)
    with pytest.raises(ModelFileError, match="no model for nn~"):
        TorchScriptPlayer(scripted)


def test_player_checks_blocks_and_counts_bytes(exported: Path) -> None:
    model, player = small_model(), TorchScriptPlayer(exported, batch=2)
    with pytest.raises(AudioError):
        player.process("encode", np.zeros((2, 1, 63), np.float32))
    for method in player.methods:
        numbers = sum(s.numel() for s in model.init_state(method, 2))
        assert player.state_bytes(method) == 4 * numbers
        assert player.weights_bytes(method) > 0
    assert player.weights_bytes("encode") < player.weights_bytes("forward")


class Zoo(Model):
    """Every layer once."""

    family = "zoo"

    def __init__(self) -> None:
        super().__init__()
        self.config = ModelConfig()
        self.guard = Guard(2)
        self.net = Sequence(
            PQMFAnalysis(4, 2), Conv1d(8, 8, 4, stride=2, groups=2), Snake(8),
            Conv1d(8, 8, 5, stride=8, dilation=2), ELU(8), GRU(8, 8), LSTM(8, 8),
            Residual(Conv1d(8, 8, 3, dilation=3, lookahead=3), LeakyReLU(8)),
            Parallel(Conv1d(8, 8, 1), Sequence(Conv1d(8, 8, 2), Sigmoid(8)), combine="product"),
            GatedUnit(8), Conv1d(4, 8, 3, bias=False), Delay(8, 3), ConvTranspose1d(8, 8, 19, 8),
            NoiseMultiply(8), ConvTranspose1d(8, 8, 4, 2, groups=2), Tanh(8), PQMFSynthesis(4, 2))

    def chains(self) -> dict[str, Chain]:
        sides = ("left", "right")
        return {"forward": Chain.of(self.guard, self.net, inputs=sides, outputs=sides)}


@pytest.mark.parametrize("buffer", [64, 256])
def test_every_layer_plays_as_offline(tmp_path: Path, buffer: int) -> None:
    torch.manual_seed(0)
    model = Zoo().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    path = tmp_path / "zoo.ts"
    export_nn(model, path, model.describe("zoo"))
    for batch in (1, 3):
        host = NnHost(path, "forward", buffer, batch)
        x = np.random.default_rng(1).standard_normal((batch, 2, 2048)).astype(np.float32)
        wanted = model.offline("forward", torch.from_numpy(x)).numpy()
        got = host.play(x)
        assert got.shape == wanted.shape
        assert np.abs(wanted).max() > 0.05
        assert np.abs(got - wanted).max() <= 1e-5


def test_old_weight_norm_is_folded(tmp_path: Path) -> None:
    model = small_model()
    for module in list(model.encoder.modules()):
        if type(module).__name__ == "Conv1d" and isinstance(module.weight, nn.Parameter):
            with pytest.warns(FutureWarning):
                nn.utils.weight_norm(module)
    x = torch.from_numpy(np.random.default_rng(2).standard_normal((1, 1, 1024), np.float32))
    wanted = model.offline("forward", x).numpy()
    path = tmp_path / "old.ts"
    export_nn(model, path, model.describe("old"))
    assert np.abs(NnHost(path, "forward", 512).play(x.numpy()) - wanted).max() <= 1e-5
    assert np.array_equal(model.offline("forward", x).numpy(), wanted)


def test_operators_that_nn_lacks_are_refused(tmp_path: Path) -> None:
    class Fancy(Zoo):
        def step(
            self, method: str, x: Tensor, state: State, attributes: Attributes
        ) -> tuple[Tensor, State]:
            x = nn.functional.interpolate(x, scale_factor=2.0)[:, :, ::2]
            return super().step(method, x, state, attributes)

    model = Fancy().eval()
    with pytest.raises(ConfigError, match="official builds"):
        export_nn(model, tmp_path / "fancy.ts", model.describe("fancy"))
    assert not list(tmp_path.iterdir())
