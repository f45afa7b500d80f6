"""NaN where nothing should look: memory before an instance is made, a block's scratch, streams
beside. It reaches no output of the native runtime."""

from __future__ import annotations

import numpy as np
import pytest

from engine.players import native_model
from engine.players.native_model import NativeModel, aligned
from tests.core.native_quantised_cases import QUANTISED
from tests.core.test_native_bits import FLOAT_NAMES, assert_same_bits, play, setting
from tests.firmware.machines import instruction_sets

NAMES = (*FLOAT_NAMES, *QUANTISED)


def poisoned(size: int, data: bytes | None = None) -> np.ndarray:
    """Memory whose every float32 is NaN, as int16 -1."""
    part = aligned(size, data)
    if data is None:
        part[:] = 0xFF
    return part


@pytest.mark.parametrize("name", NAMES)
def test_what_memory_held_before_plays_no_part(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, x = setting(name, 60, batch=2)
    wanted = play(NativeModel(file, batch=2), x, (5, 1))
    monkeypatch.setattr(native_model, "aligned", poisoned)
    for isa in ("ref", *instruction_sets()):
        assert_same_bits(play(NativeModel(file, batch=2, isa=isa), x, (5, 1)), wanted)


@pytest.mark.parametrize("name", NAMES)
def test_nan_in_the_streams_beside_plays_no_part(name: str) -> None:
    file, x = setting(name, 40)
    beside = np.zeros((3, *x.shape[1:]), np.float32)
    beside[1] = x[0]  # in its place, for each stream has noise of its own
    wanted = play(NativeModel(file, batch=3), beside, (3, 4))[1:2]
    three = np.full_like(beside, np.nan)
    three[1] = x[0]
    for isa in ("ref", *instruction_sets()):
        model = NativeModel(file, batch=3, isa=isa)
        assert_same_bits(play(model, three, (3, 4))[1:2], wanted)


def test_the_poison_would_be_heard() -> None:
    """The test itself: NaN in the state does come out, where no guard stands before."""
    file, x = setting("long_history", 8)
    clean, broken = NativeModel(file), NativeModel(file)
    for model in (clean, broken):
        model.process("forward", x)
    state = np.frombuffer(broken.save_state(), np.float32).copy()
    numbers = np.abs(state) > 1e-30  # places in rings are whole numbers: tiny, read as float32
    assert numbers.any()
    state[numbers] = np.nan
    broken.load_state(state.tobytes())
    assert not np.array_equal(broken.process("forward", x), clean.process("forward", x))
