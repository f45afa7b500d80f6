"""Pitch by volts and notes, whatever a model calls it, and what leaves it alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.firmware.common_models import coder, generator
from tests.firmware.common_play import BEND, RATE, latent, native, refusal


def test_pitch_follows_volts_and_notes() -> None:
    """The first input of this model is a pitch, as a MIDI note: seen as the latent that it is."""
    model = generator(("pitch", "a", "b"))
    for rows, note in (([(0.0, "cv", 0, 0.2)], 72), ([(0.0, "midi", 0, 0x904564)], 69),
                       ([(0.0, "midi", 0, 0x903C64), (0.0, "midi", 0, 0xE07F7F)], 62)):
        run = native([model], "cv1 pitch\nnote pitch smooth=0\nbender pitch\n", rows, seconds=1)
        assert latent(run, 0, 0.9) * 6 - 3 == pytest.approx(note, abs=0.01)


def test_bending_transposes_a_pitch_in_octaves() -> None:
    """The last latent of this model is a pitch; silence is encoded as middle C."""
    model = coder(last="pitch_oct")
    silence = np.zeros((1, RATE), np.float32)
    for rows, octaves in (([], 0.0), ([(0.0, "cv", 0, 0.2)], 1.0), ([(0.0, "cv", 0, -0.4)], -2.0),
                          ([(0.0, "midi", 0, 0x904564)], 9 / 12), ([(0.0, "knob", 2, 1.0)], 2.0)):
        run = native([model], BEND + "cv1 pitch\nnote pitch\nknob3 pitch\n", rows, audio=silence)
        assert latent(run, 3, 0.9) * 6 - 3 == pytest.approx(octaves, abs=0.01)
        assert [latent(run, index, 0.9) for index in range(3)] == pytest.approx([0.5] * 3)


def test_bending_adds_to_the_pitch_that_was_encoded() -> None:
    model, audio = coder(last="pitch_oct"), np.full((1, RATE), 0.5, np.float32)
    plain, higher = (native([model], BEND + "cv1 pitch\n", rows, audio=audio)
                     for rows in ([], [(0.0, "cv", 0, 0.2)]))
    before, after = (latent(run, 3, 0.9) * 6 - 3 for run in (plain, higher))
    assert abs(before) > 0.1
    assert after - before == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("label", ["pitch_oct", "pitch_hz"])
def test_octaves_and_hertz_of_a_source(label: str) -> None:
    rows = [(0.0, "cv", 0, 0.2)]
    run = native([generator((label, "a", "b"))], "cv1 pitch\n", rows, seconds=1)
    wanted = {"pitch_oct": 1.0, "pitch_hz": 2 * 261.6256}[label]
    assert latent(run, 0, 0.9) * 6 - 3 == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(("part", "turned"), [
    ("", 1), ("in=0:5", 1), ("in=-2:8", 1), ("in=5:-5", -1), ("in=0:5 mode=set", 1),
])
def test_a_volt_is_an_octave_whatever_part_is_used(part: str, turned: int) -> None:
    rows = [(0.0, "cv", 0, 0.2)]  # 1 V
    run = native([generator(("pitch_oct", "a", "b"))], f"cv1 pitch {part}\n", rows, seconds=1)
    assert latent(run, 0, 0.9) * 6 - 3 == pytest.approx(turned, rel=1e-3)


def test_only_octaves_can_be_bent() -> None:
    assert "the model has no 'pitch' to play" in refusal(BEND + "cv1 pitch\n", coder(last="pitch"))
    run = native([coder(last="pitch_oct")], None, [(0.0, "cv", 0, 0.2)],
                 audio=np.zeros((1, RATE), np.float32))  # the derived mapping knows the pitch
    assert latent(run, 3, 0.9) * 6 - 3 == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("label", ["loudness", "pitch_oct", "clarity"])
def test_walks_jumps_and_swaps_leave_controls_alone(label: str) -> None:
    """Three latents move, the control beside them does not."""
    rows = [(0.1, "knob", 0, 1.0), (0.1, "knob", 1, 0.6), (0.3, "gate", 0, 1.0)]
    text = BEND + "knob1 walk\nknob2 swap\ngate1 jump\n"
    audio = np.full((1, RATE), 0.3, np.float32)
    run = native([coder(last=label)], text, rows, audio=audio)
    still = native([coder(last=label)], BEND, [], audio=audio)
    assert latent(run, 3, 0.9) == pytest.approx(latent(still, 3, 0.9), abs=1e-5)
    for index in range(3):
        assert abs(latent(run, index, 0.9) - latent(still, index, 0.9)) > 0.01


def test_a_source_of_tones_is_clear() -> None:
    """Nothing was encoded that could say so: clarity is 1 where other latents rest at 0."""
    levels = [np.abs(native([coder(last=label)], "way source\nknob1 walk\n",
                            [(0.0, "knob", 0, 0.0)], seconds=2).audio[..., RATE:]).max()
              for label in ("clarity", "d")]
    assert levels[1] < 1e-6
    assert levels[0] > 0.1
