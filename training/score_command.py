"""The command `tudor score`. What is heavy is imported when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def score(
    model: Annotated[str, typer.Argument(help="run directory or preset that draws sound")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="sounds")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="hold a condition, for example class=1"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Say how many bits each sample of a sound costs a model that draws sound sample by sample,
    all that came before being known: the less, the likelier the sound.

    Example: tudor score runs/violin mine.wav other.wav

    A sound is mixed to one channel, resampled to the model's rate, and told in 256 steps of mu-law,
    whatever the model draws, so that models can be compared. A model with conditions is told those
    in NAME.npy or the notes in NAME.notes beside NAME.wav, else what is heard in the sound; "free"
    is what it costs without. Over all files every sample counts alike.
    """
    from training.commands import share_cores

    share_cores()
    from training.evaluation.score_files import score_files

    score_files(model, files, settings or [], as_json)
