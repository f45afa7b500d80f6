"""A model of a few hundred weights, trained on a folder."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from engine.models.base import Model
from engine.models.store import build_from, read_settings
from tests.training.training_helpers import preset
from training.run.config import resolve
from training.run.loop import Machine, train


def tiny(folder: Path) -> Model:
    return build_from(read_settings(Path(preset(folder))))


def trained(folder: Path, data: Path, *settings: str) -> str:
    """Trains for two steps in `folder`/run; what was said."""
    console = Console(file=StringIO(), width=200)
    run = resolve(preset(folder), data, ["training.steps=2", *settings])
    train(run, folder / "run", Machine("cpu"), console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]
