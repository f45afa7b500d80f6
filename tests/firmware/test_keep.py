"""What hands have set is there again when the power was off: knobs, gesture, freeze, slot."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from firmware.simulate_rack import Racked, events, play_rack
from tests.firmware.common_build import SANITIZED, driver
from tests.firmware.common_models import FloatArray, coder, wire
from tests.firmware.common_play import BEND, RATE, latent, native
from tests.firmware.machines import machine
from tests.firmware.test_common_safety import execute

FROZEN, LOOPING = 1, 4
MAPPING = BEND + """knob1 latent 1 -3 3 mode=set
knob2 latent 2 -3 3 mode=set
cc7 latent 3 -3 3 mode=set
gate1 freeze mode=toggle
gate2 record
gate3 loop
"""
SILENCE = np.zeros((1, 2 * RATE), np.float32)
MODELS = [coder(4, 16, ranges=(-4, 4)), coder(4, 32, ranges=(-4, 4))]
Row = tuple[float, str, int, float]


def gesture(at: float = 0.4) -> list[Row]:
    """Knob 1 is turned up and down while it is recorded, for 0.4 s."""
    turned: list[Row] = [(at + 0.01 * i, "knob", 0, abs(i - 18) / 18) for i in range(1, 36)]
    return [(at, "gate", 1, 1), *turned, (at + 0.4, "gate", 1, 0)]


def hands(*more: Row) -> list[Row]:
    return [(0.1, "knob", 0, 0.5), (0.1, "knob", 1, 0.75), (0.2, "midi", 0, 0xB00760),
            (0.05, "select", 1, 0), *more]


def again(run: Racked, rows: list[Row] = [], audio: FloatArray | None = None) -> Racked:  # noqa: B006
    return native(MODELS, MAPPING, rows, audio=audio, restore=run.saved, save=True)


def test_what_hands_have_set_is_there_again() -> None:
    first = native(MODELS, MAPPING, hands(), save=True)
    assert first.saved
    second = again(first)
    assert second.refused == ()
    assert second.status["slot"][100] == second.status["slot"][-1] == 1
    for index in range(3):
        assert latent(second, index, 1.9) == latent(first, index, 1.9) != 0.5
    assert second.saved == first.saved
    assert int(first.facts["changes"]) >= 4
    assert int(second.facts["changes"]) == 0, "nobody has touched anything"
    fresh = native(MODELS, MAPPING, [], save=True)
    assert fresh.saved != first.saved
    assert fresh.status["slot"][-1] == 0


def test_a_gesture_goes_on() -> None:
    first = native(MODELS, MAPPING, hands(*gesture()), save=True)
    assert first.status["flags"][-1] & LOOPING
    second = again(first, audio=SILENCE)
    assert np.all(second.status["flags"][1:] & LOOPING)
    moved = second.status["latent"][200:1800, 0]
    assert moved.max() - moved.min() > 0.5, "knob 1 moves by itself"
    period = RATE * 4 // 10 // 48
    np.testing.assert_allclose(moved[period:], moved[:-period], atol=0.02)
    assert second.saved == first.saved
    stopped = native(MODELS, MAPPING, hands(*gesture(), (1.5, "gate", 2, 1)), save=True)
    assert not stopped.status["flags"][-1] & LOOPING
    third = again(stopped, [(1.0, "gate", 2, 1)])
    assert not third.status["flags"][900] & LOOPING
    assert third.status["flags"][-1] & LOOPING, "it can be looped, though it was not looping"


def test_a_control_that_left_the_loop_stays_outside() -> None:
    first = native(MODELS, MAPPING, hands(*gesture(), (1.5, "knob", 0, 0.9)), save=True)
    second = again(first, audio=SILENCE)
    moved = second.status["latent"][200:, 0]
    assert moved.max() - moved.min() < 1e-6
    assert second.saved == first.saved


def test_latents_stay_frozen_where_they_were() -> None:
    rng = np.random.default_rng(1)
    audio = (rng.standard_normal((1, RATE)) * 0.3).astype(np.float32)
    rows = [*hands(), (0.7, "gate", 0, 1), (0.8, "gate", 0, 0)]
    first = native(MODELS, MAPPING, rows, audio=audio, save=True)
    assert first.status["flags"][-1] & FROZEN
    second = again(first, audio=-audio)
    assert np.all(second.status["flags"][5:] & FROZEN)
    assert np.array_equal(second.status["latent"][-1], first.status["latent"][-1])
    assert second.saved == first.saved
    free = again(first, [(0.2, "gate", 0, 1)], audio=-audio)
    assert not free.status["flags"][-1] & FROZEN
    assert not np.array_equal(free.status["latent"][-1], first.status["latent"][-1])


def test_a_gate_that_freezes_must_be_high_still() -> None:
    mapping = MAPPING.replace("freeze mode=toggle", "freeze")
    first = native(MODELS, mapping, [*hands(), (0.7, "gate", 0, 1)], save=True)
    assert first.status["flags"][-1] & FROZEN
    second = native(MODELS, mapping, [], restore=first.saved)
    assert not second.status["flags"][-1] & FROZEN


def test_a_recording_is_waited_for() -> None:
    """What is saved in the middle of one would be half of it."""
    first = native(MODELS, MAPPING, hands(*gesture(1.8)), save=True)
    assert first.saved == b"", "a gesture is being recorded at the end"


def test_a_slot_is_found_by_its_name() -> None:
    first = native(MODELS, MAPPING, hands(), save=True)
    name = first.saved[8:40].rstrip(b"\0")
    assert name == b"m1"
    other = first.saved.replace(name, b"no")
    assert native(MODELS, MAPPING, [], restore=other).status["slot"][-1] == 0
    moved = first.saved[:4] + (7).to_bytes(4, "little") + first.saved[8:]
    assert native(MODELS, MAPPING, [], restore=moved).status["slot"][-1] == 1


@pytest.mark.parametrize("name", ["aarch64", "m7"])
def test_the_same_bits_everywhere(name: str) -> None:
    rows = hands(*gesture(), (1.2, "gate", 0, 1))

    def twice(name: str) -> tuple[Racked, Racked]:
        play = partial(play_rack, machine(name), MODELS, maps=[MAPPING] * 2, seconds=2, block=48,
                       digest=True, trace=False, save=True)
        first = play(script=events(rows, RATE))
        return first, play(restore=first.saved)

    here, there = twice("native"), twice(name)
    for a, b in zip(here, there, strict=True):
        assert a.saved == b.saved
        assert a.digests == b.digests
    assert len(here[0].saved) > 400


def test_damaged_saves_under_sanitizers(tmp_path: Path) -> None:
    """Each is set again or refused with a sentence, and the sound stays in bounds."""
    first = native(MODELS, MAPPING, hands(*gesture(), (1.2, "gate", 0, 1)), save=True)
    (tmp_path / "saved").write_bytes(first.saved)
    (tmp_path / "model").write_bytes(MODELS[1])
    done = execute(driver("common_fuzz.c", *SANITIZED), "saves", 1, 1_500, tmp_path / "saved",
                   tmp_path / "model")
    assert done.returncode == 0, done.stderr[-3000:]
    facts = dict(re.findall(r"(\w+)=(\d+)", done.stdout))
    assert int(facts["accepted"]) > 100
    assert int(facts["told"]) > 500


# ---- slots ----

LOUD = [wire(gain=2.0)] * 2


def level(load: int, *rows: Row, **options: int) -> tuple[Racked, FloatArray]:
    """A tone through models that double it: its level in every 5 ms, 2 through a model, 1 dry."""
    tone = 0.2 * np.sin(2 * np.pi * 1000 / RATE * np.arange(RATE))
    run = native(LOUD, "way effect\n", [(0.0, "load", 0, load / 100), *rows],
                 audio=tone.astype(np.float32)[None], **options)
    return run, np.abs(run.audio.reshape(-1, 240)).max(1) / 0.2


CHANGE: Row = (0.5, "select", 1, 0)


def test_slots_are_crossfaded_where_the_load_leaves_time_for_both() -> None:
    lowest = {(load, how): level(load, CHANGE, overlap=how)[1][60:].min()
              for load in (20, 60) for how in (0, 1, 2)}
    assert lowest[20, 2] == lowest[20, 1] > 1.6
    assert lowest[60, 2] == lowest[60, 0] < 1.1
    assert lowest[60, 1] > 1.6, "the load is a script's: nothing is really late"


def test_models_that_take_turns_change_through_dry() -> None:
    run, heard = level(20, CHANGE, turns=1, overlap=2)
    assert list(run.status["slot"][[300, 999]]) == [0, 1]
    assert run.status["loaded"][0] == 0b11
    assert heard[60:].min() < 1.1
    assert heard[-20:].min() > 1.9
    dry, as_ready = ((h[60:] < 1.1).sum() for h in (heard, level(20, CHANGE)[1]))
    assert dry <= as_ready + 1, "no longer than where both are ready"
    assert set(run.status["state"][600:700]) <= {1, 2}


def test_a_mind_that_changes_while_a_model_is_waited_for() -> None:
    run, heard = level(20, CHANGE, (0.505, "select", 0, 0), turns=1)
    assert run.status["slot"][-1] == 0
    assert heard[-20:].min() > 1.9
    run, heard = level(20, *((0.3 + 0.013 * i, "select", i % 2, 0) for i in range(30)), turns=1)
    assert run.status["slot"][-1] == 1
    assert heard[-20:].min() > 1.9
