"""A run of a drum voice becomes a shipped preset: a small one, in presets of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch

import engine.presets
from engine.models.base import Model
from engine.models.spectrogram_gan import SpectrogramGAN
from engine.models.store import load_model, save_weights
from engine.players.base import load
from engine.presets import preset_names, preset_path, shipped_names, shipped_native
from scripts import preset_measure, preset_strokes, ship
from tests.export.small_models import small_model

NAME = "kit-pi"
SOURCE = "`tudor corpus drums hits --minutes 5 --genre all --seed 7`"


def run_of(made: Model, out: Path) -> Path:
    """A run directory of an untrained voice."""
    assert isinstance(made, SpectrogramGAN)
    out.mkdir()
    training = {"objective": "frame_game", "data": "hits", "seed": 3, "steps": 7, "batch_size": 4,
                "crop_seconds": 1.0, "reconstruction": 10.0}
    model = {"family": "spectrogram_gan", **made.config.model_dump(mode="json",
                                                                   exclude={"voices"})}
    (out / "config.toml").write_text(tomli_w.dumps({
        "model": model, "training": training, "data": {"folder": "/gone"}}), "utf-8")
    (out / "metrics.jsonl").write_text('{"step": 7}\n', "utf-8")
    save_weights(made, out / "model.safetensors")
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of a small voice."""
    return run_of(small_model("spectrogram_gan", "drums"),
                  tmp_path_factory.mktemp("runs") / "kit")


@pytest.fixture(autouse=True, scope="module")
def presets(run: Path, tmp_path_factory: pytest.TempPathFactory):
    """A folder with what the run becomes."""
    here = tmp_path_factory.mktemp("presets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.presets, "_HERE", here)
        ship.ship(run, NAME, [SOURCE])
        yield here


def test_it_ships_whole(presets: Path) -> None:
    assert preset_names() == shipped_names() == preset_measure.stroke_names() == [NAME]
    assert preset_measure.coded_names() == preset_measure.loop_names() == []
    assert {path.name for path in presets.iterdir()} == {
        f"{NAME}.{suffix}" for suffix in ("toml", "tudor", "places")}


def test_weights_are_the_runs_in_8_bits(run: Path) -> None:
    before, after = load_model(str(run)).model, load_model(NAME).model
    changed = 0
    for key, values in before.named_parameters():
        other = after.state_dict()[key]
        assert torch.allclose(other, values, rtol=2**-8, atol=0), key
        changed += int((other != values).sum())
    assert changed > 100


def test_it_plays_what_its_weights_say() -> None:
    player, model = load(NAME), load_model(NAME).model
    assert player.backend == "native"
    first, second = (player.description.config["classes"])[:2]
    strokes = [{first: 1.0}, {second: 0.5, first: 0.5}]
    sound = preset_strokes.played(player, strokes, 0.1)
    assert sound.shape[0] == 1
    assert np.isfinite(sound).all()
    rate, hop = player.sample_rate_hz, player.description.main.in_ratio
    every = round(0.1 * rate / hop) * hop
    assert 2 * every <= sound.shape[1] < 2 * every + 8 * hop
    # The first stroke begins with the first sample: what came before it is left out.
    assert np.abs(sound[0, :hop]).max() > 0
    again = preset_strokes.played(player, strokes, 0.1)
    assert np.array_equal(sound, again)
    assert isinstance(model, SpectrogramGAN)


def test_its_page_and_card_say_what_is_to_be_done() -> None:
    page = "\n".join(preset_strokes.page())
    assert f"### {NAME}" in page
    assert f"`python scripts/figures.py --measure {NAME}`" in page
    card = preset_measure.card_of(NAME)
    assert (card["board"], card["dtype"], card["held_out"]) == ("pi4", "float32", ["drums"])
    assert "7 steps of 4 crops of 1 s" in card["training"][0]
    assert preset_path(NAME).read_text("utf-8").startswith("summary = \"drum strokes of a gate")
    assert set(preset_strokes.materials(NAME)) == {"held", "real", "learnt"}


def test_recordings_lie_by_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    for patterns in preset_strokes.RECORDED.values():
        for pattern in patterns:
            (samples / f"{pattern.replace('*', 'x')}.flac").touch()
    monkeypatch.setattr(preset_strokes, "SAMPLES", samples)
    preset_strokes.link_strokes(tmp_path / "real")
    assert {path.name for path in (tmp_path / "real").iterdir()} == set(preset_strokes.RECORDED)
    assert (tmp_path / "real" / "kick" / "bd_x.flac").is_symlink()
    monkeypatch.setattr(preset_strokes, "SAMPLES", tmp_path / "nothing")
    with pytest.raises(SystemExit, match=r"lacks the recordings .* apt install sonic-pi-samples"):
        preset_strokes.link_strokes(tmp_path / "none")


def test_shipped_again_its_card_stays(run: Path) -> None:
    path = preset_path(NAME)
    text = path.read_text("utf-8").replace("One seed.", "Two seeds.")
    path.write_text(text, "utf-8")
    before = shipped_native(NAME)
    ship.ship(run, NAME, [])
    assert path.read_text("utf-8") == text
    assert shipped_native(NAME) == before
