"""Descriptors with gradients are those by which ways are judged, and the search minds them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.evaluation.paths.figures import described
from training.evaluation.paths.geodesic import Search, bends
from training.evaluation.paths.prior import Prior
from training.evaluation.paths.smooth import descriptors, roughness

RATE, WINDOW = 16000, 1024
RNG = np.random.default_rng(5)
SOUNDS = {
    "noise": 0.1 * RNG.standard_normal(RATE),
    "tone": 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
            + 0.002 * RNG.standard_normal(RATE),
    "both": 0.2 * np.sin(2 * np.pi * 2000 * np.arange(RATE) / RATE)
            + 0.02 * RNG.standard_normal(RATE),
}


def power_of(sound: np.ndarray) -> torch.Tensor:
    """[1, bins, frames] as `Hearing` has it."""
    window = torch.hann_window(WINDOW)
    frames = torch.from_numpy(sound).float()[None].unfold(1, WINDOW, 256) * (window / window.sum())
    return torch.fft.rfft(frames).abs().square().transpose(1, 2)


@pytest.mark.parametrize("name", SOUNDS)
def test_they_are_those_of_the_judge(name):
    """But for one shift of all levels, which no second difference sees."""
    sound = SOUNDS[name]
    centroid, bandwidth, flatness, level = descriptors(power_of(sound), RATE)[0].tolist()
    wanted = described(sound[None].astype(np.float32), RATE)[:, 0]
    assert centroid == pytest.approx(wanted[0], abs=0.1)
    assert bandwidth == pytest.approx(wanted[1], abs=0.3)
    assert flatness == pytest.approx(wanted[2], abs=3.0)
    assert level == pytest.approx(wanted[3] - 1.25, abs=0.5)


def test_only_loud_frames_have_a_timbre():
    sound = np.concatenate((SOUNDS["both"], np.zeros(RATE)))
    whole, alone = descriptors(power_of(sound), RATE), descriptors(power_of(SOUNDS["both"]), RATE)
    assert torch.allclose(whole[:, :2], alone[:, :2], atol=0.2)
    assert whole[0, 3] < alone[0, 3] - 20


def test_what_rises_evenly_is_smooth():
    even = torch.linspace(0, 3, 7)[:, None]
    bent = torch.tensor([0.0, 0, 1, 0, 0])[:, None]
    assert float(roughness(even)) < 1e-3
    assert float(roughness(bent)) == pytest.approx(6**0.5, rel=1e-3)


class Winding:
    """What is heard is nearest along a bow, on which a descriptor goes up and down."""

    prior = Prior(np.zeros(2), np.ones(2))

    def measured(self, z):
        heard = torch.stack((z[:, 0], 2 * (z[:, 1] - 0.7 * (1 - z[:, 0].square()))), dim=1)
        return heard, torch.sin(9 * z[:, 1:]) + 0.2 * torch.sin(5 * z[:, :1])


def test_the_search_gives_up_some_energy_for_smoothness():
    a, b = np.array([-1, 0], np.float32), np.array([1, 0], np.float32)
    t = torch.linspace(0, 1, 13)[:, None]
    sines = torch.sin(np.pi * t * torch.arange(1, 5))

    def rough(smooth: float) -> float:
        w = torch.from_numpy(bends(Winding(), a, b, Search(smooth=smooth))).float()
        line = torch.from_numpy(a) + t * torch.from_numpy(b - a)
        return float(roughness(Winding().measured(line + sines @ w)[1]))

    assert rough(0.3) < 0.7 * rough(0.0)
