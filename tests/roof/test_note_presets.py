"""A run of a voice of notes becomes a shipped preset: what it is measured on, plays, and says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engine.presets
from engine.models.registry import build
from engine.players.base import load
from engine.presets import preset_path
from scripts import preset_measure, preset_notes, preset_strokes, ship
from tests.roof.test_stroke_presets import run_of

NAME = "tones-pi"
SHAPE = {"sample_rate_hz": 8000, "fft": 128, "hop": 32, "z": 3, "conditions": 8, "width": 8,
         "frames": 40, "harmonics": 12, "release": 10, "start": "rest",
         "classes": ["bass", "choir", "flute", "piano", "trumpet", "violin"]}


@pytest.fixture(autouse=True, scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory):
    """A folder with what a small run becomes."""
    here = tmp_path_factory.mktemp("presets")
    run = run_of(build("spectrogram_gan", SHAPE), tmp_path_factory.mktemp("runs") / "tones")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.presets, "_HERE", here)
        ship.ship(run, NAME, ["`tudor corpus instruments notes --minutes 5 --seed 7`"])
        yield here


def test_it_is_a_preset_of_notes() -> None:
    assert preset_notes.is_pitched(NAME)
    assert preset_strokes.document_of(NAME) == "docs/notes.md"
    assert preset_path(NAME).read_text("utf-8").startswith('summary = "notes of instruments, held')
    assert preset_measure.card_of(NAME)["held_out"] == ["instruments"]
    assert f"### {NAME}" in "\n".join(preset_strokes.page(of_notes=True))
    assert f"### {NAME}" not in "\n".join(preset_strokes.page())


def test_it_is_measured_on_fonts_that_it_did_not_learn_from(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = preset_strokes.materials(NAME)
    assert set(found) == {"held", "real", "learnt"}
    assert len({preset_notes.LEARNT[0], preset_notes.HELD[0], preset_notes.REAL[0]}) == 3
    monkeypatch.setattr(preset_notes, "HELD", ("/no/font.sf2", "some-package", "notes"))
    lost = replace(preset_strokes.materials(NAME)["held"], folder=tmp_path / "x" / "notes")
    with pytest.raises(SystemExit, match=r"/no/font\.sf2 is missing.*apt install some-package"):
        lost.ready()


def test_its_clips_hold_what_they_say() -> None:
    player = load(NAME)
    rate, hop = player.sample_rate_hz, 32
    sound = preset_notes.played(player, [({"flute": 1.0}, 0.0), ({"piano": 1.0}, 1.0)])
    every = round(preset_notes.EVERY_S * rate / hop) * hop
    assert 2 * every <= sound.shape[1] < 2 * every + 8 * hop
    level = np.sqrt(np.square(sound[0].reshape(-1, hop)).mean(axis=1))
    starts = every // hop
    assert level[starts - 6 : starts].max() < level[2 : starts // 2].mean()  # let go between
    glide = preset_notes.glide(player)
    assert glide.shape[1] == pytest.approx(4.5 * rate, abs=8 * hop)
    assert np.abs(glide[0, : 4 * rate]).max() > 10 * np.abs(glide[0, -hop:]).max()
