"""Exported files in a program of C++: the LibTorch of nn~'s official builds, and today's."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.nn.export import export_nn
from export.nn.host_rate import at_host_rate
from tests.export.nn.libtorch import program
from tests.export.small_models import small_model

pytestmark = pytest.mark.slow
BATCH, BLOCK, BLOCKS = 2, 256, 12


@pytest.fixture(scope="module", params=["2.5.1", "installed"])
def player(request: pytest.FixtureRequest) -> Path:
    return program(request.param)


@pytest.mark.parametrize("shape", ["mono", "stereo"])
@pytest.mark.parametrize("method", ["encode", "decode", "forward"])
def test_plays_without_python(player: Path, tmp_path: Path, shape: str, method: str) -> None:
    model = small_model("raw_vae", shape)
    export_nn(model, tmp_path / "x.ts", model.describe("x"))
    spec = model.methods[method]
    x = (0.3 * np.random.default_rng(0).standard_normal(
        (BATCH, spec.in_channels, BLOCKS * BLOCK // spec.in_ratio))).astype(np.float32)
    settings = {"seed": [77.0]} if method == "encode" else {"seed": [77.0], "bias_at": [2, 0.5]}
    y, said = play(player, tmp_path, method, x, settings)
    bias = torch.zeros(model.attributes["bias"].size)
    bias[1] = 0.5
    wanted = model.offline(method, torch.from_numpy(x), bias=bias,
                           seed=torch.tensor([77.0])).numpy()
    assert said == ""
    assert y.shape == wanted.shape
    assert np.abs(wanted).max() > 0.01
    assert np.abs(y - wanted).max() < 1e-5


def test_plays_at_a_host_s_rate(player: Path, tmp_path: Path) -> None:
    model = at_host_rate(small_model(), 48000)
    export_nn(model, tmp_path / "x.ts", model.describe("x"))
    x = (0.3 * np.random.default_rng(0).standard_normal((BATCH, 1, BLOCKS * BLOCK))).astype(
        np.float32)
    y, said = play(player, tmp_path, "forward", x, {"seed": [77.0]})
    wanted = model.offline("forward", torch.from_numpy(x), seed=torch.tensor([77.0])).numpy()
    assert said == ""
    assert y.shape == wanted.shape
    assert np.abs(wanted).max() > 0.01
    assert np.abs(y - wanted).max() < 1e-5


def test_a_refused_value_says_why(player: Path, tmp_path: Path) -> None:
    model = small_model()
    export_nn(model, tmp_path / "x.ts", model.describe("x"))
    x = np.zeros((1, 1, BLOCKS * BLOCK), np.float32)
    _, said = play(player, tmp_path, "forward", x, {"temperature": [5.0], "bias_at": [9, 0.0]})
    assert "temperature goes from 0 to 4, not 5. (the old value stays)" in said
    assert "bias_at takes a number from 1 to 4 and a value, not 9" in said


def play(player: Path, folder: Path, method: str, x: Any, settings: dict[str, list[float]]
         ) -> tuple[Any, str]:
    """[batch, channels, frames] through `folder`/x.ts in blocks; and what was printed."""
    blocks = np.split(x, BLOCKS, axis=2)
    (folder / "in").write_bytes(b"".join(np.ascontiguousarray(b).tobytes() for b in blocks))
    words = [w for name, values in settings.items() for w in (",", name, *map(str, values))]
    done = subprocess.run(
        [player, folder / "x.ts", method, *map(str, blocks[0].shape), str(BLOCKS), folder / "in",
         folder / "out", *words[1:]], capture_output=True, text=True, check=True)
    params = torch.jit.load(str(folder / "x.ts")).__getattr__(f"{method}_params").tolist()
    y = np.fromfile(folder / "out", np.float32).reshape(BLOCKS, len(x), params[2], -1)
    return np.concatenate(list(y), axis=2), done.stdout.partition("\n")[2]
