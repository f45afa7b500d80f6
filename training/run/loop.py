"""One training run from its settings to its weights: `train(run, folder)`."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from engine.errors import AudioError, ConfigError
from engine.models.base import Model
from engine.models.registry import build
from engine.models.store import load_model
from training.data.audio_folder import Folder, scan, split
from training.data.cache import Cache, bytes_needed
from training.data.crops import CropBatches, crop_samples, validation_crops
from training.objectives.quantised import quantise_weights
from training.run.callbacks import Checkpointer, ProgressDisplay
from training.run.config import RunConfig, differences
from training.run.health import out_of_memory
from training.run.module import Budget, TrainingModule
from training.run.preflight import (
    Preflight,
    batch_too_large,
    check_crops,
    check_disk,
    check_ops,
    show,
    step_seconds,
    total_seconds,
)
from training.run.run_folder import Checkpoint, RunFolder
from training.run.schedule import check_schedule
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
    device = _device(machine.device)
    found = scan(run.data)  # before anything is written
    folder = RunFolder(out)
    folder.open(run)
    checkpoint = folder.load()
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
        trainer.fit(module)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        trainer = None  # and with it the optimiser's memory
        raise batch_too_large(model, run.training, batches.samples, device) from None
    return Outcome(out, module.step, module.budget.seconds, checkpointer.last_distance, False)


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
    config, rate = run.training, model.sample_rate_hz
    channels, ratio = model.main.in_channels, model.ratio
    macs, backends = check_ops(model)
    cache = Cache.plan(folder.cache, found.sources, rate, channels, config.cache_gb)
    size = bytes_needed(found.sources, rate, channels)
    if not cache.store:
        console.print(f"no cache: it would take {size / 1e9:.1f} GB, more than training.cache_gb "
                      f"({config.cache_gb:g}) or the disk allow; reading files directly",
                      highlight=False, soft_wrap=True)
    with console.status(f"reading {len(found.sources)} files"):
        skipped = [*found.skipped, *cache.fill(found.sources)]
    usable = cache.usable()
    if not usable:
        reasons = "; ".join(str(item) for item in skipped[:3])
        raise AudioError(f"{run.data} holds no usable audio ({reasons})")
    kept, held = split(list(usable), config.validation_fraction)
    needed, free = check_disk(folder, model.parameter_count)
    samples = crop_samples(config, rate, ratio)
    check_crops(model, config, samples)
    if first_process():
        folder.write_skipped(skipped)
        one = step_seconds(model, config, samples, device)
        begun = checkpoint is not None and (checkpoint.adversary or {}).get("began_step", -1) >= 0
        schedule = ("phase 2 adversarial, begun earlier" if begun
                    else check_schedule(config, one))
        spent = (0, 0.0) if checkpoint is None else (checkpoint.step, checkpoint.seconds)
        left = 1 - Budget(config, spent[1]).progress(spent[0])
        hours = sum(usable.values()) / rate / 3600
        show(console, Preflight(
            len(usable), len(held), hours, tuple(skipped), model.parameter_count, macs, backends,
            one, schedule, total_seconds(config, one) * left,
            size if cache.store else 0, needed, free,
        ))
    length = round(VALIDATION_SECONDS * rate / ratio) * ratio
    crops = validation_crops(cache, held, length, VALIDATION_CROPS)
    corpus = validation_crops(cache, kept, length, CORPUS_CROPS)
    return CropBatches(cache, kept, config, samples), crops, corpus


def _trainer(run: RunConfig, machine: Machine, device: str, callbacks: list[Any]) -> Any:
    """Lightning, without its own logs, bars and checkpoints: ours are written by callbacks."""
    from lightning.pytorch import Trainer

    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\.")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
    many = machine.devices * machine.nodes > 1
    # Phase 2 may leave the encoder out, which plain "ddp" would wait for.
    ddp = "ddp" if run.training.adversarial is None else "ddp_find_unused_parameters_true"
    try:
        return Trainer(
            accelerator={"cuda": "gpu"}.get(device, device),
            devices=machine.devices,
            num_nodes=machine.nodes,
            strategy=ddp if many else "auto",
            precision="bf16-mixed" if device == "cuda" else "32-true",
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


def _device(name: str) -> str:
    """auto, cpu, cuda or mps as a device that this machine has."""
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if name not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"unknown device {name!r}; use auto, cpu, cuda or mps")
    from engine.players.pytorch import check_device

    return check_device(name).type


def _workers(run: RunConfig, device: str) -> int:
    """Loader processes: on the CPU they would only take cores from the training itself."""
    if run.training.workers is not None:
        return run.training.workers
    return 0 if device == "cpu" else min(8, (os.cpu_count() or 2) - 1)


def first_process() -> bool:
    """Whether this process speaks and writes: strategies start the others with these set."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK", "RANK"))
