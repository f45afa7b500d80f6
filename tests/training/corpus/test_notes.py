"""The corpus of notes: is the label the pitch?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.hearing.yin import fundamental_hz
from training.corpus import melody, notes, voices
from training.corpus.draw import stream

RATE = 24000
Made = list[tuple[np.ndarray, dict[str, Any]]]


@pytest.fixture(scope="module")
def made() -> Made:
    return [(audio[0], row) for audio, row in
            (notes.render_note(9, index, RATE) for index in range(16))]


def label(row: dict[str, Any]) -> np.ndarray:
    return np.array(row["f0_hz"].split(), float)


def test_yin_hears_the_label(made: Made) -> None:
    all_cents = []
    for audio, row in made:
        hop = round(row["f0_hop_s"] * RATE)
        wanted = label(row)
        heard = fundamental_hz(audio, RATE, 45.0, 2200.0, 1536, hop)
        frames = min(len(wanted), len(heard))
        loud = np.array([np.sqrt(np.mean(audio[max(0, k * hop - 700) : k * hop + 700] ** 2))
                         for k in range(frames)])
        # Above 1 kHz a period is too few samples for YIN's dips at this rate.
        clear = (loud > 0.1 * loud.max()) & (wanted[:frames] < 1000)
        all_cents.append(1200 * np.log2(heard[:frames] / wanted[:frames])[clear])
    cents = np.abs(np.concatenate(all_cents))
    assert len(cents) > 2000
    assert np.median(cents) < 5
    # The rest are glides and swift vibrato, which change within YIN's window.
    assert np.mean(cents < 20) > 0.9
    assert np.mean(cents > 600) < 0.01


@pytest.mark.parametrize("family", voices.FAMILIES)
def test_the_label_is_exact(family: str) -> None:
    """Turned back by the label's phase, the fundamental stands still, glides and vibrato too."""
    tune = melody.Melody((60.0, 63.5), (0.0, 0.8), 1.6, 0.3, 5.5, 40.0, 0.1, 5.0)
    samples = round(1.6 * RATE)
    curve = melody.semitones(tune, samples, RATE, np.random.default_rng(0))
    text = notes.labels_hz(curve, RATE)
    hop = round(notes.HOP_S * RATE)
    at = np.arange(len(text.split())) * hop
    told = 2.0 ** np.interp(np.arange(samples), at, np.log2(np.array(text.split(), float)))
    timbre = voices.draw_timbre(stream(1, 0, family), family)
    audio = voices.sounded(timbre, melody.hertz(curve), np.ones(samples), RATE,
                           stream(1, 0, "own"), stream(1, 0, "noise"), tune.starts_s)

    def wanders(hz: np.ndarray) -> float:
        turned = audio * np.exp(-2j * np.pi * np.cumsum(hz) / RATE)
        window = np.hanning(round(0.06 * RATE))
        phase = np.unwrap(np.angle(np.convolve(turned, window, "valid")))
        return float(np.ptp(phase))

    assert wanders(told) < 1.2  # a fifth of a turn; formants shift phases a little
    assert wanders(told * 2 ** (3 / 1200)) > 2.5  # three cents sharp


def test_pitches_cover_five_octaves_and_no_grid() -> None:
    drawn = [melody.draw_melody(np.random.default_rng(index)) for index in range(300)]
    pitches = np.array([pitch for tune in drawn for pitch in tune.pitches])
    assert pitches.min() < 35
    assert pitches.max() > 91
    assert np.histogram(pitches, 5, (33, 93))[0].min() > 60
    off = np.abs(pitches - np.round(pitches))
    assert np.mean(np.isclose(off, 0.5)) > 0.1
    assert np.mean((off > 0.02) & (off < 0.48)) > 0.15
    assert 0.4 < np.mean([tune.vibrato_cents > 0 for tune in drawn]) < 0.8
    assert np.mean([tune.glide_s > 0.1 for tune in drawn]) > 0.2


def test_a_curve_does_what_the_melody_says() -> None:
    tune = melody.Melody((60.0, 72.0), (0.0, 1.0), 2.0, 0.2, 5.0, 50.0, 0.3, 0.0)
    curve = melody.semitones(tune, 2 * RATE, RATE, np.random.default_rng(0))
    at = [round(time_s * RATE) for time_s in (0.0, 0.2, 0.999, 1.1, 1.28)]
    assert curve[at] == pytest.approx([60, 60, 60, 66, 72], abs=0.55)
    assert curve[at[1]] == pytest.approx(60, abs=1e-9)  # vibrato waits
    late = curve[round(1.75 * RATE) :]
    assert (late.max() - late.min()) / 2 == pytest.approx(0.5, abs=0.02)
    assert np.abs(np.diff(curve)).max() < 0.01


def test_families_take_turns_and_differ(made: Made) -> None:
    assert [row["family"] for _, row in made] == [*voices.FAMILIES, *voices.FAMILIES]
    tune = melody.Melody((57.0,), (0.0,), 1.0, 0.012, 5.0, 0.0, 0.1, 0.0)
    curve = melody.semitones(tune, RATE, RATE, np.random.default_rng(0))
    shapes = []
    for family in voices.FAMILIES:
        sound = voices.sounded(voices.draw_timbre(stream(4, 0, family), family),
                               melody.hertz(curve), np.ones(RATE), RATE, stream(4, 0, "own"),
                               stream(4, 0, "noise"))
        level = np.abs(np.fft.rfft(sound * np.hanning(RATE)))[np.arange(1, 16) * 220]
        shapes.append(20 * np.log10(level / level.max() + 1e-3))
    apart = np.abs(np.array(shapes)[:, None] - np.array(shapes)[None]).mean(axis=-1)
    assert apart[np.triu_indices(len(shapes), 1)].min() > 2.0
