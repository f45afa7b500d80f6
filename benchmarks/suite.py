"""`rtf-bench --suite shapes`: the published shapes on every backend, by turns in one process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.bounds import Bound, block_bound
from benchmarks.case_runner import CaseRunner
from benchmarks.generation import (
    add_generation,
    add_generation_ratios,
    callbacks,
    generation_notes,
)
from benchmarks.machine import describe_machine, remeasure_peak
from benchmarks.measure import Times, alternate, block_count, burst_blocks, warm_up
from benchmarks.results import busy_note, time_figures, work_figures
from benchmarks.run import Report
from benchmarks.shape_backends import NativeRunner, native_available, runners_for
from benchmarks.shapes import ShapeModel, build_case, case_names, is_loop
from benchmarks.tables import print_machine
from engine.boards.cost import MethodCost
from engine.errors import ConfigError, nearest
from engine.ops import KINDS


@dataclass(frozen=True)
class Effort:
    """How long a run takes: seconds of audio, least blocks and warm-up per case and backend."""

    audio_seconds: float
    least_blocks: int
    warm_up_seconds: float
    budget_seconds: float


FULL = Effort(audio_seconds=2.0, least_blocks=300, warm_up_seconds=0.5, budget_seconds=60.0)
QUICK = Effort(audio_seconds=0.2, least_blocks=60, warm_up_seconds=0.2, budget_seconds=2.0)


EXPLANATION = (
    "Medians of blocks taken by turns, warm-up not counted; RTF = processing time / audio time, "
    "lower is better. Bound: the least time that the multiply-adds at the measured peak and "
    "reading every weight once allow, per operation the slower of the two; latency: a recurrence "
    "that waits for itself at every sample. 'reached' is the bound's share of the time taken. "
    "x ONNX and x TS: how many times faster than ONNX Runtime and TorchScript the row is, by the "
    "clock, then by the thread's processor time (cpu), which other programs do not stretch; "
    "shares of the peak and of the bound use the shorter of the two."
)


def run_shapes(
    quick: bool, only: Sequence[str] | None, console: Console, effort: Effort | None = None,
    dtypes: Sequence[str] = ("float32",),
) -> Report:
    """Measure the cases, print the table, return all figures."""
    names = list(only or case_names())
    for name in names:
        if name not in case_names():
            raise ConfigError(f"unknown case {name!r}{nearest(name, case_names())}")
    effort = effort or (QUICK if quick else FULL)
    report = Report(describe_machine())
    costs: dict[str, tuple[ShapeModel, MethodCost]] = {}
    with console.status("") as status:
        for name in names:
            status.update(f"{name}: building")
            model = build_case(name)
            costs[name] = model, model.cost()
            runners = runners_for(model, dtypes=dtypes)
            status.update(f"{name}: {', '.join(r.backend for r in runners)} by turns")
            for runner, times in zip(runners, _measure(runners, model, effort), strict=True):
                report.times.append(times)
                report.results.append(_row(name, runner, times, *costs[name]))
                if isinstance(runner, NativeRunner) and is_loop(model):
                    report.results[-1]["callbacks"] = callbacks(
                        runner.native, next(iter(model.methods)), model.block_samples)
    remeasure_peak(report.machine)
    for row in report.results:
        add_shares(row, costs[row["case"]][1], report.machine)
    add_ratios(report.results)
    add_generation_ratios(report.results)
    report.notes += filter(None, [busy_note(report.results), dtype_note(report.results)])
    report.notes += generation_notes(report.results)
    if report.machine["held_to_avx2"]:
        report.notes.append("held to AVX2: TorchScript, the native runtime and the peak; ONNX "
                            "Runtime has no such switch and uses what the processor has")
    if not native_available():
        report.notes.append("the native runtime is not installed: its rows are missing")
    print_machine(report.machine, console)
    console.print(suite_table(report.results))
    for note in report.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)
    console.print(EXPLANATION, highlight=False, soft_wrap=True, style="dim")
    return report


def _measure(runners: list[CaseRunner], model: ShapeModel, effort: Effort) -> list[Times]:
    medians = [warm_up(runner, effort.warm_up_seconds) for runner in runners]
    block_seconds = model.block_samples / model.sample_rate_hz
    count = block_count(effort.audio_seconds, block_seconds, max(medians), effort.least_blocks,
                        effort.budget_seconds)
    return alternate(runners, count, burst_blocks(min(medians)))


def _row(
    name: str, runner: CaseRunner, times: Times, model: ShapeModel, cost: MethodCost
) -> dict[str, Any]:
    return {
        "file": name, "case": name, "backend": runner.backend, "dtype": runner.dtype,
        "device": "cpu", "method": f"{len(model.methods)} segments",
        **time_figures(times, model.block_samples, model.sample_rate_hz),
        "ns_per_sample": 1e6 * times.p50 / model.block_samples,
        "cold_start_ms": None,
        "latency_samples": model.block_samples - 1,
        "weights_bytes": cost.weights_bytes,
        "state_bytes": cost.state_bytes,
    }


def add_shares(row: dict[str, Any], cost: MethodCost, machine: dict[str, Any]) -> None:
    """Share of peak, what bounds the case, and how near to that bound the row is."""
    block_seconds = row["block_samples"] / row["sample_rate_hz"]
    # The peak is measured undisturbed, so it is compared with undisturbed time.
    took_ms = min(row["block_ms_p50"], row["block_cpu_ms_p50"])
    row.update(work_figures(cost, block_seconds, took_ms, machine["peak_gflops"]))
    bound = block_bound(cost, block_seconds, machine["peak_gflops"], machine["caches"])
    row.update(bound_ms=bound.combined_ms, bound_arithmetic_ms=bound.arithmetic_ms,
               bound_reading_ms=bound.reading_ms, bound_memory=bound.memory,
               bandwidth_gb_s=bound.bandwidth_gb_s, bound=_limit(cost, bound),
               bound_reached=bound.combined_ms / took_ms)
    if any(KINDS[op.kind].is_draw for op in cost.ops):
        add_generation(row, cost, machine["caches"], took_ms)


def _limit(cost: MethodCost, bound: Bound) -> str:
    return "latency" if any(KINDS[op.kind].is_recurrent for op in cost.ops) else bound.limit


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """How many times faster each row is than ONNX Runtime and TorchScript on the same case.

    By the clock, and by processor time, which a busy machine does not stretch."""
    for prefix, key in (("", "block_ms_p50"), ("cpu_", "block_cpu_ms_p50")):
        medians = {(row["case"], row["backend"]): row[key] for row in rows}
        for row in rows:
            for peer in ("onnx", "torchscript"):
                theirs = medians.get((row["case"], peer))
                known = theirs is not None and row[key]
                row[f"{prefix}speedup_over_{peer}"] = theirs / row[key] if known else None


def dtype_note(rows: list[dict[str, Any]]) -> str:
    """How other number formats compare with float32 on the same case, by processor time."""
    whole = {row["case"]: row["block_cpu_ms_p50"] for row in rows if row["backend"] == "native"}
    for row in rows:
        if row["dtype"] != "float32" and row["block_cpu_ms_p50"]:
            row["speedup_over_float32"] = whole[row["case"]] / row["block_cpu_ms_p50"]
    found = [f"{row['case']} {row['dtype']} {row['speedup_over_float32']:.2f}" for row in rows
             if "speedup_over_float32" in row]
    return f"times as fast as native float32: {', '.join(found)}" if found else ""


def suite_table(rows: list[dict[str, Any]]) -> Table:
    """A line for each case and backend."""
    table = Table(title="shapes: published networks, random weights, one thread",
                  title_justify="left")
    table.add_column("case", no_wrap=True)
    table.add_column("backend", no_wrap=True)
    for title in ("ms p50", "p99", "RTF p50", "ns/sample", "x ONNX", "x TS", "cpu ms",
                  "x ONNX", "x TS", "of peak", "bound", "bound ms", "reached"):
        table.add_column(title, justify="right", no_wrap=True)
    before = ""
    for row in rows:
        if before and row["case"] != before:
            table.add_section()
        table.add_row(
            row["case"] if row["case"] != before else "", row["backend"],
            f"{row['block_ms_p50']:.4f}", f"{row['block_ms_p99']:.4f}", f"{row['rtf_p50']:.4f}",
            f"{row['ns_per_sample']:.0f}", _times(row["speedup_over_onnx"]),
            _times(row["speedup_over_torchscript"]), f"{row['block_cpu_ms_p50']:.4f}",
            _times(row["cpu_speedup_over_onnx"]), _times(row["cpu_speedup_over_torchscript"]),
            f"{100 * row['peak_share']:.1f} %", row["bound"], f"{row['bound_ms']:.4f}",
            f"{100 * row['bound_reached']:.0f} %",
        )
        before = row["case"]
    return table


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"
