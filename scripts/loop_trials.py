"""Second levels of loops: what a plan is learnt by, plan against flow, steps of a flow, what hears
the chunks before it, tokens in its place (`scripts/loop_tokens`), lengths of a code; each trained
from scratch for the same processor time, judged on loops nobody learns from.

    python -m scripts.loop_trials OUT             trains what is not there, measures, keeps
    python -m scripts.loop_trials OUT --minutes 4 --seeds 2
    python -m scripts.loop_trials OUT --only samples flow-1 transformer tokens

OUT gets the corpora and a run TRIAL-SEED of each trial; the same command goes on where it was
stopped, and `--keep` writes what is there, of the seeds that have every trial that is asked for.
Figures go into docs/sound/loop-trials.json; `python scripts/figures.py` writes the tables of
docs/loops.md.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

from engine.description import GENERATE
from engine.files import atomic_write
from engine.models.base import Model
from engine.scores.loops import KNOBS
from scripts import trial_runs
from scripts.loop_lengths import lengths, objective_of
from scripts.preset_cards import rows
from scripts.preset_clips import SOUND
from scripts.trial_runs import cells, judged, series, share_cache, spread, steps, tudor

# The command with the family of tokens; in training with minutes of processor time.
_TOKENS = "from scripts.loop_tokens.__main__ import main, register; register(); main()"
JUDGING = (sys.executable, "-c", _TOKENS)
TRAINING = (sys.executable, "-c",
            f"import time; time.monotonic = time.process_time; {_TOKENS}")
CODER, MINUTES = "techno-tiny", 6.0
LEARNT, HELD = ("techno", 200, 0), ("techno", 4, 1000)  # kind, minutes and seed of `tudor corpus`
FIGURES = SOUND / "loop-trials.json"
SHAPE = {"width": 160, "layers": 3}
FLOW = {"history_width": 96, "history": 3, "flow_width": 256}
# For the arithmetic of those three layers (a test holds that), which hear 8 chunks.
TRANSFORMER = {"backbone": "transformer", "history_width": 92, "history": 2, "heads": 4,
               "window": 8, "flow_width": 256}
LONGER = {**TRANSFORMER, "window": 32}  # two seconds
COMMON = {"data": "loops", "batch_size": 16, "crop_seconds": 4.0, "learning_rate": 1.5e-3,
          "warmup_steps": 100, "code_weight": 0.8}
PLAIN = {"obedience": 0.0}  # only where a trial is of that
# Of the judge's figures: heading, digits.
COLUMNS = {
    "descriptor_mmd": ("descriptor MMD ↓", 3), "rhythm_mmd": ("rhythm MMD ↓", 3),
    "beat": ("beat", 2), "bar": ("bar", 2), "lock16": ("lock16", 2), "lock4": ("lock4", 2),
    "tempo_hit": ("tempo hit ↑", 2), "level_error_db": ("level dB", 1),
    "neighbour_low_db": ("nearest 5 % dB", 1),
}
FLOORS = {"real": "held-out loops (ceiling)", "codec": "through the codec (ceiling)",
          "own_steps": "own quarter-beats shuffled (floor)",
          "shuffled_latents": "shuffled latents (floor)",
          "own_frames": "own frames shuffled (floor)",
          "gaussian": "N(0, 1) latents (floor)"}


@dataclass(frozen=True)
class Trial:
    """`title` in the table; more of its shape than the plan's; which run it is of, the steps it is
    judged with, and whether plans are as they were learnt; more of its `[training]` than all
    have."""

    title: str
    family: str
    objective: str
    loss_on: str = "samples"
    shape: dict[str, Any] = field(default_factory=dict)
    steps: int = 1
    run: str = ""
    plain: bool = False
    training: dict[str, Any] = field(default_factory=dict)  # further settings


def _plan(title: str, loss_on: str) -> Trial:
    return Trial(title, "latent_vae", "loop_plan", loss_on, training=PLAIN)


def _flow(title: str, shape: dict[str, Any], steps: int = 1, run: str = "") -> Trial:
    return Trial(title, "latent_flow", "loop_flow", shape=shape, steps=steps, run=run,
                 training=PLAIN)


TRIALS = {
    "samples": _plan("VAE 2, likelihood of latents drawn", "samples"),
    "means": _plan("VAE 2, likelihood of means", "means"),
    "noisy-codes": replace(_plan("VAE 2, codes with noise of .4", "samples"),
                           training={**PLAIN, "code_noise": 0.4}),
    "posteriors": _plan("VAE 2, divergence of posteriors", "posteriors"),
    **{f"flow-{steps}": _flow(f"flow, {steps} step{'s' if steps > 1 else ''}", FLOW, steps,
                              "flow-1") for steps in (1, 2, 4, 32)},
    "flow-plain": replace(_flow("flow, 1 step, plans not set apart", FLOW, run="flow-1"),
                          plain=True),
    "obeys": replace(_flow("flow, 1 step, knobs swapped in training", FLOW),
                     training={"obedience": 12.0}),
    "transformer": _flow("flow, 1 step, transformer, windows of 8 chunks", TRANSFORMER),
    "transformer-32": _flow("flow, 1 step, transformer, windows of 32 chunks", LONGER),
    "tokens": Trial("tokens of 8 codebooks", "loop_tokens", "loop_tokens"),
}


def corpus(out: Path, name: str, made: tuple[str, int, int]) -> Path:
    """A folder of sounds, made once."""
    folder, (kind, minutes, seed) = out / name, made
    if not folder.exists():
        making = out / f"{name}.making"
        shutil.rmtree(making, ignore_errors=True)
        tudor(out / f"{name}.log", "corpus", kind, making, "--minutes", minutes, "--seed", seed)
        making.rename(folder)
    return folder


def corpora(out: Path) -> None:
    """What is learnt from, and what all are judged by."""
    corpus(out, "learnt", LEARNT)
    corpus(out, "held", HELD)


def configuration(trial: Trial) -> str:
    """A trial's file for `tudor train`."""
    model = {"family": trial.family, **SHAPE, **trial.shape}
    training = {"objective": trial.objective, "coder": CODER, **COMMON, "loss_on": trial.loss_on,
                **trial.training}
    return "\n".join(["[model]", *(f"{key} = {json.dumps(value)}" for key, value in model.items()),
                      "", "[training]",
                      *(f"{key} = {json.dumps(value)}" for key, value in training.items()), ""])


def run(name: str, seed: int, minutes: float, out: Path) -> None:
    """Train and measure a trial, as far as that is still to be done."""
    trial, target = TRIALS[name], judged(out, name, seed)
    if target.exists():
        return
    folder = out / f"{trial.run or name}-{seed}"
    done = folder.with_suffix(".trained")
    if not done.exists():
        file = out / f"{trial.run or name}.toml"
        file.write_text(configuration(trial), "utf-8")
        share_cache(folder)
        tudor(folder.with_suffix(".log"), "train", file, "--data", corpus(out, "learnt", LEARNT),
              "--out", folder, "--minutes", minutes, "--seed", seed, command=TRAINING)
        done.touch()
    if trial.steps > 1 or trial.plain:
        folder = changed(folder, trial, out / f"{name}-{seed}")
    told = tudor(target.with_suffix(".judged"), "evaluate", folder,
                 "--data", corpus(out, "held", HELD), "--json", command=JUDGING)
    found = {**json.loads(told), "macs_per_second": macs_per_second(folder)}
    if trial.family == "latent_vae":
        found["lengths"] = lengths(folder, corpus(out, "held", HELD), out / "held-cache")
    with atomic_write(target) as temporary:
        temporary.write_text(json.dumps(found), "utf-8")


def macs_per_second(folder: Path) -> float:
    """Of what makes a run's latents."""
    from engine.models.store import load_model
    from scripts.loop_tokens.__main__ import register

    register()
    return macs_of(load_model(str(folder)).model)


def macs_of(model: Model) -> float:
    """A second, of `generate`."""
    rate, total = model.sample_rate_hz / model.methods[GENERATE].in_ratio, 0.0
    for layer in model.layers_of(GENERATE):
        total += layer.macs_per_second(rate)
        rate /= float(layer.ratio)
    return total


def changed(folder: Path, trial: Trial, to: Path) -> Path:
    """A run's copy that takes the trial's steps, its plans as they were learnt if it says so;
    spread and knobs are matched anew."""
    import tomli_w

    from engine.files import WEIGHTS_FILE
    from engine.models.store import load_model, read_settings, save_weights
    from training.objectives.loop_finish import match_knobs, match_spread, rows_of_all, set_apart

    settings = read_settings(folder / "config.toml")
    settings["model"]["steps"] = trial.steps
    to.mkdir(exist_ok=True)
    shutil.copy(folder / WEIGHTS_FILE, to / WEIGHTS_FILE)
    shutil.copy(folder / "held_out.json", to / "held_out.json")
    (to / "config.toml").write_text(tomli_w.dumps(settings), "utf-8")
    model: Any = load_model(str(to)).model
    objective: Any = objective_of(model, settings)
    rows = rows_of_all(model, objective.knob_mean)
    if trial.plain:
        set_apart(model, rows, 1 / objective.config.plan_contrast)
    # As before any gain: what `heard` takes off.
    scale, bias = model.heard.weight[:, 0, 0], model.heard.bias
    model.made.set(1 / scale, -bias / scale)
    match_spread(model, rows)
    match_knobs(model, rows)
    save_weights(model, to / WEIGHTS_FILE)
    return to


def gathered(out: Path, seeds: list[int], minutes: float, names: list[str]) -> dict[str, Any]:
    """What was measured: of each trial the figures of every seed, and what they are read by."""
    found: dict[str, Any] = {"series": {"minutes": minutes, "seeds": seeds}}
    for name in names:
        trial = TRIALS[name]
        told = [json.loads(judged(out, name, seed).read_text("utf-8")) for seed in seeds]
        found[name] = {
            "steps": [steps(out / f"{trial.run or name}-{seed}") for seed in seeds],
            "figures": [{**{key: one["results"]["model"].get(key) for key in COLUMNS},
                         "code_rank": one["code_rank"],
                         **{f"{knob} knob": turned["spearman"]
                            for knob, turned in one["knobs"].items()},
                         "mmacs": one["macs_per_second"] / 1e6} for one in told]}
        if trial.family == "latent_vae":
            found[name]["lengths"] = [one["lengths"] for one in told]
    found["read_by"] = {name: {key: told[0]["results"].get(name, {}).get(key) for key in COLUMNS}
                        for name in FLOORS if name in told[0]["results"]}
    return found


# --- what is told of it ---------------------------------------------------------------------------


def table(found: dict[str, Any]) -> list[str]:
    """Means of the seeds, the range that they have, and what they are read by."""
    columns = {**COLUMNS, "code_rank": ("code: rank ↓", 2),
               **{f"{knob} knob": (f"{knob} ↑", 2) for knob in KNOBS}, "mmacs": ("MMAC/s", 1)}
    lines = [["", *(heading for heading, _ in columns.values()), "training steps"]]
    lines += [[trial.title, *cells(found[name]["figures"], columns),
               f"{mean(found[name]['steps']):.0f}"]
              for name, trial in TRIALS.items() if name in found]
    lines += [[FLOORS[name], *cells([row], columns), "-"] for name, row in found["read_by"].items()]
    return rows(*lines)


def length_table(found: dict[str, Any]) -> list[str]:
    """What each length of a code costs and gives, of the plan learnt by drawn latents."""
    if "samples" not in found:
        return ["*Not among the trials that were run.*"]
    of_seeds = found["samples"]["lengths"]
    lines = [["codes for a window", "nats a frame ↓", "explained ↑", "nats in a code",
              "descriptor MMD ↓", "rhythm MMD ↓", "bar", "MMD halfway / at the ends →1",
              "largest step / range: loudness ↓", "centroid ↓"]]
    for at in zip(*of_seeds, strict=True):
        def cell(*keys: str, digits: int = 2, at: tuple[Any, ...] = at) -> str:
            values = list(at)
            for key in keys:
                values = [value[key] for value in values]
            return spread(values, digits)

        lines.append([
            str(at[0]["codes"]), cell("nats_per_frame"), cell("explained"),
            cell("code_nats", digits=1), cell("descriptor_mmd", digits=3),
            cell("rhythm_mmd", digits=3), cell("bar"), cell("path", "middle_over_ends"),
            cell("path", "level_db", "largest_step"),
            cell("path", "centroid_octaves", "largest_step")])
    return rows(*lines)


def page(what: str) -> list[str]:
    """A table of docs/loops.md, `levels` or `lengths`."""
    return trial_runs.page(FIGURES, "loop_trials", table if what == "levels" else length_table)


def main() -> None:
    series(__doc__ or "", MINUTES, TRIALS, FIGURES, corpora, run, gathered, choice=True)


if __name__ == "__main__":
    main()
