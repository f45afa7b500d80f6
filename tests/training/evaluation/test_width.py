"""How wide sound is: the figure on sounds whose width is known, and of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.models.store import build_from, read_settings
from tests.training.training_helpers import RATE, preset
from training.evaluation.evaluate import evaluate_folder
from training.evaluation.judges.reconstruction import findings
from training.evaluation.width import Width

HZ, WINDOW = 16000, 2048


def wide(width_db: float, seed: int = 0, seconds: float = 2.0, rate: int = HZ) -> np.ndarray:
    """Noise whose side is so loud against its middle: [2, samples]."""
    middle, side = 0.1 * np.random.default_rng(seed).standard_normal((2, round(seconds * rate)))
    side *= 10 ** (width_db / 20)
    return np.stack([middle + side, middle - side]).astype(np.float32)


def measured(original: np.ndarray, sound: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {}
    Width(original, HZ, WINDOW).measure(sound, found.__setitem__, found.__setitem__)
    return found


@pytest.mark.parametrize("width_db", [-12.0, 0.0, 6.0])
def test_width_is_side_over_middle(width_db: float) -> None:
    found = measured(wide(0.0), wide(width_db, 1))
    assert found["width_db"] == pytest.approx(width_db, abs=0.3)
    assert found["width_error_db"] == pytest.approx(abs(width_db), abs=0.5)
    assert found["width_octave_db"][2:] == pytest.approx(width_db, abs=0.8)
    assert measured(wide(width_db), wide(width_db))["width_error_db"] == 0


def test_one_sound_on_both_sides_has_no_width_and_is_right_where_nothing_is_heard_apart() -> None:
    alone = np.repeat(wide(0.0)[:1], 2, axis=0)
    found = measured(alone, alone)
    assert found["width_db"] == -60
    assert found["width_error_db"] == 0
    assert measured(alone, wide(-35.0))["width_error_db"] == 0
    assert measured(alone, wide(0.0))["width_error_db"] == pytest.approx(30, abs=0.5)
    turned = alone * np.array([[1], [-1]], np.float32)
    assert measured(turned, turned)["width_db"] == 60


def test_an_octave_counts_for_itself_and_only_where_it_is_heard() -> None:
    t = np.arange(2 * HZ) / HZ
    low, high = 0.1 * np.sin(2 * np.pi * 300 * t), 0.1 * np.sin(2 * np.pi * 3000 * t)
    apart = np.stack([low + high, low - high]).astype(np.float32)  # only the top is at the sides
    middle = np.stack([low + high, low + high]).astype(np.float32)
    found = measured(apart, middle)
    octaves = found["width_octave_db"]
    heard = np.isfinite(octaves)
    assert 2 <= heard.sum() < len(octaves)
    assert octaves[2] == pytest.approx(0, abs=1)  # 250 Hz
    assert octaves[5] == pytest.approx(-60, abs=1)  # 2 kHz: +30 at most, -30 at least
    assert np.isnan(measured(0 * apart, middle)["width_error_db"])


def test_a_stereo_folder_has_the_figure_and_a_mono_one_has_none(tmp_path: Path) -> None:
    for name, width_db in (("a", -6.0), ("b", 0.0)):
        folder = tmp_path / "wide"
        folder.mkdir(exist_ok=True)
        soundfile.write(folder / f"{name}.wav", wide(width_db, rate=RATE).T, RATE, subtype="FLOAT")
    soundfile.write(folder / "mono.wav", wide(0.0, rate=RATE)[0], RATE, subtype="FLOAT")
    settings = read_settings(Path(preset(tmp_path)))
    results = {}
    for channels in (1, 2):
        settings["model"]["channels"] = channels
        results[channels] = evaluate_folder(build_from(settings).eval(), folder)
    mono, stereo = (results[channels]["sound"]["subjects"] for channels in (1, 2))
    assert "width_db" not in mono["model"]
    original, floor = stereo["original"], stereo["noise_128"]
    assert original["width_db"] == pytest.approx((-6 + 0 - 60) / 3, abs=0.3)
    assert original["width_error_db"] == 0
    assert stereo["shifted"]["width_error_db"] < 0.05
    assert floor["width_db"] == pytest.approx(0, abs=0.5)
    assert floor["width_error_db"] == pytest.approx((6 + 0 + 30) / 3, abs=1)
    text = findings(results[2])
    words = [cell for grid in text.grids for cell in grid.head]
    assert {"width dB", "width error dB \u2193"} <= {*words}
    assert any(grid.title.startswith("width of each octave") for grid in text.grids)
    assert "1 of 3 files have one channel and the model 2: heard alike on both sides" in text.notes
    alone = findings(results[1])
    assert not [cell for grid in alone.grids for cell in grid.head if "width" in cell]
    assert ("2 of 3 files have more channels and the model one: mixed to one, as is what the "
            "model's output is compared with") in alone.notes
