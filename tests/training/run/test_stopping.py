"""Runs that are killed, asked to stop, started twice, or whose data moved."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import training.run.loop
import training.run.trainer
from engine.errors import ConfigError, Stopped
from nn_tudor.cli import main
from tests.training.training_helpers import RATE, fill, loop, metrics, preset, run, same, weights
from training.objectives.autoencoder import AutoencoderObjective
from training.objectives.base import Objective
from training.run.health import SUSPICIOUS, LossHealth
from training.run.lock import locked
from training.run.run_folder import RunFolder
from training.run.signals import NAMES, outlive_first_signal

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def python(code: str, *words: object, **options: Any) -> subprocess.Popen[str]:
    """A process of this very tree."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        **options)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from training.commands import train
from training.run.run_folder import RunFolder

def save(folder, checkpoint, whole=RunFolder.save):
    if checkpoint.step == 13:  # half of it is written when the power goes
        Path.write_bytes = cut
    whole(folder, checkpoint)

def cut(path, data):
    with path.open("wb") as file:
        file.write(data[:len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)

RunFolder.save = save
train(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), steps=30, device="cpu",
      assignments=["checkpoint_seconds=1e-9", "schedule=constant"])
"""


def test_killed_and_resumed(tmp_path: Path) -> None:
    data, config, folder = fill(tmp_path / "data"), preset(tmp_path), RunFolder(tmp_path / "run")
    process = python(KILLED, config, data, folder.path)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    checkpoint = folder.load()
    assert checkpoint is not None
    assert checkpoint.step == 12
    with folder.metrics.open("a") as file:
        file.write('{"step": 29, "kind": "tr')  # a line that the kill cut short
    console = Console(record=True, file=io.StringIO())
    run(tmp_path, "schedule=constant", steps=30, console=console)
    assert "resuming at step 12" in console.export_text()
    assert [row["step"] for row in metrics(folder.path)] == list(range(1, 31))
    whole = run(tmp_path, "schedule=constant", out="whole", steps=30).folder
    assert same(weights(folder.path), weights(whole))


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> list[signal.Signals]:
    """What is put in here is sent to the process itself, while it takes its third step."""
    waiting: list[signal.Signals] = []
    losses = AutoencoderObjective.losses

    def interrupted(objective: Any, batch: Any, at: Any) -> Any:
        if at.step == 2 and waiting:
            signal.raise_signal(waiting.pop())
        return losses(objective, batch, at)

    monkeypatch.setattr(AutoencoderObjective, "losses", interrupted)
    monkeypatch.setattr(training.run.loop, "step_seconds", lambda *_: (0.01, 0.01))
    return waiting


@pytest.mark.parametrize("number", list(NAMES))
def test_a_signal_before_the_first_checkpoint_loses_nothing(
    tmp_path: Path, signalled: list[signal.Signals], number: signal.Signals
) -> None:
    handlers = [signal.getsignal(n) for n in NAMES]
    signalled.append(number)
    with pytest.raises(Stopped) as stop:
        run(tmp_path, "schedule=constant", steps=6)
    assert str(stop.value) == (f"stopped by {NAMES[number]} at step 3, saved in "
                               f"{tmp_path / 'run'}; the same command goes on from there")
    assert [signal.getsignal(n) for n in NAMES] == handlers
    checkpoint = RunFolder(tmp_path / "run").load()
    assert checkpoint is not None
    assert checkpoint.step == 3
    parts = run(tmp_path, "schedule=constant", steps=6).folder
    whole = run(tmp_path, "schedule=constant", steps=6, out="whole").folder
    assert [row["step"] for row in metrics(parts)] == [1, 2, 3, 4, 5, 6]
    assert same(weights(parts), weights(whole))


def test_the_command_says_where_it_was_saved(
    tmp_path: Path, signalled: list[signal.Signals], capfd: pytest.CaptureFixture[str]
) -> None:
    signalled.append(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        main(["train", preset(tmp_path), "--data", str(fill(tmp_path / "data")), "--out",
              str(tmp_path / "run"), "--device", "cpu"])
    assert ended.value.code == 128 + signal.SIGTERM
    asked, said = capfd.readouterr().err.strip().splitlines()
    assert asked == "SIGTERM: saving after this step; once more ends at once"
    assert said.startswith("stopped by SIGTERM at step 3, saved in")


def test_what_is_not_worth_saving_is_not_said_to_be_saved(
    tmp_path: Path, signalled: list[signal.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LossHealth, "worse_than", lambda _, limit: limit == SUSPICIOUS)
    signalled.append(signal.SIGINT)
    with pytest.raises(Stopped, match="at step 3; nothing was saved because the loss"):
        run(tmp_path)
    assert not RunFolder(tmp_path / "run").checkpoint.exists()


TWICE = """
import signal
from training.run.signals import Signals
with Signals() as signals:
    signals.install()
    signal.raise_signal(signal.SIGTERM)
    print(signals.heard.name, flush=True)
    signal.raise_signal(signal.SIGINT)
    print("still here", flush=True)
"""


def test_the_second_signal_ends_at_once() -> None:
    process = python(TWICE, cwd=ROOT)
    told, errors = process.communicate()
    assert process.returncode == -signal.SIGINT, errors
    assert told == "SIGTERM\n"


LOADER = """
import signal
from training.run.signals import outlive_first_signal
outlive_first_signal(0)
signal.raise_signal(signal.SIGTERM)
print("still here", flush=True)
signal.raise_signal(signal.SIGTERM)
print("even now", flush=True)
"""


def test_a_loader_process_outlives_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                             ) -> None:
    process = python(LOADER, cwd=ROOT)
    told, _ = process.communicate()
    assert (told, process.returncode) == ("still here\n", 128 + signal.SIGTERM)
    made = []
    real = training.run.trainer.loader
    monkeypatch.setattr(training.run.trainer, "loader", lambda *a: made.append(real(*a)) or made[0])
    run(tmp_path, steps=1)
    assert made[0].worker_init_fn is outlive_first_signal


HOLDER = """
import sys
from pathlib import Path
from training.run.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_training_at_a_time_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    holder = python(HOLDER, folder, stdin=subprocess.PIPE, cwd=ROOT)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    said = rf"^{re.escape(str(folder))} is being trained by process {holder.pid} on .*; wait "
    with pytest.raises(ConfigError, match=said):
        run(tmp_path)
    assert not (folder / "config.toml").exists()
    holder.kill()
    holder.communicate()
    assert run(tmp_path).step == 6  # what it left behind is of no consequence
    with locked(folder):
        pass


def test_data_that_moved_is_the_same_data(tmp_path: Path) -> None:
    run(tmp_path, "schedule=constant", steps=3)
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    (tmp_path / "data").symlink_to("elsewhere")
    console = Console(record=True, file=io.StringIO(), width=300)
    moved = run(tmp_path, "schedule=constant", steps=6, console=console).folder
    told = console.export_text().splitlines()
    assert told[0] == f"the 4 files of {tmp_path}/data are now in {tmp_path}/elsewhere"
    (tmp_path / "data").unlink()
    shutil.move(tmp_path / "elsewhere", tmp_path / "data")
    whole = run(tmp_path, "schedule=constant", out="whole", steps=6).folder
    assert same(weights(moved), weights(whole))


@pytest.mark.parametrize(("change", "said"), [
    (lambda data: (data / "loop1.wav").unlink(), "loop1.wav is not there"),
    (lambda data: shutil.copy(data / "loop1.wav", data / "loop9.wav"), "loop9.wav is new"),
    (lambda data: __import__("soundfile").write(data / "loop1.wav", loop(1, 0.9), RATE),
     "loop1.wav is another file"),
])
def test_other_data_is_refused_by_the_first_file(tmp_path: Path, change: Any, said: str) -> None:
    run(tmp_path)
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    change(tmp_path / "elsewhere")
    (tmp_path / "data").symlink_to("elsewhere")
    with pytest.raises(ConfigError, match=rf"data\.folder was .*, is now .*; {said}\)"):
        run(tmp_path, steps=9)


def test_processes_of_a_run_fill_its_cache_one_after_the_other(tmp_path: Path) -> None:
    """Decided by what each writes: a turn that is not over never has another's begin within it."""
    script = ("import sys\n"
              "from pathlib import Path\n"
              "from training.run.lock import taking_turns\n"
              "folder = Path(sys.argv[1])\n"
              "for _ in range(20):\n"
              "    with taking_turns(folder), (folder / 'log').open('a') as log:\n"
              "        log.write('begin\\n'), log.flush()\n"
              "        sum(range(20000))\n"
              "        log.write('end\\n')\n")
    both = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert (tmp_path / "log").read_text() == "begin\nend\n" * 40


def test_a_run_whose_training_had_other_parts_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, steps=2)

    def newer(self: Objective, state: dict[str, Any]) -> None:
        raise KeyError("reader.weight", "reader.bias")

    monkeypatch.setattr(Objective, "load", newer)
    with pytest.raises(ConfigError, match=r"another version.*\(reader.weight\).*--from"):
        run(tmp_path, steps=4)
