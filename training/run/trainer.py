"""The loop: batch by batch, an objective moves the weights of a model until the budget is spent.

Steps count from the beginning of the run, not of the process; a step's random numbers depend on the
seed, the step and the place in the whole batch alone. What happens beside the steps (checkpoints,
validation, logs, the display) is done by listeners.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.errors import TudorError
from training.data.base import Batch, Data, Shard, loader
from training.objectives.base import Moment, Objective, Terms
from training.run.averages import Average
from training.run.budget import Budget, learning_rate
from training.run.common_config import CommonConfig
from training.run.fabric import keep_full_precision, mixed
from training.run.health import LossHealth, advice, diagnosis
from training.run.noise import vary_noise
from training.run.signals import Signals, outlive_first_signal

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from training.run.run_folder import Checkpoint

CHECK_STEPS = 25  # off the CPU, reading the loss stalls the device: look at it this often


class Listener:
    """What is told of the progress of a run."""

    def begin(self, trainer: Trainer) -> None:
        """Before the first step."""

    def stepped(self, trainer: Trainer, batch: Batch) -> None:
        """After each step."""

    def end(self, trainer: Trainer) -> None:
        """After the last step."""

    def close(self) -> None:
        """However it ended."""


class Trainer:
    """Trains by `objective` on `data`, from `checkpoint` on; it is an objective's `Engine`."""

    def __init__(
        self, objective: Objective, config: CommonConfig, data: Data, workers: int = 0,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.objective, self.config, self.data = objective, config, data
        self.model = objective.model
        self.average = Average(self.model, config.ema_decay)
        self.step = 0
        self.budget = Budget(config)
        self.progress = self._seconds = 0.0
        self.signals, self.stopped = Signals(), False
        self.terms: Terms = {}
        self.health = LossHealth()
        self.fabric: Fabric
        self._batch: Batch | None = None
        self._workers = workers
        if checkpoint is not None:
            self.step = checkpoint.step
            self.budget.spent_seconds = checkpoint.seconds
            self.average.model.load_state_dict(checkpoint.average)

    def fit(self, fabric: Fabric, listeners: Sequence[Listener]) -> None:
        """Until the budget is spent or a signal is heard."""
        self._place(fabric)
        batches = iter(self._loader())
        try:
            for listener in listeners:
                listener.begin(self)
            self.budget.start()
            self._advance()
            while self.progress < 1:
                self._take(next(batches).to(fabric.device))
                for listener in listeners:
                    assert self._batch is not None
                    listener.stepped(self, self._batch)
                if self.stopped:
                    break
            for listener in listeners:
                listener.end(self)
        finally:
            for listener in listeners:
                listener.close()

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes."""
        return self.fabric.is_global_zero

    def _place(self, fabric: Fabric) -> None:
        """All networks on their device, and processes joined."""
        self.fabric = fabric
        fabric.launch()
        self.signals.install()
        self.shard = Shard(fabric.global_rank, fabric.world_size)
        vary_noise(self.model, self.shard)
        if mixed(fabric):
            keep_full_precision(self.model)
        self.average.model.to(fabric.device)
        self.objective.to(fabric.device).train()
        self.losses = fabric.setup_module(self.objective)
        self.objective.start(self)

    def _loader(self) -> torch.utils.data.DataLoader[Batch]:
        pin = self.fabric.device.type == "cuda"
        made = loader(self.data, self.shard, self.step, self._workers, pin)
        made.worker_init_fn = outlive_first_signal
        return made

    def _take(self, batch: Batch) -> None:
        """One step."""
        self._batch = batch
        torch.manual_seed((self.config.seed * 1_000_003 + self.step * 1009) % 2**63)
        rate = learning_rate(self.config, self.step, self.progress)
        at = Moment(self.step, self._seconds, self.progress, rate, self.shard)
        self.terms = self._over_processes(self.objective.step(batch, at))
        self.step += 1
        self.average.update(self.model, self.step)
        self._advance()

    def _over_processes(self, terms: Terms) -> Terms:
        """Means over processes, which are those of the whole batch."""
        if self.shard.world == 1:
            return terms
        values = torch.stack([value.detach().float() for value in terms.values()])
        means = self.fabric.all_reduce(values, reduce_op="mean")
        return dict(zip(terms, means, strict=True))

    def _advance(self) -> None:
        """Progress now, and whether to stop; the first process's clock and signals count for all,
        or their weights would part."""
        now = (self.budget.progress(self.step), self.budget.seconds,
               self.signals.heard is not None)
        if self.shard.world > 1:
            now = self.fabric.broadcast(now)
        self.progress, self._seconds, self.stopped = now

    # --- what an objective asks for -----------------------------------------------------------

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)

    def look(self, terms: Terms) -> None:
        """Ends a run whose loss left the real numbers or ran away. All processes see the same
        figures, so that none of them is left waiting."""
        if self.fabric.device.type == "cpu" or self.step % CHECK_STEPS == 0:
            whole = self._over_processes(terms)
            self.check_loss(whole)
            self.health.look(self.objective.watch(whole))
            self.health.check(self.step, self.config.learning_rate)

    def check_loss(self, terms: Terms | None = None) -> None:
        """An error that says what to do when the loss has left the real numbers."""
        terms = self.terms if terms is None else terms
        loss = float(terms["loss"].detach())
        if not math.isfinite(loss):
            found = diagnosis(self.model, terms, self._batch)
            raise TudorError(
                f"the loss became {loss} at step {self.step} ({found}); what was saved before "
                f"is kept. {advice(self.config.learning_rate)}"
            )
