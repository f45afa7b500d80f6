"""What is done with a path: `tudor path play`, `map`, and `notes`, which finds some."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from nn_tudor.path_options import AsJson, Settings


def play(
    model: Annotated[str, typer.Argument(help="What it is a path of: file, run directory or "
                                         "preset.")],
    path: Annotated[Path, typer.Argument(metavar="IN.path", help="As `tudor path` writes it.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.wav", help="Where the sound goes.")],
    seconds: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="How long; default 10.", min=0.05, max=86400)] = None,
    bars: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Of a model of loops: how long, in bars; default 8.")] = None,
    tempo: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Of a model of loops: beats a minute; default 128.")] = None,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Of the noise; default: the path's.", min=0, max=2**24 - 1)] = None,
    settings: Settings = None,
    plot: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE.png", help="Where the picture goes, spectrogram and "
                     "descriptors. Default: beside OUT.")] = None,
    backend: Annotated[
        str, typer.Option(help="native, or pytorch for a run directory or preset; files bring "
                          "their own.")] = "native",
    as_json: AsJson = False,
) -> None:
    """Play a path from its first knot to its last, with a picture and figures of its descriptors.

    Example: tudor path play techno-tiny p.path p.wav --seconds 20
    """
    from nn_tudor.native import as_native
    from nn_tudor.path_play import Wanted, play_path

    play_path(as_native(model, backend), path, out, Wanted(
        seconds, bars, tempo, seed, tuple(settings or ()), plot, as_json))


def map_command(
    model: Annotated[str, typer.Argument(help="What it is a path of: file, run directory or "
                                         "preset.")],
    path: Annotated[Path, typer.Argument(metavar="IN.path", help="As `tudor path` writes it.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT.map",
                                      help="Where the mapping goes.")],
    source: Annotated[str, typer.Option("--input", help="What moves along the path: knob1 to "
                                        "knob16, cc0 to cc127, or cv1 to cv16 (0 to 5 V).")
                      ] = "knob1",
) -> None:
    """Write a mapping for the module in which one knob is the place on a path.

    Gate 7 records the knob's movement from the bar on, which then goes round in tempo.

    Example: tudor path map techno-tiny p.path -o techno-tiny.map --input cv1
    """
    from nn_tudor.path_play import write_mapping

    write_mapping(model, path, out, source)


def notes_command(
    model: Annotated[str, typer.Argument(help="A coder: file, run directory or preset.")],
    folder: Annotated[Path, typer.Argument(
        metavar="FOLDER", help="Notes, named as NSynth (bass_synthetic_033-022-050.wav) or Studio "
        "On Line (Vn-ord-A4-mf-4c.wav) name them, or told by a metadata.csv with file, "
        "instrument, pitch.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT.png",
                                      help="Where the picture goes.")],
    paths: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="Write the mean path of each instrument there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Recordings of notes as paths: the mean path of each instrument, on two principal components.

    Example: tudor path notes techno-tiny notes -o notes.png --paths instruments
    """
    from nn_tudor.path_notes import notes

    notes(model, folder, out, paths, as_json)
