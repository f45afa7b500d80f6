"""Trainings of equal length, several seeds each, scored on the same held-out sounds. What is done
is kept: the same command goes on where it was stopped.

    OUT/loops, OUT/held_out      sounds, unless folders are given
    OUT/VARIANT-sSEED/           run directory, trial.json when it is scored, report/
    OUT/results.json, OUT/table.md
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from engine.errors import ConfigError, nearest
from engine.files import atomic_write

HELD_SEED = 1000  # of held-out loops; those trained on have seed 0
TRIAL = "trial.json"


@dataclass(frozen=True)
class Plan:
    """What is trained: settings by variant, for so many seeds each."""

    preset: str
    variants: dict[str, list[str]]
    seeds: int
    minutes: float | None
    steps: int | None
    device: str = "auto"

    def budget(self) -> dict[str, float | int]:
        """As options of `training.run.config.resolve`."""
        given = {"minutes": self.minutes, "steps": self.steps}
        return {key: value for key, value in given.items() if value is not None}


def sounds(
    corpus: str, out: Path, minutes: tuple[float, float], rate_hz: int
) -> tuple[Path, Path]:
    """Folders to train on and to score on: "other" (the independent generator), "techno" (the
    corpus) or "TRAIN:HELD_OUT", two folders. `minutes`: of the two that are made."""
    if ":" in corpus:
        data, held = (Path(part) for part in corpus.split(":", 1))
        return data, held
    if corpus not in ("other", "techno"):
        raise ConfigError(f"--corpus {corpus}: unknown{nearest(corpus, ['other', 'techno'])}; or "
                          "give TRAIN:HELD_OUT, two folders")
    folders = out / "loops", out / "held_out"
    for folder, seed, length in zip(folders, (0, HELD_SEED), minutes, strict=True):
        done = folder / ".complete"
        if not done.exists():
            _make(corpus)(folder, length, seed, rate_hz)
            done.touch()
    return folders


def _make(corpus: str) -> Callable[[Path, float, int, int], object]:
    if corpus == "techno":
        from training.corpus.kinds import write_corpus

        return partial(write_corpus, corpus)
    from benchmarks.quality.other_loops import write_loops

    return write_loops


def run_trials(plan: Plan, data: Path, held: Path, out: Path, console: Console) -> dict[str, Any]:
    """Train and score what is missing; all results, which are also written to `out`."""
    rows = []
    for name in plan.variants:
        for seed in range(plan.seeds):
            folder = out / f"{name}-s{seed}"
            kept = _kept(folder, plan, name, held)
            if kept is None:
                console.print(f"[bold]{name}, seed {seed}[/]", highlight=False)
                kept = _trial(plan, name, seed, data, held, folder, console)
            rows.append(kept)
            result = {"plan": asdict(plan), "data": str(data), "held_out": str(held),
                      "baselines": _baselines(rows),
                      "sound_baselines": rows[0].get("sound_baselines", {}), "rows": rows}
            with atomic_write(out / "results.json") as temporary:
                temporary.write_text(json.dumps(result, indent=2), "utf-8")
    return result


def _kept(folder: Path, plan: Plan, name: str, held: Path) -> dict[str, Any] | None:
    """A trial that was done before; an error if it was another one."""
    if not (folder / TRIAL).exists():
        return None
    row: dict[str, Any] = json.loads((folder / TRIAL).read_text("utf-8"))
    if row["budget"] != plan.budget() or row["preset"] != plan.preset:
        raise ConfigError(f"{folder} holds a trial of {row['preset']} with {row['budget']}, not of "
                          f"{plan.preset} with {plan.budget()}; choose another --out")
    now = {"settings": plan.variants[name], "held_out": str(held.resolve())}
    for key, value in now.items():  # which trials of earlier versions do not say
        if row.get(key, value) != value:
            raise ConfigError(f"{folder} holds a trial with {key} {row[key]}, not {value}; "
                              "choose another --out")
    return row


def _trial(
    plan: Plan, name: str, seed: int, data: Path, held: Path, folder: Path, console: Console
) -> dict[str, Any]:
    from engine.models.registry import build
    from training.evaluation.evaluate import as_player, evaluate_folder
    from training.evaluation.latent_report import examine, regulariser_of
    from training.evaluation.page import write_report
    from training.run.config import resolve
    from training.run.loop import Machine, train

    run = resolve(plan.preset, data, plan.variants[name], folder, seed=seed, **plan.budget())
    outcome = train(run, folder, Machine(plan.device), console)
    player = as_player(folder)
    result = evaluate_folder(player, held)
    found = examine(player, held, folder / "report", None, regulariser_of(folder))
    write_report(folder / "report", {**result, "latents": found})
    model = build(run.family, run.model)
    spec, heard = model.main, result["sound"]["subjects"]
    rows = [sweep["smoothness"]["mean"] for sweep in found["traversals"]]
    seen = [value for value in rows if value is not None]
    row = {
        "variant": name, "seed": seed, "preset": plan.preset, "budget": plan.budget(),
        "settings": plan.variants[name], "held_out": str(held.resolve()),
        "steps": outcome.step, "minutes": outcome.seconds / 60,
        "parameters": model.parameter_count, "macs_per_second":
            model.graph(spec.name).macs_per_input_frame() * model.sample_rate_hz / spec.in_ratio,
        "scores": result["results"]["model"],
        "baselines": {k: v for k, v in result["results"].items() if k != "model"},
        "sound": heard["model"], "standing": result["standing"],
        "sound_baselines": {k: v for k, v in heard.items() if k != "model"},
        "prior": found["prior"], "borders": found["borders"],
        "active_latents": sum(latent["active"] for latent in found["latents"]),
        "bits_per_second": _bits(found["latents"], model.sample_rate_hz / model.ratio),
        "strongest_correlation": max(abs(v) for line in found["spearman"] for v in line),
        "sweep_smoothness": sum(seen) / len(seen) if seen else None,
    }
    with atomic_write(folder / TRIAL) as temporary:
        temporary.write_text(json.dumps(row, indent=2), "utf-8")
    return row


def _bits(latents: list[dict[str, Any]], frame_rate_hz: float) -> float:
    from math import log

    return sum(latent["nats"] for latent in latents) / log(2) * frame_rate_hz


def _baselines(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The same for all trials, since they depend on the held-out sounds alone; the untrained model
    is left out, whose first weights differ from seed to seed."""
    return {k: v for k, v in rows[0]["baselines"].items() if k != "untrained"}
