"""Cold start and peak memory of one model, in a process that does nothing else.

    python -m benchmarks.fresh '{"source": "model.ts", "method": "forward", ...}'

Time counts from the first line of Python to the first block's output: the import of the backend's
library, loading the file and the first block, which compiles and allocates. Python's own start is
not in it, and the file was read before, so it comes from the page cache.
"""

from __future__ import annotations

from time import perf_counter

_START = perf_counter()

import json  # noqa: E402 (the clock starts first)
import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

EXTRA_BLOCKS = 20  # after the first, so that memory reaches what playing needs
TIMEOUT_SECONDS = 300


def cold_start(
    source: str, method: str, block_samples: int, threads: int, device: str
) -> dict[str, float | int | None]:
    """Measure in a fresh process; all None when that fails (the figures are then left out)."""
    request = {"source": source, "method": method, "block_samples": block_samples,
               "threads": threads, "device": device}
    root = str(Path(__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.fresh", json.dumps(request)], env=environment,
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {"cold_start_ms": None, "cold_start_load_ms": None, "peak_memory_bytes": None,
                "peak_device_memory_bytes": None}


def _measure(request: dict[str, Any]) -> dict[str, float | int | None]:
    from engine.players.base import load

    player = load(request["source"], threads=request["threads"], device=request["device"])
    loaded = perf_counter()
    from benchmarks.machine import peak_memory_bytes
    from benchmarks.subject import FileSubject

    subject = FileSubject(player, request["method"], request["block_samples"])
    before = perf_counter()  # preparing the input is ours, not the model's
    subject.play(0)
    first = perf_counter() - before
    for index in range(1, EXTRA_BLOCKS):
        subject.play(index)
    return {
        "cold_start_ms": 1000 * (loaded - _START + first),
        "cold_start_load_ms": 1000 * (loaded - _START),
        "peak_memory_bytes": peak_memory_bytes(),
        "peak_device_memory_bytes": _device_memory(request["device"]),
    }


def _device_memory(device: str) -> int | None:
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.max_memory_allocated()


if __name__ == "__main__":
    print(json.dumps(_measure(json.loads(sys.argv[1]))))
