"""`tudor run` may export before it plays, `tudor verify` may play on emulated boards: so they live
under the roof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def run(
    model: Annotated[str, typer.Argument(help="Model file, run directory or preset.")],
    source: Annotated[Path, typer.Argument(metavar="IN.wav", help="Sound to play through it.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.wav", help="Where the result goes.")],
    method: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Method to play; default: the model's main one.")
    ] = None,
    block: Annotated[int, typer.Option(help="Input frames per call; any number.", min=1)] = 2048,
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045 (typer evaluates it on every supported Python)
        typer.Option("--set", metavar="ATTRIBUTE=VALUE", help="Set an attribute; repeatable. "
                     "Several numbers: scale=1,0.5,..."),
    ] = None,
    align: Annotated[
        bool, typer.Option("--align", help="Remove the latency, so that OUT lines up with IN.")
    ] = False,
    stereo: Annotated[
        bool, typer.Option("--stereo", help="Play each channel of IN through a mono model as a "
                           "stream of its own, instead of mixing them.")
    ] = False,
    backend: Annotated[
        str, typer.Option(help="native, or pytorch for a run directory or preset; files bring "
                          "their own.")
    ] = "native",
) -> None:
    """Play a sound file through a model in blocks, as a host would.

    OUT is as long as IN and late by the printed latency, unless --align. A file at another rate is
    resampled to the model's and said so; more channels than a mono model has are mixed and said so,
    unless --stereo; what else is odd about a sound is said, and played. For encode, OUT holds the
    latents as channels at frame rate (a float WAV, or .npy); decode reads such a file back.

    Example: tudor run model.onnx drums.wav out.wav --set temperature=0.5
    """
    from engine.players.play_file import play_file
    from nn_tudor.native import as_native

    play_file(as_native(model, backend), source, out, method, block, settings or [], align, stereo)


def generate(
    model: Annotated[str, typer.Argument(help="Model file, run directory or preset.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.wav", help="Where the sound goes.")],
    seconds: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="How long; default: as long as the score, else 10.", min=0.001,
                     max=86400)
    ] = None,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Another number, another sound; the same one, the same sound.",
                     min=0, max=2**24 - 1)
    ] = None,
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="NAME=VALUE", help="Set an attribute (temperature=0.9), or "
                     "hold a condition of the model at a value; repeatable.")
    ] = None,
    conditions: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--conditions", metavar="FILE", help="Conditions over time, a channel each, "
                     "at the method's frame rate: .npy or a float WAV. The last frame is held. "
                     "Without, they are 0.")
    ] = None,
    score: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--score", metavar="SCORE", help="Of a model that reads pitch and gate: what "
                     "it plays. bach: music made up after the scores that come with tudor, which "
                     "is the default; one of their movements, such as 1006_7; or FILE.mid or "
                     "FILE.notes.")
    ] = None,
    tempo: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Quarters a minute: of the score, in place of its own; of a loop.",
                     min=5, max=1000)
    ] = None,
    bars: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Of a model of loops: how long, in bars.")
    ] = None,
    code: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NUMBERS|FILE", help="Of a model of loops: which loop. Numbers of -1 "
                     "to 1 with commas between, a file of them, a seed, or a sound that begins at "
                     "a bar line; without, it is made up, another for each --seed.")
    ] = None,
    path: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--path", metavar="FILE.path", help="A path of its code or of z, as `tudor "
                     "path` makes it, to go along from the first to the last.")
    ] = None,
    prime: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--prime", metavar="FILE", help="A sound to go on from: the model begins as "
                     "if it had just played it, at the pitches and the loudness that are heard in "
                     "it. A run, a preset or a .tudor file can.")
    ] = None,
    keep_prime: Annotated[
        bool, typer.Option("--keep-prime", help="Write the sound of --prime too, before what the "
                           "model goes on with; without, OUT begins where it ends.")
    ] = False,
    follow: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--follow", metavar="FILE", help="A sound to go along with: each sample is "
                     "what the model would draw if all before it had been this sound. OUT is as "
                     "long as FILE. A run, a preset or a .tudor file can.")
    ] = None,
    method: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Method to generate with; default: the first that generates.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="native, or pytorch for a run directory or preset; files bring "
                          "their own.")
    ] = "native",
) -> None:
    """Let a model make sound by itself.

    Example: tudor generate model.tudor out.wav --seconds 20 --seed 7 --set temperature=0.9

    Example: tudor generate violin.tudor gigue.wav --score 1006_7 --tempo 100

    Example: tudor generate violin.tudor on.wav --prime mine.wav --seconds 20

    Example: tudor generate loops.tudor loop.wav --bars 16 --tempo 128 --seed 1
    """
    from engine.players.generate_file import generate_file
    from nn_tudor.native import as_native

    generate_file(as_native(model, backend), out, seconds, seed, settings or [], conditions, method,
                  score, tempo, prime, keep_prime, follow, bars, code, path)


def verify(
    files: Annotated[list[Path], typer.Argument(
        metavar="FILE...", help="Exported files: .ts, .onnx, .tudor; with --all: one run directory "
        "or preset.")],
    against: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--against", help="The model that the files were made from.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Export the model to every format and number format, and "
                           "play it on every machine there is, emulated boards among them.")
    ] = False,
    calibrate: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--calibrate", help="With --all: folder of audio for number formats with "
                     "fewer bits; default: what the run was trained on.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Compare exported files, streamed, with offline PyTorch. Exits with 1 if any differs.

    Example: tudor verify techno.ts techno.onnx --against runs/techno
    (or: tudor verify --all runs/techno)
    """
    from engine.errors import ConfigError

    if everything:
        if len(files) != 1 or against:
            raise ConfigError("tudor verify --all takes one run directory or preset, nothing else")
        from nn_tudor.parity import verify_all

        verify_all(str(files[0]), json_output, calibrate)
        return
    if calibrate:
        raise ConfigError("--calibrate belongs to --all; tudor export has its own")
    if against is None:
        raise ConfigError("name the model that the files were made from: --against RUN "
                          "(or tudor verify --all RUN)")
    from export.commands import verify as verify_files

    verify_files(files, against, json_output)
