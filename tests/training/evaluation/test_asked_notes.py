"""Whether an asked pitch is there, and how clear a sound is: on tones that are known."""

from __future__ import annotations

import numpy as np
import pytest

from engine.layers.pitch import MIDDLE_C_HZ
from training.evaluation.asked_notes import (
    Asked,
    Layout,
    clarity,
    frame_count,
    framed,
    in_tune,
    levels_db,
    peak_octaves,
)

RATE = 16000
LABELS = ("pitch_oct", "gate", "pitch_oct 2", "gate 2", "loudness", "free")


def hertz(midi: float) -> float:
    return float(MIDDLE_C_HZ * 2 ** ((midi - 60) / 12))


def tone(midi: float, kind: str = "saw", seconds: float = 0.6, rate: int = RATE) -> np.ndarray:
    """Partials of random phases, up to the Nyquist frequency."""
    rng, base = np.random.default_rng(round(midi)), hertz(midi)
    k = np.arange(1, int(0.95 * rate / 2 / base) + 1)
    amplitudes = {"saw": 1 / k, "sine": (k == 1) * 1.0, "weak": np.where(k == 1, 0.05, 1 / k),
                  "odd": (k % 2) / k, "second": np.where(k == 2, 1, 0.3 / k),
                  "pulse": np.ones(len(k)) / 3, "missing": np.where(k == 1, 0, 1 / k)}[kind]
    t = np.arange(round(seconds * rate)) / rate
    waves = np.sin(2 * np.pi * k[:, None] * base * t + rng.uniform(0, 6.28, (len(k), 1)))
    return 0.2 * (amplitudes[:, None] * waves).sum(axis=0)


@pytest.mark.parametrize("kind", ["saw", "sine", "weak", "odd", "second", "pulse", "missing"])
@pytest.mark.parametrize("rate", [RATE, 8000])
def test_the_pitch_of_a_tone_is_where_it_is_played(kind: str, rate: int) -> None:
    for midi in range(55, 92, 4):
        if kind in ("second", "missing") and hertz(midi) * 3 > rate / 2:
            continue  # without its second partial's neighbours that is another note
        found = peak_octaves(framed(tone(midi, kind, rate=rate), rate), rate)
        assert len(found) > 10
        assert np.abs(found * 1200 - (midi - 60) * 100).max() < 30


def test_silence_has_no_pitch_and_no_clarity() -> None:
    frames = framed(np.zeros(RATE), RATE)
    assert len(frames) == frame_count(RATE, RATE) > 20
    assert np.isnan(peak_octaves(frames, RATE)).all()
    assert (clarity(frames, RATE) == 0).all()
    assert (levels_db(frames) == -100).all()


def test_noise_has_an_asked_pitch_by_chance_alone() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(30 * RATE)
    found = peak_octaves(framed(noise, RATE), RATE)
    for midi in (57, 69, 81):
        assert (np.abs(found * 1200 - (midi - 60) * 100) <= 60).mean() < 0.06


def asked(rows: np.ndarray, samples: int) -> Asked:
    layout = Layout.of(LABELS)
    assert layout is not None
    return Asked.of(layout.score(rows.astype(np.float32)), 16, RATE, samples)


def test_only_frames_with_one_steady_note_count() -> None:
    rows = np.zeros((6, 4000))  # four seconds
    rows[0, :2000], rows[0, 2000:] = 0.5, 0.75
    rows[1, 500:3500] = 1
    rows[2], rows[3, 1000:1500] = 0.25, 1  # a second voice
    found = asked(rows, 4 * RATE)
    single = np.isfinite(found.octaves)
    at = np.arange(len(single)) * 0.032
    assert len(single) == frame_count(4 * RATE, RATE)
    assert single[(at > 0.5) & (at < 0.93)].all()
    assert not single[(at < 0.5) | ((at > 0.94) & (at < 1.5))].any()
    assert not single[(at > 1.94) & (at < 2.0)].any()  # a note follows another
    assert (found.octaves[(at > 2.0) & (at < 3.43)] == 0.75).all()
    assert not single[at > 3.44].any()
    assert not found.any[at < 0.43].any()
    assert found.any[(at > 0.5) & (at < 3.4)].all()


@pytest.mark.parametrize(("off", "expected"), [(0.0, 1.0), (0.4, 1.0), (0.8, 0.0), (12.0, 0.0),
                                               (-12.0, 0.0)])
def test_a_note_may_be_off_by_60_cents(off: float, expected: float) -> None:
    rows = np.zeros((6, 1000))
    rows[0], rows[1] = 0.5, 1
    found = in_tune(tone(66 + off, seconds=1.0), asked(rows, RATE), RATE)
    assert len(found) > 25
    assert found.mean() == expected


def test_clarity_tells_tones_from_noise() -> None:
    rng = np.random.default_rng(0)
    white = rng.standard_normal(2 * RATE)
    dull = np.convolve(white, np.hanning(24), "same")
    assert clarity(framed(tone(64, seconds=2), RATE), RATE).min() > 0.97
    for noise in (white, dull):
        assert clarity(framed(0.1 * noise, RATE), RATE).mean() < 0.35
    mixed = tone(64, seconds=2) + 0.2 * white
    assert 0.3 < clarity(framed(mixed, RATE), RATE).mean() < 0.9


def test_a_layout_is_read_from_labels() -> None:
    assert Layout.of(LABELS) == Layout((0, 2), (1, 3))
    assert Layout.of(("time",)) is None
    assert Layout.of(("pitch", "level")) is None


def test_levels_are_rms() -> None:
    x = 0.1 * np.sqrt(2) * np.sin(0.1 * np.arange(RATE))
    assert np.allclose(levels_db(framed(x, RATE)), -20, atol=0.1)
