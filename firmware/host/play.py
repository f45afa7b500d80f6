"""Runs the host program: a model file and audio go in, audio and counts come back."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelFileError, TudorError
from engine.players.native_model import NativeFile
from firmware.host.build import Target, count_plugin, program, tool

FloatArray = NDArray[np.float32]
EMPTY, CALLS, FIRST_OP = 0, 1, 2  # slots of tally.h
TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Tally:
    """What was counted in one place: `calls` times, `total` together, `worst` at most."""

    calls: int
    total: int
    worst: int


@dataclass(frozen=True)
class Played:
    """What came back. `unit` says what the tallies count; they are empty without counting."""

    audio: FloatArray  # [channels, rows]
    facts: dict[str, str]
    unit: str = ""
    calls: Tally | None = None
    ops: dict[int, Tally] = field(default_factory=dict)  # by index in the method's op table


def play(
    target: Target, model: bytes, audio: FloatArray, *, method: str | None = None,
    frames: Sequence[int] = (1,), slices: int = 0, isa: str | None = None,
    cpu: str | None = None, count: str | None = None,
) -> Played:
    """Play `audio` [channels, rows] through a method (None: the main one) on a target, in blocks of
    `frames`, lengths taken in turn.

    slices: spread each block over so many calls. count: "calls" or "ops". cpu: what the emulator
    imitates."""
    file = NativeFile.from_bytes(model)
    method = file.chosen(method)
    spec = file.methods[method]
    options = [f"frames={','.join(map(str, frames))}"]
    options += [f"slices={slices}"] if slices else []
    options += [f"isa={isa}"] if isa else []
    options += [f"count={count}"] if count else []
    options += ["marks=1"] if count and target.name == "aarch64" else []
    with TemporaryDirectory(prefix="tudor-host-") as name:
        folder = Path(name)
        (folder / "model").write_bytes(model)
        np.ascontiguousarray(audio, np.float32).tofile(folder / "in")
        words = ["model", method, "in", "out", *options]
        text = run_there(command(target, program(target), words, cpu, bool(count)), folder)
        got = np.fromfile(folder / "out", np.float32)
    return _parse(text, got.reshape(spec.out_channels, -1))


def command(target: Target, program_: Path, words: list[str], cpu: str | None = None,
            counted: bool = False) -> list[str]:
    """The command line that runs a built program on a target, under its emulator."""
    built = str(program_)
    cpu = cpu or next(iter(target.cpus), None)
    if target.name == "aarch64":
        plugin = ["-plugin", str(count_plugin()), "-d", "plugin"] if counted else []
        return [tool("qemu-aarch64"), "-cpu", str(cpu), *plugin, built, *words]
    if target.name == "m7":
        line = ",".join(f"arg={word.replace(',', ',,')}" for word in ("host", *words))
        return [tool("qemu-system-arm"), "-M", "mps2-an500", "-display", "none", "-monitor", "none",
                "-serial", "none", "-icount", "shift=10", "-semihosting-config",
                f"enable=on,target=native,{line}", "-kernel", built]
    return [built, *words]


def run_there(command: list[str], folder: Path) -> str:
    """Everything that the program says; semihosting and plugins write to standard error."""
    try:
        done = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        name = Path(command[0]).name
        raise TudorError(f"{name} did not end within {TIMEOUT_SECONDS} s") from None
    if done.returncode:
        kind = ModelFileError if done.returncode == 2 else TudorError
        said = done.stdout.strip().splitlines()[-1:] or ["nothing was said"]
        raise kind(f"{Path(command[0]).name}, exit code {done.returncode}: {said[0]}")
    return done.stdout


def parse_output(text: str) -> dict[str, str]:
    """The facts among what the program says: lines "name value"."""
    pairs = (line.partition(" ") for line in text.splitlines())
    return {name: value for name, _, value in pairs if value and name != "tally"}


def parse_tallies(text: str) -> dict[int, Tally]:
    """What was counted, by slot of tally.h; counting's own cost included."""
    tallies = {}
    for line in text.splitlines():
        if line.startswith("tally "):
            slot, calls, total, worst = map(int, line.split()[1:])
            tallies[slot] = Tally(calls, total, worst)
    return tallies


def _parse(text: str, audio: FloatArray) -> Played:
    facts, tallies = parse_output(text), parse_tallies(text)
    if not tallies:
        return Played(audio, facts)
    empty = tallies[EMPTY].worst  # what counting costs by itself
    clean = {slot: Tally(t.calls, t.total - empty * t.calls, t.worst - empty)
             for slot, t in tallies.items()}
    ops = {slot - FIRST_OP: t for slot, t in clean.items() if slot >= FIRST_OP}
    return Played(audio, facts, facts["unit"], clean.get(CALLS), ops)
