"""`tudor path KIND`: ways through what tells a model how to sound. It may export before it plays,
so it lives under the roof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from nn_tudor.path_options import (
    MINUS,
    AsJson,
    HeardBars,
    Knots,
    ModelName,
    OptimiserName,
    PathOut,
    Place,
    Places,
    PlaneName,
    Points,
    Radius,
    Seed,
    Settings,
    Steps,
    Tempo,
    Turns,
)
from nn_tudor.path_use_commands import map_command, notes_command, play

app = typer.Typer(
    help="Make a path through a model's latents, z or codes, and play it.\n\n"
    "Example: tudor path geodesic techno-tiny 1 2 -o p.path"
    "\n\n"
    "Example: tudor path play techno-tiny p.path p.wav --seconds 20",
    no_args_is_help=True, add_completion=False,
    rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("traversal", context_settings=MINUS)
def traversal(
    model: ModelName, out: PathOut,
    place: Place = "mean",
    number: Annotated[int, typer.Option(help="Which of the numbers moves, from 1 on.", min=1)] = 1,
    low: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Where it begins; default: the low end that was measured.")] = None,
    high: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Where it ends; default: the high end.")] = None,
    points: Points = 2, seed: Seed = 0, settings: Settings = None, as_json: AsJson = False,
) -> None:
    """One number from end to end, the others held at PLACE.

    Example: tudor path traversal techno-tiny --number 2 -o bright.path
    """
    from engine.errors import ConfigError
    from nn_tudor.path_make import Asked, make_traversal

    if (low is None) != (high is None):
        raise ConfigError("--low and --high: give both or none")
    ends = None if low is None or high is None else (low, high)
    make_traversal(Asked(model, out, points, seed, tuple(settings or ()), as_json=as_json), place,
                   number, ends)


@app.command("line", context_settings=MINUS)
def line(
    model: ModelName, places: Places,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="OUT.path; or, of a "
                                      "model of loops and two places, the sound OUT.wav.")],
    bars: Annotated[int, typer.Option(help="Of OUT.wav: how long, in bars.", min=4, max=1000)] = 16,
    tempo: Annotated[float, typer.Option(help="Of OUT.wav: beats a minute.")] = 128.0,
    seed: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Of the noise, for all of it.", min=0, max=2**24 - 1)
    ] = None,
    settings: Settings = None,
    plot: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE.png", help="Of OUT.wav: where the picture goes, level and "
                     "centroid of each bar. Default: beside it.")
    ] = None,
    backend: Annotated[
        str, typer.Option(help="Of OUT.wav: native, or pytorch for a run directory or preset; "
                          "files bring their own.")
    ] = "native",
    as_json: AsJson = False,
) -> None:
    """Along straight lines from place to place.

    OUT.wav is of a model of loops: from one to another, with a picture and a table that set a
    crossfade of the two sounds and a line between their latents beside it. Figures of level and
    centroid, bar by bar: range over total variation (1: it only rises or falls), largest step over
    the median one and over the range.

    Example: tudor path line techno-tiny a.wav b.wav -o p.path

    Example: tudor path line runs/loops a.wav b.wav -o path.wav --bars 16 --tempo 128
    """
    from engine.errors import ConfigError
    from engine.scores.paths import SUFFIX

    if out.suffix.lower() == SUFFIX:
        from nn_tudor.path_make import Asked, make_line

        make_line(Asked(model, out, 2, seed or 0, tuple(settings or ()), as_json=as_json), places,
                  "line")
        return
    from nn_tudor.native import as_native
    from nn_tudor.path_line import Wish, write_line

    if len(places) != 2:
        raise ConfigError(f"{out}: a sound is made of two places, got {len(places)}; write "
                          "OUT.path")
    wish = Wish((places[0], places[1]), out, bars, tempo, seed, tuple(settings or ()))
    write_line(as_native(model, backend), wish, plot, as_json)


@app.command("sphere", context_settings=MINUS)
def sphere(model: ModelName, places: Places, out: PathOut, points: Points = 17, seed: Seed = 0,
           settings: Settings = None, as_json: AsJson = False) -> None:
    """Spherical interpolation from place to place: never nearer to the mean than the ends are.

    Example: tudor path sphere runs/drums 1 2 3 --set kick=1 -o p.path
    """
    from nn_tudor.path_make import Asked, make_line

    make_line(Asked(model, out, points, seed, tuple(settings or ()), as_json=as_json), places,
              "sphere")


@app.command("walk", context_settings=MINUS)
def walk(
    model: ModelName, out: PathOut,
    place: Place = "mean",
    step: Annotated[float, typer.Option(help="Size of a step in each number, in standard "
                                        "deviations of the prior, to 1.41.")] = 0.25,
    points: Points = 65, seed: Seed = 0, settings: Settings = None, as_json: AsJson = False,
) -> None:
    """A random walk from PLACE on that stays in the prior (Ornstein and Uhlenbeck).

    Example: tudor path walk techno-tiny drums.wav --step 0.3 --points 100 --seed 3 -o p.path
    """
    from nn_tudor.path_make import Asked, make_walk

    make_walk(Asked(model, out, points, seed, tuple(settings or ()), as_json=as_json), place, step)


@app.command("circle", context_settings=MINUS)
def circle(model: ModelName, out: PathOut, place: Place = "mean", radius: Radius = 1.5,
           turns: Turns = 1.0, plane: PlaneName = "random", points: Points = 33, seed: Seed = 0,
           settings: Settings = None, as_json: AsJson = False) -> None:
    """Round PLACE, back to where it began.

    Example: tudor path circle techno-tiny drums.wav --radius 1 --plane pca -o p.path
    """
    from nn_tudor.path_make import Asked, make_round
    from training.evaluation.paths.shapes import Round

    make_round(Asked(model, out, points, seed, tuple(settings or ()), as_json=as_json), place,
               "circle", Round(radius, turns), plane)


@app.command("spiral", context_settings=MINUS)
def spiral(model: ModelName, out: PathOut, place: Place = "mean", radius: Radius = 2.0,
           turns: Turns = 3.0,
           pitch: Annotated[float, typer.Option(help="How far a turn leads along a third "
                                                "direction.", min=-8, max=8)] = 0.0,
           plane: PlaneName = "random", points: Points = 97, seed: Seed = 0,
           settings: Settings = None, as_json: AsJson = False) -> None:
    """Round PLACE, out from it to the radius.

    Example: tudor path spiral techno-tiny --turns 4 --pitch 0.3 --plane descriptors -o p.path
    """
    from nn_tudor.path_make import Asked, make_round
    from training.evaluation.paths.shapes import Round

    make_round(Asked(model, out, points, seed, tuple(settings or ()), as_json=as_json), place,
               "spiral", Round(radius, turns, pitch), plane)


@app.command("geodesic", context_settings=MINUS)
def geodesic(
    model: ModelName, places: Places, out: PathOut, points: Knots = 13,
    sines: Annotated[int, typer.Option(help="That bend the way.", min=1, max=16)] = 4,
    steps: Steps = 60, optimiser: OptimiserName = "adam",
    arc_length: Annotated[bool, typer.Option("--arc-length", help="Write the straight line with "
                          "steps that are heard as alike, in place of the geodesic.")] = False,
    bars: HeardBars = 1.0, tempo: Tempo = 128.0, seed: Seed = 0, settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """From place to place with the least change of what is heard, log-mel spectra.

    MODEL is a run directory or a preset, for its gradients are wanted. What is printed is the
    energy over that of the straight line; no path is below the chord's.

    Example: tudor path geodesic techno-tiny a.wav b.wav -o p.path

    Example: tudor path geodesic runs/drums 1 2 --set snare=1 -o p.path
    """
    from nn_tudor.path_make import Asked, make_geodesic, search_of

    asked = Asked(model, out, points, seed, tuple(settings or ()), bars, tempo, as_json)
    make_geodesic(asked, places, search_of(points, sines, steps, optimiser), arc_length)


@app.command("compare")
def compare(
    model: ModelName,
    pairs: Annotated[int, typer.Option(help="Of places, drawn from the prior.", min=1,
                                       max=1000)] = 20,
    points: Knots = 13, steps: Steps = 60, optimiser: OptimiserName = "adam",
    bars: HeardBars = 1.0, tempo: Tempo = 128.0, seed: Seed = 0, settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Measure geodesics against straight lines and arc-length lines, between pairs of places.

    Example: tudor path compare techno-tiny --pairs 20
    """
    from nn_tudor.path_make import Asked, search_of
    from nn_tudor.path_make import compare as compared

    asked = Asked(model, None, points, seed, tuple(settings or ()), bars, tempo, as_json)
    compared(asked, pairs, search_of(points, 4, steps, optimiser))


app.command("play")(play)
app.command("map")(map_command)
app.command("notes")(notes_command)
