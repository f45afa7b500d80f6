"""`tudor path KIND`: from one place of a model to another. It may export before it plays, so it
lives under the roof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    help="Play a way from one place of a model to another, and show how smooth it is.\n\n"
    "Example: tudor path line runs/loops a.wav b.wav -o path.wav --bars 16 --tempo 128",
    no_args_is_help=True, add_completion=False,
    rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def kinds() -> None:
    """Keeps the kind a word of the command, however many there are."""


# A code may begin with a minus, which must not be taken for an option.
@app.command("line", context_settings={"ignore_unknown_options": True})
def line(
    model: Annotated[str, typer.Argument(help="A model of loops: file, run directory or preset.")],
    first: Annotated[str, typer.Argument(
        metavar="A", help="Where it begins: numbers of -1 to 1 with commas between, a file of them "
                          "(.txt, .csv, .npy), a seed, or a sound that begins at a bar line.")],
    last: Annotated[str, typer.Argument(metavar="B", help="Where it ends, said likewise.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT.wav",
                                      help="Where the sound goes.")],
    bars: Annotated[int, typer.Option(help="How long, in bars.", min=4, max=1000)] = 16,
    tempo: Annotated[float, typer.Option(help="Beats a minute.")] = 128.0,
    seed: Annotated[
        Optional[int],  # noqa: UP045 (typer evaluates it on every supported Python)
        typer.Option(help="Of the noise, for all of it.", min=0, max=2**24 - 1)
    ] = None,
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="NAME=VALUE", help="Set an attribute, or hold a condition of "
                     "the model at a value; repeatable.")
    ] = None,
    plot: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE.png", help="Where the picture goes: level and centroid of each "
                     "bar. Default: beside OUT.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="native, or pytorch for a run directory or preset; files bring "
                          "their own.")
    ] = "native",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Along a straight line between the codes of two loops.

    The picture and the table set a crossfade of the two sounds and a line between their latents
    beside it. Figures of level and centroid, bar by bar: range over total variation (1: it only
    rises or falls), largest step over the median one and over the range.

    Example: tudor path line runs/loops a.wav b.wav -o path.wav --bars 16 --tempo 128

    Example: tudor path line loops.tudor 1 2 -o path.wav --json
    """
    from nn_tudor.native import as_native
    from nn_tudor.path_line import Wish, write_line

    wish = Wish((first, last), out, bars, tempo, seed, tuple(settings or ()))
    write_line(as_native(model, backend), wish, plot, as_json)
