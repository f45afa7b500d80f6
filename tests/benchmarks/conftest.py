"""A player whose speed is known to the nanosecond, so that figures can be judged on any machine."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import measure
from engine.description import Description, Method
from engine.players.base import Player

RATE_HZ = 16000


class Stateless:
    """State of a model that carries none."""


class FakePlayer(Player):
    """Doubles its input; takes `cost_ms(x)` for a block by a clock that only it moves."""

    backend = "fake"
    now_ns = 0  # of all of them

    def __init__(self, name="fake", cost_ms=1.0, ratio=1, lookahead=0, log=None):
        method = Method("forward", 1, 1, 1, 1, ("audio",), ("audio",), lookahead)
        coarse = Method("decode", 2, ratio, 1, 1, ("a", "b"), ("audio",), lookahead)
        if ratio > 1:  # a frame-wise model: whole frames only
            class Framed(Method):
                @property
                def ratio(self):
                    return ratio
            method = Framed("forward", 1, 1, 1, 1, ("audio",), ("audio",), lookahead)
        methods = {"forward": method, "decode": coarse}
        super().__init__(Description(name, "none", RATE_HZ, methods, {}), None)
        self.cost_ms, self.log = cost_ms, log

    def _run(self, method, x, state):
        if self.log is not None:
            self.log.append(self.name)
        cost = self.cost_ms(x) if callable(self.cost_ms) else self.cost_ms
        FakePlayer.now_ns += max(round(cost * 1e6), 100)  # a clock that stands would never end
        return np.repeat(2 * x[:, :1], method.in_ratio, axis=2)

    def _new_state(self):
        return Stateless()

    def _reset(self, state):
        pass

    def _apply(self, state, name, value):
        pass

    def state_bytes(self, method):
        return 12

    def weights_bytes(self, method):
        return 3400


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(measure, "perf_counter", lambda: FakePlayer.now_ns / 1e9)
    for clock in ("perf_counter_ns", "thread_time_ns"):
        monkeypatch.setattr(measure, clock, lambda: FakePlayer.now_ns)
    return FakePlayer
