"""`tudor presets`, `tudor run`, `tudor info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def presets(as_json: Json = False) -> None:
    """List the models to start from, with what each costs.

    Example: tudor presets
    """
    from engine.reports import print_presets

    print_presets(as_json)


def info(
    model: Annotated[str, typer.Argument(help="Model file, run directory or preset.")],
    layers: Annotated[bool, typer.Option("--layers", help="Add a row for each operation.")] = False,
    method: Annotated[
        Optional[str], typer.Option(help="Whose operations; default: the whole model.")  # noqa: UP045
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a model is: methods, latency, receptive field, cost, verification.

    A .tudor file always comes with its table of operations.

    Example: tudor info techno-tiny --layers
    """
    from engine.reports import print_info

    print_info(model, layers, method, as_json)


def run(
    model: Annotated[str, typer.Argument(help="Model file, run directory or preset.")],
    source: Annotated[Path, typer.Argument(metavar="IN.wav", help="Sound to play through it.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.wav", help="Where the result goes.")],
    method: Annotated[str, typer.Option(help="Method to play.")] = "forward",
    block: Annotated[int, typer.Option(help="Input frames per call; any number.", min=1)] = 2048,
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045 (typer evaluates it on every supported Python)
        typer.Option("--set", metavar="ATTRIBUTE=VALUE", help="Set an attribute; repeatable. "
                     "Several numbers: scale=1,0.5,..."),
    ] = None,
    align: Annotated[
        bool, typer.Option("--align", help="Remove the latency, so that OUT lines up with IN.")
    ] = False,
) -> None:
    """Play a sound file through a model in blocks, as a host would.

    OUT is as long as IN and late by the printed latency, unless --align. A file at another rate is
    resampled to the model's and said so. For encode, OUT holds the latents as channels at frame
    rate (a float WAV, or .npy); decode reads such a file back.

    Example: tudor run model.onnx drums.wav out.wav --set temperature=0.5
    """
    from engine.play import play_file

    play_file(model, source, out, method, block, settings or [], align)
