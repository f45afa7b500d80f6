"""`tudor listening`: what listeners said. Nothing here needs PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from engine.errors import ConfigError
from engine.files import atomic_write
from engine.reports import wide_console


def listening(
    answers: Annotated[
        list[Path], typer.Argument(help="files that listeners saved, or folders of them")],
    key: Annotated[Path, typer.Option(help="PAGE.key.json, which stands beside the page")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
    plot: Annotated[
        Optional[Path],  # noqa: UP045 (typer evaluates it on every supported Python)
        typer.Option(help="also draw means and intervals: a .png, .svg or .pdf file")
    ] = None,
) -> None:
    """What listeners said in a blind test that tudor evaluate --listen made.

    Example: tudor listening answers --key page.key.json --plot ratings.png

    Who rated the hidden reference below 90 in more than 15 % of the trials is left out, and named
    (ITU-R BS.1534). Then means with 95 % intervals, and the differences between models and all
    else.
    """
    from training.evaluation.listening.analysis import analyse
    from training.evaluation.listening.answers import read_answers, read_key

    if plot is not None and plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ConfigError(f"--plot {plot}: name a .png, .svg or .pdf file")
    meant = read_key(key)
    found, skipped = read_answers(answers, meant)
    if as_json or not found:
        for line in skipped:
            typer.echo(f"skipped {line}", err=True)
    if not found:
        raise ConfigError(f"no answer can be used, of {len(skipped)} given")
    result = {**analyse(found, meant), "skipped": skipped}
    if plot is not None:
        draw(result, plot)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        show(result)


def show(result: dict[str, Any]) -> None:
    """Tables and notes."""
    from rich.markup import escape
    from rich.table import Table

    console = wide_console(110)
    table = Table(title=f"{result['listeners']} listeners, {result['trials']} sounds")
    for index, title in enumerate(("", "", "mean", "95 % interval")):
        table.add_column(title, justify="left" if index < 2 else "right")
    for name, row in result["systems"].items():
        table.add_row(escape(name), row["kind"], f"{row['mean']:.1f}", _bounds(row))
    console.print(table)
    table = Table(title="differences")
    for index, title in enumerate(("", "mean", "95 % interval", "p (Holm)")):
        table.add_column(title, justify="right" if index else "left")
    for row in result["pairs"]:
        p = row["p_holm"]
        table.add_row(escape(f"{row['a']} - {row['b']}"), f"{row['difference']:+.1f}",
                      _bounds(row), "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}")
    console.print(table)
    for line in [result["method"], *map(_excluded, result["excluded"]),
                 *(f"skipped {line}" for line in result["skipped"])]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _bounds(row: dict[str, Any]) -> str:
    return "-" if row["low"] is None else f"{row['low']:.1f} to {row['high']:.1f}"


def _excluded(row: dict[str, Any]) -> str:
    return (f"left out {row['listener']} (seed {row['seed']}): rated the hidden reference below 90 "
            f"in {row['missed']} of {row['trials']} trials")


def draw(result: dict[str, Any], out: Path) -> None:
    """Means with intervals, each listener's mean as a dot behind."""
    from matplotlib.figure import Figure

    rows = list(result["systems"].items())
    figure = Figure(figsize=(7, 1 + 0.45 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for place, (_, row) in enumerate(rows):
        color = "#0f766e" if row["kind"] == "model" else "#64748b"
        axis.plot(row["by_listener"], [place] * len(row["by_listener"]), "o", color="#cbd5e1",
                  markersize=4)
        reach = [[0.0], [0.0]] if row["low"] is None else [[row["mean"] - row["low"]],
                                                           [row["high"] - row["mean"]]]
        axis.errorbar([row["mean"]], [place], xerr=reach, fmt="o", color=color, capsize=4)
    axis.set_yticks(range(len(rows)))
    axis.set_yticklabels([name for name, _ in rows], parse_math=False)
    axis.invert_yaxis()
    axis.set_xlim(-2, 102)
    axis.set_xticks(range(0, 101, 20))
    axis.grid(axis="x", alpha=0.3)
    axis.set_xlabel(f"rating: mean and 95 % interval, {result['listeners']} listeners, "
                    f"{result['trials']} sounds")
    with atomic_write(out) as temporary:
        figure.savefig(temporary, dpi=130)
