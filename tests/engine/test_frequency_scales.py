"""Bands along scales of frequency: none is empty, each is a mean, all are where they should be."""

from __future__ import annotations

import numpy as np
import pytest

from engine.hearing.scales import LOWEST_HZ, band_weights, centres_hz, hertz_of, mels_of


def test_mels_and_back():
    hertz = np.array([0.0, 200, 1000, 6400])
    assert mels_of(hertz) == pytest.approx([0, 3, 15, 42])  # Slaney: 3 a 200 Hz, 27 a factor 6.4
    assert hertz_of(mels_of(hertz)) == pytest.approx(hertz)


@pytest.mark.parametrize("scale", ["mel", "log"])
@pytest.mark.parametrize(("bands", "window"), [(20, 128), (96, 512), (200, 512)])
def test_each_band_is_a_mean_around_its_centre(scale, bands, window):
    rate = 16000
    weights = band_weights(scale, bands, window, rate)
    assert weights.shape == (bands, window // 2 + 1)
    assert weights.dtype == np.float32
    assert (weights >= 0).all()
    assert weights.sum(axis=1) == pytest.approx(1, abs=1e-6)
    hertz = np.arange(window // 2 + 1) * rate / window
    centres = centres_hz(scale, bands, rate)
    assert (np.diff(centres) > 0).all()
    assert np.abs(hertz[weights.argmax(axis=1)] - centres).max() < rate / window
    # Where bands are wide, they reach from neighbour to neighbour.
    wide = np.flatnonzero(np.diff(centres) > 4 * rate / window)[:-1]
    for band in wide[wide > 0]:
        inside = hertz[weights[band] > 0]
        assert centres[band - 1] - 1e-6 <= inside.min()
        assert inside.max() <= centres[band + 1] + 1e-6


def test_a_scale_by_octaves_has_equal_parts_of_one():
    centres = centres_hz("log", 50, 16000)
    steps = np.diff(np.log2(centres))
    assert steps == pytest.approx(steps[0])
    assert centres[0] > LOWEST_HZ
    assert centres[-1] < 8000
