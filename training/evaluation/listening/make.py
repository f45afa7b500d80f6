"""From models and a folder of sounds to a page: what `tudor evaluate --listen` does and says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from training.evaluation.judges.case import open_case
from training.evaluation.listening.compose import compose
from training.evaluation.listening.page import refuse_taken, write_test


def make_page(
    folder: Path, model: str, data: Path, against: Sequence[str], judge: str | None,
    as_json: bool, **options: Any,
) -> None:
    """`options`: fields of `Case`."""
    refuse_taken(folder)
    with Console(stderr=True).status("playing") as status:
        case = open_case(model, data, progress=lambda name: status.update(
            f"playing {escape(name)}"), **options)
        others = [open_case(name, data) for name in against]
        test = compose(case, others, judge)
        key = write_test(test, folder)
    skipped = [f"{item.shown}: {item.reason}" for item in case.skipped]
    if as_json:
        typer.echo(json.dumps({
            "page": str(folder / "index.html"), "key": str(key), "trials": len(test.trials),
            "rate_hz": test.rate_hz, "systems": test.systems, "notes": test.notes,
            "skipped": skipped}, indent=2))
        return
    typer.echo(f"{len(test.trials)} trials of {len(test.systems)} stimuli: "
               f"{', '.join(test.systems)}")
    for line in [*test.notes, *(f"skipped {each}" for each in skipped)]:
        typer.echo(line)
    typer.echo(f"{folder / 'index.html'}: host the folder, or hand it over")
    typer.echo(f"{key}: says what is what; keep it for tudor listening --key, away from listeners")
