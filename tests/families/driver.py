"""What every toy family is put through: the way from its preset to sound, by the commands alone.

A toy is a file of its own that holds its family, its preset, its data and, where its loss is new,
its objective; nothing else in the tree knows of it. `test_toys.py` drives them all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.models.registry import FAMILIES, Family
from engine.models.registry import register as register_family
from nn_tudor.cli import main
from training.objectives.base import Objective
from training.objectives.registry import OBJECTIVES
from training.objectives.registry import register as register_objective

STEPS, INTERRUPTED = 30, 17


@dataclass(frozen=True)
class Toy:
    """A family with all that it takes to train it. `fill` writes its data into a folder."""

    family: Family
    preset: str
    fill: Callable[[Path], None]
    objective: type[Objective] | None = None  # of the family's row, where its loss is new
    decoder: str = ""  # what makes sound of what it generates
    calibrate: str = ""  # the folder of its data with the sound that goes into it

    @property
    def name(self) -> str:
        return self.family.build.family  # type: ignore[attr-defined]


@contextmanager
def registered(toy: Toy) -> Iterator[None]:
    """Its rows are known, through what is there for everyone, and gone afterwards."""
    register_family(toy.name, toy.family)
    if toy.objective is not None:
        register_objective(toy.family.objective, toy.objective)
    try:
        yield
    finally:
        del FAMILIES[toy.name]
        if toy.objective is not None:
            del OBJECTIVES[toy.family.objective]


def tudor(*words: object) -> None:
    """The `tudor` command, which must succeed."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert not ended.value.code, f"tudor {' '.join(map(str, words))}"


@dataclass(frozen=True)
class Trainee:
    """A toy with its preset and its data in a folder, where its runs go too."""

    toy: Toy
    folder: Path

    @classmethod
    def of(cls, toy: Toy, folder: Path) -> Trainee:
        data = folder / "data"
        data.mkdir(parents=True)
        toy.fill(data)
        (folder / f"{toy.name}.toml").write_text(toy.preset)
        return cls(toy, folder)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def train(self, out: str, steps: int = STEPS) -> Path:
        """A run, or more of it."""
        tudor("train", self.folder / f"{self.toy.name}.toml", "--data", self.data, "--out",
              self.folder / out, "--steps", steps, "--device", "cpu")
        return self.folder / out

    def export(self, run: Path, to: str, dtype: str) -> Path:
        suffix = {"native": "tudor", "onnx": "onnx", "nn": "ts"}[to]
        out = self.folder / f"{to}-{dtype}" / f"{self.toy.name}.{suffix}"
        more = [] if dtype == "float32" else ["--dtype", dtype]
        if more and self.toy.calibrate:
            more += ["--calibrate", str(self.data / self.toy.calibrate)]
        tudor("export", run, "--to", to, "--out", out, *more)
        return out


def train_preset(here: Path, preset: str, out: str, steps: int) -> None:
    """A run `out` of a preset's file and the folder `data`, all in `here`."""
    tudor("train", here / preset, "--data", here / "data", "--out", here / out, "--steps", steps,
          "--device", "cpu")


def rows(run: Path, kind: str) -> list[dict[str, Any]]:
    """Lines of a run's log."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == kind]


def package_files() -> dict[str, tuple[int, int]]:
    """Size and time of every file that a toy must not touch."""
    root = Path(__file__).parents[2]
    return {os.fspath(path): (path.stat().st_size, path.stat().st_mtime_ns)
            for folder in ("engine", "training", "export", "nn_tudor")
            for path in (root / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts}
