"""Batches that would not fit into main memory are refused before Linux kills the process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from engine.errors import TudorError
from tests.training.training_helpers import fill, preset
from training.run import memory
from training.run.config import resolve
from training.run.loop import Machine, train

MB = 1_000_000


def hold(crops: int) -> None:
    np.ones(crops * 50 * MB, dtype=np.uint8).sum()


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control group that has 400 MB left, 100 MB of it holding files that were read."""
    folder = tmp_path / "group"
    folder.mkdir()
    (folder / "memory.max").write_text(f"{5000 * MB}\n")
    (folder / "memory.current").write_text(f"{4700 * MB}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {100 * MB}\n")
    monkeypatch.setattr(memory, "GROUP", folder)
    return folder


def test_what_is_free_is_the_least_of_machine_and_group(group: Path) -> None:
    assert memory.available_bytes() == 400 * MB
    (group / "memory.max").write_text("max\n")
    machine = memory.available_bytes()
    assert machine is not None
    assert machine != 400 * MB


def test_a_batch_that_does_not_fit_is_refused_with_one_that_does(group: Path) -> None:
    memory.check_memory(6, "crop of 1 s", hold)
    # Pages that were free already are not counted, so the figure varies a little.
    with pytest.raises(TudorError, match=r"a crop takes about (4[5-9]|5[0-5]) MB in a step, "
                                         r"0\.4 GB are free; training\.batch_size=[6-9] fits: "
                                         r"--set batch_size=[6-9]$"):
        memory.check_memory(20, "crop of 1 s", hold)
    (group / "memory.max").write_text(f"{9000 * MB}\n")
    memory.check_memory(20, "crop of 1 s", hold)


def test_nothing_is_judged_where_the_system_does_not_say(
    tmp_path: Path, group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "PROCESS", tmp_path / "none")
    memory.check_memory(20, "crop of 1 s", hold)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    memory.check_memory(20, "crop of 1 s", hold)


def test_a_run_asks_before_its_first_step(tmp_path: Path) -> None:
    run = resolve(preset(tmp_path), fill(tmp_path / "data"), ["batch_size=100000000"])
    with pytest.raises(TudorError, match=r"a crop takes about .* --set batch_size="):
        train(run, tmp_path / "run", Machine("cpu"), Console(quiet=True))
