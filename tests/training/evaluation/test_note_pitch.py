"""Notes of known pitch are in tune, others are not."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.note_pitch import cents_off, share_in_tune

RATE = 32000


def note(octaves: float, cents: float = 0.0, seconds: float = 1.0) -> np.ndarray:
    hz = 261.625565 * 2 ** (octaves + cents / 1200)
    t = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 9)
               if k * hz < RATE / 2).astype(np.float32)


@pytest.mark.parametrize("octaves", [-3.0, -1.2, 0.0, 2.0])
@pytest.mark.parametrize("cents", [0.0, 22.0, -70.0, 1200.0, -1200.0])
def test_how_far_a_note_is_off_is_found(octaves: float, cents: float) -> None:
    assert cents_off(note(octaves, cents), octaves, RATE) == pytest.approx(
        cents, abs=5 if abs(cents) < 600 else 15)


def test_the_share_counts_what_is_near_and_sounds() -> None:
    notes = [note(0), note(0, 25), note(0, 35), note(1), np.zeros(RATE, np.float32)]
    assert share_in_tune(notes, [0.0] * 5, RATE) == pytest.approx(0.4)
    assert share_in_tune([], [], RATE) is None
