"""`python -m benchmarks.quality twenty|regularisers`: trainings that anyone can repeat."""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from engine.friendly import friendly

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  pretty_exceptions_enable=False,
                  help="Trainings of equal length, several seeds each. Resumable.")

Out = Annotated[Path, typer.Option(help="folder for runs, results.json and table.md")]
Preset = Annotated[str, typer.Option(help="preset or .toml file")]
Corpus = Annotated[str, typer.Option(help="other (independent loops), techno, or TRAIN:HELD_OUT")]
Lengths = Annotated[str, typer.Option(help="minutes of loops to make: to train on, held out")]
Seeds = Annotated[int, typer.Option(min=1, help="trainings per variant")]
Steps = Annotated[int | None, typer.Option(min=1, help="end each training after so many steps")]
Threads = Annotated[int, typer.Option(min=0, help="PyTorch threads; 0: its default")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE",
                                                    help="for all trainings")]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of tables")]

KINDS = {"kl": [], "wae": ["regulariser.kind=wae-mmd"], "none": ["regulariser.kind=none"]}
# The discriminators' warm-up is a quarter of the usual one: at 12 minutes phase two is short.
PHASES = {"": [], "-adversarial": ["adversarial.on=true", "adversarial.warmup_steps=50"]}


@app.command()
def twenty(
    out: Out, minutes: Annotated[float, typer.Option(help="training time of each")] = 20.0,
    seeds: Seeds = 3, preset: Preset = "techno-tiny", corpus: Corpus = "other",
    loops: Lengths = "20,2", steps: Steps = None, threads: Threads = 2, device: Device = "cpu",
    settings: Settings = None, as_json: Json = False,
) -> None:
    """Twenty minutes on two cores, from scratch, three seeds, on loops that are not the corpus.

    Example: python -m benchmarks.quality twenty --out twenty
    """
    variants = {preset.rsplit("/", 1)[-1].removesuffix(".toml"): list(settings or [])}
    _run(variants, out, minutes, steps, seeds, preset, corpus, loops, threads, device, as_json)


@app.command()
def regularisers(
    out: Out, minutes: Annotated[float, typer.Option(help="training time of each")] = 12.0,
    seeds: Seeds = 3, preset: Preset = "techno-tiny", corpus: Corpus = "techno",
    loops: Lengths = "30,3", steps: Steps = None, threads: Threads = 2, device: Device = "cpu",
    settings: Settings = None, as_json: Json = False,
) -> None:
    """KL, WAE-MMD and none, each with and without the adversarial phase: 18 trainings.

    Example: python -m benchmarks.quality regularisers --out regularisers --seeds 3
    """
    variants = {kind + phase: [*KINDS[kind], *PHASES[phase], *(settings or [])]
                for phase, kind in product(PHASES, KINDS)}
    _run(variants, out, minutes, steps, seeds, preset, corpus, loops, threads, device, as_json)


def _run(
    variants: dict[str, list[str]], out: Path, minutes: float, steps: int | None, seeds: int,
    preset: str, corpus: str, loops: str, threads: int, device: str, as_json: bool,
) -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    from rich.console import Console

    from benchmarks.quality.tables import tables
    from benchmarks.quality.trials import Plan, run_trials, sounds
    from engine.errors import ConfigError
    from engine.files import atomic_write
    from training.run.config import resolve

    if threads:
        torch.set_num_threads(threads)
    try:
        trained_on, held_out = (float(part) for part in loops.split(","))
    except ValueError:
        raise ConfigError(f"--loops {loops}: wanted two numbers of minutes, such as 20,2") from None
    rate = resolve(preset, out, []).model.sample_rate_hz
    plan = Plan(preset, variants, seeds, None if steps else minutes, steps, device)
    data, held = sounds(corpus, out, (trained_on, held_out), rate)
    result = run_trials(plan, data, held, out, Console(stderr=True))
    text = tables(result)
    with atomic_write(out / "table.md") as temporary:
        temporary.write_text(text + "\n", "utf-8")
    typer.echo(json.dumps(result, indent=2) if as_json else text)


if __name__ == "__main__":
    with friendly():
        app()
