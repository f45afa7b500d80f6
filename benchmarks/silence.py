"""Does silence cost more than sound? It does where denormal numbers meet slow hardware paths.

Two players of the same file run by turns: one is fed music-like noise throughout, the other one
burst and then silence, through which its states decay towards zero. The worst window counts, since
a decay passes through the denormal range only for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from rich.console import Console

from benchmarks.measure import Subject, alternate
from benchmarks.run import Report, Request
from benchmarks.subject import FileSubject, label
from engine.players.base import load

WINDOW_BLOCKS = 40
BURST_SECONDS = 1.0
LIMIT = 1.2  # a silent block may cost this much of a loud one


class Silenced:
    """Plays `subject` on silence, whatever index it is asked for."""

    def __init__(self, subject: FileSubject) -> None:
        self.subject = subject
        channels = subject.player.description.method(subject.method).in_channels
        shape = (subject.player.batch, channels, subject.frames)
        self._silence = np.zeros(shape if shape[0] > 1 else shape[1:], np.float32)

    def play(self, index: int) -> object:
        """One silent block; `index` plays no part."""
        subject = self.subject
        if subject.host is not None:
            return subject.host.process(self._silence)
        return subject.player.process(subject.method, self._silence)


@dataclass(frozen=True)
class Silence:
    """Medians of the window in which silence cost most, compared with loud blocks beside it."""

    worst_ratio: float
    median_ratio: float
    at_seconds: float  # of silence, where the worst window begins
    windows: int

    @property
    def passed(self) -> bool:
        """Silent blocks cost no more than they may."""
        return self.worst_ratio <= LIMIT


def compare_silence(
    loud: Subject, silent: Subject, block_seconds: float, seconds: float,
    window: int = WINDOW_BLOCKS, by_cpu: bool = True,
) -> Silence:
    """Time `seconds` of audio on both by turns, in windows of `window` blocks.

    `by_cpu` compares the thread's processor time, which other programs do not stretch; where the
    work is done elsewhere (a GPU, other threads) it must be the clock. Even so a neighbour on the
    machine can spoil a window: what counts as worst is the highest median of three in a row."""
    count = max(3, ceil(seconds / (block_seconds * window)))
    ratios = []
    for _ in range(count):
        silent_times, loud_times = alternate([silent, loud], window)
        quiet, noisy = silent_times.cpu_p50, loud_times.cpu_p50
        if not (by_cpu and quiet and noisy):
            quiet, noisy = silent_times.p50, loud_times.p50
        ratios.append(quiet / noisy)
    smooth = [float(np.median(ratios[max(0, i - 1) : i + 2])) for i in range(len(ratios))]
    smooth[0], smooth[-1] = smooth[1], smooth[-2]
    worst = int(np.argmax(smooth))
    return Silence(smooth[worst], float(np.median(ratios)), worst * window * block_seconds, count)


def add_silence(report: Report, request: Request, seconds: float) -> None:
    """Measure every file at its first block size and add the figures to its row."""
    done = set()
    for row in report.results:
        source = row["file"]
        if source in done:
            continue
        done.add(source)
        loud, silent = (_subject(source, request, row["block_samples"]) for _ in range(2))
        burst_blocks = ceil(1000 * BURST_SECONDS / row["deadline_ms"])
        for index in range(burst_blocks):
            silent.play(index)
            loud.play(index)
        outcome = compare_silence(
            loud, Silenced(silent), row["deadline_ms"] / 1000, seconds,
            by_cpu=request.device == "cpu" and row["threads"] == 1)
        row["silence_ratio"] = outcome.worst_ratio
        row["silence_ratio_median"] = outcome.median_ratio
        row["silence_worst_at_s"] = outcome.at_seconds
        row["silence_passed"] = outcome.passed
        row["silence_seconds"] = seconds


def _subject(source: str, request: Request, block_samples: int) -> FileSubject:
    player = load(source, threads=request.threads, device=request.device)
    return FileSubject(player, request.method, block_samples)


def print_silence(report: Report, console: Console) -> None:
    """One line per file."""
    for row in report.results:
        if "silence_ratio" not in row:
            continue
        fate = "passes" if row["silence_passed"] else "[red]fails[/]"
        console.print(
            f"silence: {label(row['file'])} ({row['backend']}): silent blocks cost at worst "
            f"{row['silence_ratio']:.2f} of loud ones (after {row['silence_worst_at_s']:.1f} s of "
            f"{row['silence_seconds']:g}), typically {row['silence_ratio_median']:.2f}; "
            f"{fate} the limit of {LIMIT}", highlight=False, soft_wrap=True,
        )
