"""`tudor export` and `tudor verify`. Heavy imports wait inside, so that --help is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[str, typer.Argument(help="run directory or name of a preset")],
    to: Annotated[str, typer.Option("--to", help="nn (Max, Pure Data), onnx, or native")],
    out: Annotated[Path, typer.Option("--out", help="file to write: .ts, .onnx or .tudor")],
    dtype: Annotated[str, typer.Option("--dtype", help="float32; native also bf16w (weights of 16 "
                                       "bits) and q16x8 (int8 weights, int16 rows); onnx also "
                                       "int8")] = "float32",
    calibrate: Annotated[Path | None, typer.Option(
        "--calibrate", help="folder of audio that ranges are found with, and others compared with; "
        "default: what the run was trained on, for presets synthesised techno. For a model that "
        "only generates: arrays of conditions, NAME.npy")] = None,
    keep: Annotated[str, typer.Option(
        "--keep", help="layers that keep more bits: auto (as few as reach 35 dB on latents and 30 "
        "dB on audio), names with commas, or none; q16x8 keeps those that write audio at int16 "
        "weights unless none, and in float32 with audio (auto,audio: both) or where the spectral "
        "distance would grow by more than 2 %")] = "",
    host_rate: Annotated[int | None, typer.Option(
        "--host-rate", help="with nn: Hz of the host, a whole multiple of the model's rate: the "
        "file resamples inside, and is later by the filters", metavar="HZ")] = None,
    voices: Annotated[str | None, typer.Option(
        "--voices", help="of a drum voice: so many in one file, or a class for each: 4, or "
        "kick,snare,hat_closed,hat_open. Each has a gate; weights are stored once")] = None,
    patch: Annotated[bool, typer.Option(
        "--patch/--no-patch", help="with nn: also write NAME.pd and NAME.maxpat, which open the "
        "file with its buffer set, and a control for whatever may be set")] = True,
    json_output: Annotated[bool, typer.Option("--json", help="print JSON only")] = False,
) -> None:
    """Write a trained model as a file that plays elsewhere, and verify it.

    The file is streamed in irregular blocks and compared with offline PyTorch; a float32 one that
    errs by more than 1e-4 is not put in place. Fewer bits lose something: the table says how
    much, layer by layer, and NAME.noise.png beside the file shows where in the spectrum.

    Example: tudor export runs/techno --to onnx --out techno.onnx
    Example: tudor export runs/techno --to native --out techno.tudor --dtype q16x8 --keep auto
    Example: tudor export runs/drums --to native --out kit.tudor --dtype q16x8 --voices 4
    """
    import json
    from dataclasses import replace

    from engine.models.store import load_model
    from engine.reports import wide_console
    from export.report import comparison_tables, export_table
    from export.targets import check, export_model

    console = wide_console(stderr=json_output)
    target = check(to, out, dtype)
    stored = load_model(model)
    if voices is not None:
        stored = replace(stored, model=stored.model.in_voices(voices))
    if not stored.trained:
        console.print(f"[yellow]warning:[/] {stored.name} is untrained: the file will play noise")
    names = tuple(name.strip() for name in keep.split(",") if name.strip())
    with console.status(f"exporting {stored.name} to {out.name} and verifying it") as status:
        done = export_model(stored, target, out, dtype, calibrate, names,
                            lambda text: status.update(f"{stored.name} to {out.name}: {text}"),
                            patch, host_rate)
    if json_output:
        facts = {"files": [str(file) for file in done.files], "seconds": round(done.seconds, 2),
                 "verification": done.report.to_dict()}
        if done.comparison is not None:
            facts["quantisation"] = done.comparison.to_dict()
        typer.echo(json.dumps(facts, indent=2))
        return
    if done.comparison is not None:
        for table in reversed(comparison_tables(done.comparison)):
            console.print(table)
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
    from export.verify import in_voices_of
    from export.verify import verify as compare

    model = load_model(against).model
    reports = [compare(file, in_voices_of(file, model)) for file in files]
    if json_output:
        typer.echo(json.dumps([report.to_dict() for report in reports], indent=2))
    else:
        wide_console().print(verify_table(reports))
    if not all(report.passed for report in reports):
        raise typer.Exit(1)
