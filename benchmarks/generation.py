"""What the cases that generate sample by sample are asked beside their time: how near they come to
the speed at which weights can be read, how much faster than PyTorch they are, and how evenly
callbacks that are shorter than a block share its work."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks.bounds import measured_bandwidth, memory_of
from benchmarks.measure import undisturbed
from engine.boards.cost import MethodCost

WEIGHT_BYTES = {"float32": 4, "bf16w": 2, "q16x8": 1}
PEERS = ("pytorch", "pytorch-loop")
CALLBACK_SAMPLES = (32, 16, 8, 4, 1)
CALLBACK_BLOCKS = 400


def add_generation(
    row: dict[str, Any], cost: MethodCost, caches: dict[str, str], took_ms: float
) -> None:
    """Samples per second of a case that draws sample by sample, and the share of the measured
    reading speed at which it reads its weights: all of them, in their number format, each time."""
    samples = row["block_samples"] * 1000 / took_ms
    row.update(samples_per_second=samples, times_real_time=samples / row["sample_rate_hz"])
    once = cost.macs_per_block(1 / row["sample_rate_hz"]) * WEIGHT_BYTES[row["dtype"]]
    if once and row["block_samples"] == 1:  # in longer ones slow parts are read less often
        speed = measured_bandwidth(round(once))
        row.update(weights_bytes_per_sample=round(once), reading_share=once * samples / speed,
                   reading_gb_s=speed / 1e9, reading_memory=memory_of(round(once), caches))


def add_generation_ratios(rows: list[dict[str, Any]]) -> None:
    """How many times as many samples as each PyTorch loop of the same run, by processor time."""
    found = {(row["case"], row["backend"]): row["block_cpu_ms_p50"] for row in rows}
    for row in rows:
        if "samples_per_second" in row and row["block_cpu_ms_p50"]:
            for peer in PEERS:
                if (row["case"], peer) in found and row["backend"] not in PEERS:
                    key = f"speedup_over_{peer.replace('-', '_')}"
                    row[key] = found[row["case"], peer] / row["block_cpu_ms_p50"]


def callbacks(native: Any, method: str, block: int) -> dict[int, dict[str, float]]:
    """For callbacks of so many samples that share the work of a block: the dearest over the mean,
    by the costs that slices are cut by, and by the medians of what each of them took."""
    spec, found = native.methods[method], {}
    x = np.zeros((1, spec.in_channels, block // spec.in_ratio), np.float32)
    out = np.zeros((1, spec.out_channels, block // spec.out_ratio), np.float32)
    for samples in (n for n in CALLBACK_SAMPLES if n < block):
        slices = block // samples
        took = np.zeros((CALLBACK_BLOCKS, slices), np.int64)
        with undisturbed():
            for row in took:
                for index in range(slices):
                    start = perf_counter_ns()
                    native.process_slice(method, x, out, index, slices)
                    row[index] = perf_counter_ns() - start
        worst, total = native.slice_costs(method, block, slices)
        each = np.median(took, axis=0)
        found[samples] = {"by_cost": worst * slices / total,
                          "by_time": float(each.max() / each.mean())}
    return found


def generation_notes(rows: list[dict[str, Any]]) -> list[str]:
    """What was found, in words: a line for each row, and one for the callbacks of a row."""
    notes = []
    for row in rows:
        if "samples_per_second" not in row:
            continue
        parts = [f"{row['samples_per_second']:,.0f} samples/s",
                 f"{row['times_real_time']:.1f} x real time at {row['sample_rate_hz'] // 1000} kHz"]
        if "reading_share" in row:
            parts.append(f"{100 * row['reading_share']:.0f} % of reading "
                         f"{row['weights_bytes_per_sample'] / 1e6:.2f} MB a sample from "
                         f"{row['reading_memory']} at {row['reading_gb_s']:.0f} GB/s")
        for key, peer in (("speedup_over_float32", "native float32"),
                          ("speedup_over_pytorch", "PyTorch with cached layers"),
                          ("speedup_over_pytorch_loop", "the rewritten PyTorch loop")):
            if key in row:
                parts.append(f"{row[key]:.2f} x {peer}")
        notes.append(f"{row['case']} {row['backend']}: {', '.join(parts)}")
        if row.get("callbacks"):
            each = ", ".join(f"{n} samples {v['by_cost']:.2f} ({v['by_time']:.2f})"
                             for n, v in row["callbacks"].items())
            notes.append(f"{row['case']} {row['backend']}: dearest over mean callback by cost (by "
                         f"time): {each}")
    return notes
