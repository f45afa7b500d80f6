"""A run of a coder of sound becomes a shipped preset: a small one, in presets of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

import engine.presets
from engine.description import Description, Latent
from engine.models.raw_vae import RawVAE
from engine.models.store import load_model, save_weights
from engine.players.base import load
from engine.players.host import Host
from engine.players.native_model import NativeFile
from engine.presets import preset_names, preset_path, shipped_native
from scripts import preset_measure, ship
from tests.export.small_models import small_model

NAME = "rain-desktop"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of an untrained coder."""
    made = small_model("raw_vae", "mono")
    assert isinstance(made, RawVAE)
    made.set_latents((Latent(-1.0, 2.0, 0.5, 1.0, 1.5, active=True),) * made.coded)
    out = tmp_path_factory.mktemp("runs") / "rain"
    out.mkdir()
    model = {"family": "raw_vae", **made.config.model_dump(mode="json")}
    (out / "config.toml").write_text(tomli_w.dumps({
        "model": model, "data": {"folder": "/gone"},
        "training": {"objective": "autoencoder", "data": "crops", "seed": 3, "steps": 7,
                     "batch_size": 4, "crop_seconds": 1.0}}), "utf-8")
    (out / "metrics.jsonl").write_text('{"step": 7}\n', "utf-8")
    save_weights(made, out / "model.safetensors")
    return out


@pytest.fixture(autouse=True, scope="module")
def presets(run: Path, tmp_path_factory: pytest.TempPathFactory):
    """A folder with what the run becomes."""
    here = tmp_path_factory.mktemp("presets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.presets, "_HERE", here)
        ship.ship(run, NAME, ["`tudor corpus textures rain --minutes 5`"])
        yield here


def test_it_ships_whole(presets: Path) -> None:
    assert preset_names() == preset_measure.coded_names() == [NAME]
    assert {path.name for path in presets.iterdir()} == {
        f"{NAME}.{suffix}" for suffix in ("toml", "tudor", "places")}
    card = preset_measure.card_of(NAME)
    assert (card["board"], card["dtype"]) == ("desktop", "float32")
    assert "7 steps of 4 crops of 1 s" in card["training"][0]
    assert preset_path(NAME).read_text("utf-8").startswith('summary = "sound from its latents')


def test_it_plays_its_weights(run: Path) -> None:
    """The shipped native file plays what its weights say, and the run's latents are told in it."""
    player, model = load(NAME), load_model(NAME).model
    assert player.backend == "native"
    before = load_model(str(run)).model
    assert isinstance(model, RawVAE)
    assert isinstance(before, RawVAE)
    assert model.latents == before.latents != ()
    x = 0.1 * np.random.default_rng(1).standard_normal((1, 16 * model.ratio)).astype(np.float32)
    wanted = model.offline("forward", torch.from_numpy(x)[None])[0].numpy()
    found = Host(player, "forward").process(x)
    late = Host(player, "forward").latency_samples - model.methods["forward"].lookahead_samples
    assert np.abs(wanted).max() > 1e-3
    assert np.allclose(found[:, late:], wanted[:, : wanted.shape[1] - late], atol=1e-4)


def test_it_ships_again_of_what_it_ships(presets: Path, tmp_path: Path) -> None:
    """Weights stand in the native file alone: a preset is written anew out of its own files."""
    names, toml = {path.name for path in presets.iterdir()}, preset_path(NAME).read_bytes()
    before = told(NAME)
    ship.ship(Path(NAME), NAME, [])
    assert {path.name for path in presets.iterdir()} == names
    assert preset_path(NAME).read_bytes() == toml
    after = told(NAME)
    assert before.pop("exported_at") <= after.pop("exported_at")
    assert after == before
    with pytest.raises(SystemExit, match="no run of `tudor train`"):
        ship.ship(tmp_path / "none", NAME, [])


def told(name: str) -> dict[str, Any]:
    return dict(Description.from_json(NativeFile(shipped_native(name)).metadata, name).provenance)


def test_what_does_not_come_out_as_it_went_in_is_refused() -> None:
    model = load_model(NAME).model
    ship.same_weights(NAME, model)
    with torch.no_grad():
        next(model.parameters()).view(torch.int32).flatten()[0] ^= 1
    with pytest.raises(SystemExit, match="does not come out of its native file as it went in"):
        ship.same_weights(NAME, model)


def test_of_other_families_a_person_writes_the_card() -> None:
    made = ship.made_by(small_model("wavenet", "mixture"))
    assert made is None
    with pytest.raises(SystemExit, match=r"write s\.toml with a \[card\] first"):
        ship.people("s", Path("run"), {"model": {"family": "wavenet"}}, ["x"], made)


def test_other_families_are_refused(tmp_path: Path) -> None:
    made = small_model("latent_vae", "loops")
    with pytest.raises(SystemExit, match=r"training\.coder"):
        ship.check_coder(made, "", tmp_path)  # type: ignore[arg-type]
