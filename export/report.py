"""What `tudor export` and `tudor verify` print."""

from __future__ import annotations

from math import inf

from rich.table import Table
from rich.text import Text

from export.quantise.comparison import Comparison, MethodLoss
from export.quantise.drawn import Drawn
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
                          _verdict(method, report))
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
    """Error, PyTorch's own rounding, signal-to-noise ratio and peak as text. Of draws: the largest
    miss of the noise, and how many are as in float64."""
    if method.draws:
        return (f"{method.max_abs_error:.1e}", "-", f"{method.same_draws}/{method.draws} drawn",
                f"{method.peak:.2f}")
    snr = "exact" if method.snr_db == inf else f"{method.snr_db:.1f}"
    return (f"{method.max_abs_error:.1e}", f"{method.float32_error:.1e}", snr,
            f"{method.peak:.2f}")


def _verdict(method: MethodReport, report: Report) -> Text:
    if method.passed:
        return Text("ok", "green")
    if method.draws:
        return Text("FAILS (other draws)", "bold red")
    if report.dtype == "float32":
        return Text(f"FAILS (> {report.tolerance:g})", "bold red")
    if not method.consistent:
        return Text("FAILS (blocks differ)", "bold red")
    return Text(f"FAILS (< {report.least_snr_db:g} dB)", "bold red")


def comparison_tables(comparison: Comparison, layers: bool = True) -> list[Table]:
    """What a quantised file lost: every method in total, then layer by layer."""
    total = Table("method", title=f"{comparison.dtype} against float32, "
                  f"{comparison.held_out_seconds:g} s of held-out audio")
    drawn = any(loss.drawn for loss in comparison.methods.values())
    for name in ("SNR dB", "aim dB", "spectral distance", "float32", "change",
                 *(("bits per draw", "lost bits") if drawn else ())):
        total.add_column(name, justify="right")
    for loss in comparison.methods.values():
        reached = loss.snr_db >= loss.aim_db
        change = loss.distance_change
        total.add_row(loss.method, Text(_db(loss.snr_db), "green" if reached else "yellow"),
                      f"{loss.aim_db:g}", _number(loss.distance), _number(loss.distance_float32),
                      "-" if change is None else f"{100 * change:+.1f} %",
                      *(_bits(loss.drawn) if drawn else ()))
    total.caption = "; ".join([f"calibrated with {comparison.calibration}", *comparison.notes])
    total.caption_justify = "left"
    tables = [total]
    for loss in comparison.methods.values():
        if layers and loss.layers:
            tables.append(_layer_table(loss))
    return tables


def _layer_table(loss: MethodLoss) -> Table:
    table = Table("layer", "kind", "weights", title=f"{loss.method}, layer by layer")
    for name in ("MACs", "SNR here", "SNR if it alone"):
        table.add_column(name, justify="right", no_wrap=True)
    for layer in loss.layers:
        weights = layer.alone_db is not None
        table.add_row(layer.name, layer.kind, layer.dtype if weights else "",
                      f"{100 * layer.macs_share:.1f} %" if layer.macs_share else "",
                      _db(layer.snr_db), _db(layer.alone_db) if weights else "")
    table.caption = ("SNR here: of what the layer writes, all errors before it included; if it "
                     "alone: of the method's output, were this the only layer with fewer bits")
    table.caption_justify = "left"
    return table


def _db(value: float | None) -> str:
    return "-" if value is None else "exact" if value == inf else f"{value:.1f}"


def _bits(drawn: Drawn | None) -> tuple[str, str]:
    return ("-", "-") if drawn is None else (f"{drawn.bits:.3f}", f"{drawn.lost_bits:.2g}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
