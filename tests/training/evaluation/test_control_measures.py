"""What controls are measured as: loudness, pitch, and sound transposed."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
import torch

from engine.models.registry import build
from tests.training.control_helpers import BOTH, GRID, INNER, tone
from training.evaluation.measures import loudness_db
from training.objectives.controls import MIDDLE_C_HZ, Grid, a_weighting, loudness, pitch, transposed


def test_a_weighting_is_the_standard_s() -> None:
    """Table 3 of IEC 61672-1: nominal frequencies, which stand for tenths of a decade, and their
    weights in dB."""
    table = {31.5: -39.4, 63: -26.2, 125: -16.1, 250: -8.6, 500: -3.2, 1000: 0.0, 2000: 1.2,
             4000: 1.0, 8000: -1.1}
    hertz = 10 ** (torch.tensor(list(table)).log10().mul(10).round() / 10)
    found = 20 * torch.log10(a_weighting(hertz))
    assert found.tolist() == pytest.approx(list(table.values()), abs=0.1)


@pytest.mark.parametrize("hertz", [125.0, 1000.0, 4000.0])
@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_loudness_of_a_tone_of_known_level(rate_hz: int, hertz: float) -> None:
    x = tone(hertz, rate_hz=rate_hz)
    found, known = loudness(x, Grid(rate_hz, 128, 40))
    assert found.shape == known.shape == (1, rate_hz // 128)
    assert bool(known.all())
    level = 20 * np.log10(0.25 / 2**0.5) + 10 * np.log10(1.5)
    level += 20 * float(torch.log10(a_weighting(torch.tensor(hertz))))
    middle = 10 * found[0, INNER]
    assert middle.tolist() == pytest.approx([level] * (rate_hz // 128 - 40), abs=0.3)
    shared = loudness_db(x.numpy(), rate_hz)[8:-8].mean()  # the one that evaluation uses
    assert float(middle.mean()) == pytest.approx(shared, abs=0.3)


def test_loudness_of_silence_is_the_floor() -> None:
    assert loudness(torch.zeros(2, 1600), GRID)[0].unique().tolist() == [-7.0]


@pytest.mark.parametrize("hertz", [55.0, 110.3, MIDDLE_C_HZ, 440.0, 900.0])
@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_pitch_of_a_tone(rate_hz: int, hertz: float) -> None:
    found, voiced = pitch(tone(hertz, rate_hz=rate_hz), Grid(rate_hz, 128, 40))
    assert voiced.shape == (1, rate_hz // 128)
    assert bool(voiced[0, INNER].all())
    assert (12 * (found[0, INNER] - log2(hertz / MIDDLE_C_HZ)).abs()).max() < 0.2


def test_pitch_is_that_of_the_fundamental_and_noise_has_none() -> None:
    chord = sum((tone(110 * k, 0.1) for k in (2, 3, 4, 5)), 0.2 * tone(110, 0.1))
    found, voiced = pitch(chord, GRID)
    assert float((found[voiced] - log2(110 / MIDDLE_C_HZ)).abs().median()) < 0.01
    noise = 0.1 * torch.randn(1, 16000, generator=torch.manual_seed(0))
    assert pitch(noise, GRID)[1].float().mean() < 0.02
    assert not bool(pitch(torch.zeros(1, 16000), GRID)[1].any())
    assert not bool(pitch(tone(200, 1e-3), GRID)[1].any()), "it is too quiet to have one"


def test_a_frame_is_measured_where_it_decodes_to() -> None:
    """A burst as long as frame 50's sound is loudest in frame 50."""
    x = torch.zeros(1, 16000)
    x[0, 50 * 128 - 40 : 51 * 128 - 40] = tone(1000)[0, :128]
    assert int(loudness(x, GRID)[0].argmax()) == 50
    model = build("raw_vae", {"controls": BOTH})
    grid = Grid.of(16000, model.methods["encode"])
    both = grid.late + model.methods["decode"].lookahead_samples
    assert both == model.methods["forward"].lookahead_samples


@pytest.mark.parametrize("octaves", [-0.5, 0.3, 0.58])
def test_transposition_moves_pitch_and_nothing_else(octaves: float) -> None:
    x = torch.stack([tone(200) + tone(400, 0.1), tone(440) + tone(880, 0.1)])
    x[..., :4000] = 0
    found, exact = transposed(x, 16000, octaves)
    assert found.shape == x.shape
    assert exact == pytest.approx(octaves, abs=0.01)
    for before, after in zip(x, found, strict=True):
        (a, known), (b, still) = pitch(before, GRID), pitch(after, GRID)
        both = known & still
        assert both.float().mean() > 0.5
        assert float((b - a)[both].median()) == pytest.approx(exact, abs=0.02)
        begins = int((after[0].abs() > 0.03).nonzero()[0])
        assert begins == pytest.approx(4000, abs=480)
    assert float(found.std() / x.std()) == pytest.approx(1, abs=0.05)
