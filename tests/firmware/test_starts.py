"""The module with models that start at rest: silence in, silence out, whatever is done with it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from engine.models.rest import from_zeros
from engine.models.store import load_model
from export.native.export import compile_model, lower
from firmware.simulate_rack import STATES, Racked, events, play_rack
from tests.engine.models.test_rest import CLICK_DBFS, peak_dbfs, resting
from tests.firmware.machines import machine

RATE, SECONDS = 16000, 3
MAPS = {"effect": "way effect\ngate1 reset\ngate2 next\n",
        "bend": "way bend\ngate1 reset\ngate2 next\n"}


@cache
def tiny(start: str) -> bytes:
    model = resting(load_model("techno-tiny").model)
    model = model if start == "rest" else from_zeros(model)
    programs = lower({name: model.graph(name) for name in model.methods}, model.describe("x"))
    return compile_model(model, programs, model.describe("x"))


def played(start: str, way: str, **options: int) -> Racked:
    """A start; from 0.5 s on resets and changes of slot: all in silence, with short fades."""
    rows = [(0.5 + 0.3 * i, "gate", i % 2, float(high)) for i in range(8) for high in (1, 0)]
    rows = [(at + (0.0 if high else 0.1), kind, source, high) for at, kind, source, high in rows]
    return play_rack(machine("native"), [tiny(start)] * 2, maps=[MAPS[way]] * 2,
                     script=events(rows, RATE), audio=np.zeros((1, SECONDS * RATE), np.float32),
                     rate=RATE, block=64, fade=1, **options)


@pytest.mark.parametrize("overlap", [0, 1])
@pytest.mark.parametrize("way", MAPS)
def test_starts_resets_and_changes_of_slot_do_not_click(way: str, overlap: int) -> None:
    run = played("rest", way, overlap=overlap)
    assert set(run.status["slot"]) == {0, 1}
    assert {STATES[state] for state in set(run.status["state"])} >= {"playing", "changing"}
    assert run.audio.any()
    assert run.status["wet"][-1] == 1
    assert peak_dbfs(run.audio) < CLICK_DBFS
    # From zeros a model is kept unheard until most of its click is over; the rest may be heard.
    assert peak_dbfs(run.audio) <= peak_dbfs(played("zero", way, overlap=overlap).audio)


def test_the_same_model_would_click_from_zeros() -> None:
    model = from_zeros(load_model("techno-tiny").model)
    clicks = model.offline("forward", torch.zeros(1, 1, RATE))
    assert peak_dbfs(clicks[0].numpy()) > CLICK_DBFS + 10
