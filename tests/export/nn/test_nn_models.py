"""Models that nn~ files are made from: folded, lifted, refused; which PyTorch it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.errors import ConfigError, TudorError
from export.nn.export import build_shell, export_nn, folded
from tests.export.nn.nn_host import NnHost
from tests.export.nn.offline import assert_same, expected, noise
from tests.export.small_models import small_model


def test_a_pytorch_without_a_private_pass_is_told_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model()
    monkeypatch.delattr(torch._C, "_jit_pass_constant_pooling")
    with pytest.raises(TudorError, match=r"lacks torch\._C\._jit_pass_constant_pooling") as error:
        export_nn(model, tmp_path / "x.ts", model.describe("x"))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_only_one_file_names_private_parts_of_pytorch() -> None:
    folder = Path(__file__).parents[3] / "export/nn"
    named = [f.name for f in folder.glob("*.py") if "torch._C." in f.read_text(encoding="utf-8")]
    assert named == ["internals.py"]


def test_folds_parametrisations_and_leaves_the_model_alone(tmp_path: Path) -> None:
    model = small_model()
    for module in list(model.encoder.modules()):
        if type(module).__name__ == "Conv1d" and isinstance(module.weight, torch.nn.Parameter):
            torch.nn.utils.parametrizations.weight_norm(module)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert any("parametrizations" in name for name in before)
    path = tmp_path / "normed.ts"
    export_nn(model, path, model.describe("normed"))
    assert {n: v.tolist() for n, v in before.items()} == {
        n: v.tolist() for n, v in model.state_dict().items()}
    signal = noise(1, 1, 2048)
    assert_same(NnHost(path, "forward", 512).play(signal), expected(model, "forward", signal))


def test_small_ratios_get_a_method_that_lifts_the_block() -> None:
    model = small_model("raw_vae", "one latent")  # compression 8
    assert model.ratio < 64
    shell = build_shell(folded(model), model.describe("low"), 2)
    assert "idle" in shell.get_methods()
    assert shell.idle_params.tolist() == [1, 64, 1, 64]
    x = torch.zeros(1, 1, 4)
    assert shell.idle(x).shape == x.shape


def test_ratios_must_be_powers_of_two(tmp_path: Path) -> None:
    model = small_model()
    description = model.describe("odd")
    method = replace(description.methods["encode"], out_ratio=48)
    odd = replace(description, methods={**description.methods, "encode": method})
    with pytest.raises(ConfigError, match="powers of two"):
        export_nn(model, tmp_path / "odd.ts", odd)
    assert not list(tmp_path.iterdir())
