"""A run of loops becomes a shipped preset: with a small one, in a folder of presets of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch

import engine.presets
from engine.models.latent_flow import LatentFlow
from engine.models.loops import LoopModel
from engine.models.store import build_from, load_model, save_weights
from engine.players.base import load
from engine.presets import preset_names, preset_path, shipped_names, shipped_native
from engine.resolve import PRESET, resolve
from scripts import preset_loops, preset_measure, ship
from tests.training.data.test_loop_data import folder
from training.data.loops import coder_model, shape_of
from training.run import config

CODER, NAME = "techno-tiny", "loops-pi"
SOURCE = "`tudor corpus techno loops --minutes 5 --seed 7`"
SHAPE = {"width": 16, "layers": 1, "window_width": 8, "history_width": 8, "history": 2,
         "flow_width": 16, "codes": 3, "styles": ["acid", "dub"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of a small flow on a shipped coder."""
    out = tmp_path_factory.mktemp("runs") / "loops"
    out.mkdir()
    coder = coder_model(CODER)
    model = {"family": "latent_flow", "start": "rest", "sample_rate_hz": 16000, "latents": 16,
             "compression": 128, **SHAPE, "coder": shape_of(coder)}
    training = {"objective": "loop_flow", "data": "loops", "coder": CODER, "seed": 3, "steps": 7,
                "batch_size": 4, "crop_seconds": 2.0}
    settings = {"model": model, "training": training, "data": {"folder": "/gone"}}
    made = build_from(settings, seed=1)
    assert isinstance(made, LatentFlow)
    made.adopt(coder)
    torch.nn.init.normal_(made.velocity.last.weight)  # which begins at 0: what is drawn is noise
    (out / "config.toml").write_text(tomli_w.dumps(settings), "utf-8")
    (out / "metrics.jsonl").write_text('{"step": 0}\n{"step": 7}\n', "utf-8")
    save_weights(made, out / "model.safetensors")
    return out


@pytest.fixture(scope="module")
def presets(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the coder's preset, and what the run becomes."""
    here = tmp_path_factory.mktemp("presets")
    for path in preset_path(CODER).parent.glob(f"{CODER}.*"):
        shutil.copy(path, here)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.presets, "_HERE", here)
        patch.setenv("XDG_CACHE_HOME", str(here / "cache"))
        ship.ship(run, NAME, [SOURCE])
    return here


@pytest.fixture(autouse=True)
def _here(presets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.presets, "_HERE", presets)
    monkeypatch.setenv("XDG_CACHE_HOME", str(presets / "cache"))


def test_the_coders_weights_ship_once(presets: Path) -> None:
    assert preset_names() == shipped_names() == [NAME, CODER]
    own = {path.name: path.stat().st_size for path in presets.glob(f"{NAME}.*")}
    assert set(own) == {f"{NAME}.{suffix}" for suffix in ("toml", "packed", "places")}
    native = shipped_native(NAME)
    assert native is not None
    assert native.parent.parent == presets / "cache" / "nn-tudor"
    coder_bytes = (presets / f"{CODER}.tudor").stat().st_size
    assert native.stat().st_size > coder_bytes
    assert own[f"{NAME}.packed"] + own[f"{NAME}.places"] < 0.5 * (
        native.stat().st_size - coder_bytes)


def test_weights_are_the_runs_in_8_bits_and_the_coders_to_the_bit(run: Path) -> None:
    before, stored = load_model(str(run)), load_model(NAME)
    assert stored.trained
    found, coder = stored.model, load_model(CODER).model
    assert isinstance(found, LoopModel)
    assert found.codec is not None
    assert found.codec.latents == coder.latents != ()
    for key, values in coder.state_dict().items():
        assert torch.equal(found.codec.state_dict()[key], values), key
    assert found.state_dict().keys() == before.model.state_dict().keys()
    rounded = 0
    for key, values in before.model.named_parameters():
        other = found.state_dict()[key]
        if not key.startswith("codec.") and values.dim() > 1:
            assert torch.allclose(other, values, rtol=2**-8, atol=0), key
            rounded += int((other != values).sum())
        else:
            assert torch.equal(other, values), key
    assert rounded > 1000


def test_it_plays_without_pytorch_what_its_weights_say() -> None:
    player, model = load(NAME), load_model(NAME).model
    assert player.backend == "native"
    x = preset_loops.conditions_of(player, 125.0, 1, (1,))
    played = player.process("generate", x)
    assert np.abs(played).max() > 0.1
    told = model.offline("generate", torch.from_numpy(x)[None])[0].numpy()
    assert np.abs(played - told).max() < 1e-3
    sound = preset_loops.played(NAME, 125.0, 1, (1, 4))
    assert sound.shape == (1, round(1.92 * 16000))
    assert np.abs(sound - preset_loops.played(NAME, 125.0, 1, (1,))).max() > 1e-3


def test_it_is_a_recipe_for_other_coders_and_folders(tmp_path: Path) -> None:
    for path in Path(__file__).parents[2].glob("engine/presets/techno-daisy.*"):
        shutil.copy(path, engine.presets._HERE)
    sounds = folder(tmp_path / "data", sounds=((125, 1), (128, 2)))
    other = config.resolve(NAME, sounds, [], coder="techno-daisy")
    assert other.model.coder == shape_of(coder_model("techno-daisy"))
    assert other.model.compression == 64
    assert (other.model.width, other.training.crop_seconds) == (16, 2.0)
    assert other.training.steps == 20000, "the length of a run is no part of a recipe"
    same = config.resolve(NAME, sounds, [])
    assert same.training.coder == CODER
    assert same.model.styles != ("acid", "dub"), "styles are those of the folder"
    on = config.resolve(NAME, sounds, [], start_from=NAME)
    assert on.model.styles == ("acid", "dub"), "weights know those that they learnt from"
    for path in engine.presets._HERE.glob("techno-daisy.*"):
        path.unlink()


def test_it_is_of_the_third_kind_and_says_so() -> None:
    assert resolve(NAME).kind == PRESET
    assert preset_measure.loop_names() == [NAME]
    assert preset_measure.coded_names() == [CODER]
    assert preset_measure.drawn_names() == []
    page = "\n".join(preset_loops.page())
    assert f"### {NAME}" in page
    assert f"`python scripts/figures.py --measure {NAME}`" in page
    card = preset_measure.card_of(NAME)
    assert card["board"] == "pi4"
    assert "7 steps of 4 crops of 2 s" in card["training"][0]
    material = preset_loops.learnt(NAME)
    assert material is not None
    assert material.folder.name == "loops-16000-7"


def test_shipped_again_its_card_stays(run: Path, presets: Path) -> None:
    path = preset_path(NAME)
    text = path.read_text("utf-8").replace("One seed.", "Two seeds.")
    path.write_text(text, "utf-8")
    ship.ship(run, NAME, [])
    assert path.read_text("utf-8") == text


def test_what_cannot_ship_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="loops-new has no card yet: say what it learnt from"):
        ship.ship(run, "loops-new", [])
    with pytest.raises(SystemExit, match=f"{CODER} is no run of `tudor train`"):
        ship.ship(Path(CODER), "loops-new", [SOURCE])
    other = tmp_path / "other"
    shutil.copytree(run, other)
    text = (other / "config.toml").read_text("utf-8")
    (other / "config.toml").write_text(text.replace(f'coder = "{CODER}"', 'coder = "runs/mine"'))
    with pytest.raises(SystemExit, match=r"training\.coder is 'runs/mine'; what ships wants a"):
        ship.ship(other, "loops-new", [SOURCE])
    (other / "config.toml").write_text(text)
    stored = load_model(str(run)).model
    assert isinstance(stored, LoopModel)
    assert stored.codec is not None
    with torch.no_grad():
        next(stored.codec.parameters()).mul_(2)
    save_weights(stored, other / "model.safetensors")
    with pytest.raises(SystemExit, match=f"its coder has not the weights that {CODER} ships now"):
        ship.ship(other, "loops-new", [SOURCE])
    assert preset_names() == [NAME, CODER], "nothing is left of what was refused"
