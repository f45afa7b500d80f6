"""Commands of this folder: corpus, train, evaluate. What is heavy is imported when called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def share_cores() -> None:
    """Must run before torch is imported. By default OpenMP's threads spin while they wait for each
    other; when anything else runs on the machine that makes a training step up to 7 times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def corpus_command(
    kind: Annotated[
        str, typer.Argument(help="techno, drums, breaks, textures, notes, instruments or bach by "
                            "synthesis, or real")],
    out_dir: Annotated[Path, typer.Argument(help="folder for the sounds")],
    minutes: Annotated[float | None, typer.Option(help="how much audio to make (30)")] = None,
    seed: Annotated[int | None, typer.Option(help="same seed, same sounds (0)")] = None,
    sample_rate_hz: Annotated[
        int | None, typer.Option("--sample-rate-hz", "--rate",
                                   help="sample rate (techno and bach 16000, the others 48000)")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="1 mono, 2 stereo (textures 2, the others 1)")] = None,
    soundfont: Annotated[
        Path | None, typer.Option(help="notes, instruments, bach and drums: played from this .sf2 "
                            "by fluidsynth")
    ] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="bach only: the movements kept for measuring")
    ] = False,
    genre: Annotated[
        list[str] | None,
        typer.Option(help="drums only: sounds of a genre, in a folder of its own; house, trap, ... "
                          "or all; may be given several times")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="real only: folder of recordings")] = None,
    licence: Annotated[
        str | None, typer.Option(help="real only: of the recordings, if no file there says")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a line")] = False,
) -> None:
    """Make a corpus to train on: sounds by synthesis, or a folder of recordings.

    Example: tudor corpus techno loops --minutes 30 --seed 0

    Example: tudor corpus real sounds --from /usr/share/sonic-pi/samples

    A real corpus is a copy with its licence, without what is kept for measuring only.
    """
    import json
    from collections.abc import Callable
    from typing import Any

    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    from engine.errors import ConfigError, nearest
    from training.corpus import kinds, real

    made = {"--minutes": minutes, "--seed": seed, "--sample-rate-hz": sample_rate_hz,
            "--channels": channels, "--soundfont": soundfont, "--held-out": held_out or None,
            "--genre": genre or None}
    copied = {"--from": source, "--licence": licence}
    if kind not in (*kinds.KINDS, "real"):
        raise ConfigError(f"unknown corpus {kind!r}{nearest(kind, [*kinds.KINDS, 'real'])}")
    for option, value in (made if kind == "real" else copied).items():
        if value is not None:
            raise ConfigError(f"{option} is not for tudor corpus {kind}")

    def make(progress: Callable[[float], None]) -> dict[str, Any]:
        if kind == "real":
            if source is None:
                raise ConfigError("tudor corpus real needs --from, a folder of recordings")
            manifest = real.gather(out_dir, source, licence, progress)
            return {"files": len(manifest["files"]), "left_out": manifest["left_out"],
                    "licence": manifest["licence"]}
        paths = kinds.write_corpus(kind, out_dir, 30.0 if minutes is None else minutes, seed or 0,
                                   sample_rate_hz, channels, progress, soundfont, held_out,
                                   genre or ())
        return {"files": len(paths), **kinds.summary(out_dir)}

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("copying" if kind == "real" else "synthesising", total=1.0)
        try:
            report = make(lambda share: bar.update(task, completed=share))
        except ValueError as error:  # what is said of a wrong argument is for the user
            raise ConfigError(str(error)) from None
    if as_json:
        typer.echo(json.dumps({"kind": kind, "folder": str(out_dir), **report}, indent=2))
        return
    word = "sounds" if kind == "real" else kinds.KINDS[kind].names.words
    left = len(report.get("left_out", ()))
    more = f", without {left} that are for measuring only" if left else ""
    Console().print(f"{report['files']} {word} in {escape(str(out_dir))}{more}", highlight=False)


def train(
    preset: Annotated[
        str, typer.Argument(help="a preset's name, a path to a .toml file, or a run directory")
    ],
    data: Annotated[Path, typer.Option(help="folder of audio: wav, flac, ogg, mp3, aiff")],
    out: Annotated[Path, typer.Option(help="run directory; an unfinished run in it is resumed")],
    steps: Annotated[int | None, typer.Option(help="end after so many steps")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="end after so much training, resumed time included")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="for example model.latents=8"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="GPUs or processes per node")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="machines")] = 1,
    seed: Annotated[int | None, typer.Option(help="of weights, crops and noise")] = None,
    target: Annotated[
        str | None, typer.Option(help="refuse a model that cannot run there: daisy, pi4, ...")
    ] = None,
    dtype: Annotated[str, typer.Option(help="number format meant for --target")] = "float32",
    start_from: Annotated[
        str | None,
        typer.Option("--from", help="begin with the weights of this run directory or preset"),
    ] = None,
    quantise: Annotated[
        str | None, typer.Option(help="learn to be exported with rounded weights: q16x8")
    ] = None,
    coder: Annotated[
        str | None, typer.Option(help="what is trained on latents: the model that makes them")
    ] = None,
) -> None:
    """Train a model on a folder of audio. The same command resumes a run that was stopped;
    Ctrl-C saves it first.

    Example: tudor train techno-tiny --data loops --out runs/first --minutes 5

    Fine-tuning for q16x8: tudor train runs/first --from runs/first --quantise q16x8 --data loops
    --out runs/first-q --steps 1000
    """
    share_cores()
    from rich.console import Console

    from engine.errors import Stopped
    from training.run.config import resolve
    from training.run.loop import Machine, first_process
    from training.run.loop import train as run_training

    console = Console(quiet=not first_process())
    run = resolve(preset, data, assignments or [], out, steps=steps, minutes=minutes, seed=seed,
                  start_from=start_from, quantise=quantise, coder=coder)
    if target is not None:
        from engine.boards.fit import require_fit
        from engine.models.registry import build

        require_fit(build(run.family, run.model), target, dtype, preset)
    try:
        outcome = run_training(run, out, Machine(device, devices, nodes), console)
    except Stopped as stop:  # typer would end a KeyboardInterrupt without its message
        typer.echo(str(stop), err=True)
        raise typer.Exit(stop.exit_code) from None
    if not outcome.already_finished:
        end = f", validation {outcome.validation:.3f}" if outcome.validation is not None else ""
        speed = outcome.audio_seconds / max(outcome.seconds, 1e-9)
        sound = f", {speed:.0f} audio-seconds per second" if outcome.audio_seconds else ""
        console.print(f"{outcome.step} steps in {outcome.seconds / 60:.1f} min{sound}{end}: {out}",
                      highlight=False)


def evaluate(
    model: Annotated[str, typer.Argument(help="file, run directory or preset")],
    data: Annotated[Path, typer.Option(help="folder of data that was not trained on")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    judge: Annotated[
        str | None, typer.Option(help="reconstruction, paired, generation, playing, conditional, "
                                      "strokes or objective; the model's role decides otherwise")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="use so many files at most")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.25, help="of each sound that is generated, or listened "
                                                  "to; 5, for the judge playing 20")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=2, help="sounds to generate, of each class if there are "
                                             "classes; 8, for the judge playing 3")
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", help="judges playing and loops: also ten minutes without a "
                                      "stop")
    ] = False,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE",
                     help="an attribute, or a condition of what generates, for example level=1"),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="also write report.html there, with pictures and sound")
    ] = None,
    listen: Annotated[
        Path | None, typer.Option(help="measure nothing: make a page for a blind listening test "
                                       "there, a folder that any web server can host")
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="another model for --listen; may be "
                                                             "given several times")
    ] = None,
) -> None:
    """How good a model is at what it is for, beside simple baselines.

    Example: tudor evaluate runs/first --data held-out --json
    Example: tudor evaluate runs/first --data held-out --listen page --against runs/second

    An effect or autoencoder is judged by how near its output comes to the input; one that learnt
    from pairs, to the target; a generator by how like real sound it is and whether it copies, one
    that draws sample after sample also by whether it plays what scores ask for; what
    can be asked for a class by whether it obeys; anything else by what its training minimises. For
    models with latents --report also tells what each latent does.
    """
    share_cores()
    import json

    from rich.console import Console
    from rich.markup import escape

    from engine.errors import ConfigError
    from engine.reports import wide_console
    from training.evaluation.judges.case import open_case
    from training.evaluation.judges.registry import others, pick

    if listen is not None:
        from training.evaluation.listening.make import make_page

        if report is not None:
            raise ConfigError("--listen measures nothing: leave out --report")
        make_page(listen, model, data, against or (), judge, as_json, limit=limit,
                  seconds=seconds or 5.0, assignments=assignments or ())
        return
    if against:
        raise ConfigError("--against is for --listen: name a folder for the page")
    console = Console(stderr=True)
    with console.status("listening") as status:
        case = open_case(model, data, limit=limit, out=report, assignments=assignments or (),
                         long_seconds=600.0 if long else 0.0,
                         progress=lambda name: status.update(f"judging {escape(name)}"))
        chosen = pick(case, judge)
        if long and not chosen.goes_on:
            raise ConfigError(f"--long is for the judges playing and loops, not for {chosen.name}")
        case.seconds = chosen.seconds if seconds is None else seconds
        case.seeds = chosen.seeds if seeds is None else seeds
        found = chosen(case)
        page = None if report is None else found.write_page(report)
    if as_json:
        typer.echo(json.dumps(found.result, indent=2))
        return
    also = others(case, chosen)
    more = f" (--judge {', '.join(also)} would do too)" if also else ""
    typer.echo(f"judge {chosen.name}: {chosen.summary}{more}")
    found.show(wide_console(110))
    if page is not None:
        typer.echo(f"{page}")
