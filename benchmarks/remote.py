"""`rtf-bench --device ssh:HOST`: real block times of a native file on another machine.

The host program and the model are copied there, played, timed by that machine's own clock, and
removed. Before anything is timed, a short passage must come back with the bits that the plain C
reference gives here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Times, block_count
from benchmarks.results import time_figures
from benchmarks.stimulus import beats
from benchmarks.subject import LATENT_GAIN, label
from engine.errors import ConfigError, TudorError
from engine.players.native_file import distinct_bytes
from engine.players.native_model import MethodInfo, NativeFile, NativeModel
from firmware.host.build import program
from firmware.host.play import parse_output
from firmware.host.ssh import Remote

PREFIX = "ssh:"
CHECK_FRAMES = 32
LEAST_WARM_UP_BLOCKS = 10
MOST_BYTES = 64 << 20  # of audio that is sent for one block size
Say = Callable[[str], None]
FloatArray = np.ndarray[Any, np.dtype[np.float32]]


@dataclass
class RemoteReport:
    """What was measured on one machine."""

    device: str
    machine: dict[str, Any]
    results: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"device": self.device, "machine": self.machine, "results": self.results,
                "notes": self.notes}


@dataclass(frozen=True)
class Wanted:
    """What to measure: blocks in samples, seconds of audio per file and block size."""

    method: str | None  # None: each file's main one
    blocks: Sequence[int]
    seconds: float
    warm_up_seconds: float


def measure_remote(device: str, paths: Sequence[Path], wanted: Wanted,
                   say: Say = lambda _: None) -> RemoteReport:
    """Measure native files on the machine that `device`, ssh:HOST, names."""
    files = [_open(path, device, wanted.method) for path in paths]
    host = device.removeprefix(PREFIX)
    say(f"{host}: connecting")
    with Remote(host) as remote:
        say(f"{host}: copying the program")
        remote.send("host", program(remote.target).read_bytes(), executable=True)
        report = RemoteReport(device, dict(remote.facts))
        for file in files:
            run = _Run(remote, file, wanted, say)
            isa = run.check()
            report.machine["isa"] = isa
            for block in dict.fromkeys(run.whole(block) for block in wanted.blocks):
                report.results.append(run.measure(block))
            report.notes += run.notes
    report.notes = list(dict.fromkeys(report.notes))
    return report


def _open(path: Path, device: str, method: str | None) -> NativeFile:
    if path.suffix.lower() != ".tudor":
        raise ConfigError(f"{path}: --device {device} plays .tudor files; make one with "
                          "tudor export RUN --to native")
    file = NativeFile(path)
    file.chosen(method)  # a missing method is an error now, not later
    return file


class _Run:
    """One file on the remote machine."""

    def __init__(self, remote: Remote, file: NativeFile, wanted: Wanted, say: Say) -> None:
        self.remote, self.file, self.wanted, self.say = remote, file, wanted, say
        self.method = file.chosen(wanted.method)
        self.spec, self.rate_hz = file.methods[self.method], file.sample_rate_hz
        self.macs = sum(op.macs for op in file.ops(self.method)) / self.spec.frame_samples
        self.weights_bytes = distinct_bytes(file.ops(self.method))
        self.notes: list[str] = []
        say(f"{remote.host}: copying {file.path.name}")
        remote.send("model", file.path.read_bytes())

    def whole(self, block: int) -> int:
        """`block` raised to whole frames."""
        frame = self.spec.frame_samples
        size = ceil(block / frame) * frame
        if size != block:
            self.notes.append(f"{self.file.path.name} plays frames of {frame} samples: blocks of "
                              f"{block} were raised to {size}")
        return size

    def check(self) -> str:
        """The same bits as here, or an error. Returns the instruction set in use there."""
        x = _signal(self.spec, self.rate_hz, CHECK_FRAMES)
        said = self._play(x, CHECK_FRAMES)
        there = np.frombuffer(self.remote.fetch("out"), np.float32)
        here = NativeModel(self.file, isa="ref").process(self.method, x[None])[0]
        if not np.array_equal(there.view(np.uint32), here.reshape(-1).view(np.uint32)):
            raise TudorError(f"{self.file.path} plays other bits on {self.remote.host} than here: "
                             "a fault of its processor or of the program; please report it")
        return said["isa"]

    def measure(self, block: int) -> dict[str, Any]:
        """One row: a block size."""
        frames, seconds = block // self.spec.frame_samples, block / self.rate_hz
        warm_up = max(LEAST_WARM_UP_BLOCKS, round(self.wanted.warm_up_seconds / seconds))
        self.say(f"{self.remote.host}: {self.file.path.name}, blocks of {block}: trying")
        slowest_ms = float(np.median(self._times(frames, LEAST_WARM_UP_BLOCKS)))
        count = block_count(self.wanted.seconds, seconds, slowest_ms)
        row_bytes = 4 * block * (self.spec.in_channels / self.spec.in_ratio
                                 + self.spec.out_channels / self.spec.out_ratio)
        count = min(count, max(10, int(MOST_BYTES / row_bytes) - warm_up))
        self.say(f"{self.remote.host}: {self.file.path.name}, {count} blocks of {block}")
        times = Times(self._times(frames, warm_up + count)[warm_up:])
        return self._row(times, block)

    def _row(self, times: Times, block: int) -> dict[str, Any]:
        figures = time_figures(times, block, self.rate_hz)
        deadline = figures["deadline_ms"]
        return {
            "file": str(self.file.path), "model": self.file.name, "backend": "native",
            "device": f"{PREFIX}{self.remote.host}", "method": self.method, **figures,
            "p999_over_p50": figures["block_ms_p999"] / figures["block_ms_p50"],
            "worst_share_of_deadline": figures["block_ms_max"] / deadline,
            "macs_per_second": self.macs * self.rate_hz,
            "gflops": 2 * self.macs * block / (times.p50 * 1e6),
            "weights_bytes": self.weights_bytes, "same_bits": True,
        }

    def _times(self, frames: int, blocks: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Milliseconds of each of so many blocks."""
        x = _signal(self.spec, self.rate_hz, frames * blocks)
        self._play(x, frames, "times=times")
        taken = np.frombuffer(self.remote.fetch("times"), np.uint64)
        if taken.size != blocks:
            raise TudorError(f"{self.remote.host} timed {taken.size} of {blocks} blocks")
        return taken / 1e6

    def _play(self, x: FloatArray, frames: int, *more: str) -> dict[str, str]:
        self.remote.send("in", x.tobytes())
        words = ["model", self.method, "in", "out", f"frames={frames}", *more]
        return parse_output(self.remote.play(words))


def _signal(spec: MethodInfo, rate_hz: int, frames: int) -> FloatArray:
    """Beats, [channels, rows], as the local benchmark plays them."""
    rows = frames * spec.frame_samples // spec.in_ratio
    x = beats(spec.in_channels, rows, rate_hz / spec.in_ratio)
    return x * np.float32(LATENT_GAIN) if spec.in_ratio > 1 else x


def print_remote(report: RemoteReport, console: Console) -> None:
    """The machine, one table, and what its columns mean."""
    about = report.machine
    name = about.get("board") or about.get("cpu") or "processor unknown"
    console.print(f"[bold]{report.device}[/]: {name}, {about.get('machine')}, "
                  f"{about.get('cores') or '?'} cores, 1 used; {about['isa']}; governor "
                  f"{about.get('governor') or 'unknown'}; {about.get('os')}; load "
                  f"{about.get('load') or 'unknown'}", highlight=False, soft_wrap=True)
    table = Table(title="real-time factor (lower is better) and block times", title_justify="left")
    table.add_column("file", no_wrap=True)
    for title in ("block", "deadline", "RTF p50", "p99", "max", "ms p50", "p99.9/p50", "worst ms",
                  "of deadline", "misses"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in report.results:
        share = row["worst_share_of_deadline"]
        colour = "red" if share >= 1 else "yellow" if share >= 0.5 else "green"
        table.add_row(
            label(row["file"]), str(row["block_samples"]), f"{row['deadline_ms']:.2f} ms",
            f"{row['rtf_p50']:.4f}", f"{row['rtf_p99']:.4f}", f"{row['rtf_max']:.4f}",
            f"{row['block_ms_p50']:.3f}", f"{row['p999_over_p50']:.2f}",
            f"{row['block_ms_max']:.3f}", f"[{colour}]{100 * share:.1f} %[/]",
            f"{row['deadline_misses']}/{row['blocks']}",
        )
    console.print(table)
    for note in report.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    console.print(
        "Measured on that machine by its own clock, one thread, warm-up not counted; files one "
        "after the other. RTF = processing time / audio time. Its output was first compared: the "
        "same bits as the plain C reference gives here.", highlight=False, soft_wrap=True,
        style="dim")
