"""How far a run is, and the learning rate that follows from it."""

from __future__ import annotations

import math
import time

from training.run.common_config import CommonConfig


class Budget:
    """How much of the run is done, by steps and by time, whichever is further."""

    def __init__(self, config: CommonConfig, spent_seconds: float = 0.0) -> None:
        self.steps, self.minutes = config.steps, config.minutes
        self.spent_seconds = spent_seconds  # before this process
        self._started: float | None = None

    def start(self) -> None:
        """The clock runs from here."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent training, earlier processes included."""
        running = 0.0 if self._started is None else time.monotonic() - self._started
        return self.spent_seconds + running

    def progress(self, step: int) -> float:
        """0 at the start, 1 when the run is over."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = self.seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_time))


def learning_rate(config: CommonConfig, step: int, progress: float) -> float:
    """Linear warm-up by steps, then a cosine to `final_rate` at the end of the budget."""
    rate = config.learning_rate
    if config.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * progress))
        rate *= config.final_rate + (1 - config.final_rate) * fall
    return rate * min(1.0, (step + 1) / (config.warmup_steps + 1))
