"""A model that is held in PyTorch, at the speed of the C runtime.

What writes native files lies above this folder; whoever has it registers it here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.description import Description
from engine.errors import TudorError
from engine.players.base import Player, load

if TYPE_CHECKING:
    from engine.models.base import Model

Writer = Callable[["Model", Path, Description], None]
WRITERS: list[Writer] = []  # the last one registered is asked


def register(writer: Writer) -> None:
    """What writes a model as the native file `path`."""
    WRITERS.append(writer)


@contextmanager
def compiled(model: Model, name: str, batch: int = 1) -> Iterator[Player]:
    """A native player of `model` in float32, from a file that is gone afterwards; an error in one
    line if there can be none."""
    if not WRITERS:
        raise TudorError("nothing here writes native files")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tudor"
        WRITERS[-1](model, path, model.describe(name))
        yield load(path, batch)
