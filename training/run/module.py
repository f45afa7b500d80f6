"""The Lightning module: optimiser, learning rate, averaging of weights, and the loss's health."""

from __future__ import annotations

import copy
import math
import time
from typing import TYPE_CHECKING, Any

import lightning
import torch
from torch import Tensor

from engine.errors import TudorError
from engine.layers import PQMFAnalysis, PQMFSynthesis
from training.data.crops import CropBatches, Shard, loader
from training.objectives.adversarial import Adversary
from training.objectives.autoencoder import OBJECTIVES, Terms
from training.objectives.monitor import LatentState
from training.run.health import LossHealth, advice, diagnosis, watched
from training.run.noise import vary_noise
from training.run.signals import Signals, outlive_first_signal

if TYPE_CHECKING:
    from engine.models.base import Model
    from training.run.config import TrainingConfig
    from training.run.run_folder import Checkpoint

CHECK_STEPS = 25  # off the CPU, reading the loss stalls the device: look at it this often


class Average:
    """Exponential moving average of weights, in a copy of the model. It follows quickly at first:
    after t steps it spans about t / 10 of them, until `decay` sets the limit."""

    def __init__(self, model: Model, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: Model, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        own = [p.detach() for p in self.model.parameters()]  # shares memory with the parameters
        torch._foreach_lerp_(own, [p.detach() for p in model.parameters()], 1 - decay)
        for mine, other in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(other)


class Budget:
    """How much of the run is done, by steps and by time, whichever is further."""

    def __init__(self, config: TrainingConfig, spent_seconds: float = 0.0) -> None:
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


def learning_rate(config: TrainingConfig, step: int, progress: float) -> float:
    """Linear warm-up by steps, then a cosine to `final_rate` at the end of the budget."""
    rate = config.learning_rate
    if config.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * progress))
        rate *= config.final_rate + (1 - config.final_rate) * fall
    return rate * min(1.0, (step + 1) / (config.warmup_steps + 1))


class TrainingModule(lightning.LightningModule):
    """Trains `model` by an objective. Steps count from the beginning of the run, not of the
    process; each step's random numbers depend on the seed, the step and the rank alone."""

    def __init__(
        self, model: Model, config: TrainingConfig, batches: CropBatches, workers: int = 0,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.objective = OBJECTIVES[config.objective](config)
        self.adversary = new_adversary(model, config)
        self.objective.adversary = self.adversary
        self.average = Average(model, config.ema_decay)
        self.step = 0
        self.budget = Budget(config)
        self.progress = self._seconds = 0.0
        self.signals, self.stopped = Signals(), False
        self.terms: Terms = {}
        self.health = LossHealth()
        self._batch: Tensor | None = None
        self._batches, self._workers = batches, workers
        self._optimizer_state: dict[str, Any] | None = None
        if checkpoint is not None:
            self.step = checkpoint.step
            self.budget.spent_seconds = checkpoint.seconds
            self.model.load_state_dict(checkpoint.model)
            self.average.model.load_state_dict(checkpoint.average)
            self.objective.load_state_dict(checkpoint.objective)
            self._optimizer_state = checkpoint.optimizer
            if self.adversary is not None and checkpoint.adversary is not None:
                self.adversary.load(checkpoint.adversary)
        vary_noise(self.model)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trained = [*self.model.parameters(), *self.objective.parameters()]
        # One kernel for all weights: on a CPU, 0.7 ms in place of 6.3 for 180 thousand of them.
        fused = self.device.type in ("cpu", "cuda")
        optimizer = torch.optim.Adam(trained, self.config.learning_rate, betas=self.config.betas,
                                     fused=fused)
        if self._optimizer_state is not None:
            optimizer.load_state_dict(self._optimizer_state)
        return optimizer

    def train_dataloader(self) -> Any:
        self._batches.shard = Shard(self.global_rank, self.trainer.world_size)
        made = loader(self._batches, self.step, self._workers, self.device.type == "cuda")
        made.worker_init_fn = outlive_first_signal
        return made

    def on_fit_start(self) -> None:
        self.average.model.to(self.device)
        if self.adversary is not None:
            self.adversary.to(self.device)
        if "mixed" in str(self.trainer.precision):
            keep_full_precision(self.model)

    def on_train_start(self) -> None:
        self.budget.start()
        self._advance()

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        torch.manual_seed(_step_seed(self.config.seed, self.step, self.global_rank))
        rate = learning_rate(self.config, self.step, self.progress)
        adversary = self.adversary
        if adversary is not None and adversary.began(self.step, self._seconds, self.progress):
            rate = min(rate, adversary.config.model_rate)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self._batch = batch
        self.terms = self.objective.terms(self.model, batch, self.step)
        if self.device.type == "cpu" or self.step % CHECK_STEPS == 0:
            self.check_loss()
            self.health.look(watched(self.terms))
            self.health.check(self.step, self.config.learning_rate)
        return self.terms["loss"]

    def check_loss(self) -> None:
        """An error that says what to do when the loss has left the real numbers."""
        loss = float(self.terms["loss"].detach())
        if not math.isfinite(loss):
            found = diagnosis(self.model, self.terms, self._batch)
            raise TudorError(
                f"the loss became {loss} at step {self.step} ({found}); what was saved before "
                f"is kept. {advice(self.config.learning_rate)}"
            )

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        # Here rather than at the batch's end, whose callbacks run before the module's own hook
        # and would save new weights under the old step.
        self.step += 1
        self.average.update(self.model, self.step)
        self._advance()
        if self.progress >= 1 or self.stopped:
            self.trainer.should_stop = True

    @property
    def phase(self) -> int:
        """1 reconstruction, 2 adversarial."""
        return 2 if self.adversary is not None and self.adversary.began_step >= 0 else 1

    def latents(self) -> LatentState | None:
        """What the latents carry at present, None for an objective without any."""
        if self.objective.monitor is None:
            return None
        return self.objective.monitor.state(self.model.sample_rate_hz / self.model.ratio)

    def _advance(self) -> None:
        """Progress now, and whether to stop; the first process's clock and signals count for all,
        or their weights would part."""
        now = (self.budget.progress(self.step), self.budget.seconds,
               self.signals.heard is not None)
        if self.trainer.world_size > 1:
            now = self.trainer.strategy.broadcast(now)
        self.progress, self._seconds, self.stopped = now


def new_adversary(model: Model, config: TrainingConfig) -> Adversary | None:
    """The discriminators of a configuration that asks for them."""
    if config.adversarial is None or not config.adversarial.on:
        return None
    channels = model.main.out_channels
    return Adversary(config.adversarial, channels, model.sample_rate_hz, config.seed)


def _step_seed(seed: int, step: int, rank: int) -> int:
    return (seed * 1_000_003 + step * 1009 + rank) % 2**63


def keep_full_precision(model: torch.nn.Module) -> None:
    """Filter banks compute in float32 under autocast: the 8 bits of bfloat16 would bury everything
    48 dB below the loudest sample, where a logarithmic loss still listens."""
    for layer in model.modules():
        if isinstance(layer, (PQMFAnalysis, PQMFSynthesis)):
            layer.forward = _in_float32(layer.forward)  # type: ignore[method-assign]


def _in_float32(forward: Any) -> Any:
    def full(x: Tensor, state: tuple[Tensor, ...]) -> Any:
        with torch.autocast(x.device.type, enabled=False):
            return forward(x.float(), tuple(s.float() for s in state))

    return full
