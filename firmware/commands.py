"""`tudor module`: the instrument without a rack, and running ones from afar."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from firmware.pi.commands import check, status

app = typer.Typer(
    help="Try the Eurorack instrument without a rack.\n\n"
    "Example: tudor module simulate techno-daisy --board daisy --in in.wav --out out.wav",
    no_args_is_help=True, add_completion=False,
    rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.command()(status)
app.command()(check)


@app.callback()
def module() -> None:
    """Try the Eurorack instrument without a rack."""


@app.command()
def simulate(
    models: Annotated[list[str], typer.Argument(
        metavar="MODEL...", help=".tudor files, run directories or presets; one slot each.")],
    out: Annotated[Path, typer.Option("--out", help="WAV to write; a picture comes beside it.")],
    script: Annotated[Optional[Path], typer.Option(  # noqa: UP045 (typer evaluates it)
        "--script", help="CSV of seconds,input,value: see docs/mapping.md.")] = None,
    source: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        "--in", help="Sound that goes in.")] = None,
    board: Annotated[str, typer.Option(help="pi or daisy.")] = "pi",
    mapping: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        "--map", help="Mapping for the first model; default: MODEL.map beside it, else derived.")
    ] = None,
    calibration: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        help="How the board's inputs read (calibration.txt); default: knobs 0 to 1, CVs ±5 V.")
    ] = None,
    seconds: Annotated[Optional[int], typer.Option(  # noqa: UP045
        help="How long, without --in; default: the script and two seconds.", min=1)] = None,
    rate: Annotated[Optional[int], typer.Option(  # noqa: UP045
        help="Sample rate of the board in Hz.", min=4000, max=384000)] = None,
    block: Annotated[Optional[int], typer.Option(  # noqa: UP045
        help="Samples per block.", min=1, max=8192)] = None,
    seed: Annotated[int, typer.Option(
        help="Of converter noise, walks and jumps.", min=0, max=2**32 - 1)] = 1,
    stereo: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="A mono model on two channels: on, off or auto; default: auto on a pi, off on a "
        "daisy, and what a mapping says.")] = None,
    plot: Annotated[bool, typer.Option(help="Draw controls and latents.")] = True,
    force: Annotated[bool, typer.Option(
        "--force", help="Also play what does not fit the board by `tudor fit`.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Play a patch as a board would: its block size, its converters' steps and noise.

    The same C code as on the board. Knobs of the script move in straight lines between its rows.
    Of a preset the file is played that suits the board: for a daisy in q16x8.

    Example: tudor module simulate techno-tiny --in drums.wav --script moves.csv --out patch.wav
    """
    from firmware.simulate import simulate_command

    simulate_command(models, out, script, source, board, mapping, calibration, seconds, rate,
                     block, seed, plot, as_json, force, stereo)


@app.command("mapping")
def mapping_command(
    model: Annotated[str, typer.Argument(help=".tudor file, run directory or preset.")],
    board: Annotated[str, typer.Option(help="pi or daisy.")] = "pi",
) -> None:
    """Print the mapping that a model is played with when it has none: a beginning for your own.

    Example: tudor module mapping techno-tiny > techno-tiny.map
    """
    from firmware.simulate import print_mapping

    print_mapping(model, board)


@app.command("calibrate")
def calibrate_command(
    host: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="Module to calibrate by ssh, such as root@tudor.local.")] = None,
    cv: Annotated[list[str], typer.Option(
        "--cv", help="Input, such as cv1; again for more. Default: all that are read.")] = [],  # noqa: B006
    volts: Annotated[str, typer.Option(
        help="Voltages that you can patch, with commas.")] = "0,1,2,3,4,5",
    together: Annotated[bool, typer.Option(
        "--together", help="All inputs get each voltage at once, by a multiple.")] = False,
    measure: Annotated[Optional[float], typer.Option(  # noqa: UP045
        help="Only say how the inputs read now that so many volts are there.")] = None,
    points: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        help="CSV of input,volts,reading that was measured: nothing is asked.")] = None,
    simulate: Annotated[Optional[int], typer.Option(  # noqa: UP045
        help="Try it on imitated inputs, whose errors this number draws.", min=0, max=2**31)
    ] = None,
    board: Annotated[str, typer.Option(help="Of --simulate: pi or daisy.")] = "pi",
    dry_run: Annotated[bool, typer.Option(
        "--dry-run", help="Say what would be written, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Calibrate a Pi's CV inputs: patch known voltages, as asked for.

    Needs a source of whole volts: a calibrated keyboard or sequencer (a volt is an octave). A Daisy
    is calibrated at its button: docs/daisy.md.

    Example: tudor module calibrate --simulate 7
    """
    from firmware.calibrate_command import Request, calibrate, printed

    report = calibrate(Request(host, list(cv), volts, together, measure, points, simulate, board,
                               dry_run))
    typer.echo(printed(report, host, as_json))
