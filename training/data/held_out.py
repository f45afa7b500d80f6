"""RUN_DIR/held_out.json: the files, or ends of files, that a run validates with and never learns
from.

    [{"name": "a/loop3.wav", "start_seconds": 0.0},
     {"name": "concert.flac", "start_seconds": 3412.5}]

Names are relative to the data folder; from `start_seconds` to the end is held out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigError
from engine.files import atomic_write

if TYPE_CHECKING:
    from training.data.cache import Cache
    from training.data.sounds import Sides

FILE = "held_out.json"


@dataclass(frozen=True)
class HeldOut:
    """A file from `start_seconds` to its end."""

    name: str
    start_seconds: float


def write_held_out(run: Path, parts: Sides, cache: Cache) -> None:
    """Note down what is held out."""
    rows = [{"name": place.name, "start_seconds": place.start / cache.rate_hz}
            for place in parts.held_files]
    with atomic_write(run / FILE) as temporary:
        temporary.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


def read_held_out(run: Path) -> list[HeldOut]:
    """What a run holds out; an error for a run of a version that did not note it."""
    try:
        rows = json.loads((run / FILE).read_text("utf-8"))
        return [HeldOut(str(row["name"]), float(row["start_seconds"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{run / FILE} is missing or damaged: train the run on, or once more, "
                          "to have it written") from None
