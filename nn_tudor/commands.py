"""`tudor run`: it may export before it plays, so it lives under the roof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


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
    backend: Annotated[
        str, typer.Option(help="native, or pytorch for a run directory or preset; files bring "
                          "their own.")
    ] = "native",
) -> None:
    """Play a sound file through a model in blocks, as a host would.

    OUT is as long as IN and late by the printed latency, unless --align. A file at another rate is
    resampled to the model's and said so. For encode, OUT holds the latents as channels at frame
    rate (a float WAV, or .npy); decode reads such a file back.

    Example: tudor run model.onnx drums.wav out.wav --set temperature=0.5
    """
    from engine.play import play_file
    from nn_tudor.native import as_native

    play_file(as_native(model, backend), source, out, method, block, settings or [], align)
