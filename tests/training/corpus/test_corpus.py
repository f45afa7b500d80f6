"""The techno corpus: does it measure like music, on the grid, the same every time?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.corpus import circle, kinds, patterns, techno
from training.corpus.instruments import INSTRUMENTS
from training.corpus.mastering import octave_densities_db
from training.corpus.styles import STYLES

RATE = 16000
COUNT = 48


@pytest.fixture(scope="module")
def loops() -> list[tuple[np.ndarray, dict[str, Any]]]:
    """A corpus in memory, rendered once: [(audio [samples], row)]."""
    made = [techno.render_loop(7, index, RATE) for index in range(COUNT)]
    return [(audio[0].astype(np.float64), row) for audio, row in made]


def flux(audio: np.ndarray, rate: int, hop_s: float = 0.002) -> np.ndarray:
    """Rise of the log spectrum of a loop, per hop: peaks where something starts. Circular."""
    hop, size = round(hop_s * rate), round(0.012 * rate)
    count = len(audio) // hop
    # Frame k begins at k * hop, so an onset first enters, and raises, the frame that ends on it.
    places = (np.arange(count)[:, None] * hop + np.arange(size)) % len(audio)
    levels = np.abs(np.fft.rfft(audio[places] * np.hanning(size))) ** 2
    log = np.log10(levels + 1e-5)
    return np.maximum(0.0, log - np.roll(log, 4, axis=0)).mean(axis=1)


def onsets_s(audio: np.ndarray, rate: int, share: float) -> np.ndarray:
    """Times of the local maxima of the flux above a share of its highest."""
    hop_s = 0.002
    rise = flux(audio, rate, hop_s)
    around = np.stack([np.roll(rise, shift) for shift in range(-12, 13)])
    peaks = np.flatnonzero((rise >= around.max(axis=0)) & (rise > share * rise.max()))
    return peaks * hop_s + 0.006  # the middle of the window


def off_grid_s(times_s: np.ndarray, row: dict[str, Any], shift_steps: float = 0.0) -> np.ndarray:
    """Distance of each time from the nearest swung sixteenth, around the loop."""
    clock = patterns.Clock(row["bpm"], row["bars"], row["swing"], RATE)
    grid = np.array([clock.at(step + shift_steps) for step in range(clock.steps)]) / RATE
    away = np.abs(times_s[:, None] - grid)
    return np.minimum(away, row["duration_s"] - away).min(axis=1)


def test_a_loop_is_the_same_every_time() -> None:
    first, first_row = techno.render_loop(3, 5)
    again, again_row = techno.render_loop(3, 5)
    assert first.dtype == np.float32
    assert first.shape == (1, first_row["samples"])
    assert first.tobytes() == again.tobytes()
    assert first_row == again_row


def test_seeds_and_indices_differ() -> None:
    rows = [techno.render_loop(seed, index)[1] for seed in (0, 1, 2) for index in (0, 1)]
    assert len({row["voices"] for row in rows}) == len(rows)


def test_files_do_not_depend_on_how_many_are_made(tmp_path: Path) -> None:
    few = kinds.write_corpus("techno", tmp_path / "few", 0.1, seed=4)
    many = kinds.write_corpus("techno", tmp_path / "many", 0.3, seed=4)
    assert 0 < len(few) < len(many)
    for one, other in zip(few, many, strict=False):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()


def test_kicks_are_where_the_metadata_says(loops: list[tuple[np.ndarray, dict[str, Any]]]) -> None:
    errors = []
    for audio, row in loops:
        rise = flux(audio, RATE)
        for text in row["kick_times_s"].split():
            centre = round((float(text) - 0.006) / 0.002)
            window = rise[(centre + np.arange(-25, 26)) % len(rise)]
            errors.append((int(np.argmax(window)) - 25) * 0.002)
    found = np.abs(np.array(errors))
    assert len(found) > 200
    # The rest are ghosts, or kicks close to a louder stroke. By chance 18 % would pass.
    assert np.mean(found <= 0.008) > 0.96


def test_onsets_are_on_the_swung_grid(loops: list[tuple[np.ndarray, dict[str, Any]]]) -> None:
    on, between, swung_on, straight_on = [], [], [], []
    for audio, row in loops:
        times_s = onsets_s(audio, RATE, 0.4)
        on.append(np.mean(off_grid_s(times_s, row) < 0.01))
        between.append(np.mean(off_grid_s(times_s, row, 0.5) < 0.01))
        if row["swing"] > 0.15:
            swung_on.append(np.mean(off_grid_s(times_s, row) < 0.01))
            straight_on.append(np.mean(off_grid_s(times_s, {**row, "swing": 0.0}) < 0.01))
    assert np.mean(on) > 0.92
    assert np.mean(between) < 0.1
    assert np.mean(swung_on) > np.mean(straight_on) + 0.2


def test_levels(loops: list[tuple[np.ndarray, dict[str, Any]]]) -> None:
    for audio, row in loops:
        assert np.isfinite(audio).all(), row["file"]
        peak, rms = np.abs(audio).max(), np.sqrt(np.mean(audio**2))
        assert 20 * np.log10(peak) == pytest.approx(-1.0, abs=0.01)
        assert -20 < 20 * np.log10(rms) < -9
        assert 8 < 20 * np.log10(peak / rms) < 18
        assert row["crest_db"] == pytest.approx(20 * np.log10(peak / rms), abs=0.02)
        assert abs(audio.mean()) < 1e-4


def slope_db(audio: np.ndarray, rate: int) -> float:
    """Decibels per octave of the power density."""
    centres_hz, density_db = octave_densities_db(audio[None], rate)
    return float(np.polyfit(np.log2(centres_hz), density_db, 1)[0])


def test_spectra_fall_like_music(loops: list[tuple[np.ndarray, dict[str, Any]]]) -> None:
    slopes = np.array([slope_db(audio, RATE) for audio, _ in loops])
    assert -6.0 < np.median(slopes) < -3.0
    assert np.mean((slopes > -8.0) & (slopes < -1.5)) > 0.9
    noise = np.random.default_rng(0).standard_normal(RATE)
    assert abs(slope_db(noise, RATE)) < 0.7  # white noise is level: the ruler is straight
    for low_hz, high_hz, least in ((30, 120, 0.02), (120, 1000, 0.02), (3000, 7500, 2e-4)):
        shares = []
        for audio, _ in loops:
            power = np.abs(np.fft.rfft(audio)) ** 2
            bins_hz = circle.frequencies_hz(len(audio), RATE)
            shares.append(power[(bins_hz >= low_hz) & (bins_hz < high_hz)].sum() / power.sum())
        assert np.median(shares) > least


def border_jump(audio: np.ndarray) -> float:
    """Step from the last sample to the first, over the median step in the 2 ms on either side."""
    around = np.concatenate([audio[-32:], audio[:4]])
    return float(np.abs(audio[0] - audio[-1]) / (np.median(np.abs(np.diff(around))) + 1e-4))


def test_the_border_is_no_click(loops: list[tuple[np.ndarray, dict[str, Any]]]) -> None:
    whole = np.array([border_jump(audio) for audio, _ in loops])
    # The same measure on loops cut a little short, as a loop with a wrong length would be.
    cut = np.array([border_jump(audio[:-150]) for audio, _ in loops])
    assert np.median(whole) < 2.0
    assert np.median(cut) > 2.0 * np.median(whole)


def test_variety(loops: list[tuple[np.ndarray, dict[str, Any]]]) -> None:
    centroids, shapes = [], []
    for audio, _ in loops:
        power = np.abs(np.fft.rfft(audio)) ** 2
        bins_hz = circle.frequencies_hz(len(audio), RATE)
        centroids.append(np.sum(np.sqrt(power) * bins_hz) / np.sum(np.sqrt(power)))
        parts = np.array_split(audio[: len(audio) // 64 * 64], 64)
        shapes.append(np.log10([np.mean(part**2) + 1e-6 for part in parts]))
    assert np.std(np.log2(centroids)) > 0.25
    shapes_matrix = np.array(shapes)
    alike = np.corrcoef(shapes_matrix)[np.triu_indices(COUNT, 1)]
    assert np.quantile(alike, 0.9) < 0.8
    rows = [row for _, row in loops]
    assert {row["bars"] for row in rows} == {1, 2, 4}
    assert len({row["style"] for row in rows}) >= len(STYLES) - 2
    assert len({row["instruments"] for row in rows}) > 0.9 * COUNT
    assert len({row["bpm"] for row in rows}) > 0.6 * COUNT
    assert len({row["key"] for row in rows}) > 0.4 * COUNT
    assert all(119.5 <= row["bpm"] <= 145.5 for row in rows)
    played = set(" ".join(row["instruments"] for row in rows).split())
    assert played == set(INSTRUMENTS)  # none is forgotten by the styles


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_same_music_at_any_rate(rate: int) -> None:
    reference, _ = techno.render_loop(2, 5, RATE)
    audio, row = techno.render_loop(2, 5, rate)
    assert audio.shape[-1] == row["samples"]
    assert row["duration_s"] == pytest.approx(reference.shape[-1] / RATE, rel=0.003)
    assert np.isfinite(audio).all()
    assert 8 < row["crest_db"] < 18
    assert slope_db(audio[0].astype(np.float64), rate) < -1.0
    other, _ = techno.render_loop(2, 4, rate)  # as long, but other music

    def low_levels(sound: np.ndarray) -> np.ndarray:
        spectrum = np.fft.rfft(sound[0])[:6000]
        low = np.fft.irfft(spectrum, 12000)  # what all rates hold, at one length
        return np.log10(np.mean(low.reshape(200, -1) ** 2, axis=1) + 1e-4 * np.mean(low**2))

    assert np.corrcoef(low_levels(reference), low_levels(audio))[0, 1] > 0.95
    assert np.corrcoef(low_levels(reference), low_levels(other))[0, 1] < 0.8


def test_stereo_keeps_bass_in_the_middle() -> None:
    differences = []
    for index in range(6):
        audio, row = techno.render_loop(1, index, RATE, channels=2)
        assert audio.shape == (2, row["samples"])
        assert np.abs(audio).max() == pytest.approx(10 ** (-1 / 20), rel=1e-3)
        spectra = np.fft.rfft(audio.astype(np.float64))
        bins_hz = circle.frequencies_hz(audio.shape[-1], RATE)
        side = np.abs(spectra[0] - spectra[1]) ** 2
        middle = np.abs(spectra[0] + spectra[1]) ** 2
        low, high = bins_hz < 100, bins_hz > 1000
        assert side[low].sum() < 0.05 * middle[low].sum()
        differences.append(side[high].sum() / middle[high].sum())
    assert np.mean(differences) > 0.02
    assert max(differences) < 1.0
