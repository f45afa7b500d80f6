"""How much of a training step is the network itself: audio-seconds per second of whole training
steps beside a plain PyTorch forward and backward of the same network, in the same run.

    python -m benchmarks.quality.throughput techno-tiny

A whole step reads and augments crops, computes both spectral losses and the regulariser, and
updates weights and their average. Both are timed in turn, so that a busy machine slows both.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from engine.friendly import friendly

PART_NAMES = {"crops": "reading and augmenting crops", "network": "network forward",
              "loss": "losses", "backward": "backward", "update": "clipping, Adam and average"}


def throughput(
    preset: Annotated[str, typer.Argument(help="preset, .toml or run directory")] = "techno-tiny",
    rounds: Annotated[int, typer.Option(min=2, help="pairs of timed steps")] = 12,
    threads: Annotated[int, typer.Option(min=0, help="PyTorch threads; 0: its default")] = 0,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="as in tudor train")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Training steps beside a plain forward and backward of the same network.

    Example: python -m benchmarks.quality.throughput techno-pi --rounds 20
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    if threads:
        torch.set_num_threads(threads)
    result = measure(preset, rounds, assignments or [])
    if as_json:
        typer.echo(json.dumps(result, indent=2))
        return
    typer.echo(
        f"{preset}: {result['batch']} crops of {result['crop_seconds']:g} s, "
        f"{result['threads']} threads\n"
        f"training step            {result['step_ms']:7.1f} ms   "
        f"{result['audio_seconds_per_second']:7.1f} audio-s/s\n"
        f"plain forward + backward {result['plain_ms']:7.1f} ms   "
        f"{result['plain_audio_seconds_per_second']:7.1f} audio-s/s\n"
        f"ratio                    {result['ratio']:7.2f}      (step over plain, lower is better)"
    )
    for name, share in result["parts_ms"].items():
        typer.echo(f"  {PART_NAMES[name]:30} {share:7.1f} ms")


def measure(preset: str, rounds: int, assignments: list[str]) -> dict[str, Any]:
    """Medians over `rounds` pairs of steps, in milliseconds, and where a step's time goes."""
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(preset, Path(folder), assignments)
        bench.step()
        bench.plain()
        steps, plains = [], []
        for _ in range(rounds):
            steps.append(_seconds(bench.step))
            plains.append(_seconds(bench.plain))
        parts = {name: 1e3 * median(times[1:]) for name, times in bench.parts.items()}
    audio = bench.config.batch_size * bench.samples / bench.model.sample_rate_hz
    step, plain = median(steps), median(plains)
    ratios = sorted(a / b for a, b in zip(steps, plains, strict=True))
    import torch

    return {
        "preset": preset, "parameters": bench.model.parameter_count,
        "batch": bench.config.batch_size,
        "crop_seconds": bench.samples / bench.model.sample_rate_hz,
        "threads": torch.get_num_threads(), "step_ms": 1e3 * step, "plain_ms": 1e3 * plain,
        "audio_seconds_per_second": audio / step,
        "plain_audio_seconds_per_second": audio / plain,
        "ratio": median(ratios), "ratio_low": ratios[0], "ratio_high": ratios[-1],
        "parts_ms": parts,
    }


def _seconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


class _Bench:
    """A training step taken apart, on a small corpus of noise."""

    def __init__(self, preset: str, folder: Path, assignments: list[str]) -> None:
        import numpy as np
        import soundfile
        import torch

        from engine.models.registry import build
        from training.data.audio_folder import scan
        from training.data.cache import Cache
        from training.data.crops import CropBatches, crop_samples
        from training.objectives.registry import OBJECTIVES
        from training.run.averages import Average
        from training.run.config import resolve

        run = resolve(preset, folder, assignments)
        self.config, self.model = run.training, build(run.family, run.model).train()
        rate, channels = self.model.sample_rate_hz, self.model.main.in_channels
        rng = np.random.default_rng(0)
        for index in range(4):
            noise = 0.1 * rng.standard_normal((rate * 8, channels))
            soundfile.write(folder / f"{index}.wav", noise, rate)
        cache = Cache(folder / "cache", rate, channels)
        cache.fill(scan(folder).sources)
        self.samples = crop_samples(self.config, rate, self.model.ratio)
        self.batches = CropBatches(cache, cache.sounds(), self.config, self.samples)
        self.objective = OBJECTIVES[self.config.objective](self.model, self.config)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), self.config.learning_rate, fused=True)
        self.average = Average(self.model, self.config.ema_decay)
        self.audio = self.batches[0]
        self.number = 0
        self.parts: dict[str, list[float]] = {name: [] for name in PART_NAMES}

    def step(self) -> None:
        """Everything that training does for one batch."""
        import torch

        from training.data.base import Batch
        from training.objectives.base import Moment

        self.number += 1
        marks = [time.perf_counter()]
        audio = self.batches[self.number]
        marks.append(time.perf_counter())
        coder: Any = self.model
        decode = coder.reconstruct

        def timed(z: Any) -> Any:
            output = decode(z)
            marks[2:] = [time.perf_counter()]  # after the last draw, where there are two
            return output

        coder.reconstruct = timed
        loss = self.objective.losses(Batch(audio=audio), Moment(self.number))["loss"]
        del coder.reconstruct
        marks.append(time.perf_counter())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        marks.append(time.perf_counter())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.average.update(self.model, self.number)
        marks.append(time.perf_counter())
        for name, a, b in zip(PART_NAMES, marks[:-1], marks[1:], strict=True):
            self.parts[name].append(b - a)

    def plain(self) -> None:
        """The network alone: encoder, decoder, and back from the mean square of the output."""
        coder: Any = self.model
        self.optimizer.zero_grad(set_to_none=True)
        mean, log_std = coder.distribution(self.audio)
        output = coder.reconstruct(mean + log_std.exp())
        output.square().mean().backward()


if __name__ == "__main__":
    with friendly():
        typer.run(throughput)
