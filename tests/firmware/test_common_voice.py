"""A model that is played by pitch and gate derives a mapping that makes it a voice."""

from __future__ import annotations

import pytest

from tests.firmware.common_models import generator
from tests.firmware.common_play import latent, native

VOICE = ("pitch_oct", "gate", "pitch_oct 2", "gate 2", "loudness", "free", "class")
PITCH, GATE, GATE_2, LOUDNESS, FREE, CLASS = 0, 1, 3, 4, 5, 6
LOW, HIGH = -5.0, -1.0  # bels


def heard(rows, index, seconds=0.9):
    return latent(native([generator(VOICE)], None, rows, seconds=1), index, seconds)


def test_a_voice_rests_with_its_gates_shut_and_nothing_wanders():
    run = native([generator(VOICE)], None, [], seconds=1)
    for seconds in (0.1, 0.5, 0.9):
        found = [latent(run, index, seconds) for index in range(7)]
        assert [found[i] for i in (GATE, GATE_2, FREE)] == [0, 0, 0]
        assert found[LOUDNESS] * (HIGH - LOW) + LOW == pytest.approx(-2.0)
        assert [found[i] * 6 - 3 for i in (PITCH, 2, CLASS)] == pytest.approx([0, 0, 0], abs=1e-6)


@pytest.mark.parametrize(("kind", "number", "on", "off", "opened"), [
    ("gate", 0, 1.0, 0.0, GATE), ("gate", 1, 1.0, 0.0, FREE),
    ("midi", 0, 0x904564, 0x804500, GATE)])
def test_jacks_and_keys_open_a_gate_at_once(kind, number, on, off, opened):
    rows = [(at, kind, number, value) for at, value in ((0.1, on), (0.2, off), (0.3, on))]
    run = native([generator(VOICE)], None, rows, seconds=1)
    for at, wanted in ((0.09, 0), (0.105, 1), (0.205, 0), (0.305, 1)):
        assert latent(run, opened, at) == wanted  # smoothing would still be on its way
    assert latent(run, GATE + FREE - opened, 0.9) == 0


@pytest.mark.parametrize("last", [0x804500, 0xB07B00])
def test_keys_shut_it_again(last):
    rows = [(0.1, "midi", 0, 0x904564), (0.2, "midi", 0, 0x904864), (0.3, "midi", 0, 0x804800)]
    assert heard(rows, GATE) == 1  # one is still held
    assert heard([*rows, (0.5, "midi", 0, last)], GATE) == 0


def test_volts_keys_and_velocity_say_pitch_and_loudness():
    assert heard([(0.1, "cv", 0, 0.2)], PITCH) * 6 - 3 == pytest.approx(1, abs=0.01)
    assert heard([(0.1, "midi", 0, 0x904564)], PITCH) * 6 - 3 == pytest.approx(0.75, abs=0.01)
    for knob, velocity, bels in ((1.0, 127, -1.0), (0.5, 127, -3.0), (1.0, 0x40, -1.744)):
        rows = [(0.0, "knob", 0, knob), (0.1, "midi", 0, 0x904500 + velocity)]
        assert heard(rows, LOUDNESS) * (HIGH - LOW) + LOW == pytest.approx(bels, abs=0.01)


def test_without_a_gate_a_source_keeps_its_knobs_over_latents():
    run = native([generator(("pitch_oct", "loudness", "a"))], None, [(0.0, "knob", 0, 1.0)],
                 seconds=1)
    assert len({round(latent(run, 2, t), 3) for t in (0.1, 0.4, 0.7, 0.9)}) > 1  # it wanders


DRUMS = ("gate", "velocity", "pitch_oct", "hat_closed", "kick", "snare", "techno", "z 1")
KICK, SNARE, TECHNO, Z = 4, 5, 6, 7


def test_knobs_and_volts_choose_which_drum_a_voice_strikes_and_nothing_wanders():
    def found(index, rows, seconds=0.9):
        knobs = [(0.0, "knob", number, 0.0) for number in range(4)]  # as a board reads them
        return latent(native([generator(DRUMS)], None, [*knobs, *rows], seconds=1), index, seconds)

    assert found(GATE - 1, [(0.1, "gate", 0, 1.0)]) == 1
    rest = [found(index, [], 0.5) for index in range(3, 8)]
    assert rest == [found(index, []) for index in range(3, 8)]
    for index, source, number in ((KICK, "knob", 0), (SNARE, "knob", 2), (SNARE, "cv", 2)):
        low, high = (found(index, [(0.1, source, number, value)]) * 6 - 3 for value in (0.0, 1.0))
        assert (low, high) == pytest.approx((0, 1), abs=0.01)
    assert found(TECHNO, [(0.1, "midi", 0, 0xB0177F)]) > rest[TECHNO - 3]  # controller 23
    assert found(Z, [(0.1, "midi", 0, 0xB0187F)]) == rest[Z - 3]
