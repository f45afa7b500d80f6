"""What a run says of itself beside its progress: what its objective finds, and what begins."""

from __future__ import annotations

from rich.console import Console

from training.data.base import Batch
from training.run.trainer import Listener, Trainer

EVERY_SECONDS = 60.0


class StatusReport(Listener):
    """Says now and then how training stands, a warning at once, and both at the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._told = 0.0
        self._warned = False
        self._events = 0  # so many have been told of

    def begin(self, trainer: Trainer) -> None:
        self._told = trainer.budget.seconds
        self._events = len(trainer.objective.events(trainer.step))

    def stepped(self, trainer: Trainer, batch: Batch) -> None:
        objective, step = trainer.objective, trainer.step - 1  # that which has just been made
        events = objective.events(step)
        for event in events[self._events :]:
            self._say(f"step {step}: {event}")
        self._events = len(events)
        if trainer.step % trainer.config.log_steps:
            return
        if trainer.budget.seconds - self._told >= EVERY_SECONDS:
            said = objective.state_of_training()
            if said is not None:
                self._told = trainer.budget.seconds
                self._say(said)
        if not self._warned:
            warning = objective.warning(trainer.step, trainer.progress)
            if warning is not None:
                self._warned = True
                self._say(warning)

    def end(self, trainer: Trainer) -> None:
        for line in trainer.objective.closing(trainer.step, trainer.stopped):
            self._say(line)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)
