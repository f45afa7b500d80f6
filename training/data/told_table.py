"""`metadata.csv` beside sounds: what a folder, or one in it, says of its files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from engine.errors import ConfigError

METADATA = "metadata.csv"
Told = TypeVar("Told")


def read_told(folder: Path, column: str, told: Callable[[Mapping[str, str | None], str], Told]
              ) -> dict[str, Told]:
    """What the tables say, by file name: `told` of each row and of where that stands; of the folder
    and of the folders in it, so that corpora lie beside each other. Nothing where there is none, or
    one without columns `file` and `column`. An error names the line that cannot be meant."""
    found = {}
    for path in (folder / METADATA, *sorted(folder.glob(f"*/{METADATA}"))):
        if path.is_file():
            within = path.parent.relative_to(folder)
            found.update({(within / name).as_posix(): value
                          for name, value in _read(path, column, told).items()})
    return found


def _read(path: Path, column: str, told: Callable[[Mapping[str, str | None], str], Told]
          ) -> dict[str, Told]:
    """What one table says."""
    found = {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        try:
            table = csv.DictReader(file)
            if not {"file", column} <= set(table.fieldnames or ()):
                return {}
            for number, row in enumerate(table, 2):
                found[str(row["file"])] = told(row, f"{path}, line {number}")
        except csv.Error as error:
            raise ConfigError(f"{path}: {error}") from None
    return found
