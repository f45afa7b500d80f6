"""What `rtf-bench` prints: the figures as tables, with the words that they need."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.run import Report
from benchmarks.subject import label
from engine.reports import wide_console

MISSING = "-"


def console_for_output() -> Console:
    """Wide enough for the benchmark's tables."""
    return wide_console(170)


def print_report(report: Report, console: Console) -> None:
    """Machine, the two tables, and what the columns mean."""
    print_machine(report.machine, console)
    console.print(_times_table(report.results))
    console.print(_costs_table(report.results))
    for note in report.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    console.print(
        "RTF = processing time / audio time, lower is better, below 1 keeps up. Warm-up is not "
        "counted. Files took turns in bursts of blocks in one process, so compare rows of one "
        "table. Jitter = p99 - p50. Cold start = import of the backend, load and first block in a "
        "fresh process. Latency = lookahead of the model + wait for the block.",
        highlight=False, soft_wrap=True, style="dim",
    )


def print_machine(machine: dict[str, Any], console: Console) -> None:
    """Two lines about what was measured on."""
    versions = ", ".join(f"{name} {text}" for name, text in machine["versions"].items())
    console.print(
        f"[bold]{machine['cpu']}[/], {machine['cores']} cores, threads asked for: "
        f"{machine['threads']}; "
        f"{', '.join(machine['isa']) or machine['architecture']}; governor "
        f"{machine['governor'] or 'unknown'}; {machine['os']}; load {machine['load_average']}\n"
        f"{versions}\npeak {machine['peak_gflops']:.0f} GFLOP/s per core "
        f"({machine['peak_method']})", highlight=False, soft_wrap=True,
    )
    if "device_peak_gflops" in machine:
        console.print(f"GPU peak {machine['device_peak_gflops']:.0f} GFLOP/s "
                      f"({machine['device_peak_method']})", highlight=False, soft_wrap=True)


def _times_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="speed: real-time factor (lower is better) and block times in ms",
                  title_justify="left")
    table.add_column("file", no_wrap=True)
    table.add_column("backend")
    for title in ("block", "deadline", "RTF p50", "p99", "max", "ms p50", "p99", "p99.9", "max",
                  "jitter", "misses", "cold start"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        colour = "red" if row["rtf_p99"] >= 1 else "yellow" if row["rtf_p99"] >= 0.5 else "green"
        table.add_row(
            label(row["file"]), _backend(row), str(row["block_samples"]),
            f"{row['deadline_ms']:.2f}", f"[{colour}]{row['rtf_p50']:.4f}[/]",
            f"[{colour}]{row['rtf_p99']:.4f}[/]", f"{row['rtf_max']:.4f}",
            *(f"{row[key]:.3f}" for key in ("block_ms_p50", "block_ms_p99", "block_ms_p999",
                                            "block_ms_max", "jitter_ms")),
            f"{row['deadline_misses']}/{row['blocks']}", _ms(row.get("cold_start_ms")),
        )
    return table


def _costs_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="cost: latency, arithmetic and memory", title_justify="left")
    table.add_column("file", no_wrap=True)
    table.add_column("backend")
    for title in ("block", "latency", "lookahead", "buffering", "MMAC/s", "GFLOP/s", "of peak",
                  "weights", "state", "peak memory"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        rate = row["sample_rate_hz"]
        macs, share = row["macs_per_second"], row["peak_share"]
        table.add_row(
            label(row["file"]), _backend(row), str(row["block_samples"]),
            f"{row['latency_samples']} ({row['latency_ms']:.1f} ms)",
            _delay(row["latency_algorithmic_samples"], rate),
            _delay(row["latency_buffering_samples"], rate),
            MISSING if macs is None else f"{macs / 1e6:.1f}",
            MISSING if macs is None else f"{row['gflops']:.2f}",
            MISSING if share is None else f"{100 * share:.2f} %",
            size_text(row["weights_bytes"]), size_text(row["state_bytes"]),
            size_text(row.get("peak_memory_bytes")),
        )
    return table


def _backend(row: dict[str, Any]) -> str:
    return str(row["backend"]) + ("" if row["device"] == "cpu" else f" {row['device']}")


def _delay(count: int, rate: int) -> str:
    return f"{count} ({1000 * count / rate:.1f} ms)"


def _ms(value: float | None) -> str:
    return MISSING if value is None else f"{value:.0f} ms"


def size_text(size_bytes: float | None) -> str:
    """Bytes for people: 741 KiB, 1.3 MiB."""
    if not size_bytes:
        return MISSING
    if size_bytes < 10 * 1024:
        return f"{size_bytes / 1024:.1f} KiB"
    if size_bytes < 1024**2:
        return f"{size_bytes / 1024:.0f} KiB"
    return f"{size_bytes / 1024**2:.1f} MiB"
