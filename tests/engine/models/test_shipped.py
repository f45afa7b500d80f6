"""A preset's weights come out of its native file as they went in."""

from __future__ import annotations

import importlib.util
import lzma
import shutil
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import ModelFileError
from engine.models.coded import Coded
from engine.models.loops import LoopModel
from engine.models.shipped import pack_places, shipped_weights
from engine.models.store import load_model, save_weights
from engine.presets import preset_names, preset_path, shipped_native
from export.native.export import export_native

ROOT = Path(__file__).parents[3]
NATIVE = preset_path("techno-tiny").with_suffix(".tudor")


@pytest.mark.parametrize("name", preset_names())
def test_weights_are_those_of_the_checkout_bit_by_bit(name: str) -> None:
    source = preset_path(name).with_suffix(".safetensors")
    other, stored = script().of_checkout(name), load_model(name)
    wanted, inside = other.state_dict(), load_file(source)
    assert {key for key in wanted if key not in inside} == {
        key for key in wanted if isinstance(other, LoopModel) and key.startswith("codec.")}
    assert all(torch.equal(values, wanted[key]) for key, values in inside.items())
    found = stored.model.state_dict()
    assert sum(values.numel() for values in found.values()) > 15_000
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        assert found[key].shape == values.shape
        assert torch.equal(found[key].view(torch.int32), values.view(torch.int32)), key
    assert isinstance(stored.model, Coded) == isinstance(other, Coded)
    if isinstance(stored.model, Coded) and isinstance(other, Coded):
        assert stored.model.latents == other.latents
    assert stored.trained
    assert stored.weights_path == shipped_native(name)


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("places", ROOT / "scripts" / "places.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_places_are_found_in_a_file_that_starts_at_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native, module, model = tmp_path / "m.tudor", script(), load_model("techno-tiny").model
    model.config = model.config.model_copy(update={"start": "rest"})
    export_native(model, native, model.describe("techno-tiny", {"note": "another length"}))
    save_weights(model, native.with_suffix(".safetensors"))
    monkeypatch.setattr(module, "shipped_native", lambda name: native)
    native.with_suffix(".places").write_bytes(module.places("techno-tiny"))
    found, _ = shipped_weights(native)
    assert len(module.starts_like(native)) == 3
    for key, values in model.state_dict().items():
        assert torch.equal(found[key], values), key


def test_places_are_what_the_script_writes() -> None:
    module = script()
    kept = NATIVE.with_suffix(".places").read_bytes()
    assert lzma.decompress(module.places("techno-tiny")) == lzma.decompress(kept)
    assert len(kept) < 4096


def test_places_of_another_file_are_refused(tmp_path: Path) -> None:
    native = tmp_path / "m.tudor"
    data = bytearray(NATIVE.read_bytes())
    data[-1] ^= 1
    native.write_bytes(data)
    shutil.copy(NATIVE.with_suffix(".places"), tmp_path / "m.places")
    with pytest.raises(ModelFileError, match=r"m\.places belongs to another m\.tudor"):
        shipped_weights(native)
    (tmp_path / "m.places").write_bytes(b"no")
    with pytest.raises(ModelFileError, match=r"m\.places is damaged"):
        shipped_weights(native)
    (tmp_path / "m.places").unlink()
    with pytest.raises(ModelFileError, match=r"m\.places"):
        shipped_weights(native)


def test_wrong_positions_are_not_packed() -> None:
    tensors, _ = shipped_weights(NATIVE)
    positions = torch.zeros(sum(t.numel() for t in tensors.values()), dtype=torch.int64).numpy()
    with pytest.raises(ValueError, match="does not hold these weights"):
        pack_places(NATIVE.read_bytes(), tensors, positions)
