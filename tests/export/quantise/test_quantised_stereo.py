"""Two channels with noise that both share, in formats with fewer bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.models.store import Stored
from engine.players.base import load
from engine.players.pytorch import PyTorchPlayer
from export.targets import TARGETS, export_model
from tests.export.small_models import small_model


@pytest.mark.parametrize(("to", "dtype"), [("native", "bf16w"), ("native", "q16x8"),
                                           ("onnx", "int8")])
def test_both_sides_play_what_they_play_in_float32(to: str, dtype: str, tmp_path: Path) -> None:
    """Each keeps its own side: that of the other is further away than what rounding costs."""
    rng, model = np.random.default_rng(0), small_model("raw_vae", "stereo")
    sound = 0.3 * rng.standard_normal((154000, 2)) * np.array([1.0, 0.3])
    (tmp_path / "sounds").mkdir()
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / "sounds" / name, np.clip(sound, -0.9, 0.9), 48000)
    done = export_model(Stored("small", model, {}, True, None), TARGETS[to],
                        tmp_path / f"x{TARGETS[to].suffix}", dtype, tmp_path / "sounds")
    assert done.report.passed
    player = load(done.files[-1])
    assert player.description.main.in_channels == player.description.main.out_channels == 2
    x = np.ascontiguousarray(sound.T[:, :4096], np.float32)
    want = PyTorchPlayer(model).process("forward", x)
    found = player.process("forward", x)
    assert found.shape == want.shape == (2, 4096)

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.square(a - b).mean() / np.square(b).mean())

    for side in range(2):
        assert apart(found[side], want[side]) < 0.1
        assert apart(found[1 - side], want[side]) > 0.3
