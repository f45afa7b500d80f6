"""Drum voices by a game: with and without mode seeking, and whole clips of a DCGAN with Griffin-Lim
(`scripts/stroke_clips`), without and with classes; each trained from scratch for the same processor
time on the same strokes, and judged by what is heard, on strokes that nobody learnt from. So is the
preset when it goes on for as long, with and without mode seeking.

    python -m scripts.stroke_trials OUT             trains what is not there, measures, keeps
    python -m scripts.stroke_trials OUT --minutes 1 --seeds 2
    python -m scripts.stroke_trials OUT --only seeking clip-classes

OUT gets the corpora and a run TRIAL-SEED of each trial; the same command goes on where it was
stopped, and `--keep` writes what is there, of the seeds that have every trial that is asked for.
Figures go into docs/sound/stroke-trials.json; `python scripts/figures.py` writes the tables of
docs/drums.md.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.files import atomic_write
from scripts import trial_runs
from scripts.preset_cards import rows
from scripts.preset_clips import SOUND
from scripts.preset_strokes import link_strokes
from scripts.trial_runs import cells, judged, series, steps, tudor
from training.evaluation.judges.strokes import COLUMNS as JUDGED
from training.evaluation.judges.strokes import SUBJECTS

# The command with the family of clips; minutes are of processor time.
TRAINING = (sys.executable, "-c", "import time; time.monotonic = time.process_time; "
            "from scripts.stroke_clips.__main__ import main, register; register(); main()")
PRESET, MINUTES = "drums", 4.0
FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
# Folders of `tudor corpus drums`: minutes, seed, whether the kits of the soundfont.
SYNTHETIC, OF_FONT = ("learnt/synthetic", 8, 1, False), ("learnt/font", 3, 7, True)
HELD, SPARE = ("held", 3, 1000, False), ("spare", 2, 2000, False)
MATERIALS = {"held": "held-out strokes of the synthesiser",
             "real": "recorded strokes nobody learnt from"}
FIGURES = SOUND / "stroke-trials.json"
CLIP: dict[str, Any] = {
    "family": "stroke_clip", "sample_rate_hz": 48000, "fft": 1024, "hop": 256, "frames": 176,
    "z": 64, "width": 16}
# A crop is one whole stroke; rates are those of pictures (training/images/recipes.py).
CLIP_TRAINING: dict[str, Any] = {
    "objective": "clip_game", "data": "hits", "retriggers": 0.0, "waiting": 0.0, "tuned": 0.0,
    "crop_seconds": CLIP["frames"] * CLIP["hop"] / CLIP["sample_rate_hz"], "batch_size": 16,
    "learning_rate": 2e-3, "betas": [0.5, 0.9], "final_rate": 0.1, "warmup_steps": 20,
    "ema_decay": 0.999}
COLUMNS = {**{column.key: (column.heading, 2) for column in JUDGED},
           "heard_classes": ("classes heard", 1)}
# Of what is made without classes nothing can be said of each of them.
OF_CLASSES = ("class_accuracy", "taught_accuracy", "diversity")
SHAPES = {"steps": ("steps", 0), "parameters": ("weights", 0), "mmacs": ("MMAC for a stroke", 0),
          "stroke_ms": ("ms for a stroke, PyTorch", 0),
          "gap": ("asked for and heard, nepers", 2), "click": ("corner where cut off", 2)}
WALLS = {"recordings": SUBJECTS["recordings"], "kept": "recordings as such clips, by Griffin-Lim "
         "(ceiling of clips)", "shuffled": SUBJECTS["shuffled"],
         "class_means": SUBJECTS["class_means"], "untrained": "untrained frames (floor)"}


@dataclass(frozen=True)
class Trial:
    """`title` in the table; settings of the preset, or whether a clip is asked for classes; whether
    it begins with the weights that ship."""

    title: str
    settings: tuple[str, ...] = ()
    asks: bool | None = None
    goes_on: bool = False


# The game begins at once: what ships has learnt what comes before it.
AT_ONCE = "training.adversarial.start=0.0"
NO_SEEKING = "training.mode_seeking=0.0"
TRIALS = {
    "seeking": Trial("frames, mode seeking"),
    "no-seeking": Trial("frames, no mode seeking", (NO_SEEKING,)),
    "clip": Trial("whole clips, no classes", asks=False),
    "clip-classes": Trial("whole clips, classes", asks=True),
    "on-seeking": Trial(f"`{PRESET}` goes on, mode seeking", (AT_ONCE,), goes_on=True),
    "on-no-seeking": Trial(f"`{PRESET}` goes on, no mode seeking", (AT_ONCE, NO_SEEKING),
                           goes_on=True),
}


def prepare(out: Path) -> None:
    """What is learnt from, what all are judged by, and what is clips by itself."""
    for name, minutes, seed, of_font in (SYNTHETIC, OF_FONT, HELD, SPARE):
        folder = out / name
        if folder.exists() or (of_font and not FONT.exists()):
            continue
        making = out / f"{folder.name}.making"
        shutil.rmtree(making, ignore_errors=True)
        tudor(out / f"{folder.name}.log", "corpus", "drums", making, "--minutes", minutes,
              "--genre", "all", "--seed", seed, "--rate", CLIP["sample_rate_hz"], "--channels", 1,
              *(("--soundfont", FONT) if of_font else ()))
        folder.parent.mkdir(exist_ok=True)
        making.rename(folder)
    if not (out / "real").exists():
        link_strokes(out / "real")


def configuration(trial: Trial) -> str:
    """The file of a trial of clips for `tudor train`."""
    tables = {"model": {**CLIP, "asks": trial.asks}, "training": CLIP_TRAINING}
    return "\n".join(line for name, table in tables.items() for line in (
        f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items()), ""))


def run(name: str, seed: int, minutes: float, out: Path) -> None:
    """Train and measure a trial, as far as that is still to be done."""
    from scripts.stroke_clips import measuring

    trial, target = TRIALS[name], judged(out, name, seed)
    if target.exists():
        return
    folder, recipe = out / f"{name}-{seed}", PRESET
    done = folder.with_suffix(".trained")
    if not done.exists():
        if trial.asks is not None:
            file = out / f"{name}.toml"
            file.write_text(configuration(trial), "utf-8")
            recipe = str(file)
        settings = [word for said in trial.settings for word in ("--set", said)]
        settings += ["--from", PRESET] if trial.goes_on else []
        tudor(folder.with_suffix(".log"), "train", recipe, "--data", out / "learnt", "--out",
              folder, "--minutes", minutes, "--seed", seed, *settings, command=TRAINING)
        done.touch()
    write(target, measuring.measured(folder, out, list(MATERIALS), plays=seed == 1))
    if not (out / "walls.json").exists():
        write(out / "walls.json", measuring.walls(folder, out, list(MATERIALS), SPARE[0], CLIP))


def write(path: Path, found: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(found), "utf-8")


def gathered(out: Path, seeds: list[int], minutes: float, names: list[str]) -> dict[str, Any]:
    """What was measured: of each trial the figures of every seed, and what they are read by."""
    found: dict[str, Any] = {"series": {"minutes": minutes, "seeds": seeds}}
    for name in names:
        told = [json.loads(judged(out, name, seed).read_text("utf-8")) for seed in seeds]
        unknown = OF_CLASSES if TRIALS[name].asks is False else ()
        found[name] = {
            "shape": [{**one["shape"], "steps": steps(out / f"{name}-{seed}")}
                      for one, seed in zip(told, seeds, strict=True)],
            **{key: [{column: one[key].get(column) for column in COLUMNS if column not in unknown}
                     for one in told] for key in MATERIALS}}
    found["read_by"] = json.loads((out / "walls.json").read_text("utf-8"))
    return found


# --- what is told of it ---------------------------------------------------------------------------


def table(found: dict[str, Any]) -> list[str]:
    """What each is, and for each material a table: means of the seeds, the range that they have,
    and what they are read by."""
    names = [name for name in TRIALS if name in found]
    lines: list[str] = rows(
        ["", *(heading for heading, _ in SHAPES.values())],
        *([TRIALS[name].title, *cells(found[name]["shape"], SHAPES)] for name in names))
    for material, title in MATERIALS.items():
        read = found["read_by"][material]
        lines += ["", f"**{title}**, {read['files']}:", "", *rows(
            ["", *(heading for heading, _ in COLUMNS.values())],
            *([TRIALS[name].title, *cells(found[name][material], COLUMNS)] for name in names),
            *([title, *cells([read[name]], COLUMNS)] for name, title in WALLS.items()
              if name in read))]
    return lines


def page() -> list[str]:
    """The tables of docs/drums.md; what to run where there are no figures yet."""
    return trial_runs.page(FIGURES, "stroke_trials", table)


def main() -> None:
    series(__doc__ or "", MINUTES, TRIALS, FIGURES, prepare, run, gathered, choice=True)


if __name__ == "__main__":
    main()
