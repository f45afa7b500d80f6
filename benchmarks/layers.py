"""What each layer costs, and what impedes real time (`rtf-bench --layers`).

Arithmetic, weights and state are counted from the model's graph. Time is measured where layers can
be told apart: in PyTorch, by a clock before and after each. Compiled backends run the whole method
as one program, so for them the counted columns stand alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from benchmarks.bounds import Bound, block_bound
from benchmarks.measure import undisturbed
from benchmarks.run import Report, Request, cost_of, peak_gflops
from benchmarks.subject import FileSubject, label
from benchmarks.tables import MISSING, size_text
from engine.boards.cost import MethodCost, OpCost

if TYPE_CHECKING:
    from torch import nn

TIMED_BLOCKS = 100
WORTH_A_ROW = 0.01  # share of arithmetic, weights or time; the rest is gathered by kind
BETWEEN = "between the layers"


@dataclass(frozen=True)
class Row:
    """One line of the table: an operation, or several of a kind."""

    name: str
    macs_share: float
    weights_bytes: int
    state_bytes: int
    time_share: float | None


def print_layers(report: Report, request: Request, console: Console) -> None:
    """For each file a table at its first block size, and the answer in words for each."""
    shown: list[MethodCost] = []
    for source, player in report.players.items():
        cost = cost_of(player, request.method)
        rows = [row for row in report.results if row["file"] == source]
        if cost is None:
            console.print(f"{label(source)}: its layers cannot be told (unknown family)")
            continue
        bounds = [block_bound(cost, row["deadline_ms"] / 1000,
                              peak_gflops(report, request, row["threads"]),
                              report.machine["caches"]) for row in rows]
        for row, bound in zip(rows, bounds, strict=True):
            row["bound_ms"] = bound.combined_ms
        subject = FileSubject(player, request.method, rows[0]["block_samples"])
        times = layer_times(subject, cost) if hasattr(player, "model") else None
        table = layer_rows(cost, times)
        rows[0]["layers"] = [vars(row) for row in table]
        rows[0]["answer"] = answer(rows, cost, bounds[0])
        # Files of one model differ in time alone: without times one table says it for all.
        if times or cost not in shown:
            size = rows[0]["block_samples"]
            console.print(layer_table(
                table, f"{label(source)}, {request.method}, block of {size} samples"))
        shown.append(cost)
        console.print(rows[0]["answer"], highlight=False, soft_wrap=True)


# --- time per layer ------------------------------------------------------------------------------


def layer_times(subject: FileSubject, cost: MethodCost) -> dict[str, float]:
    """Share of a block's time for each operation's name, and for what is `BETWEEN` them."""
    from engine.layers import Streaming

    model: nn.Module = subject.player.model  # type: ignore[attr-defined]
    spent: dict[str, float] = defaultdict(float)  # nanoseconds
    hooks = []
    for path, module in model.named_modules():
        children = (m for m in module.modules() if m is not module)
        if isinstance(module, Streaming) and not any(isinstance(m, Streaming) for m in children):
            name = operation_of(path, type(module).__name__, cost) or BETWEEN
            hooks += _clocked(module, name, spent)
    try:
        subject.play(0)
        spent.clear()
        with undisturbed():
            start = perf_counter_ns()
            for index in range(TIMED_BLOCKS):
                subject.play(index)
            total = perf_counter_ns() - start
    finally:
        for hook in hooks:
            hook.remove()
    inside = sum(time for name, time in spent.items() if name != BETWEEN)
    spent[BETWEEN] = total - inside
    return {name: time / total for name, time in spent.items()}


def _clocked(module: nn.Module, name: str, spent: dict[str, float]) -> list[Any]:
    """Hooks that add the duration of each call of `module` to `spent[name]`."""
    started = [0]

    def before(*_: object) -> None:
        started[0] = perf_counter_ns()

    def after(*_: object) -> None:
        spent[name] += perf_counter_ns() - started[0]

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


def operation_of(path: str, class_name: str, cost: MethodCost) -> str | None:
    """The operation that the module at `path` lowers to: both are named by their place.

    encoder.layers.3.branches.0.layers.1  ->  encoder/3/branch0/1/conv1d"""
    place = re.sub(r"\bbranches\.(\d+)", r"branch\1", path)
    parts = [part for part in place.split(".") if part != "layers"]
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", class_name).lower()
    names = [op.name for op in cost.ops]
    for length in range(len(parts), 0, -1):
        prefix = "/".join(parts[:length]) + "/"
        found = [name for name in names if name.startswith(prefix)]
        if found:
            return next((n for n in found if n.rsplit("/", 1)[1] == kind), found[0])
    return kind if kind in names else None


# --- the table -----------------------------------------------------------------------------------


def layer_rows(cost: MethodCost, times: dict[str, float] | None) -> list[Row]:
    """Rows in running order; what is below `WORTH_A_ROW` in everything is gathered by kind."""
    macs, weights = cost.macs_per_second or 1.0, cost.weights_bytes or 1
    rows: list[Row] = []
    small: dict[str, list[tuple[OpCost, float | None]]] = defaultdict(list)
    for op in cost.ops:
        time = None if times is None else times.get(op.name, 0.0)
        shares = (op.macs_per_second / macs, op.weights_bytes / weights, time or 0.0)
        if max(shares) >= WORTH_A_ROW:
            rows.append(Row(op.name, shares[0], op.weights_bytes, op.state_bytes, time))
        else:
            small[op.kind].append((op, time))
    for kind, members in small.items():
        rows.append(Row(
            f"{len(members)} x {kind}", sum(op.macs_per_second for op, _ in members) / macs,
            sum(op.weights_bytes for op, _ in members), sum(op.state_bytes for op, _ in members),
            None if times is None else sum(time or 0.0 for _, time in members),
        ))
    if times is not None:
        rows.append(Row(BETWEEN, 0.0, 0, 0, times[BETWEEN]))
    return rows


def layer_table(rows: list[Row], title: str) -> Table:
    """The rows for people."""
    table = Table(title=title, title_justify="left")
    table.add_column("operation", no_wrap=True)
    for name in ("MACs", "weights", "state", "time"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.name, f"{100 * row.macs_share:.1f} %", size_text(row.weights_bytes),
            size_text(row.state_bytes),
            MISSING if row.time_share is None else f"{100 * row.time_share:.1f} %",
        )
    return table


# --- the answer ----------------------------------------------------------------------------------


def fixed_and_rate(rows: list[dict[str, Any]]) -> tuple[float, float] | None:
    """Milliseconds that a call costs however short it is, and that each millisecond of audio adds.

    From the shortest and the longest block; None with a single size or when noise hides it."""
    plain = sorted((r for r in rows if not r["through_host"]), key=lambda r: r["block_samples"])
    if len(plain) < 2:
        return None
    first, last = plain[0], plain[-1]
    rate = (last["block_ms_p50"] - first["block_ms_p50"]) / (
        last["deadline_ms"] - first["deadline_ms"])
    fixed = first["block_ms_p50"] - rate * first["deadline_ms"]
    return (fixed, rate) if rate > 0 and fixed > 0 else None


def answer(rows: list[dict[str, Any]], cost: MethodCost, bound: Bound) -> str:
    """What impedes real time, in one paragraph, from the figures of one file."""
    row = rows[0]
    took = row["block_ms_mean"] if row["through_host"] else row["block_ms_p50"]
    overhead = max(0.0, took - bound.combined_ms)
    each_us = 1000 * overhead / max(1, len(cost.ops))
    verdict = ("keeps up even at p99" if row["rtf_p99"] < 1 else "keeps up at the median only"
               if row["rtf_p50"] < 1 else "does not keep up")
    parts = [
        f"What impedes real time? {row['model']} on {row['backend']} takes {took:.3f} ms for a "
        f"block of {row['deadline_ms']:.2f} ms and {verdict} (RTF p50 {row['rtf_p50']:.4f}, "
        f"p99 {row['rtf_p99']:.4f}).",
        f"At this machine's peak its arithmetic needs {bound.arithmetic_ms:.4f} ms, reading its "
        f"{size_text(cost.weights_bytes)} of weights once from {bound.memory} "
        f"{bound.reading_ms:.4f} ms, both together at least {_part(bound.combined_ms, took)}; the "
        f"other {_part(overhead, took)} are overhead: {each_us:.2f} us for each of "
        f"{len(cost.ops)} operations.",
    ]
    split = fixed_and_rate(rows)
    if split:
        parts.append(f"A call costs {split[0]:.3f} ms however short it is, and "
                     f"{split[1]:.4f} ms for each ms of audio in it.")
    ahead = 1000 * row["latency_algorithmic_samples"] / row["sample_rate_hz"]
    parts.append(f"Delay: {row['latency_ms']:.1f} ms: {ahead:.1f} ms of lookahead, the rest is "
                 "waiting for the block.")
    return " ".join([*parts, _verdict(overhead / took, bound)])


def _verdict(overhead_share: float, bound: Bound) -> str:
    """The last sentence: what stands in the way, and what would help."""
    if overhead_share > 0.8:
        return ("So it is the overhead per operation that stands in the way: a runtime with less "
                "of it, or longer blocks, would help; fewer weights would not.")
    if overhead_share > 0.5:
        return (f"So overhead comes first, {bound.limit} second: longer blocks spread the one, a "
                "smaller model eases the other.")
    if bound.limit == "arithmetic":
        return "So it is arithmetic that stands in the way: a smaller model is what would help."
    return (f"So it is {bound.limit} that stand in the way: longer blocks read the weights less "
            "often, narrower weights are fewer bytes.")


def _part(part_ms: float, whole_ms: float) -> str:
    return f"{part_ms:.4f} ms ({100 * part_ms / whole_ms:.1f} %)"
