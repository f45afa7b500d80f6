"""`python -m training.images SET MODEL...`: networks of pictures, trained and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.friendly import friendly

if TYPE_CHECKING:
    from training.evaluation.judges.findings import Findings

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  pretty_exceptions_enable=False)


@app.command()
def images(
    set_name: Annotated[str, typer.Argument(metavar="SET",
                                            help="fashion, mnist, digits or printed")],
    models: Annotated[list[str], typer.Argument(
        metavar="MODEL...", help="classifier, vae, vae-conv, wae, wae-rbf, wae-mixture, wae-conv, "
                                 "dcgan, cgan, cgan-seeking, or all")],
    out: Annotated[Path | None, typer.Option(help="folder for report.html and results.json")
                   ] = None,
    minutes: Annotated[float | None, typer.Option(
        help="processor time for each network (5)")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="steps, in place of --minutes")] = None,
    pictures: Annotated[Path | None, typer.Option(
        "--images", help="folder of fashion or mnist: IDX files, packed or not, or 0.json to "
                         "9.json")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of weights, batches and noise")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="PyTorch threads")] = 1,
    assignments: Annotated[list[str] | None, typer.Option(
        "--set", metavar="MODEL.KEY=VALUE",
        help="for example wae.regulariser.kernel=rbf, cgan.mode_seeking=0.1, "
             "dcgan.adversarial.objective=least-squares")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
) -> None:
    """Check the training code on small pictures: the objectives, games and regularisers that sound
    is trained with, where a network takes minutes and figures of others are known.

    Example: python -m training.images printed vae cgan --minutes 1 --out pictures
    Example: python -m training.images mnist all --images MNIST/raw --out pictures

    A classifier is trained first in any case: by its features the samples of the others are judged.
    What is measured stands in results.json and on the page as soon as it is known.
    """
    from training.commands import share_cores

    share_cores()
    import torch
    from rich.console import Console

    from engine.errors import ConfigError, Stopped, nearest
    from engine.files import atomic_write
    from engine.reports import wide_console
    from training.images.recipes import RECIPES
    from training.images.report import Plan, examine
    from training.images.sets import open_set

    names = list(RECIPES) if models == ["all"] else list(dict.fromkeys(models))
    for name in names:
        if name not in RECIPES:
            raise ConfigError(f"unknown network {name!r}{nearest(name, RECIPES)}")
    if minutes is not None and steps is not None:
        raise ConfigError("give --minutes or --steps, not both")
    if minutes is not None and not 0 < minutes < float("inf"):
        raise ConfigError(f"--minutes {minutes:g}: wanted a number above 0")
    by_name: dict[str, list[str]] = {}
    for text in assignments or []:
        name, dot, rest = text.partition(".")
        if not dot or name not in (*names, "classifier"):
            raise ConfigError(f"--set {text}: wanted MODEL.KEY=VALUE of one of "
                              f"{', '.join(names)}")
        by_name.setdefault(name, []).append(rest)
    torch.set_num_threads(threads)
    limit = None if steps else minutes or 5.0
    plan = Plan(tuple(names), limit, steps, seed, by_name)

    def keep(found: Findings) -> None:
        if out is not None:
            with atomic_write(out / "results.json") as temporary:
                temporary.write_text(json.dumps(found.result, indent=2) + "\n", "utf-8")
            found.write_page(out)

    try:
        found = examine(open_set(set_name, pictures), plan, Console(stderr=True), keep)
    except Stopped as stop:  # typer would end a KeyboardInterrupt without its message
        typer.echo(str(stop), err=True)
        raise typer.Exit(stop.exit_code) from None
    if as_json:
        typer.echo(json.dumps(found.result, indent=2))
        return
    found.show(wide_console(150))
    if out is not None:
        typer.echo(f"{out / 'report.html'}")


if __name__ == "__main__":
    with friendly():
        app()
