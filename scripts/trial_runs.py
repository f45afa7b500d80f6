"""What series of trials share: the command, each in a process of its own, several in a row, what is
kept of them, and how many seeds are told in one cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any, TypeVar

from engine.files import atomic_write
from scripts.preset_measure import short

TUDOR = (sys.executable, "-c", "from nn_tudor.cli import main; main()")
# The same with minutes of processor time: a busy machine does no less in them than a quiet one.
TUDOR_BY_PROCESSOR = (sys.executable, "-c", "import time; time.monotonic = time.process_time; "
                      "from nn_tudor.cli import main; main()")
Job = TypeVar("Job")


def tudor(log: Path, *words: Any, command: tuple[str, ...] = TUDOR) -> str:
    """What the command prints; what it says besides goes to `log`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("w") as said:
        found = subprocess.run([*command, *map(str, words)], env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=said, check=False)
        said.write(found.stdout)
    if found.returncode:
        raise SystemExit(f"tudor {words[0]}: see {log}")
    return found.stdout


def each(jobs: Iterable[Job], work: Callable[[Job], object], at_once: int = 1) -> None:
    """Do all of them, so many at once, and say how far that is."""
    waiting, begun = list(jobs), time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        for number, _ in enumerate(pool.map(work, waiting), 1):
            spent = (time.monotonic() - begun) / 60
            print(f"{number} of {len(waiting)}, {spent:.0f} minutes", flush=True)


def keep(path: Path, found: dict[str, Any]) -> None:
    """JSON in four digits with a line for each trial, so that a change is seen where it is."""
    lines = [f'"{name}": {json.dumps(row)}' for name, row in short(found).items()]
    with atomic_write(path) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def spread(values: list[float | None], digits: int) -> str:
    """The mean of the seeds, and the range that they have."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    middle = f"{mean(known):.{digits}f}"
    if len(known) == 1:
        return middle
    return f"{middle} ({min(known):.{digits}f} to {max(known):.{digits}f})"
