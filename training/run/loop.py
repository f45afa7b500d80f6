"""One training run from its settings to its weights: `train(run, folder)`."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from engine.errors import AudioError, ConfigError, Stopped
from engine.models.base import Model
from engine.models.registry import build
from engine.models.store import load_model
from training.data.audio_folder import Folder, Skipped, nothing_usable, scan
from training.data.cache import Cache, bytes_needed
from training.data.crops import CropBatches, crop_samples, validation_crops
from training.data.held_out import write_held_out
from training.data.sounds import Sides, sides
from training.objectives.losses import WINDOWS
from training.objectives.quantised import quantise_weights
from training.run.callbacks import Checkpointer, ProgressDisplay
from training.run.config import RunConfig, differences
from training.run.health import out_of_memory
from training.run.lock import locked
from training.run.module import TrainingModule
from training.run.preflight import (
    Preflight,
    batch_too_large,
    channel_notes,
    check_crops,
    check_disk,
    check_ops,
    data_found,
    show,
    step_seconds,
)
from training.run.run_folder import Checkpoint, RunFolder
from training.run.schedule import check_schedule, remaining_seconds
from training.run.signals import NAMES
from training.run.status_report import StatusReport

VALIDATION_CROPS = 32
VALIDATION_SECONDS = 2.0
CORPUS_CROPS = 48


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `validation` is the spectral distance on held-out crops."""

    folder: Path
    step: int
    seconds: float
    validation: float | None
    already_finished: bool


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
    found = scan(run.data)  # before anything is written
    folder = RunFolder(out)
    moved = folder.open(run, found.sources)
    if moved:
        console.print(moved, highlight=False, markup=False, soft_wrap=True)
    with locked(out) if first_process() else nullcontext():
        return _train(run, folder, machine, device, found, console)


def _train(
    run: RunConfig, folder: RunFolder, machine: Machine, device: str, found: Folder,
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
    model = _seeded_model(run)
    batches, crops, corpus = _prepare(run, folder, found, model, device, console, checkpoint)
    if first_process():
        folder.write_config(run)
    module = TrainingModule(model, run.training, batches, _workers(run, device), checkpoint)
    if checkpoint is not None:
        console.print(f"resuming at step {checkpoint.step}", highlight=False)
    checkpointer = Checkpointer(folder, crops, corpus)
    trainer = _trainer(run, machine, device, [
        checkpointer, ProgressDisplay(console, checkpointer), StatusReport(console)])
    try:
        with module.signals:
            trainer.fit(module)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        trainer = None  # and with it the optimiser's memory
        raise batch_too_large(model, run.training, batches.samples, device) from None
    if module.stopped:
        raise _stopped(module, folder, checkpointer.saved_step)
    return Outcome(out, module.step, module.budget.seconds, checkpointer.last_distance, False)


def _stopped(module: TrainingModule, folder: RunFolder, saved: int | None) -> Stopped:
    """What a run says that ends by a signal."""
    signal = module.signals.heard
    said = f"stopped by {'a signal' if signal is None else NAMES[signal]} at step {module.step}"
    if saved == module.step:
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
        own, other = ({"family": m.family, **m.config.model_dump(mode="json")}
                      for m in (model, stored.model))
        changed = differences({"model": other}, {"model": own})
        if changed:
            raise ConfigError(f"{run.training.start_from} is another model: {'; '.join(changed)}")
        model.load_state_dict(stored.model.state_dict())
    if run.training.quantise is not None:
        quantise_weights(model)
    return model


def _prepare(
    run: RunConfig, folder: RunFolder, found: Folder, model: Model, device: str, console: Console,
    checkpoint: Checkpoint | None,
) -> tuple[CropBatches, Tensor | None, Tensor | None]:
    """Preflight: look at the data, fill the cache, tell what will happen. Returns what to train
    on, what to validate with, and a sample of the corpus to measure latents on."""
    config, rate, ratio = run.training, model.sample_rate_hz, model.ratio
    macs, backends = check_ops(model)
    cache, skipped = _filled_cache(run, folder, found, model, console)
    parts = sides(cache.sounds(), config.validation_fraction, rate)
    needed, free = check_disk(folder, model.parameter_count)
    samples = crop_samples(config, rate, ratio)
    check_crops(model, config, samples)
    if first_process():
        folder.write_skipped(skipped)
        write_held_out(folder.path, parts, cache)
        one = step_seconds(model, config, samples, device)
        begun = checkpoint is not None and (checkpoint.adversary or {}).get("began_step", -1) >= 0
        schedule = ("phase 2 adversarial, begun earlier" if begun
                    else check_schedule(config, one))
        spent = (0, 0.0) if checkpoint is None else (checkpoint.step, checkpoint.seconds)
        show(console, Preflight(
            data_found(cache, parts, skipped), tuple(skipped), model.parameter_count, macs,
            backends, one, schedule, remaining_seconds(config, one, *spent, begun),
            checkpoint is not None, cache.stored_bytes, needed, free, channel_notes(cache),
        ))
    crops, corpus = _fixed_crops(cache, parts, model)
    return CropBatches(cache, parts.learn, config, samples), crops, corpus


def _filled_cache(
    run: RunConfig, folder: RunFolder, found: Folder, model: Model, console: Console
) -> tuple[Cache, list[Skipped]]:
    """The cache up to date, and all that was left out; an error if nothing remains."""
    config, rate = run.training, model.sample_rate_hz
    channels = model.main.in_channels
    cache = Cache.plan(folder.cache, found.sources, rate, channels, config.cache_gb)
    if not cache.store:
        size = bytes_needed(found.sources, rate, channels)
        console.print(f"no cache: it would take {size / 1e9:.1f} GB, more than training.cache_gb "
                      f"({config.cache_gb:g}) or the disk allow; reading files directly",
                      highlight=False, soft_wrap=True)
    with console.status(f"reading {len(found.sources)} files"):
        skipped = [*found.skipped, *cache.fill(found.sources)]
    direct = sum(not entry.stored and not entry.reason for entry in cache.entries.values())
    if cache.store and direct:
        console.print(f"the cache is full: {direct} of {len(cache.usable())} files are read "
                      f"directly, which is slower (training.cache_gb is {config.cache_gb:g})",
                      highlight=False, soft_wrap=True)
    if not cache.usable():
        raise AudioError(nothing_usable(run.data, skipped))
    return cache, skipped


def _fixed_crops(
    cache: Cache, parts: Sides, model: Model
) -> tuple[Tensor | None, Tensor | None]:
    """What is validated with, and a sample of the corpus."""
    rate, ratio = model.sample_rate_hz, model.ratio
    length = round(VALIDATION_SECONDS * rate / ratio) * ratio
    least = model.main.lookahead_samples + max(WINDOWS)  # one whole spectrum
    return (validation_crops(cache, parts.held, length, VALIDATION_CROPS, ratio, least),
            validation_crops(cache, parts.learn, length, CORPUS_CROPS, ratio, least))


def _trainer(run: RunConfig, machine: Machine, device: str, callbacks: list[Any]) -> Any:
    """Lightning, without its own logs, bars and checkpoints: ours are written by callbacks."""
    from lightning.pytorch import Trainer

    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\.")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    if device.startswith("cuda"):
        torch.set_float32_matmul_precision("high")
    many = machine.devices * machine.nodes > 1
    # Phase 2 may leave the encoder out, which plain "ddp" would wait for.
    ddp = "ddp" if run.training.adversarial is None else "ddp_find_unused_parameters_true"
    kind, _, index = device.partition(":")
    try:
        return Trainer(
            accelerator={"cuda": "gpu"}.get(kind, kind),
            devices=[int(index)] if index else machine.devices,
            num_nodes=machine.nodes,
            strategy=ddp if many else "auto",
            precision="bf16-mixed" if kind == "cuda" else "32-true",
            max_epochs=-1,
            gradient_clip_val=run.training.gradient_clip,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"cannot train on {machine.devices} x {device}: {error}") from None


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
