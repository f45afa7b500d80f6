"""`tudor module status` and `tudor module check`."""

from __future__ import annotations

import json
from typing import Annotated, Optional

import typer

from engine.errors import ConfigError

Host = Annotated[Optional[str], typer.Option(  # noqa: UP045
    help="Module to ask by ssh, such as root@tudor.local; default: this machine.")]


def status(
    host: Host = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a running module does: load, xruns, slot, controls.

    Example: tudor module status --host root@tudor.local
    """
    from firmware.pi import status as job

    found = job.status(host)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        typer.echo("\n".join(job.lines(found)))


def check(
    host: Host = None,
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="How long to watch.")] = 20,
    midi: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="Ask a Daisy by USB instead: its raw MIDI device, such as /dev/snd/midiC1D0.")] = None,
    model: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="With --midi: the file or preset that plays there; default: the preset of that name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find what is wrong with a board: watches sound, load, knobs, jacks, power and heat.

    Turn every knob and patch every jack meanwhile. Exits with 1 if something is wrong. A Daisy says
    by USB MIDI what it measured: its load beside the modelled one, overloads, stack, memories.

    Example: tudor module check --host root@tudor.local
    """
    if model is not None and midi is None:
        raise ConfigError("--model goes with --midi")
    if midi is not None:
        if host is not None:
            raise ConfigError("give --host or --midi, not both")
        _ask_by_midi(midi, model, as_json)
        return
    from firmware.pi import status as job

    job.status(host)  # says at once that nothing runs there
    typer.echo(f"watching for {seconds} s: turn every knob, patch something into each jack",
               err=True)
    text = job.check(host, seconds)
    found = job.parse_check(text)
    typer.echo(json.dumps(found, indent=2) if as_json else text, nl=as_json)
    if found["wrong"]:
        raise typer.Exit(1)


def _ask_by_midi(port: str, model: str | None, as_json: bool) -> None:
    from firmware import midi_report as job

    told = job.report(port, model)
    typer.echo(json.dumps(told, indent=2) if as_json else job.lines(told))
    if told["wrong"]:
        raise typer.Exit(1)
