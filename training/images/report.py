"""Networks of pictures: trained one after the other, measured and drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console

from training.evaluation.judges.findings import Findings, Plot, score_grid
from training.evaluation.targets import verdict_grid
from training.images import drawing, measures
from training.images.goals import verdicts
from training.images.measures import COLUMNS, SUBJECTS, Figures, Standard
from training.images.networks import Autoencoder, Generator, PictureJudge
from training.images.objectives import Code
from training.images.recipes import prepared, run
from training.images.runs import Trained
from training.images.sets import PictureSet
from training.objectives.base import Objective

JUDGE = "classifier"  # learns first, for the others are judged by it
NOTES = (
    "class: share of pictures whose class is seen, or of samples that are of the class asked for",
    "cross-entropy: of grey levels, nats; that of real pictures is their entropy; nats: that and "
    "KL, a bound on -ln p, and for the floor the mean picture",
    "MMD: squared, of latents to the prior",
    "Fréchet: over the trace of the held-out pictures' features, which are the classifier's own",
    "real: pictures that were learnt from; unlearnt: each pixel drawn by itself",
)


@dataclass(frozen=True)
class Plan:
    """What is to be done. The budget is each network's, in minutes of processor time or steps."""

    names: tuple[str, ...]
    minutes: float | None
    steps: int | None
    seed: int
    assignments: dict[str, list[str]]


def examine(pictures: PictureSet, plan: Plan, console: Console,
            keep: Callable[[Findings], None]) -> Findings:
    """Train and judge; `keep` is told after each network of what is known by then."""
    names = [JUDGE, *(name for name in plan.names if name != JUDGE)]
    objectives = {name: prepared(name, pictures, plan.seed, plan.minutes, plan.steps,
                                 plan.assignments.get(name, [])) for name in names}
    results: dict[str, Figures] = {}
    plots: list[Plot] = []
    judge = run(JUDGE, objectives[JUDGE], pictures, console)
    assert isinstance(judge.model, PictureJudge)
    standard = Standard.of(judge.model, pictures)
    results.update(measures.baselines(standard))
    for name in names:
        trained = judge if name == JUDGE else run(name, objectives[name], pictures, console)
        results[name] = {**_measured(trained, objectives[name], standard),
                         "steps": trained.steps, "thousand_steps": trained.steps / 1000,
                         "minutes": trained.seconds / 60}
        plots += _drawn(name, trained, objectives[name], pictures)
        if trained.at:
            plots.append(drawing.curves(name, trained))
        findings = _findings(names, pictures, plan, results, plots)
        keep(findings)
    return findings


def _findings(names: list[str], pictures: PictureSet, plan: Plan, results: dict[str, Figures],
              plots: list[Plot]) -> Findings:
    """Of those networks that have been measured."""
    names = [name for name in names if name in results]
    result: dict[str, Any] = {
        "model": ", ".join(names), "judge": "pictures", "data": pictures.said(),
        "set": pictures.name, "learn": len(pictures.learn), "held_out": len(pictures.held),
        "seed": plan.seed, "threads": torch.get_num_threads(), "results": dict(results)}
    grids = [score_grid(pictures.said(), result, COLUMNS, SUBJECTS)]
    found = verdicts(names, pictures.name, result)
    if found:
        grids.append(verdict_grid("what is asked for", found, result))
    return Findings(result, grids, list(NOTES), list(plots))


def _measured(trained: Trained, objective: Objective, standard: Standard) -> Figures:
    model = trained.model
    if isinstance(model, PictureJudge):
        return measures.of_classifier(model, standard.pictures)
    if isinstance(model, Autoencoder):
        assert isinstance(objective, Code)
        return measures.of_autoencoder(model, objective, standard)
    assert isinstance(model, Generator)
    return measures.of_generator(model, standard)


def _drawn(name: str, trained: Trained, objective: Objective, pictures: PictureSet) -> list[Plot]:
    model = trained.model
    if isinstance(model, Autoencoder):
        assert isinstance(objective, Code)
        return drawing.of_autoencoder(name, model, objective, pictures)
    if isinstance(model, Generator):
        return drawing.of_generator(name, model, pictures.classes)
    return []
