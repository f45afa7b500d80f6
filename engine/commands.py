"""`tudor presets` and `tudor info`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def presets(as_json: Json = False) -> None:
    """List the models to start from, with what each costs.

    Example: tudor presets
    """
    from engine.reports import print_presets

    print_presets(as_json)


def info(
    model: Annotated[str, typer.Argument(help="Model file, run directory or preset.")],
    layers: Annotated[bool, typer.Option("--layers", help="Add a row for each operation.")] = False,
    method: Annotated[
        Optional[str], typer.Option(help="Whose operations; default: the whole model.")  # noqa: UP045
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a model is: methods, latency, receptive field, cost, verification.

    A .tudor file always comes with its table of operations.

    Example: tudor info techno-tiny --layers
    """
    from engine.reports import print_info

    print_info(model, layers, method, as_json)
