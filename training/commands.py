"""Commands of this folder: corpus, train, evaluate. What is heavy is imported when called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def _share_cores() -> None:
    """Must run before torch is imported. By default OpenMP's threads spin while they wait for each
    other; when anything else runs on the machine that makes a training step up to 7 times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def corpus_command(
    kind: Annotated[str, typer.Argument(help="what to make: techno")],
    out_dir: Annotated[Path, typer.Argument(help="folder for the loops")],
    minutes: Annotated[float, typer.Option(help="how much audio to make")] = 30.0,
    seed: Annotated[int, typer.Option(help="same seed, same loops")] = 0,
    sample_rate_hz: Annotated[int, typer.Option(help="sample rate")] = 16000,
    channels: Annotated[int, typer.Option(help="1 mono, 2 stereo")] = 1,
) -> None:
    """Synthesise a corpus of loops to train on.

    Example: tudor corpus techno loops --minutes 30 --seed 0
    """
    from rich.console import Console
    from rich.progress import Progress

    from engine.errors import ConfigError, nearest

    if kind != "techno":
        raise ConfigError(f"unknown corpus {kind!r}{nearest(kind, ['techno'])}")
    from training.corpus.techno import write_corpus

    console = Console()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("synthesising", total=1.0)
        try:
            paths = write_corpus(
                out_dir, minutes, seed, sample_rate_hz, channels,
                progress=lambda share: bar.update(task, completed=share),
            )
        except ValueError as error:  # what the synthesiser says of a wrong argument is for the user
            raise ConfigError(str(error)) from None
    console.print(f"{len(paths)} loops in {out_dir}", highlight=False)


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
) -> None:
    """Train a model on a folder of audio. The same command resumes a run that was stopped;
    Ctrl-C saves it first.

    Example: tudor train techno-tiny --data loops --out runs/first --minutes 5

    Fine-tuning for q16x8: tudor train runs/first --from runs/first --quantise q16x8 --data loops
    --out runs/first-q --steps 1000
    """
    _share_cores()
    from rich.console import Console

    from engine.errors import Stopped
    from training.run.config import resolve
    from training.run.loop import Machine, first_process
    from training.run.loop import train as run_training

    console = Console(quiet=not first_process())
    run = resolve(preset, data, assignments or [], steps=steps, minutes=minutes, seed=seed,
                  start_from=start_from, quantise=quantise)
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
        crops = outcome.step * run.training.batch_size * devices * nodes
        speed = crops * run.training.crop_seconds / max(outcome.seconds, 1e-9)
        console.print(f"{outcome.step} steps in {outcome.seconds / 60:.1f} min, {speed:.0f} "
                      f"audio-seconds per second{end}: {out}", highlight=False)


def evaluate(
    model: Annotated[str, typer.Argument(help="file, run directory or preset")],
    data: Annotated[Path, typer.Option(help="folder of audio that was not trained on")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="use so many files at most")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="also look at the latents, and write report.html there")
    ] = None,
) -> None:
    """How close a model's output comes to its input, beside simple baselines.

    Example: tudor evaluate runs/first --data held-out --json

    With --report FOLDER also: what each latent does, sweeps and paths through the latents, draws
    from the prior, clicks at block borders; as one HTML page with pictures and players.
    """
    _share_cores()
    import json

    from rich.console import Console
    from rich.markup import escape

    from engine.reports import wide_console
    from training.evaluation.evaluate import as_player, evaluate_folder, table

    player = as_player(model)
    console = Console(stderr=True)
    with console.status("listening") as status:
        result = evaluate_folder(
            player, data, limit, progress=lambda name: status.update(f"scoring {escape(name)}"))
    if report is not None:
        from training.evaluation.latent_report import examine, regulariser_of
        from training.evaluation.page import write_report

        with console.status("looking at the latents"):
            result["latents"] = examine(player, data, report, limit, regulariser_of(model))
            write_report(report, result)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
        return
    wide_console(110).print(table(result))
    if report is not None:
        typer.echo(f"{report / 'report.html'}")
