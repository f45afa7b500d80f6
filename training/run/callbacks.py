"""What happens beside the training step: checkpoints, validation, logs, the progress display."""

from __future__ import annotations

import json
import time
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from torch import Tensor

from engine.errors import TudorError
from engine.models.store import save_weights
from training.data.base import Batch, Data
from training.objectives.base import Objective
from training.run.durations import duration
from training.run.health import SUSPICIOUS
from training.run.run_folder import Checkpoint, RunFolder
from training.run.schedule import remaining_seconds
from training.run.trainer import Listener, Trainer

PLAIN_SECONDS = 15.0  # between progress lines where there is no terminal


class MetricsLog:
    """metrics.jsonl and TensorBoard."""

    def __init__(self, folder: RunFolder, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder.cut_metrics(step)
        self._file = folder.metrics.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder.tensorboard), purge_step=step + 1)  # type: ignore[no-untyped-call]

    def write(self, kind: str, step: int, values: dict[str, float | list[float]]) -> None:
        """One line; one point per value, for a list one curve per place."""
        try:
            self._file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")
            self._file.flush()
        except OSError as error:
            raise TudorError(f"cannot write {self._file.name}: {error.strerror}") from error
        for name, value in values.items():
            if isinstance(value, list):
                for place, one in enumerate(value):
                    self._point(f"{kind}/{name}/{place + 1}", one, step)
            else:
                self._point(f"{kind}/{name}", value, step)

    def _point(self, name: str, value: float, step: int) -> None:
        self._board.add_scalar(name, value, step)  # type: ignore[no-untyped-call]

    def audio(self, name: str, sound: Tensor, step: int, rate_hz: int) -> None:
        """A sound [channels, samples] that TensorBoard plays."""
        self._board.add_audio(name, sound.mean(0, keepdim=True).cpu().clamp(-1, 1), step, rate_hz)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()
        self._board.close()  # type: ignore[no-untyped-call]


class Checkpointer(Listener):
    """Writes checkpoints and weights from the first process; validates; logs."""

    def __init__(self, folder: RunFolder, data: Data) -> None:
        """On what `data` holds out is validated, over its corpus the latents are measured."""
        self.folder, self.data = folder, data
        self.held = data.validation()
        self.journal: MetricsLog | None = None
        self.validation: float | None = None  # the last figure that was watched
        self.saved_step: int | None = None  # of the last checkpoint that this process wrote
        self._saved = self._validated = 0.0
        self._logged_at = (0.0, 0)

    def begin(self, trainer: Trainer) -> None:
        if trainer.first:
            self.journal = MetricsLog(self.folder, trainer.step)
            self._saved = self._validated = trainer.budget.seconds
            self._logged_at = (time.monotonic(), trainer.step)
            if trainer.step == 0:
                self._validate(trainer)

    def stepped(self, trainer: Trainer, batch: Batch) -> None:
        if not trainer.first:
            return
        config, seconds = trainer.config, trainer.budget.seconds
        if trainer.step % config.log_steps == 0:
            self._log(trainer, batch)
        if seconds - self._validated >= config.validation_seconds:
            self._validate(trainer)
            self._validated = trainer.budget.seconds
        if seconds - self._saved >= config.checkpoint_seconds:
            self._save(trainer)
            self._saved = trainer.budget.seconds

    def end(self, trainer: Trainer) -> None:
        if trainer.first:
            self._save(trainer)
            if not trainer.stopped:  # who asked to stop is waiting
                self._validate(trainer)

    def close(self) -> None:
        if self.journal is not None:
            self.journal.close()
            self.journal = None

    def _log(self, trainer: Trainer, batch: Batch) -> None:
        trainer.check_loss()
        now, (then, step) = time.monotonic(), self._logged_at
        self._logged_at = (now, trainer.step)
        steps_per_second = (trainer.step - step) / max(now - then, 1e-9)
        values: dict[str, float | list[float]] = {
            name: float(value.detach()) for name, value in trainer.terms.items()
        }
        objective = trainer.objective
        values.update(objective.figures())
        values["phase"] = objective.phase
        values["learning_rate"] = rate_of(objective)
        values["seconds"] = round(trainer.budget.seconds, 3)
        values["steps_per_second"] = steps_per_second
        if batch.seconds:
            values["audio_seconds_per_second"] = (
                steps_per_second * trainer.shard.world * batch.seconds)
        assert self.journal is not None
        self.journal.write("train", trainer.step, values)

    @torch.no_grad()
    def _validate(self, trainer: Trainer) -> None:
        """Figures of the averaged model on what is held out."""
        if not self.held or self.journal is None:
            return
        objective, model = trainer.objective, trainer.average.model
        found = objective.validate(model, [b.to(trainer.fabric.device) for b in self.held])
        self.validation = found.figures[objective.watched]
        self.journal.write("validation", trainer.step, {
            **found.figures, "seconds": round(trainer.budget.seconds, 3)})
        heard = {**(found.fixed if trainer.step == 0 else {}), **found.sounds}
        for name, sound in heard.items():
            self.journal.audio(name, sound, trainer.step, model.sample_rate_hz)

    def _save(self, trainer: Trainer) -> None:
        trainer.check_loss()
        if trainer.health.worse_than(SUSPICIOUS):  # it may be running away
            trainer.health.check(trainer.step, trainer.config.learning_rate, trainer.progress >= 1)
            return  # the checkpoint before is worth more
        if not all(bool(torch.isfinite(p).all()) for p in trainer.model.parameters()):
            raise TudorError(
                f"the weights became non-finite by step {trainer.step}; what was saved before "
                "is kept. Try a lower training.learning_rate in a new --out"
            )
        self.folder.save(Checkpoint(
            step=trainer.step,
            seconds=trainer.budget.seconds,
            model=trainer.model.state_dict(),
            average=trainer.average.model.state_dict(),
            **trainer.objective.state(),
        ))
        finished = trainer.objective.finished(trainer.average.model, self.data.corpus())
        save_weights(finished, self.folder.weights)
        self.saved_step = trainer.step


def rate_of(objective: Objective) -> float:
    """The learning rate of the last step."""
    assert objective.optimizer is not None
    return float(objective.optimizer.param_groups[0]["lr"])


class ProgressDisplay(Listener):
    """Progress, time left and speed: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, checkpointer: Checkpointer) -> None:
        self.console, self.checkpointer = console, checkpointer
        self._bar: Progress | None = None
        self._task: Any = None
        # Time, step and phase from which speed is reckoned: the start of the process or of phase 2
        self._begun = (0.0, 0, 1)
        self._shown = 0.0

    def begin(self, trainer: Trainer) -> None:
        if not trainer.first:
            return
        self._begun = (time.monotonic(), trainer.step, trainer.objective.phase)
        self._shown = time.monotonic()
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("training"), BarColumn(), TextColumn("{task.fields[text]}"),
                console=self.console,
            )
            self._task = self._bar.add_task("training", total=1.0, text="")
            self._bar.start()

    def stepped(self, trainer: Trainer, batch: Batch) -> None:
        if not trainer.first:
            return
        now = time.monotonic()
        if trainer.objective.phase != self._begun[2]:
            self._begun = (now, trainer.step, trainer.objective.phase)
        if now - self._shown < (0.5 if self._bar else PLAIN_SECONDS):
            return
        self._shown = now
        text = self._text(trainer, batch, now)
        if self._bar:
            self._bar.update(self._task, completed=trainer.progress, text=text)
        else:
            self.console.print(f"{trainer.progress:4.0%}  {text}", highlight=False)

    def close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _text(self, trainer: Trainer, batch: Batch, now: float) -> str:
        begun, step, phase = self._begun
        rate = (trainer.step - step) / max(now - begun, 1e-9)
        left = "?"
        if rate > 0:
            left = duration(remaining_seconds(trainer.config, (1 / rate, 1 / rate), trainer.step,
                                              trainer.budget.seconds, phase == 2))
        found, objective = self.checkpointer.validation, trainer.objective
        audio = rate * batch.seconds * trainer.shard.world
        parts = [
            *([f"phase {objective.phase}"] if objective.phases > 1 else []),
            f"step {trainer.step}", f"{left} left",
            *([f"{audio:.0f} audio-s/s"] if batch.seconds else []),
            f"loss {float(trainer.terms['loss'].detach()):.3f}",
        ]
        return ", ".join(parts + ([f"validation {found:.3f}"] if found is not None else []))
