"""What a run says of itself beside its progress: what the latents carry, and phases."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console

from training.objectives.monitor import LatentState

SETTLED = 0.1  # share of the run before which a collapse is not called one
EVERY_SECONDS = 60.0


class StatusReport(Callback):
    """Reports the latents now and then, a posterior collapse at once, and both at the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._told = 0.0
        self._warned = False
        self._phase = 1

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._told = pl_module.budget.seconds
        self._phase = self._reached(pl_module, pl_module.step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        seconds = pl_module.budget.seconds
        self._phases(pl_module)
        if pl_module.step % pl_module.config.log_steps:
            return
        due = seconds - self._told >= EVERY_SECONDS
        warmed = pl_module.step >= pl_module.config.regulariser.warmup_steps
        early = not warmed or pl_module.progress < SETTLED
        if not due and (self._warned or early):
            return
        state = pl_module.latents()
        if state is None:
            return
        if due:
            self._told = seconds
            self._say(state.sentence())
        if state.collapsed and not early and not self._warned:
            self._warned = True
            self._say(f"[yellow]posterior collapse:[/] {self._advice(state, pl_module.config)}")

    def _phases(self, module: Any) -> None:
        """A line where a phase begins and where the discriminators begin to be heard."""
        step = module.step - 1  # the step that has just been made
        reached = self._reached(module, step)
        if self._phase < 2 <= reached:
            self._say(f"step {step}: phase 2 begins: discriminators listen")
        if self._phase < 3 <= reached:
            self._say(f"step {step}: discriminators are heard from here")
        self._phase = reached

    @staticmethod
    def _reached(module: Any, step: int) -> int:
        """1 or 2, the phase; 3 once the discriminators are heard."""
        heard = module.adversary is not None and module.adversary.warm(step)
        return 3 if heard else int(module.phase)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        unheard = (pl_module.adversary is not None
                   and not pl_module.adversary.warm(pl_module.step - 1))
        if unheard and not pl_module.stopped:
            self._say("[yellow]the discriminators were never heard:[/] the run ended before; give "
                      "a smaller training.adversarial.start or warmup_steps, or a longer run")
        state = pl_module.latents()
        if state is not None:
            self._say(state.sentence())
            if state.collapsed:
                self._say("[yellow]the posterior has collapsed:[/] "
                          + self._advice(state, pl_module.config))

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    @staticmethod
    def _advice(state: LatentState, config: Any) -> str:
        said = f"only {state.active} of {len(state.nats)} latents say anything"
        if config.regulariser.kind == "none":
            return f"{said}; a lower training.learning_rate may help"
        return (f"{said}; lower training.regulariser.weight (now {config.regulariser.weight:g}) "
                "or raise its warmup_steps")
