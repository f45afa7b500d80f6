"""What series of trials share: the command, each in a process of its own, several in a row, what is
kept of them, and how many seeds are told in one cell."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
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


def share_cache(folder: Path) -> None:
    """Latents of what is learnt from, which all runs find in one place: encoding takes longer than
    a short training."""
    kept, own = folder.parent / "learnt-cache", folder / "cache"
    kept.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    if not own.exists():
        own.symlink_to(Path("..") / kept.name, target_is_directory=True)


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
    """The mean of the seeds, and the range that they have if it is one in so many digits."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    middle, low, high = (f"{value:.{digits}f}" for value in (mean(known), min(known), max(known)))
    return middle if low == high else f"{middle} ({low} to {high})"


def cells(seeds: list[dict[str, float | None]], columns: Mapping[str, tuple[Any, ...]]
          ) -> list[str]:
    """Of figures of every seed a cell for each column, which says its digits last."""
    return [spread([one.get(key) for one in seeds], digits)
            for key, (*_, digits) in columns.items()]


def steps(folder: Path) -> int:
    """That a run took."""
    return max(json.loads(line)["step"]
               for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines())


def judged(out: Path, name: str, seed: int) -> Path:
    """Where figures of a trial are kept: it is done when they are there."""
    return out / f"{name}-{seed}.json"


def series(doc: str, minutes: float, trials: Iterable[str], figures: Path,
           prepare: Callable[[Path], object], run: Callable[[str, int, float, Path], object],
           gathered: Callable[..., dict[str, Any]], choice: bool = False) -> None:
    """The command of a series: trials for each seed, as far as they are to be done, and the figures
    of the seeds that have them all. `choice`: whether some may be named, which `gathered` is then
    told behind out, seeds and minutes."""
    parser = argparse.ArgumentParser(description=doc.split("\n\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=minutes, help="of processor time for each")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="so many at once, one thread each")
    parser.add_argument("--keep", action="store_true", help="train nothing, write what is there")
    names = list(trials)
    if choice:
        parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="TRIAL",
                            help=f"these trials: {', '.join(names)}")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    seeds = list(range(1, options.seeds + 1))
    chosen = [name for name in names if name in options.only] if choice else names
    if not options.keep:
        prepare(options.out)
        each([(name, seed) for seed in seeds for name in chosen],
             lambda job: run(*job, options.minutes, options.out), options.jobs)
    whole = [seed for seed in seeds
             if all(judged(options.out, name, seed).exists() for name in chosen)]
    if not whole:
        raise SystemExit(f"{options.out}: no seed has every trial yet")
    told = (chosen,) if choice else ()
    keep(figures, gathered(options.out, whole, options.minutes, *told))


def page(figures: Path, command: str, table: Callable[[dict[str, Any]], list[str]]) -> list[str]:
    """A page's table of a series, and how long each was trained; `command` where there are no
    figures yet."""
    if not figures.exists():
        return [f"*Not run yet: `python -m scripts.{command} OUT`.*"]
    found = json.loads(figures.read_text("utf-8"))
    about = found["series"]
    return [f"{about['minutes']:g} minutes of processor time each, {len(about['seeds'])} "
            f"seed{'s' if len(about['seeds']) > 1 else ''}.", "", *table(found)]
