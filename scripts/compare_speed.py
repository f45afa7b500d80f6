"""Whether the native runtime has become slower: the suite's cases by two states of this repository.

    python scripts/compare_speed.py a0734ce                 processor time, by turns in one process
    python scripts/compare_speed.py a0734ce --count         instructions too (valgrind, AVX2)
    python scripts/compare_speed.py a0734ce --only nam-a1/16,brave/128 --dtype float32,q16x8

The other state is checked out into a temporary folder. Each state exports the cases with its own
exporter and plays them with its own C runtime, built with the same options. Printed: this state
over the other, below 1 is faster; exit code 1 where a case is more than 3 % slower. Times are
medians of the ratios of neighbouring turns, so that a busy machine slows both alike; counts repeat
exactly, but say nothing of caches.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import thread_time_ns
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 1.03
OPTIONS = ["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-stack-protector", "-g0"]
# Run by each state's own code: argv is a folder, then number formats, then cases.
EXPORT = """
import sys
from pathlib import Path
from benchmarks.shape_numbers import compiled
from benchmarks.shapes import build_case, case_names
for name in sys.argv[3].split(",") if sys.argv[3] else case_names():
    if name in case_names():
        for dtype in sys.argv[2].split(","):
            data = compiled(build_case(name), dtype)
            if data:
                Path(sys.argv[1], f"{name.replace('/', '_')}_{dtype}.tudor").write_bytes(data)
"""


class State:
    """One state of the repository: its cases as files, its runtime as a library."""

    def __init__(self, tree: Path, folder: Path, dtypes: str, only: str) -> None:
        folder.mkdir()
        core = tree / "engine" / "core"
        sources = [str(path) for path in sorted(core.glob("*.c"))]
        builder = next(m for m in ("engine.players.native_build", "engine.native_build")
                       if (tree / f"{m.replace('.', '/')}.py").exists())
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
        self.library, self.player = folder / "core.so", folder / "play"
        cc = ["cc", *OPTIONS, f"-I{core}"]
        commands = [
            [*cc, *sources, "-shared", "-fPIC", "-Wl,-Bsymbolic", "-o", str(self.library)],
            [*cc, str(ROOT / "scripts" / "compare_blocks.c"), str(self.library), "-o",
             str(self.player)],
            [sys.executable, "-c", EXPORT, str(folder), dtypes, only],
        ]
        if not list((tree / "engine").glob("_native.*")):  # the exporter cannot do without
            commands.insert(0, [sys.executable, "-m", builder])
        for command in commands:
            subprocess.run(command, check=True, cwd=tree, env=environment)
        self.files = {path.stem: path for path in sorted(folder.glob("*.tudor"))}


class Player:
    """A case, ready to play by one state's library."""

    def __init__(self, state: State, path: Path, samples: int) -> None:
        self._lib = lib = ctypes.CDLL(str(state.library))
        self.samples = samples
        self._kept: list[Any] = []
        file, size = self._memory(np.frombuffer(path.read_bytes(), np.uint8))
        model, sizes = (ctypes.c_void_p * 2)(), (ctypes.c_size_t * 3)()
        _check(lib.tudor_open(file, ctypes.c_size_t(size), model, None))
        _check(lib.tudor_measure(model, 1, samples, sizes))
        fast, bulk = (self._memory(np.zeros(n, np.uint8)) for n in sizes[:2])
        t = ctypes.c_void_p()
        _check(lib.tudor_init(model, 1, samples, fast[0], ctypes.c_size_t(fast[1]), bulk[0],
                              ctypes.c_size_t(bulk[1]), ctypes.byref(t)))
        rng = np.random.default_rng(0)
        self._calls = []
        for method in range(lib.tudor_methods(model)):
            info = (ctypes.c_uint32 * 16)()  # after the name: channels and ratios, in and out
            _check(lib.tudor_method(model, method, info))
            _, _, channels, ratio, out_channels, out_ratio = info[:6]
            x = rng.standard_normal(channels * (samples // ratio)).astype(np.float32) / 4
            y = np.zeros(out_channels * (samples // out_ratio), np.float32)
            self._calls.append((t, method, self._memory(x)[0], self._memory(y)[0], samples))

    def _memory(self, data: Any) -> tuple[ctypes.c_void_p, int]:
        """`data` on a boundary of 64 bytes."""
        room = np.zeros(data.nbytes + 64, np.uint8)
        first = -room.ctypes.data % 64
        room[first : first + data.nbytes] = data.view(np.uint8)
        self._kept.append(room)
        return ctypes.c_void_p(room.ctypes.data + first), data.nbytes

    def play(self, blocks: int) -> float:
        """Processor time of so many blocks, in nanoseconds."""
        process, calls = self._lib.tudor_process, self._calls
        start = thread_time_ns()
        for _ in range(blocks):
            for call in calls:
                process(*call)
        return float(thread_time_ns() - start)


def _check(code: int) -> None:
    if code:
        raise SystemExit(f"the runtime refused a file or its memory: fault {code}")


def time_ratio(new: Player, old: Player, turns: int, turn_ms: float) -> tuple[float, float]:
    """Median of new / old over neighbouring turns, and microseconds of a block of the new one."""
    for player in (new, old):
        player.play(3)
    blocks = max(1, round(turn_ms * 1e6 / max(1.0, new.play(4) / 4)))
    ratios, times = [], []
    for turn in range(turns):
        first, second = (new, old) if turn % 2 else (old, new)
        took = {}
        for player in (first, second):
            player.play(1)  # its weights are back in the caches
            took[player] = player.play(blocks)
        ratios.append(took[new] / took[old])
        times.append(took[new] / blocks / 1000)
    return float(np.median(ratios)), float(np.median(times))


def instructions(state: State, path: Path, samples: int, blocks: int) -> int:
    """Instructions of the AVX2 kernels for so many blocks of all methods."""
    with tempfile.TemporaryDirectory() as folder:
        found = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no",
             "--toggle-collect=tudor_process", f"--callgrind-out-file={folder}/out",
             str(state.player), str(path), "avx2", str(samples), str(blocks)],
            check=True, capture_output=True, text=True).stderr
    return int(re.search(r"Collected : (\d+)", found)[1])  # type: ignore[index]


def compare(new: State, old: State, options: argparse.Namespace) -> bool:
    """Prints a line for each case; whether all are within the limit."""
    good = True
    print(f"{'case':34}{'us/block':>10}{'time':>8}" + ("   instructions" if options.count else ""))
    for name in sorted(new.files.keys() & old.files.keys()):
        samples = int(name.split("_")[1])
        players = [Player(s, s.files[name], samples) for s in (new, old)]
        ratio, took = time_ratio(*players, options.turns, options.turn_ms)
        line, worst = f"{name:34}{took:10.1f}{ratio:8.3f}", ratio
        if options.count:
            blocks = max(1, 4096 // samples)
            counts = [instructions(s, s.files[name], samples, blocks) for s in (new, old)]
            line += f"{counts[0] / counts[1]:15.4f}"
        good = good and worst <= LIMIT
        print(line, "" if worst <= LIMIT else "  SLOWER", flush=True)
    for name in sorted(new.files.keys() - old.files.keys()):
        print(f"{name:34} only here")
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("other", help="a commit, or a folder that holds a checkout")
    parser.add_argument("--only", default="", help="cases, separated by commas")
    parser.add_argument("--dtype", default="float32", help="number formats, separated by commas")
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--turn-ms", type=float, default=10.0)
    parser.add_argument("--count", action="store_true", help="count instructions too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tudor-compare-") as name:
        folder, tree = Path(name), Path(options.other)
        checked_out = not tree.is_dir()
        if checked_out:
            tree = folder / "tree"
            subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(tree),
                            options.other], check=True, cwd=ROOT)
        try:
            states = [State(path.resolve(), folder / label, options.dtype, options.only)
                      for label, path in (("new", ROOT), ("old", tree))]
            good = compare(*states, options)
        finally:
            if checked_out:
                subprocess.run(["git", "worktree", "remove", "--force", str(tree)], check=True,
                               cwd=ROOT)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
