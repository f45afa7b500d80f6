"""`tudor export` and `tudor verify`. Heavy imports wait inside, so that --help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[str, typer.Argument(help="run directory or name of a preset")],
    to: Annotated[str, typer.Option("--to", help="nn (Max, Pure Data), onnx, or native")],
    out: Annotated[Path, typer.Option("--out", help="file to write: .ts, .onnx or .tudor")],
    dtype: Annotated[str, typer.Option("--dtype", help="precision of weights")] = "float32",
) -> None:
    """Write a trained model as a file that plays elsewhere, and verify it.

    The file is streamed in irregular blocks and compared with offline PyTorch; above 1e-4 it is
    not put in place.

    Example: tudor export runs/techno --to onnx --out techno.onnx
    """
    from engine.models.store import load_model
    from engine.reports import wide_console
    from export.report import export_table
    from export.targets import check, export_model

    console = wide_console()
    target = check(to, out, dtype)
    stored = load_model(model)
    if not stored.trained:
        console.print(f"[yellow]warning:[/] {stored.name} is untrained: the file will play noise")
    with console.status(f"exporting {stored.name} to {out.name} and verifying it"):
        done = export_model(stored, target, out, dtype)
    console.print(export_table(done))


def verify(
    files: Annotated[list[Path], typer.Argument(help="exported files: .ts, .onnx, .tudor")],
    against: Annotated[str, typer.Option("--against", help="the model they were made from")],
    json_output: Annotated[bool, typer.Option("--json", help="print JSON only")] = False,
) -> None:
    """Compare exported files, streamed, with offline PyTorch. Exits with 1 if any differs.

    Example: tudor verify techno.ts techno.onnx --against runs/techno
    """
    import json

    from engine.models.store import load_model
    from engine.reports import wide_console
    from export.report import verify_table
    from export.verify import verify as compare

    model = load_model(against).model
    reports = [compare(file, model) for file in files]
    if json_output:
        typer.echo(json.dumps([report.to_dict() for report in reports], indent=2))
    else:
        wide_console().print(verify_table(reports))
    if not all(report.passed for report in reports):
        raise typer.Exit(1)
