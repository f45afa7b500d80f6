"""Ways from magnitudes to sound: each makes a tone again, and worse when it is broken."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.inversion import WAYS, Way, convergence_db, measured
from benchmarks.inverters import Array, Stft, polar, random_phases, rtpghi

SIZES = Stft(512, 128)
# The worst convergence of a gliding tone, in decibels, that a way may have.
MOST_DB = {"SPSI": -14.0, "Griffin-Lim, 32 rounds": -11.0}
OTHERS_DB = -17.0


def tone() -> Array:
    n = np.arange(6000) / 16000
    return np.asarray(0.4 * np.sin(2 * np.pi * (500 * n + 300 * n**2)) * np.hanning(len(n)) ** 0.25)


def magnitudes() -> Array:
    return np.maximum(np.abs(SIZES.forward(SIZES.padded(tone()))), 1e-3)


def test_true_phases_are_the_sound_itself() -> None:
    x = SIZES.padded(tone())
    spectrum = SIZES.forward(x)
    y = SIZES.inverse(spectrum)
    assert y.shape == x.shape
    inside = slice(SIZES.fft, len(x) - SIZES.fft)
    assert np.abs(y - x)[inside].max() < 1e-12
    assert convergence_db(SIZES, y, np.abs(spectrum)) < -60


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.name} {way.frames}")
def test_each_way_makes_a_tone_again(way: Way) -> None:
    asked = magnitudes()
    y = way.sound(SIZES, asked)
    assert len(y) == (len(asked) - 1) * SIZES.hop + SIZES.fft
    found = convergence_db(SIZES, y, asked)
    guessed = SIZES.inverse(polar(asked, random_phases(asked.shape)))
    assert found < MOST_DB.get(way.name, OTHERS_DB)
    assert found < convergence_db(SIZES, guessed, asked) - 5


def test_a_frame_ahead_helps() -> None:
    asked = magnitudes()
    with_it, without = (convergence_db(SIZES, SIZES.inverse(polar(asked, rtpghi(SIZES, asked, k))),
                                       asked) for k in (1, 0))
    assert with_it < without - 1


def test_a_table_s_rows_are_means_by_group() -> None:
    way = next(way for way in WAYS if way.name == "`resynth`")
    ((same, found, spent),) = measured("512/128", (way,), {"hit/a": tone(), "note/b": 0.5 * tone()})
    assert same is way
    assert found.keys() == {"all", "hit", "note"}
    assert found["all"] == pytest.approx((found["hit"] + found["note"]) / 2)
    assert spent > 0
