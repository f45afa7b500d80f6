"""A stroke in an instrument whose z is let go: the burst has the gate's row, later rows what the
controls ask for by then, and what is held is moved by nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.players.native_model import NativeFile, NativeModel
from firmware.simulate_rack import Racked, events, play_rack
from tests.firmware.machines import assert_same_bits, machine
from tests.firmware.test_strokes import FADE, FFT, HOP, LIMITER, RATE, SEEDS, FloatArray, voice

LABELS = ("gate", "velocity", "pitch_oct", "a", "b", "one", "two", "z 1", "z 2", "z 3")
Z = LABELS.index("z 1")
MAP = ("way source\ngate1 latent 1 smooth=0\nvelocity latent 2 smooth=0\n"
       f"knob1 attribute hold 0 1 smooth=0\nknob2 latent {Z + 1} -1 1 smooth=0\n")
GATE, RESTS, GOES = 9600, 0.5, 0.875  # of knob 2: z 1 of 0 and of 0.75
LEAD = FFT // HOP  # rows ahead of the first that is heard
HEARD = 6000


def played(hold: float, moved: int | None, number: int = 0, **options: Any) -> Racked:
    """A stroke, the last of `number` + 1; knob 2 turned `moved` samples after its gate."""
    gates = [GATE + 7000 * k for k in range(number + 1)]
    script = [(0.0, "knob", 0, hold), (0.0, "knob", 1, RESTS)]
    for gate in gates:
        script += [(gate / RATE, "gate", 0, 1.0), ((gate + 9) / RATE, "gate", 0, 0.0)]
    if moved is not None:
        script.append(((gates[-1] + moved) / RATE, "knob", 1, GOES))
    run = play_rack(machine("native"), [options.pop("data", None) or voice()], maps=[MAP], wet=1,
                    script=events(script, RATE), audio=np.zeros((1, 40000), np.float32),
                    **options)
    assert not run.refused
    return run


def heard(run: Racked, number: int = 0, at_once: bool = False) -> FloatArray:
    late = FADE if at_once else int(run.slots[0]["strike_samples"]) - LIMITER
    return run.audio[0, GATE + 7000 * number + late :][:HEARD]


def stroke(hold: float, row: int, number: int = 0, data: bytes | None = None) -> FloatArray:
    """The offline model's, whose z 1 is moved from this row on."""
    model = NativeModel(NativeFile.from_bytes(data or voice()), isa="ref")
    assert tuple(model.methods["generate"].in_labels) == LABELS
    model.set("seed", np.array([SEEDS * number], np.float32))
    model.set("hold", np.array([hold], np.float32))
    x = np.zeros((1, len(LABELS), 200), np.float32)
    x[0, 0, 0], x[0, 1] = 1, 1
    x[0, Z, row:] = 2 * GOES - 1
    return model.process("generate", x)[0, 0, FFT:][:HEARD]


def moved_at(got: FloatArray, **options: Any) -> list[int]:
    """From which rows on z moved, for the offline stroke to be this one to the bit."""
    return [row for row in range(1, 100) if np.array_equal(stroke(row=row, **options), got)]


@pytest.mark.parametrize("dtype", ["float32", "q16x8"])
def test_what_is_held_is_moved_by_nothing(dtype: str) -> None:
    data = voice(dtype)
    for moved in (None, 60, 2400):
        assert_same_bits(heard(played(1.0, moved, data=data)), stroke(1.0, 1, data=data))


@pytest.mark.parametrize("hold", [0.0, 0.5])
@pytest.mark.parametrize("block", [1, 48, 128])
def test_what_is_let_go_follows_from_the_next_row_on(block: int, hold: float) -> None:
    """That is made after the move: heard at most some rows later."""
    for moved in (1200, 1837):
        found = moved_at(heard(played(hold, moved, block=block)), hold=hold)
        assert len(found) == 1
        assert 0 <= found[0] - LEAD - (moved - FADE) / HOP < (block + 2 * FADE) / HOP + 3


@pytest.mark.parametrize("moved", [40, 100, 500])
def test_rows_of_a_burst_ask_for_what_the_gate_did(moved: int) -> None:
    run = played(0.0, moved, block=48, burst=20000)
    assert int(run.slots[0]["strike_samples"]) - LIMITER > 500
    assert moved_at(heard(run), hold=0.0) == [LEAD + 1]


def test_a_stroke_that_was_made_ahead_follows_too() -> None:
    """It is heard at once; then it goes where the controls do."""
    run = played(0.0, 1500, number=1, block=48, burst=20000, ahead=1)
    found = moved_at(heard(run, 1, at_once=True), hold=0.0, number=1)
    assert len(found) == 1
    assert found[0] > LEAD + 10
