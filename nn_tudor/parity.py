"""`tudor verify --all`: the parity table, printed."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engine.models.store import load_model
from engine.reports import wide_console
from firmware.host.parity import Row, parity


def verify_all(source: str, as_json: bool, calibrate: Path | None = None) -> None:
    """Print the table of a run directory or preset; exits with 1 if a row fails."""
    stored = load_model(source)
    console = Console(stderr=True) if as_json else wide_console(150)
    with console.status("") as status:
        rows = list(parity(stored, status.update, calibrate))
    if as_json:
        typer.echo(json.dumps({"model": stored.name, "trained": stored.trained,
                               "rows": [row.to_dict() for row in rows]}, indent=2))
    else:
        console.print(_table(stored.name, rows))
        console.print("Error and SNR: noise, edges and near silence, over all methods. On audio: "
                      "what fewer bits lose on held-out audio, the worst method. Bits: short "
                      "passages of every kind, wrong numbers among them, in uneven blocks.",
                      style="dim", highlight=False)
        if not stored.trained:
            console.print(f"note: {stored.name} is untrained; trained weights are another test")
    if any(row.passed is False for row in rows):
        raise typer.Exit(1)


def _table(name: str, rows: list[Row]) -> Table:
    table = Table("backend", "numbers", "where", title_justify="left",
                  title=f"{name}: every method streamed, against offline PyTorch in float32")
    table.add_column("max abs error", justify="right", no_wrap=True)
    table.add_column("SNR dB", justify="right", no_wrap=True)
    table.add_column("on audio", justify="right", no_wrap=True)
    table.add_column("bits", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("")
    last = None
    for row in rows:
        if last is not None and (row.backend, row.dtype) != last:
            table.add_section()
        last = row.backend, row.dtype
        error = "-" if row.max_abs_error is None else f"{row.max_abs_error:.1e}"
        table.add_row(row.backend, row.dtype, row.target, error, _snr(row.snr_db),
                      _snr(row.audio_snr_db), _bits(row),
                      _verdict(row), row.note)
    return table


def _snr(snr_db: float | None) -> str:
    if snr_db is None:
        return "-"
    return "exact" if snr_db == inf else f"{snr_db:.1f}"


def _bits(row: Row) -> Text:
    if row.same_bits is None:
        return Text("-")
    if row.target.endswith(" ref"):
        return Text("the reference")
    return Text("same") if row.same_bits else Text("differ", "bold red")


def _verdict(row: Row) -> Text:
    if row.passed is None:
        return Text("not tried", "yellow")
    return Text("ok", "green") if row.passed else Text("FAILS", "bold red")
