"""From times and counts to the figures of the benchmark's JSON, one dictionary per row."""

from __future__ import annotations

from typing import Any

from benchmarks.measure import Times
from benchmarks.subject import FileSubject
from engine.boards.cost import MethodCost

# A quiet machine stays below both: duration over processor time, and p99 over p50.
BUSY, BUSY_TAIL = 1.15, 5.0


def time_figures(
    times: Times, block_samples: int, sample_rate_hz: int
) -> dict[str, Any]:
    """Block times and real-time factors (processing time / audio time: lower is better)."""
    deadline_ms = 1000 * block_samples / sample_rate_hz
    return {
        "block_samples": block_samples,
        "sample_rate_hz": sample_rate_hz,
        "deadline_ms": deadline_ms,
        "blocks": int(times.block_ms.size),
        "rtf_p50": times.p50 / deadline_ms,
        "rtf_p99": times.p99 / deadline_ms,
        "rtf_max": times.max / deadline_ms,
        "rtf_mean": times.mean / deadline_ms,
        "block_ms_p50": times.p50,
        "block_ms_p99": times.p99,
        "block_ms_p999": times.percentile(99.9),
        "block_ms_max": times.max,
        "block_ms_min": float(times.block_ms.min()),
        "block_ms_mean": times.mean,
        "block_cpu_ms_p50": times.cpu_p50,  # without interruptions by other programs
        "jitter_ms": times.jitter_ms,
        "deadline_misses": times.misses(deadline_ms),
    }


def work_figures(
    cost: MethodCost | None, block_seconds: float, block_ms: float, peak_gflops: float | None
) -> dict[str, Any]:
    """Arithmetic that the model asks for, and how fast it was done in `block_ms`."""
    if cost is None:
        return dict.fromkeys(("macs_per_second", "gflops", "peak_share", "operations"))
    gflops = 2 * cost.macs_per_block(block_seconds) / (block_ms * 1e6)
    return {
        "macs_per_second": cost.macs_per_second,
        "gflops": gflops,
        "peak_share": gflops / peak_gflops if peak_gflops else None,
        "operations": len(cost.ops),
    }


def busy_note(rows: list[dict[str, Any]]) -> str | None:
    """A warning when blocks were interrupted so much that their times mislead."""
    if not rows:
        return None
    stretch = max(row["block_ms_p50"] / row["block_cpu_ms_p50"] for row in rows)
    late = max(row["block_ms_p99"] / row["block_ms_p50"] for row in rows)
    if stretch < BUSY and late < BUSY_TAIL:
        return None
    return (f"other programs seem to hold the processor: median blocks took up to {stretch:.1f} "
            f"times their processor time, p99 up to {late:.0f} times the median; long blocks "
            "suffer more than short ones, so trust ratios of processor time (block_cpu_ms_p50)")


def file_result(
    source: str, subject: FileSubject, times: Times, cost: MethodCost | None,
    peak_gflops: float | None, device: str, fresh: dict[str, Any],
) -> dict[str, Any]:
    """One row: a file at one block size. `peak_gflops` is that of all threads together."""
    player = subject.player
    rate = player.sample_rate_hz
    # Through a host the median block may do nothing at all: the mean is then what was paid.
    typical = times.mean if subject.through_host else times.p50
    latency = subject.algorithmic_samples + subject.buffering_samples
    return {
        "file": source,
        "model": player.name,
        "backend": player.backend,
        "dtype": getattr(player, "dtype", "float32"),
        "device": device,
        "method": subject.method,
        "through_host": subject.through_host,
        **time_figures(times, subject.block_samples, rate),
        **fresh,
        "latency_samples": latency,
        "latency_ms": 1000 * latency / rate,
        "latency_algorithmic_samples": subject.algorithmic_samples,
        "latency_buffering_samples": subject.buffering_samples,
        **work_figures(cost, subject.block_samples / rate, typical, peak_gflops),
        "weights_bytes": player.weights_bytes(subject.method),
        "state_bytes": player.state_bytes(subject.method),
    }
