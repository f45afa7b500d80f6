"""What happens beside the training step: checkpoints, validation, logs, the progress display."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from torch import Tensor

from engine.errors import TudorError
from engine.models.store import save_weights
from training.objectives.latents import playable
from training.objectives.losses import spectral_distance
from training.objectives.quantised import plain
from training.run.health import SUSPICIOUS
from training.run.module import TrainingModule
from training.run.run_folder import Checkpoint, RunFolder
from training.run.schedule import remaining_seconds

AUDIO_SHOWN = 3  # validation crops that TensorBoard can play
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


class Checkpointer(Callback):
    """Writes checkpoints and weights from the first process; validates; logs."""

    def __init__(
        self, folder: RunFolder, crops: Tensor | None, corpus: Tensor | None = None
    ) -> None:
        """`crops` validate; over `corpus` the latents are measured."""
        self.folder, self.crops, self.corpus = folder, crops, corpus
        self.journal: MetricsLog | None = None
        self.last_distance: float | None = None
        self.saved_step: int | None = None  # of the last checkpoint that this process wrote
        self._saved = self._validated = 0.0
        self._logged_at = (0.0, 0)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        # Not before: Lightning sets handlers of its own, which would end the run unsaved.
        pl_module.signals.install()
        if trainer.is_global_zero:
            self.journal = MetricsLog(self.folder, pl_module.step)
            self._saved = self._validated = pl_module.budget.seconds
            self._logged_at = (time.monotonic(), pl_module.step)
            if self.crops is not None and pl_module.step == 0:
                self._validate(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Tensor, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero:
            return
        config, seconds = pl_module.config, pl_module.budget.seconds
        if pl_module.step % config.log_steps == 0:
            self._log(trainer, pl_module, batch)
        if seconds - self._validated >= config.validation_seconds:
            self._validate(pl_module)
            self._validated = pl_module.budget.seconds
        if seconds - self._saved >= config.checkpoint_seconds:
            self._save(trainer, pl_module)
            self._saved = pl_module.budget.seconds

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.is_global_zero:
            self._save(trainer, pl_module)
            if not pl_module.stopped:  # who asked to stop is waiting
                self._validate(pl_module)

    def teardown(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        if self.journal is not None:
            self.journal.close()
            self.journal = None

    def _log(self, trainer: Trainer, module: TrainingModule, batch: Tensor) -> None:
        module.check_loss()
        now, (then, step) = time.monotonic(), self._logged_at
        self._logged_at = (now, module.step)
        steps_per_second = (module.step - step) / max(now - then, 1e-9)
        values: dict[str, float | list[float]] = {
            name: float(value.detach()) for name, value in module.terms.items()
        }
        latents = module.latents()
        if latents is not None:
            values["active_latents"] = latents.active
            values["latent_bits_per_second"] = round(latents.bits_per_second, 1)
            values["latent_nats"] = [round(value, 4) for value in latents.nats]
        values["phase"] = module.phase
        values["learning_rate"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        values["seconds"] = round(module.budget.seconds, 3)
        values["steps_per_second"] = steps_per_second
        values["audio_seconds_per_second"] = steps_per_second * trainer.world_size * (
            batch.shape[0] * batch.shape[2] / module.model.sample_rate_hz
        )
        assert self.journal is not None
        self.journal.write("train", module.step, values)

    @torch.no_grad()
    def _validate(self, module: TrainingModule) -> None:
        """Spectral distance of the averaged model on the validation crops."""
        if self.crops is None or self.journal is None:
            return
        model = module.average.model
        late = model.main.lookahead_samples
        outputs = [model.offline(model.main.name, part.to(module.device))
                   for part in self.crops.split(module.config.batch_size)]
        output = torch.cat(outputs)  # [crops, channels, samples]
        target = self.crops.to(module.device)
        distance = spectral_distance(output[..., late:], target[..., : target.shape[-1] - late])
        self.last_distance = float(distance)
        self.journal.write("validation", module.step, {
            "spectral_distance": self.last_distance, "seconds": round(module.budget.seconds, 3)})
        for index in range(min(AUDIO_SHOWN, len(output))):
            rate = model.sample_rate_hz
            if module.step == 0:
                self.journal.audio(f"input/{index + 1}", self.crops[index], 0, rate)
            self.journal.audio(f"output/{index + 1}", output[index], module.step, rate)

    def _save(self, trainer: Trainer, module: TrainingModule) -> None:
        module.check_loss()
        if module.health.worse_than(SUSPICIOUS):  # it may be running away
            module.health.check(module.step, module.config.learning_rate, module.progress >= 1)
            return  # the checkpoint before is worth more
        if not all(bool(torch.isfinite(p).all()) for p in module.model.parameters()):
            raise TudorError(
                f"the weights became non-finite by step {module.step}; what was saved before "
                "is kept. Try a lower training.learning_rate in a new --out"
            )
        self.folder.save(Checkpoint(
            step=module.step,
            seconds=module.budget.seconds,
            model=module.model.state_dict(),
            average=module.average.model.state_dict(),
            objective=module.objective.state_dict(),
            optimizer=trainer.optimizers[0].state_dict(),
            adversary=None if module.adversary is None else module.adversary.state(),
        ))
        active = module.config.active_latents
        finished = playable(plain(module.average.model), self.corpus, active)
        save_weights(finished, self.folder.weights)
        self.saved_step = module.step


class ProgressDisplay(Callback):
    """Progress, time left and speed: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, checkpointer: Checkpointer) -> None:
        self.console, self.checkpointer = console, checkpointer
        self._bar: Progress | None = None
        self._task: Any = None
        # Time, step and phase from which speed is reckoned: the start of the process or of phase 2
        self._begun = (0.0, 0, 1)
        self._shown = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        self._begun = (time.monotonic(), pl_module.step, pl_module.phase)
        self._shown = time.monotonic()
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("training"), BarColumn(), TextColumn("{task.fields[text]}"),
                console=self.console,
            )
            self._task = self._bar.add_task("training", total=1.0, text="")
            self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Tensor, batch_idx: int
    ) -> None:
        if not trainer.is_global_zero:
            return
        now = time.monotonic()
        if pl_module.phase != self._begun[2]:
            self._begun = (now, pl_module.step, pl_module.phase)
        if now - self._shown < (0.5 if self._bar else PLAIN_SECONDS):
            return
        self._shown = now
        text = self._text(trainer, pl_module, batch, now)
        if self._bar:
            self._bar.update(self._task, completed=pl_module.progress, text=text)
        else:
            self.console.print(f"{pl_module.progress:4.0%}  {text}", highlight=False)

    def teardown(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _text(self, trainer: Trainer, module: TrainingModule, batch: Tensor, now: float) -> str:
        begun, step, phase = self._begun
        rate = (module.step - step) / max(now - begun, 1e-9)
        audio = rate * batch.shape[0] * batch.shape[2] / module.model.sample_rate_hz
        left = "?"
        if rate > 0:
            left = duration(remaining_seconds(module.config, (1 / rate, 1 / rate), module.step,
                                              module.budget.seconds, phase == 2))
        distance = self.checkpointer.last_distance
        parts = [
            *([f"phase {module.phase}"] if module.adversary is not None else []),
            f"step {module.step}", f"{left} left",
            f"{audio * trainer.world_size:.0f} audio-s/s",
            f"loss {float(module.terms['loss'].detach()):.3f}",
        ]
        return ", ".join(parts + ([f"validation {distance:.3f}"] if distance is not None else []))


def duration(seconds: float) -> str:
    """1:02:03 or 2:03; a run without a budget has no end."""
    if math.isinf(seconds):
        return "without end"
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
