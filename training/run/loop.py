"""One training run from its settings to its weights: `train(run, folder)`."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from engine.errors import ConfigError, Stopped, TudorError
from engine.models.base import Model
from engine.models.coded import Coded
from engine.models.registry import build
from engine.models.store import load_model
from training.data.base import Data
from training.data.registry import DATA
from training.objectives.base import Objective
from training.objectives.registry import OBJECTIVES
from training.run.callbacks import Checkpointer, ProgressDisplay
from training.run.config import RunConfig, differences
from training.run.fabric import fabric, lost_process, part
from training.run.health import out_of_memory
from training.run.lock import locked, taking_turns
from training.run.memory import freed_memory_held
from training.run.preflight import (
    Preflight,
    batch_too_large,
    check_disk,
    check_ops,
    show,
    step_seconds,
)
from training.run.run_folder import Checkpoint, RunFolder
from training.run.schedule import remaining_seconds
from training.run.signals import NAMES
from training.run.status_report import StatusReport
from training.run.trainer import Trainer


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `validation` is what the objective watches, on what is held out;
    `audio_seconds` is how much sound was learnt from."""

    folder: Path
    step: int
    seconds: float
    validation: float | None
    already_finished: bool
    audio_seconds: float = 0.0


@dataclass(frozen=True)
class Machine:
    """Where to train."""

    device: str = "auto"
    devices: int = 1
    nodes: int = 1


def train(
    run: RunConfig, out: Path, machine: Machine | None = None, console: Console | None = None
) -> Outcome:
    """Train, or go on training, in the run directory `out`."""
    machine = machine or Machine()
    console = console or Console(quiet=not first_process())
    device = _device(machine)
    folder = RunFolder(out)
    run, earlier = folder.taken_up(run)
    data = DATA[run.training.data](run.data, run.training, folder.cache)
    data.look()  # before anything is written
    moved = folder.open(run, data.sources)
    for said in filter(None, (earlier, moved)):
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    with locked(out) if first_process() else nullcontext(), freed_memory_held():
        return _train(run, folder, machine, device, data, console)


def _train(
    run: RunConfig, folder: RunFolder, machine: Machine, device: str, data: Data,
    console: Console,
) -> Outcome:
    """In a folder that is this process's own."""
    out, checkpoint = folder.path, folder.load()
    if checkpoint is not None and _finished(run, checkpoint):
        console.print(
            f"{out} is finished: {checkpoint.step} steps in {checkpoint.seconds / 60:.1f} min. "
            "Give a larger --steps or --minutes to go on.", highlight=False, soft_wrap=True,
        )
        return Outcome(out, checkpoint.step, checkpoint.seconds, None, True)
    objective = OBJECTIVES[run.training.objective](_seeded_model(run), run.training)
    if checkpoint is not None:
        objective.model.load_state_dict(checkpoint.model)
        try:
            objective.load(checkpoint.training())
        except KeyError as error:
            raise ConfigError(
                f"{out} was begun by another version of tudor: its training has other parts "
                f"({error.args[0]}); begin a new run with its weights: "
                f"--from {out}, and another --out") from None
    elif run.training.start_from is not None:
        objective.begin_with(run.training.start_from)
    _prepare(folder, data, objective, device, console, checkpoint)
    if first_process():
        folder.write_config(run)
    trainer = Trainer(objective, run.training, data, _workers(run, device), checkpoint)
    if checkpoint is not None:
        console.print(f"resuming at step {checkpoint.step}", highlight=False)
    checkpointer = Checkpointer(folder, data)
    carrier = _fabric(machine, device, objective.partial, run.training.precision)
    try:
        with trainer.signals:
            trainer.fit(carrier, [checkpointer, ProgressDisplay(console, checkpointer),
                                  StatusReport(console)])
            part()
    except (RuntimeError, MemoryError) as error:
        if lost_process(error):
            raise TudorError("another process of this run has ended; the same command resumes "
                             f"from what {out} holds") from None
        if not out_of_memory(error):
            raise
        objective.optimizer = None  # and with it its memory
        raise batch_too_large(objective, data, device) from None
    if trainer.stopped:
        raise _stopped(trainer, folder, checkpointer.saved_step)
    each = data.example(run.training.batch_size).seconds * trainer.shard.world
    return Outcome(out, trainer.step, trainer.budget.seconds, checkpointer.validation, False,
                   trainer.step * each)


def _stopped(trainer: Trainer, folder: RunFolder, saved: int | None) -> Stopped:
    """What a run says that ends by a signal."""
    signal = trainer.signals.heard
    said = f"stopped by {'a signal' if signal is None else NAMES[signal]} at step {trainer.step}"
    if saved == trainer.step:
        text = f"{said}, saved in {folder.path}; the same command goes on from there"
    elif folder.checkpoint.exists():
        text = (f"{said}, which was not saved because the loss looks unsound; "
                f"{folder.path} keeps the checkpoint before")
    else:
        text = f"{said}; nothing was saved because the loss looks unsound"
    return Stopped(text, 128 + (signal or 2))


def _finished(run: RunConfig, checkpoint: Checkpoint) -> bool:
    config = run.training
    by_steps = config.steps is not None and checkpoint.step >= config.steps
    by_time = config.minutes is not None and checkpoint.seconds >= 60 * config.minutes
    return by_steps or by_time


def _seeded_model(run: RunConfig) -> Model:
    """The model at step 0: initialised by the seed, or with another run's weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.training.seed)
        model = build(run.family, run.model)
    if run.training.start_from is not None:
        stored = load_model(run.training.start_from)
        if not stored.trained:
            raise ConfigError(f"{run.training.start_from} has no trained weights to start from")
        _check_same_shape(run, model, stored.model)
        model.begin_with(stored.model)
        if isinstance(model, Coded) and isinstance(stored.model, Coded):
            model.set_latents(model.known(stored.model))  # the objective may want to know
    return model


def _check_same_shape(run: RunConfig, model: Model, other: Model) -> None:
    """Refuse weights of another shape. They may start from zeros or at rest, as one likes, and
    differ in what a family adds to weights, or leaves of them."""
    apart = {"start"}
    if model.family == other.family:
        apart |= model.config.may_differ(other.config)
    theirs, own = ({"family": m.family, **m.config.model_dump(mode="json", exclude=apart)}
                   for m in (other, model))
    changed = differences({"model": theirs}, {"model": own})
    if changed:
        raise ConfigError(f"{run.training.start_from} is another model: {'; '.join(changed)}")


def _prepare(
    folder: RunFolder, data: Data, objective: Objective, device: str, console: Console,
    checkpoint: Checkpoint | None,
) -> None:
    """Preflight: look at the data, fill the cache, tell what will happen."""
    model, config = objective.model, objective.config
    macs, backends = check_ops(model)
    with taking_turns(folder.path):
        data.prepare(model, console)
    needed, free = check_disk(folder, sum(p.numel() for p in objective.parameters()))
    if not first_process():
        return
    folder.write_skipped(data.skipped)
    data.record(folder.path)
    times = step_seconds(objective, data, device)
    schedule = objective.schedule(times)
    spent = (0, 0.0) if checkpoint is None else (checkpoint.step, checkpoint.seconds)
    left = remaining_seconds(config, times, *spent, begun=objective.phase == 2)
    show(console, Preflight(
        data.found(), tuple(data.skipped), model.parameter_count, macs, backends, times, schedule,
        left, checkpoint is not None, data.stored_bytes, needed, free, data.notes(),
    ))


def _fabric(machine: Machine, device: str, partial: bool, precision: str) -> Any:
    kind, _, index = device.partition(":")
    return fabric(kind, [int(index)] if index else machine.devices, machine.nodes, partial,
                  precision)


def _device(machine: Machine) -> str:
    """auto, cpu, cuda, cuda:1 or mps as a device that this machine has; a number stays only where
    it chooses among several."""
    name = machine.device
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    from engine.players.pytorch import check_device

    if name.partition(":")[0] not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"unknown device {name!r}; use auto, cpu, cuda, cuda:N or mps")
    chosen = check_device(name)
    if chosen.type != "cuda" or chosen.index is None:
        return chosen.type
    if machine.devices * machine.nodes > 1:
        raise ConfigError(f"--device {name} names one GPU; give --device cuda to use "
                          f"{machine.devices} of them on {machine.nodes} machine(s)")
    return str(chosen)


def _workers(run: RunConfig, device: str) -> int:
    """Loader processes: on the CPU they would only take cores from the training itself."""
    if run.training.workers is not None:
        return run.training.workers
    return 0 if device == "cpu" else min(8, (os.cpu_count() or 2) - 1)


def first_process() -> bool:
    """Whether this process speaks and writes: strategies start the others with these set."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK", "RANK"))
