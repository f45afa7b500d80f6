"""What `tudor export` and `tudor verify` print."""

from __future__ import annotations

from math import inf

from rich.table import Table
from rich.text import Text

from export.targets import Done
from export.verify import MethodReport, Report


def verify_table(reports: list[Report]) -> Table:
    """One row per file and method, or one with the reason why a file could not be compared."""
    table = Table("file", "backend", "method", title="streamed file against offline PyTorch")
    for name in ("max abs error", "float32 itself", "SNR dB", "peak"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for report in reports:
        for method in report.methods.values():
            table.add_row(report.file, report.backend, method.method, *figures(method),
                          _verdict(method.passed, report.tolerance))
        if report.problem:
            table.add_row(report.file, report.backend, "-", "-", "-", "-", "-",
                          Text(report.problem, "bold red"))
    return table


def export_table(done: Done) -> Table:
    """What was written and how it was verified."""
    table = verify_table([done.report])
    names = ", ".join(f"{f.name} ({f.stat().st_size / 1024:.0f} KiB)" for f in done.files)
    table.caption = f"wrote {names} in {done.seconds:.1f} s"
    table.caption_justify = "left"
    return table


def figures(method: MethodReport) -> tuple[str, str, str, str]:
    """Error, PyTorch's own rounding, signal-to-noise ratio and peak as text."""
    snr = "exact" if method.snr_db == inf else f"{method.snr_db:.1f}"
    return (f"{method.max_abs_error:.1e}", f"{method.float32_error:.1e}", snr,
            f"{method.peak:.2f}")


def _verdict(passed: bool, tolerance: float) -> Text:
    return Text("ok", "green") if passed else Text(f"FAILS (> {tolerance:g})", "bold red")
