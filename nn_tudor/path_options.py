"""Arguments and options that several kinds of `tudor path` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

# A place may begin with a minus, which must not be taken for an option;
MINUS = {"ignore_unknown_options": True}


def _no_options(value: list[str] | str) -> list[str] | str:
    """nor an option that there is not for a place."""
    for text in [value] if isinstance(value, str) else value:
        if text.startswith("-") and not text[1:2].isdigit() and text[1:2] not in (".", ""):
            raise typer.BadParameter(f"no such option: {text}")
    return value


ModelName = Annotated[str, typer.Argument(
    help="Model of loops, of strokes, or a coder: run directory, preset, or file.")]
PathOut = Annotated[Path, typer.Option("--out", "-o", metavar="OUT.path",
                                       help="Where the path goes.")]
Places = Annotated[list[str], typer.Argument(
    metavar="PLACE...", help="From where to where, two or more: numbers with commas between, a "
    "file of them (.txt, .csv, .npy), a seed, mean, or a sound (its mean latents, or the code of "
    "a loop that begins at a bar line).", callback=_no_options)]
Place = Annotated[str, typer.Argument(metavar="PLACE", help="Where: numbers, a file of them, a "
                                      "seed, mean, or a sound.", callback=_no_options)]
Points = Annotated[int, typer.Option(help="Knots of the path (of each piece).", min=2, max=4096)]
Seed = Annotated[int, typer.Option(help="Of the noise that is frozen, and of what is drawn.",
                                   min=0, max=2**24 - 1)]
Settings = Annotated[
    Optional[list[str]],  # noqa: UP045 (typer evaluates it on every supported Python)
    typer.Option("--set", metavar="NAME=VALUE", help="Hold an attribute, or a condition of the "
                 "model, at a value all along; repeatable.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
HeardBars = Annotated[float, typer.Option(
    "--bars", help="Of a model of loops: how much of a loop is heard.", min=0.125, max=16)]
Tempo = Annotated[float, typer.Option(help="Of a model of loops: beats a minute.")]
OptimiserName = Annotated[str, typer.Option(help="adam or lbfgs.")]
Knots = Annotated[int, typer.Option("--points", help="Knots of each piece.", min=3, max=65)]
Steps = Annotated[int, typer.Option(help="Gradients.", min=0, max=10000)]
PlaneName = Annotated[str, typer.Option(
    help="random; pca: in which the sound of draws varies most; descriptors: in which brightness, "
    "and level, rise fastest.")]
Radius = Annotated[float, typer.Option(help="In standard deviations of the prior.", min=0.001,
                                       max=8)]
Turns = Annotated[float, typer.Option(help="How often it goes round.", min=0.01, max=1000)]
