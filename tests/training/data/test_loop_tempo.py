"""The tempo of loops from their length, where their onsets agree."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.evaluation.loop_helpers import FOUR, clicks, tone
from training.corpus.hits import render_hit
from training.corpus.techno import render_loop
from training.data.tempo import tempo_of_loop


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize(("bpm", "bars"), [(97.0, 1), (128.0, 2), (140.0, 4), (174.0, 8)])
def test_click_loops(bpm: float, bars: int, rate: int) -> None:
    found = tempo_of_loop(clicks(bpm, bars * 240 / bpm, rate, FOUR), rate)
    assert found is not None
    assert found[1] == bars
    assert found[0] == pytest.approx(bpm, rel=1e-4)


def test_near_the_ends_of_the_octave_onsets_decide() -> None:
    """Two bars at 90 BPM, rounded to just below, are four at 180 as well: beats say which."""
    length = 2 * 240 / 90 * 1.0005
    slow = tempo_of_loop(clicks(90 / 1.0005, length, steps=FOUR), 16000)
    fast = tempo_of_loop(clicks(180 / 1.0005, length, steps=(0, 1, 2, 4, 6, 8, 9, 12, 14, 15)),
                         16000)
    assert slow is not None
    assert slow[1] == 2
    assert fast is not None
    assert fast[1] == 4


@pytest.mark.parametrize("index", range(6))
def test_techno_loops(index: int) -> None:
    audio, row = render_loop(77, index, 16000)
    found = tempo_of_loop(audio[0], 16000)
    assert found is not None
    assert found[1] == row["bars"]
    assert found[0] == pytest.approx(row["bpm"], rel=1e-3)


@pytest.mark.parametrize("share", [0.71, 0.83])
def test_loops_that_were_cut_elsewhere_are_missing(share: float) -> None:
    audio, _ = render_loop(77, 0, 16000)
    assert tempo_of_loop(audio[0, : int(share * audio.shape[1])], 16000) is None


def test_where_nothing_beats_the_tempo_is_missing() -> None:
    noise = np.random.default_rng(0).standard_normal(32000).astype(np.float32)
    hit = np.pad(render_hit(0, 0, 16000)[0][0], (0, 32000))[:32000]
    for sound in (np.zeros(32000, np.float32), tone(440, 2), 0.3 * noise, hit):
        assert tempo_of_loop(sound, 16000) is None


@pytest.mark.parametrize("seconds", [0.0, 0.2, 1.0, 60.0])
def test_lengths_that_no_number_of_bars_has_are_missing(seconds: float) -> None:
    assert tempo_of_loop(clicks(120, seconds), 16000) is None
