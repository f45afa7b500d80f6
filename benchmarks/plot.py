"""Block times against the deadline, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.run import Report
from benchmarks.subject import label
from engine.errors import TudorError
from engine.files import atomic_write

SUFFIXES = (".png", ".svg", ".pdf")
COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#475569")
LATE = "#dc2626"


def check_plot_path(path: Path) -> None:
    """Complain before measuring, not after."""
    if path.suffix.lower() not in SUFFIXES:
        raise TudorError(f"--plot {path}: a picture ends in {', '.join(SUFFIXES)}")


def plot_report(report: Report, path: Path) -> None:
    """One panel per block size: how many blocks took longer than x, on logarithmic axes.

    The curve of a steady backend falls like a cliff; a long tail to the right is jitter, and
    whatever crosses the red line is an underrun."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    sizes = sorted({row["block_samples"] for row in report.results})
    figure, axes = plt.subplots(
        1, len(sizes), figsize=(1.2 + 4.2 * len(sizes), 4.6), sharey=True, squeeze=False,
        layout="constrained",
    )
    files = list(dict.fromkeys(row["file"] for row in report.results))
    for axis, size in zip(axes[0], sizes, strict=True):
        _panel(axis, report, size, files)
    axes[0][0].set_ylabel("share of blocks that take longer")
    figure.suptitle("Block time against the deadline", x=0.01, ha="left", weight="bold")
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(3, len(names)),
                  frameon=False)
    try:
        with atomic_write(path) as temporary:
            figure.savefig(temporary, dpi=150, metadata=None)
    finally:
        plt.close(figure)


def _panel(axis: object, report: Report, size: int, files: list[str]) -> None:
    from matplotlib.axes import Axes
    from matplotlib.ticker import FuncFormatter, NullFormatter

    assert isinstance(axis, Axes)
    deadline = 0.0
    lowest, highest, fewest = np.inf, 1.5, 1.0
    for row, times in zip(report.results, report.times, strict=True):
        if row["block_samples"] != size:
            continue
        deadline = row["deadline_ms"]
        share = np.sort(times.block_ms)[::-1] / deadline  # slowest first
        rank = (np.arange(share.size) + 1) / share.size
        colour = COLOURS[files.index(row["file"]) % len(COLOURS)]
        axis.step(share, rank, where="post", color=colour, lw=1.8,
                  label=f"{label(row['file'])} ({row['backend']})")
        axis.plot([row["rtf_p50"], row["rtf_p99"]], [0.5, 0.01], "o", color=colour, ms=4)
        lowest, fewest = min(lowest, float(share[-1])), min(fewest, 1 / share.size)
        highest = max(highest, 1.3 * float(share[0]))
    lowest = max(min(lowest / 1.5, 0.08), 1e-6)
    axis.axvspan(1, highest, color=LATE, alpha=0.07, lw=0)
    axis.axvline(1, color=LATE, lw=1.2)
    axis.annotate("deadline", (1, 1), (-4, -4), textcoords="offset points", color=LATE,
                  rotation=90, ha="right", va="top", fontsize=8)
    axis.set(xscale="log", yscale="log", xlim=(lowest, highest), ylim=(fewest / 1.3, 1.15))
    axis.set_xlabel("block time / deadline  (real-time factor)")
    axis.set_title(f"{size} samples, deadline {deadline:.2f} ms", loc="left", fontsize=10)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:g} %"))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(True, which="major", color="#e2e8f0", lw=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_axisbelow(True)
