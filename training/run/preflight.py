"""What is checked and told before the first step, while it is cheap to change one's mind."""

from __future__ import annotations

import copy
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from rich.console import Console

from engine.errors import ConfigError, TudorError
from training.data.audio_folder import Skipped
from training.data.base import Batch, Data
from training.objectives.base import Moment, Objective
from training.run.durations import duration
from training.run.health import out_of_memory, too_large
from training.run.memory import check_memory

if TYPE_CHECKING:
    from engine.models.base import Model
    from training.run.run_folder import RunFolder

NAMED = 10  # skipped files that are named on the screen; all are in skipped.txt
TRIAL_STEPS = 3
LATE = 10**9  # a step after every warm-up


@dataclass(frozen=True)
class Preflight:
    """The findings, for the screen."""

    data: str
    skipped: tuple[Skipped, ...]
    parameters: int
    macs_per_second: float
    backends: str
    step_seconds: tuple[float, float]  # of phase 1 and of phase 2
    schedule: str
    remaining_seconds: float
    resumed: bool
    cache_bytes: int
    disk_needed: int
    disk_free: int
    notes: tuple[str, ...] = ()  # on channels and on files that are odd but used


def check_ops(model: Model) -> tuple[float, str]:
    """MAC/s of `forward`, and where the model can run, in words; an error if a layer could not be
    exported at all. A model without methods is trained all the same."""
    if not model.methods:
        return 0.0, "no methods to export"
    for method in model.methods:
        try:
            model.graph(method)
        except NotImplementedError as error:
            raise ConfigError(f"{model.family}.{method} cannot be exported: {error}") from None
    spec = model.main
    rate = model.sample_rate_hz / spec.in_ratio
    macs = model.graph(model.main.name).macs_per_input_frame() * rate
    return macs, "every layer runs in every backend"  # no operation is without: engine/ops.py


def step_seconds(objective: Objective, data: Data, device: str) -> tuple[float, float]:
    """Mean time of a step of the first and of the last phase here, on noise and on a copy: nothing
    of the run changes. An error if the batch does not fit into memory, with one that does."""
    if device == "cpu":
        check_memory(objective.config.batch_size, data.unit(),
                     lambda size: _trial_seconds(objective, data, device, size, 1))
    try:
        return objective.usual_seconds(
            _trial_seconds(objective, data, device, objective.config.batch_size))
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    raise batch_too_large(objective, data, device)


def batch_too_large(objective: Objective, data: Data, device: str) -> TudorError:
    """The error that says which batch would fit."""
    return too_large(objective.config.batch_size, data.unit(),
                     lambda size: _trial_seconds(objective, data, device, size, 1))


def _trial_seconds(
    objective: Objective, data: Data, device: str, size: int, steps: int = TRIAL_STEPS
) -> tuple[float, float]:
    batch = data.example(size).to(device)
    first = _fastest(objective, 1, batch, device, steps)
    return first, first if objective.phases == 1 else _fastest(objective, 2, batch, device, steps)


def _fastest(objective: Objective, phase: int, batch: Batch, device: str, steps: int) -> float:
    trial = copy.deepcopy(objective)
    trial.enter(phase)
    trial.to(device).train()
    trial.start()
    times = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(steps):
            begun = time.perf_counter()
            terms = trial.step(batch, Moment(step=LATE, learning_rate=1e-9))
            float(terms["loss"].detach())  # waits for the device
            times.append(time.perf_counter() - begun)
    return min(times)


def check_disk(folder: RunFolder, parameters: int) -> tuple[int, int]:
    """Bytes that checkpoints need (two at a time: the new one is complete before the old one
    goes) and bytes that are free; an error if they do not fit."""
    needed = 2 * parameters * 4 * 5 + (16 << 20)  # weights, average, two moments; and logs
    free = shutil.disk_usage(folder.path).free
    if needed > free:
        raise ConfigError(
            f"{folder.path}: checkpoints need {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free"
        )
    return needed, free


def show(console: Console, found: Preflight) -> None:
    """The findings on the screen."""
    for item in found.skipped[:NAMED]:
        console.print(f"skipped {item}", highlight=False, markup=False)
    if len(found.skipped) > NAMED:
        console.print(f"and {len(found.skipped) - NAMED} more, all in skipped.txt")
    for note in found.notes[: 1 + NAMED]:
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    if len(found.notes) > 1 + NAMED:
        console.print(f"and {len(found.notes) - NAMED - 1} more such notes")
    end = "to go" if found.resumed else "in all"
    first, second = (f"{seconds * 1e3:.0f} ms" for seconds in found.step_seconds)
    steps = first if first == second else f"{first}, then {second}"
    console.print(
        f"data     {found.data}\n"
        f"model    {found.parameters:,} parameters, {found.macs_per_second / 1e6:.1f} MMAC/s, "
        f"{found.backends}\n"
        f"disk     cache {found.cache_bytes / 1e6:.0f} MB, checkpoints "
        f"{found.disk_needed / 1e6:.0f} MB, {found.disk_free / 1e9:.1f} GB free\n"
        f"schedule {found.schedule}\n"
        f"time     {steps} a step, about "
        f"{duration(found.remaining_seconds)} {end}", highlight=False, markup=False, soft_wrap=True,
    )
