"""Judge "objective": what training minimises, on data that was held out, beside an untrained model.

For what has no sound, such as pictures; and for figures that other judges cannot have, such as how
likely a model finds a sound: any family's objective says them in the same way.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from engine.errors import AudioError, ConfigError
from engine.models.base import Model
from training.data.base import Batch, Data
from training.data.registry import DATA
from training.evaluation.judges.case import Case
from training.evaluation.judges.findings import (
    Column,
    Findings,
    Plot,
    bars,
    score_grid,
)
from training.evaluation.measures import plain
from training.objectives.base import Objective
from training.objectives.registry import OBJECTIVES
from training.run.config import CommonConfig, training_config

SUBJECTS = {"model": "model", "untrained": "untrained model (floor)"}
MOST_HELD = 0.5  # of a folder that is new to the model: as much as validation can take
LIKELIHOODS = ("bits_per_", "nats_per_")  # figures of that name say how likely the data is


def judge(case: Case) -> Findings:
    """The objective's own figures."""
    held, results = held_out_figures(case)
    first = results["model"]
    watched = OBJECTIVES[config_of(case).objective].watched
    names = sorted(first, key=lambda name: name != watched)
    columns = [Column(name, name.replace("_", " "), direction(name, watched)) for name in names]
    result = {**case.facts("objective", 0, 0.0), "objective": config_of(case).objective,
              "found": held, "results": results}
    del result["files"], result["seconds"]
    grid = score_grid(f"{case.player.name}, objective {result['objective']!r}", result, columns,
                      SUBJECTS)
    plot = Plot("objective.png", columns[0].title, bars(results, columns[0], SUBJECTS), (6, 2))
    return Findings(result, [grid], [*case.notes(), f"held out: {held}"], [plot])


def direction(name: str, watched: str) -> str:
    """Which way of a figure is good, as far as its name tells."""
    falls = name in (watched, "loss") or name.endswith(("_distance", "_loss", "_error"))
    return "lower" if falls or name.startswith(LIKELIHOODS) else ""


def config_of(case: Case) -> CommonConfig:
    """The whole `[training]` table."""
    training = dict((case.settings or {}).get("training", {}))
    return training_config(training, case.description.family)


def held_out_figures(case: Case) -> tuple[str, dict[str, dict[str, float | None]]]:
    """What was held out, in words, and figures by subject; None for what is no number."""
    model = case.model
    if model is None:
        raise ConfigError(f"{case.player.name} is an exported file: only a run or preset has an "
                          "objective")
    config = config_of(case)
    if not case.is_own_folder and "validation_fraction" in type(config).model_fields:
        config = config.model_copy(update={"validation_fraction": MOST_HELD})
    subjects: dict[str, Model | None] = {"model": model, "untrained": None}
    if case.baselines:
        subjects["untrained"] = case.untrained()
    with tempfile.TemporaryDirectory() as place:
        case.progress("what was held out")
        data = DATA[config.data](case.folder, config, Path(place))
        data.look()
        data.prepare(model, Console(quiet=True))
        batches = data.validation()
        if not batches:
            raise AudioError(f"{case.folder} is too small: none of it could be held out")
        return _words(data, batches), {
            name: _figures(case, one, config, batches, trained=name == "model")
            for name, one in subjects.items() if one is not None}


def _words(data: Data, batches: list[Batch]) -> str:
    seconds, count = sum(batch.seconds for batch in batches), sum(map(len, batches))
    sound = f" ({seconds:.0f} s)" if seconds else ""
    return f"{count} of {data.unit()}{sound}, from {data.found()}"


def _figures(
    case: Case, model: Model, config: Any, batches: list[Batch], trained: bool
) -> dict[str, float | None]:
    objective = OBJECTIVES[config.objective](model, config)
    if trained and case.run is not None:
        _take_up(objective, case.run)
    objective.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # noise that a loss may draw: the same for all
        found = objective.validate(model, batches)
    return {name: plain(value) for name, value in found.figures.items()}


def _take_up(objective: Objective, run: Path) -> None:
    """Weights of the networks beside the model, which only a checkpoint has."""
    from training.run.run_folder import RunFolder

    if not any(True for _ in objective.beside()):
        return
    checkpoint = RunFolder(run).load()
    if checkpoint is None:
        raise ConfigError(f"{run} has no checkpoint: what its objective needs beside the model "
                          "is not there")
    objective.load(checkpoint.training())
