"""What is checked and told before the first step, while it is cheap to change one's mind."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from torch import Tensor

from engine.audio import shown_name
from engine.boards.cost import backends_of
from engine.errors import ConfigError, TudorError
from training.data.audio_folder import Skipped
from training.objectives.autoencoder import OBJECTIVES, Objective
from training.run.callbacks import duration
from training.run.health import out_of_memory, too_large
from training.run.memory import check_memory
from training.run.module import new_adversary

if TYPE_CHECKING:
    from engine.models.base import Model
    from training.data.cache import Cache
    from training.data.sounds import Sides
    from training.run.config import TrainingConfig
    from training.run.run_folder import RunFolder

NAMED = 10  # skipped files that are named on the screen; all are in skipped.txt
TRIAL_STEPS = 3


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


def data_found(cache: Cache, parts: Sides, skipped: Sequence[Skipped]) -> str:
    """How many files there are, how much of them is sound, and what is held out."""
    files, rate = cache.usable(), cache.rate_hz
    total = sum(files.values()) / rate
    silence = total - sum(len(sound) for sound in (*parts.learn, *parts.held)) / rate
    if not parts.held_files:
        held = "none for validation"
    elif any(place.start for place in parts.held_files):
        seconds = sum(len(sound) for sound in parts.held) / rate
        held = f"{len(parts.held_files)} for validation, {duration(seconds)} in all"
        ends = [place.name for place in parts.held_files if place.start]
        held += f": the end of {shown_name(ends[0])}"
    else:
        held = f"{len(parts.held_files)} for validation"
    left_out = "" if silence < 0.01 * total else f", {duration(silence)} of silence left out"
    length = f"{total / 3600:.2f} h" if total >= 360 else f"{total:.3g} s"
    return f"{len(files)} files ({held}), {length}{left_out}, {len(skipped)} skipped"


def channel_notes(cache: Cache) -> tuple[str, ...]:
    """That channels are mixed to one, summed over files; then each file that is odd but used."""
    used = [entry for entry in cache.entries.values() if not entry.reason]
    mixed = [entry for entry in used if entry.channels > cache.channels]
    notes = []
    if mixed:
        notes.append(f"{len(mixed)} of {len(used)} files have more channels than the model's one: "
                     "mixed to one (--set model.channels=2 trains on both)")
    notes += [f"{shown_name(entry.name)}: {text}" for entry in used for text in entry.notes]
    return tuple(notes)


def check_ops(model: Model) -> tuple[float, str]:
    """MAC/s of `forward`, and where the model can run, in words; an error if a layer could not be
    exported at all."""
    kinds: set[str] = set()
    for method in model.methods:
        try:
            kinds |= {op.kind for op in model.graph(method).ops}
        except NotImplementedError as error:
            raise ConfigError(f"{model.family}.{method} cannot be exported: {error}") from None
    spec = model.main
    rate = model.sample_rate_hz / spec.in_ratio
    missing = sorted(kind for kind in kinds if "native" not in backends_of(kind))
    where = (f"not in the C runtime: {', '.join(missing)}" if missing
             else "every layer runs in every backend")
    return model.graph(model.main.name).macs_per_input_frame() * rate, where


def check_crops(model: Model, config: TrainingConfig, samples: int) -> None:
    """An error for crops of which nothing is left once the model's delay is taken out."""
    late = model.main.lookahead_samples
    if samples <= late:
        least = (late + 2 * model.ratio) / model.sample_rate_hz
        raise ConfigError(f"training.crop_seconds is {config.crop_seconds:g}, too short beside the "
                          f"model's delay of {late} samples; give at least {least:.2g}")


def step_seconds(
    model: Model, config: TrainingConfig, samples: int, device: str
) -> tuple[float, float]:
    """Time of a training step of each phase here, on noise and on a copy: nothing of the run
    changes. An error if the batch does not fit into memory, with one that does."""
    if device == "cpu":
        check_memory(config.batch_size, config.crop_seconds,
                     lambda batch: _trial_seconds(model, config, samples, device, batch, 1))
    try:
        return _trial_seconds(model, config, samples, device, config.batch_size)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    raise batch_too_large(model, config, samples, device)


def batch_too_large(
    model: Model, config: TrainingConfig, samples: int, device: str
) -> TudorError:
    """The error that says which batch would fit."""
    return too_large(config.batch_size, config.crop_seconds,
                     lambda batch: _trial_seconds(model, config, samples, device, batch, 1))


def _trial_seconds(
    model: Model, config: TrainingConfig, samples: int, device: str, batch: int,
    steps: int = TRIAL_STEPS,
) -> tuple[float, float]:
    import copy

    trial = copy.deepcopy(model).to(device).train()
    objective = OBJECTIVES[config.objective](config).to(device)
    channels = model.main.in_channels
    audio = 0.1 * torch.randn(batch, channels, samples, device=device)
    first = _fastest(trial, objective, audio, 0, steps)
    objective.adversary = new_adversary(model, config)
    if objective.adversary is None:
        return first, first
    objective.adversary.to(torch.device(device))
    objective.adversary.began_step = 0
    heard = objective.adversary.config.warmup_steps
    return first, _fastest(trial, objective, audio, heard, steps)


def _fastest(
    trial: Model, objective: Objective, audio: Tensor, step: int, steps: int
) -> float:
    times = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(steps):
            begun = time.perf_counter()
            loss = objective.terms(trial, audio, step)["loss"]
            loss.backward()  # type: ignore[no-untyped-call]
            float(loss.detach())  # waits for the device
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
