"""What brings what in models that draw sound: each trial trained for the same time, three seeds.

    python -m scripts.drawn_trials OUT                trains what is not there, measures, keeps
    python -m scripts.drawn_trials OUT --only after   one table's trials, nothing is kept
    python -m scripts.drawn_trials OUT --jobs 2       so many at once, one thread each

OUT gets the corpora and a run TRIAL-SEED of each trial; the same command goes on where it was
stopped. Figures go into docs/sound/drawn-trials.json, learning curves beside it and clips of the
first seed; `python scripts/figures.py` writes the tables of docs/violin.md from them.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.files import atomic_write
from scripts.preset_clips import SOUND
from scripts.trial_runs import each, keep, tudor

SEEDS = (1, 2, 3)
TRAIN_MINUTES, HELD_MINUTES, CORPUS_SEED, HELD_SEED = 90, 6, 0, 100
KEPT = ("bits", "free_bits", "pitch", "clarity", "level_db", "jumps", "descriptor_mmd",
        "loudness_apart", "flux_apart")
COOL = 0.65  # the temperature of the preset that the trials of 8 kHz begin with
FIGURES = SOUND / "drawn-trials.json"

_SHAPE = {"sample_rate_hz": 16000, "voices": 1, "start": "rest"}
_WAVENET = {"family": "wavenet", **_SHAPE, "stacks": 2, "layers": 9, "residual": 32, "skip": 64}
_TWO_TIER = {"family": "two_tier", **_SHAPE, "frame": 16, "layers": 8, "width": 48, "inner": 48,
             "near": 16}
# What `bach-daisy` was when the levers were tried; trials after it begin from what is shipped.
_DAISY = {"family": "two_tier", **_SHAPE, "sample_rate_hz": 8000, "frame": 16, "layers": 6,
          "width": 24, "inner": 20, "near": 8, "period_taps": 8}
_LEARNT = ("training.batch_size=8", "training.crop_seconds=1.6")
_LEARNING = {"objective": "autoregressive", "data": "performed", "companding": "mu-law",
             "batch_size": 4, "crop_seconds": 0.8, "learning_rate": 3e-3}
_GAME = tuple(f"training.adversarial.{said}" for said in (
    "start=0.0", "warmup_steps=160", "ramp_steps=200", "every=4", "windows=8", "weight=1.0",
    "match_weight=1.0"))
_SAMPLED = tuple(f"training.scheduled_sampling.{said}" for said in (
    "share=0.2", "start=0.0", "ramp=0.1"))


@dataclass(frozen=True)
class Trial:
    """`title` in its table; a preset or the shape of a model; settings that differ."""

    title: str
    model: str | dict[str, Any] = "bach-daisy"
    settings: tuple[str, ...] = ()
    begin: str = ""  # weights of this preset
    minutes: float = 3.0
    rate_hz: int = 8000
    temperatures: tuple[float, ...] = (COOL,)


def _lever(title: str, *settings: str) -> Trial:
    return Trial(title, _DAISY, (*_LEARNT, *settings))


def _after(title: str, *settings: str) -> Trial:
    return Trial(title, settings=("training.learning_rate=1e-3", *settings), begin="bach-daisy",
                 minutes=5, temperatures=(COOL, 1.0))


TABLES: dict[str, dict[str, Trial]] = {
    "likelihood": {
        "softmax": Trial("`wavenet`, 256 classes", {**_WAVENET, "head": "categorical"},
                         rate_hz=16000, temperatures=(1.0,)),
        "mixture": Trial("`wavenet`, mixture", _WAVENET, rate_hz=16000, temperatures=(1.0,)),
        "two-tier": Trial("`two_tier`, mixture", _TWO_TIER, rate_hz=16000, temperatures=(1.0,)),
    },
    "levers": {
        "base": _lever("`bach-daisy`'s former shape, as it was trained"),
        "clean": _lever("without input noise", "training.input_noise=0"),
        "no-period": _lever("without `period_taps`", "model.period_taps=0"),
        "no-notes": _lever("without conditions", "model.voices=0", "model.period_taps=0"),
    },
    "after": {
        "plain": _after("likelihood alone"),
        "sampled": _after("scheduled sampling, `share = 0.2`", *_SAMPLED),
        "game": _after("discriminators, `weight = 1`, `match_weight = 1`", *_GAME),
    },
}
TRIALS = {name: trial for table in TABLES.values() for name, trial in table.items()}


# --- training and measuring -----------------------------------------------------------------------


def corpus(out: Path, rate_hz: int, held_out: bool) -> Path:
    """The violin at a rate, made once."""
    folder = out / f"{'held' if held_out else 'train'}-{rate_hz // 1000}k"
    if not folder.exists():
        minutes, seed = ((HELD_MINUTES, HELD_SEED) if held_out else (TRAIN_MINUTES, CORPUS_SEED))
        tudor(folder.with_suffix(".log"), "corpus", "bach", folder, "--minutes", minutes,
              "--seed", seed, "--rate", rate_hz, *(["--held-out"] if held_out else []))
    return folder


def run(name: str, seed: int, out: Path) -> None:
    """Train and measure a trial, as far as that is still to be done."""
    trial, folder = TRIALS[name], out / f"{name}-{seed}"
    lacking = {temperature: target for temperature in trial.temperatures
               if not (target := judged(out, name, seed, temperature)).exists()}
    if not lacking:
        return
    preset = trial.model
    if not isinstance(preset, str):
        preset = str(_written_shape(out / f"{name}.toml", preset))
    settings = [word for said in trial.settings for word in ("--set", said)]
    tudor(folder.with_suffix(".log"), "train", preset, "--data",
          corpus(out, trial.rate_hz, False), "--out", folder, "--minutes", trial.minutes,
          "--seed", seed, *settings, *(["--from", trial.begin] if trial.begin else []))
    for temperature, target in lacking.items():
        told = tudor(folder.with_suffix(".judged"), "evaluate", folder, "--data",
                     corpus(out, trial.rate_hz, True), "--json", "--set",
                     f"temperature={temperature}")
        with atomic_write(target) as temporary:
            temporary.write_text(told, "utf-8")


def judged(out: Path, name: str, seed: int, temperature: float) -> Path:
    """Where figures of a run are kept: it is done when they are there."""
    return out / f"{name}-{seed}.{temperature:g}.json"


def _written_shape(path: Path, model: dict[str, Any]) -> Path:
    lines = []
    for table, settings in (("model", model), ("training", _LEARNING)):
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in
                                  settings.items()), ""]
    path.write_text("\n".join(lines), "utf-8")
    return path


def gathered(out: Path, names: list[str]) -> dict[str, Any]:
    """What was measured: figures of each trial by temperature and seed, and of no model."""
    found: dict[str, Any] = {}
    for name in names:
        trial = TRIALS[name]
        one: dict[str, Any] = {"steps": [], "by_temperature": {}}
        base = found.setdefault("baselines", {}).setdefault(str(trial.rate_hz), {})
        for seed in SEEDS:
            one["steps"].append(curve(out / f"{name}-{seed}")[-1][0])
            for temperature in trial.temperatures:
                told = json.loads(judged(out, name, seed, temperature).read_text("utf-8"))
                results = told["results"]
                model = {**results["model"], "free_bits": results.get("free", {}).get("bits")}
                one["by_temperature"].setdefault(f"{temperature:g}", []).append(
                    {key: model.get(key) for key in KEPT})
        base |= {key: results[key]["bits"] for key in ("adaptive", "fixed", "bigram")}
        base |= {key: {kept: results[key].get(kept) for kept in KEPT}
                 for key in ("held_out", "noise")}
        found[name] = one
    return found


def curve(folder: Path) -> list[tuple[int, float, float]]:
    """Step, minutes and bits per sample of every validation of a run."""
    said = map(json.loads, (folder / "metrics.jsonl").read_text("utf-8").splitlines())
    return [(row["step"], row["seconds"] / 60, row["bits_per_sample"])
            for row in said if row["kind"] == "validation"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", choices=TABLES, action="append")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    tables = options.only or list(TABLES)
    options.out.mkdir(parents=True, exist_ok=True)
    for rate in {trial.rate_hz for name in tables for trial in TABLES[name].values()}:
        for held_out in (False, True):
            corpus(options.out, rate, held_out)
    jobs = [(name, seed) for seed in SEEDS for table in tables for name in TABLES[table]]
    each(jobs, lambda job: run(*job, options.out), options.jobs)
    if tables == list(TABLES):
        keep(FIGURES, gathered(options.out, list(TRIALS)))
        from scripts import drawn_tables

        drawn_tables.plot(options.out)
        drawn_tables.render(options.out)


if __name__ == "__main__":
    main()
