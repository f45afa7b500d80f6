"""A preset's weights come out of its native file as they went in."""

from __future__ import annotations

import lzma
import shutil
from pathlib import Path

import pytest
import torch

from engine.description import Description
from engine.errors import ModelFileError
from engine.models.shipped import pack_places, shipped_weights
from engine.models.store import load_model
from engine.players.native_model import NativeFile
from engine.presets import preset_names, preset_path, shipped_native
from export.native.export import export_native
from export.verify import weights_hash
from scripts.places import places, starts_like

NATIVE = preset_path("techno-tiny").with_suffix(".tudor")


@pytest.mark.parametrize("name", preset_names())
def test_weights_are_those_that_the_native_file_was_made_of(name: str) -> None:
    native, stored = shipped_native(name), load_model(name)
    assert native
    assert stored.trained
    assert stored.weights_path == native
    assert sum(values.numel() for values in stored.model.state_dict().values()) > 15_000
    told = Description.from_json(NativeFile(native).metadata, name).provenance["weights_sha256"]
    assert weights_hash(stored.model) == told
    with torch.no_grad():
        next(stored.model.parameters()).view(torch.int32).flatten()[0] ^= 1
    assert weights_hash(stored.model) != told


def test_weights_stand_nowhere_else() -> None:
    assert not list(preset_path("techno-tiny").parent.glob("*.safetensors"))


def test_places_are_found_in_a_file_that_starts_at_rest(tmp_path: Path) -> None:
    native, model = tmp_path / "m.tudor", load_model("techno-tiny").model
    model.config = model.config.model_copy(update={"start": "rest"})
    export_native(model, native, model.describe("techno-tiny", {"note": "another length"}))
    native.with_suffix(".places").write_bytes(places(native, model))
    found, _ = shipped_weights(native)
    assert len(starts_like(native)) == 3
    for key, values in model.state_dict().items():
        assert torch.equal(found[key], values), key


def test_places_are_what_the_script_writes() -> None:
    made = places(NATIVE, load_model("techno-tiny").model)
    kept = NATIVE.with_suffix(".places").read_bytes()
    assert lzma.decompress(made) == lzma.decompress(kept)
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
