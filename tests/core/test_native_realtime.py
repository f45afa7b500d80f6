"""What a block must not do: take memory, call the system, or cost more in silence than in sound."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from engine.players.native_model import NativeFile, NativeModel
from tests.core.core_build import compiled
from tests.core.native_cases import case, noise

BLOCKS = 100_000


def realtime(
    tmp_path: Path, name: str, blocks: int, *plant: str
) -> subprocess.CompletedProcess[str]:
    program = compiled("realtime.c", "-std=gnu11", "-O2", "-ffp-contract=off")
    model = tmp_path / "m.tudor"
    model.write_bytes(case(name))
    return subprocess.run([program, model, "forward", str(blocks), *plant], capture_output=True,
                          text=True, timeout=300)


@pytest.mark.parametrize("name", ["strided", "gated", "long_history", "gru", "latents",
                                  "controls"])
def test_no_memory_is_taken_and_no_system_call_made(tmp_path: Path, name: str) -> None:
    blocks = BLOCKS if name in ("gru", "latents") else BLOCKS // 10
    done = realtime(tmp_path, name, blocks)
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stdout == f"mallocs=0 blocks={blocks}\n"


def test_the_counters_count(tmp_path: Path) -> None:
    assert realtime(tmp_path, "gru", 100, "plant=malloc").stdout == "mallocs=2 blocks=100\n"
    killed = realtime(tmp_path, "gru", 100, "plant=syscall")
    assert killed.returncode < 0, "a system call in the loop must end the program"


@pytest.mark.parametrize("name", ["strided", "gated", "lstm", "activations"])
def test_silence_after_a_burst_costs_no_more_than_sound(name: str) -> None:
    file = NativeFile.from_bytes(case(name))
    spec = file.methods["forward"]
    rows = 64 * spec.frame_samples // spec.in_ratio
    loud = noise(spec.in_channels, rows // 4)
    loud = np.tile(loud[:, :, : rows // 16], (1, 1, 16))
    silent = np.zeros_like(loud)
    model = NativeModel(file)
    out = model.process("forward", loud)

    def median(x: np.ndarray, count: int) -> float:
        times = []
        for _ in range(count):
            start = time.thread_time_ns()
            model.process("forward", x, out)
            times.append(time.thread_time_ns() - start)
        return float(np.median(times))

    ratios = []
    # Slow numbers would be slow in each round; neighbours, who take time from caches even where
    # only the thread's own counts, are not there in all of them.
    for _ in range(5):
        sound = median(loud, 60)
        median(silent, 200)  # tails die away through the denormal range
        ratios.append(median(silent, 60) / sound)
    assert min(ratios) <= 1.2, ratios


def test_the_host_s_floating_point_mode_is_put_back() -> None:
    """With denormals flushed by the host, the bits are the same and the mode is as before."""
    import torch

    file = NativeFile.from_bytes(case("strided"))
    x = noise(1, 16 * 200)
    wanted = NativeModel(file).process("forward", x)
    tiny = torch.tensor([1e-40])
    assert torch.set_flush_denormal(True)
    try:
        got = NativeModel(file).process("forward", x)
        assert (tiny * 1).item() == 0.0, "the mode was not restored"
    finally:
        torch.set_flush_denormal(False)
    assert np.array_equal(got.view(np.uint32), wanted.view(np.uint32))
