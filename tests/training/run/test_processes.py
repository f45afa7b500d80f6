"""Several processes share every batch: they learn what one process learns, and survive a kill."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.training_helpers import fill, metrics, preset, run
from training.data.base import Shard
from training.run.config import resolve
from training.run.fabric import part
from training.run.noise import random_counter
from training.run.run_folder import RunFolder

# Free bits are cut off at the mean of a batch, and latents put in order within one: neither is
# the mean of two halves.
FIXED = ("schedule=constant", "regulariser.free_bits=0", "descriptor_weight=0",
         "learning_rate=1e-3")
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def two(tmp_path: Path, out: str, steps: int, *assignments: str) -> list[subprocess.Popen[str]]:
    """A run on two processes, each started as a cluster would start it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "nn_tudor.cli", "train", preset(tmp_path), "--data",
             str(fill(tmp_path / "data")), "--out", str(tmp_path / out), "--steps", str(steps),
             "--device", "cpu", "--devices", "2", "--set", "batch_size=4"]
    words += [word for text in (*FIXED, *assignments) for word in ("--set", text)]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2",
             "NODE_RANK": "0", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    folder = tmp_path / out / "config.toml"
    started = []
    for rank in range(2):
        started.append(subprocess.Popen(
            words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT,
            env={**os.environ, **place, "LOCAL_RANK": str(rank)}))
        while rank == 0 and not folder.exists() and started[0].poll() is None:
            time.sleep(0.05)  # the first one makes the cache
    return started


def ended(processes: list[subprocess.Popen[str]]) -> list[str]:
    return [process.communicate(timeout=120)[0] for process in processes]


def losses(folder: Path) -> list[tuple[float, float]]:
    return [(row["loss"], row["spectral_distance"]) for row in metrics(folder)]


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    both = two(tmp_path, "two", 12)
    said = ended(both)
    assert [process.returncode for process in both] == [0, 0], said
    one = run(tmp_path, *FIXED, "batch_size=8", out="one", steps=12).folder
    apart = run(tmp_path, *FIXED, "batch_size=4", out="apart", steps=12).folder
    a, b, c = (np.array(losses(folder)) for folder in (one, tmp_path / "two", apart))
    assert a.shape == b.shape == (12, 2)
    assert np.abs(a - b).max() < 2e-4
    assert np.abs(a - c).max() > 0.05, "half of the batch is something else"


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_run_goes_on_after_a_kill_of_either_process(tmp_path: Path, victim: int) -> None:
    often = ("checkpoint_seconds=1e-9",)
    both = two(tmp_path, "two", 100_000, *often)
    folder = RunFolder(tmp_path / "two")
    while not folder.checkpoint.exists() and both[0].poll() is None:
        time.sleep(0.05)
    both[victim].send_signal(signal.SIGKILL)
    said = ended(both)
    assert both[victim].returncode == -signal.SIGKILL
    assert both[1 - victim].returncode not in (0, -signal.SIGKILL)
    assert "another process of this run has ended" in said[1 - victim]
    assert "Traceback" not in said[1 - victim]
    before = folder.load()
    assert before is not None
    steps = before.step + 3
    again = two(tmp_path, "two", steps, *often)
    said = ended(again)
    assert [process.returncode for process in again] == [0, 0], said
    assert re.search(rf"resuming at step {before.step}\b", said[0])
    one = run(tmp_path, *FIXED, "batch_size=8", out="one", steps=steps).folder
    a, b = (np.array(losses(path))[:20] for path in (one, folder.path))
    assert np.abs(a - b).max() < 1e-3


def test_processes_part_before_they_end(tmp_path: Path) -> None:
    part()  # of a run of one process there is nothing to part
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    part()
    assert not torch.distributed.is_initialized()


def test_places_in_the_whole_batch_decide() -> None:
    def drawn(world: int, kind: Any) -> torch.Tensor:
        parts = []
        for rank in range(world):
            torch.manual_seed(3)
            parts.append(kind(Shard(rank, world), 8 // world))
        return torch.cat(parts)

    for kind in (lambda shard, size: shard.draw(torch.randn, (size, 3, 5)),
                 lambda shard, size: random_counter(torch.zeros(size, 1), shard)):
        assert torch.equal(drawn(1, kind), drawn(2, kind))
        assert torch.equal(drawn(1, kind), drawn(4, kind))
        assert len(drawn(1, kind).unique()) > 7


def test_a_crop_is_the_same_whichever_process_makes_it(tmp_path: Path) -> None:
    from rich.console import Console

    from engine.models.registry import build
    from training.data.crop_data import Crops

    settings = resolve(preset(tmp_path), fill(tmp_path / "data"), [])
    made = []
    for size, world in ((4, 1), (2, 2)):
        config = settings.training.model_copy(update={"batch_size": size})
        data = Crops(tmp_path / "data", config, tmp_path / "cache")
        data.look()
        data.prepare(build(settings.family, settings.model), Console(quiet=True))
        made.append(torch.cat([data.batch(5, Shard(r, world))["audio"] for r in range(world)]))
    assert torch.equal(*made)
