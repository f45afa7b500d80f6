"""A training of a network of pictures: the house's own loop, with processor time for a clock.

Processor time, because a machine that does other things besides would else learn less, and the
figures of two days could not be compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from engine.errors import Stopped
from engine.models.base import Model
from training.data.base import Batch, Data, Shard
from training.images.sets import PictureSet
from training.objectives.base import Objective
from training.run.budget import Budget
from training.run.common_config import CommonConfig
from training.run.durations import duration
from training.run.fabric import fabric
from training.run.trainer import Listener, Trainer

CURVE_STEPS = 20  # between two points of a curve
PLAIN_SECONDS = 15.0  # between lines where there is no terminal


class SetData(Data):
    """Batches of a set in memory."""

    def __init__(self, pictures: PictureSet, config: Any) -> None:
        super().__init__(Path(), config, Path())
        self.pictures = pictures

    def look(self) -> None:
        """It is there."""

    def prepare(self, model: Model, console: Console) -> None:
        """It is."""

    def batch(self, number: int, shard: Shard) -> Batch:
        rng = np.random.default_rng((self.config.seed, number, shard.rank))
        chosen = rng.integers(len(self.pictures.learn), size=self.config.batch_size)
        return Batch(image=as_tensor(self.pictures.learn[chosen]),
                     label=torch.from_numpy(self.pictures.labels[chosen]))

    def example(self, size: int) -> Batch:
        side = self.pictures.side
        return Batch(image=torch.rand(size, 1, side, side), label=torch.zeros(size).long())


def as_tensor(x: np.ndarray[Any, Any]) -> torch.Tensor:
    """Pictures of 0 to 1."""
    return torch.from_numpy(x.astype(np.float32) / 255)


class ProcessorBudget(Budget):
    """Counts processor time."""

    def start(self) -> None:
        self._started = time.process_time()

    @property
    def seconds(self) -> float:
        return 0.0 if self._started is None else time.process_time() - self._started


@dataclass
class Trained:
    """What came out of a training: averaged weights, and its curves by name over steps."""

    model: Model
    steps: int
    seconds: float
    at: list[int] = field(default_factory=list)
    curves: dict[str, list[float]] = field(default_factory=dict)


class Watch(Listener):
    """Curves, and how far it is."""

    def __init__(self, name: str, console: Console) -> None:
        self.name, self.console = name, console
        self.at: list[int] = []
        self.curves: dict[str, list[float]] = {}
        self._bar: Progress | None = None
        self._shown = time.monotonic()

    def begin(self, trainer: Trainer) -> None:
        if self.console.is_terminal:
            self._bar = Progress(TextColumn(self.name), BarColumn(),
                                 TextColumn("{task.fields[text]}"), console=self.console,
                                 transient=True)
            self._task = self._bar.add_task(self.name, total=1.0, text="")
            self._bar.start()

    def stepped(self, trainer: Trainer, batch: Batch) -> None:
        if trainer.step % CURVE_STEPS == 0:
            self.at.append(trainer.step)
            for name, value in trainer.terms.items():
                self.curves.setdefault(name, []).append(float(value.detach()))
        now = time.monotonic()
        if now - self._shown < (0.5 if self._bar else PLAIN_SECONDS):
            return
        self._shown = now
        left = trainer.budget.seconds * (1 / max(trainer.progress, 1e-6) - 1)
        text = (f"step {trainer.step}, {duration(left)} left, "
                f"loss {float(trainer.terms['loss'].detach()):.3f}")
        if self._bar:
            self._bar.update(self._task, completed=trainer.progress, text=text)
        else:
            self.console.print(f"{self.name} {trainer.progress:4.0%}  {text}", highlight=False)

    def close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def train(
    objective: Objective, config: CommonConfig, pictures: PictureSet, name: str, console: Console
) -> Trained:
    """Until the budget of `config` is spent."""
    trainer = Trainer(objective, config, SetData(pictures, config))
    trainer.budget = ProcessorBudget(config)
    watch = Watch(name, console)
    listeners: Sequence[Listener] = [watch]
    with trainer.signals:
        trainer.fit(fabric("cpu", 1, 1, objective.partial), listeners)
    if trainer.stopped:
        raise Stopped(f"stopped while {name} was trained, of which nothing is kept", 130)
    return Trained(trainer.average.model, trainer.step, trainer.budget.seconds, watch.at,
                   watch.curves)
