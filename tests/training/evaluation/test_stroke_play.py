"""What inversion makes of magnitudes, and corners where a stroke is cut off: measured on voices
that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.models.spectrogram_gan import SpectrogramGAN
from engine.players.pytorch import PyTorchPlayer
from tests.export.small_models import small_model
from training.evaluation.stroke_play import MAGNITUDES, click, gap, played
from training.evaluation.stroke_targets import TARGETS, verdicts


class Altered(PyTorchPlayer):
    """A voice whose sound is changed on its way out."""

    def __init__(self, change) -> None:
        model = small_model("spectrogram_gan", "drums")
        assert isinstance(model, SpectrogramGAN)
        with torch.no_grad():  # a stroke that is heard: loud noise, a low tone
            heads = model.net.branches[0].branches[0]
            heads.layers[2].bias.uniform_(-0.3, 0.3)
        super().__init__(model)
        self.change = change

    def process(self, method, x):
        y = super().process(method, x)
        return y if method == MAGNITUDES else self.change(y.copy())


def classes(player) -> list[str]:
    return list(player.description.config["classes"])


def test_a_gap_is_that_of_levels():
    as_it_is, louder = (gap(Altered(lambda y, g=g: g * y), "a") for g in (1.0, np.exp(2.0)))
    assert as_it_is is not None
    assert louder is not None
    assert 0 < as_it_is < 1
    assert louder == pytest.approx(2.0, abs=as_it_is)


def test_a_corner_where_the_stroke_is_cut_off_is_heard():
    def stepped(y):
        """A step in the middle of the hop in which the first stroke closes, 0.06 s after it."""
        hop = 32
        at = round(0.06 * 8000 / hop) * hop + hop // 2
        y[:, at:] += 20 * np.abs(y).max()
        return y

    smooth, corner = (click(Altered(change), "a", 0.06) for change in (lambda y: y, stepped))
    assert smooth is not None
    assert corner is not None
    assert corner > 5 * smooth
    assert corner > 5


def test_silence_has_neither():
    silent = Altered(lambda y: 0 * y)
    assert click(silent, "a", 0.06) is None


def test_a_voice_has_both_and_targets_read_them():
    voice = Altered(lambda y: y)
    found = played(voice, classes(voice))
    assert set(found) == {"gap", "click"}
    said = {v.target.key: v.value for v in verdicts({"results": {"model": {}}, "played": found})}
    assert (said["gap"], said["click"]) == (found["gap"], found["click"])
    assert said["class"] is None
    assert len({target.key for target in TARGETS}) == len(TARGETS)
