"""When a knob of a shipped model of loops is heard: from its turn to the first other sample."""

from __future__ import annotations

import numpy as np
import pytest

from engine.description import Description
from engine.players.native_model import NativeFile
from engine.presets import shipped_native
from tests.firmware.common_play import BLOCK, RATE, native
from tests.firmware.test_common_clock import silent

MOMENTS = 6  # over one chunk


# What is asked for is 64 ms; chunks of 64 ms and what is spread over one miss that.
@pytest.mark.parametrize(("name", "most"), [
    ("loops-daisy", 0.064), ("loops-desktop", 0.064), ("loops-pi", 0.064), ("loops-tiny", 0.0905)])
@pytest.mark.parametrize("knob", ["density", "brightness"])
def test_a_knob_is_heard_within_the_next_chunk(name: str, most: float, knob: str) -> None:
    path = shipped_native(name)
    assert path is not None
    data = path.read_bytes()
    told = Description.from_json(NativeFile.from_bytes(data).metadata, name)
    number = told.main.input_labels.index(knob) + 1
    chunk = told.main.in_ratio / told.sample_rate_hz
    mapping = f"way source\nknob1 latent {number} -2 2 smooth=0\ntempo 120\n"
    still = native([data], mapping, [(0.0, "knob", 0, 0.5)], audio=silent(2))
    assert still.audio[0, RATE:].std() > 1e-3
    late = []
    for moment in range(MOMENTS):
        at = 1.0 + moment * chunk / MOMENTS
        turned = native([data], mapping, [(0.0, "knob", 0, 0.5), (at, "knob", 0, 1.0)],
                        audio=silent(2))
        changed = np.flatnonzero((turned.audio != still.audio).any(axis=0))
        assert changed.size > 1000
        late.append(changed[0] / RATE - at)
    print(f"{name} {knob}: {1000 * min(late):.1f} to {1000 * max(late):.1f} ms, "
          f"mean {1000 * np.mean(late):.1f}")
    assert min(late) > 0
    assert max(late) < most
    # Whichever moment it is: the rest of a chunk, and what any sound takes.
    assert max(late) <= chunk + (int(still.slots[0]["latency_samples"]) + BLOCK) / RATE
    assert max(late) - min(late) > 0.8 * chunk * (1 - 1 / MOMENTS)
