"""Discriminators for models that code sound: none, late, or from the start, each trained from
scratch for the same processor time, and measured on real loops that nobody learns from.

    python -m scripts.coded_trials OUT             trains what is not there, measures, keeps
    python -m scripts.coded_trials OUT --minutes 3 --seeds 2

OUT gets the corpora and a run TRIAL-SEED of each trial; the same command goes on where it was
stopped, and `--keep` writes what is there, of the seeds that have every trial. Figures go into
docs/sound/coded-trials.json; `python scripts/figures.py` writes the table of docs/quality.md.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from engine.files import atomic_write
from scripts import trial_runs
from scripts.preset_cards import rows
from scripts.preset_clips import SAMPLES, SOUND
from scripts.preset_measure import link_recordings
from scripts.trial_runs import TUDOR_BY_PROCESSOR, cells, judged, series, steps, tudor

PRESET, RATE_HZ, MINUTES = "techno-tiny", 16000, 6.0
# What is learnt: kinds of `tudor corpus` and minutes of each, and the recordings that may be.
LEARNT, CORPUS_SEED = {"techno": 10, "breaks": 8}, 5
HELD = ("loop_amen", "loop_breakbeat", "loop_garzul", "loop_industrial", "loop_mika")
FIGURES = SOUND / "coded-trials.json"
FLOOR, CEILING = "noise_128", "shifted"
COMMON = ("training.batch_size=4",)  # twice the steps: discriminators have few as it is
# Of `tudor evaluate --json`: where, heading, digits; all of the model and of what it is read by.
COLUMNS = {
    "energy_score": ("sound", "energy score ↓", 3),
    "texture_db": ("sound", "texture dB", 2),
    "texture_error_db": ("sound", "texture error dB ↓", 2),
    "modulation_ratio": ("sound", "modulation →1", 2),
    "octave_error_db": ("sound", "worst octave dB ↓", 1),
    "log_mel_db": ("results", "log-mel dB ↓", 2),
    "onset_f": ("results", "onset F ↑", 2),
    "held_at_frame_rate": ("standing", "held latents ↓", 2),
    "spectral_distance": ("results", "distance", 3),
}


@dataclass(frozen=True)
class Trial:
    """`title` in the table; settings of `training.adversarial`."""

    title: str
    settings: tuple[str, ...] = ()


TRIALS = {
    "none": Trial("none"),
    "late": Trial("late: in the last 40 %, the encoder standing still",
                  ("start=0.6", "warmup_steps=50")),
    # Nothing is learnt yet, so nothing may stand still and the model keeps its own rate.
    "start": Trial("from the start, the encoder trained on",
                   ("start=0.0", "warmup_steps=50", "freeze_encoder=false", "model_rate=4e-3")),
}


def learnt(out: Path) -> Path:
    """What all of them learn from, made once."""
    folder = out / "learnt"
    if not folder.exists():
        making = out / "learnt.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        for kind, minutes in LEARNT.items():
            tudor(out / f"{kind}.log", "corpus", kind, making / kind, "--minutes", minutes,
                  "--seed", CORPUS_SEED, "--rate", RATE_HZ, "--channels", 1)
        tudor(out / "real.log", "corpus", "real", making / "real", "--from", SAMPLES, "--licence",
              "CC0 1.0, freesound.org, see licence/README.md")
        making.rename(folder)
    return folder


def held(out: Path) -> Path:
    """What all of them are measured on."""
    folder = out / "held"
    if not folder.exists():
        link_recordings(folder, HELD)
    return folder


def run(name: str, seed: int, minutes: float, out: Path) -> None:
    """Train and measure a trial, as far as that is still to be done."""
    folder, target = out / f"{name}-{seed}", judged(out, name, seed)
    if target.exists():
        return
    settings = [word for said in (*COMMON, *assigned(name)) for word in ("--set", said)]
    tudor(folder.with_suffix(".log"), "train", PRESET, "--data", learnt(out), "--out", folder,
          "--minutes", minutes, "--seed", seed, *settings, command=TUDOR_BY_PROCESSOR)
    told = tudor(folder.with_suffix(".judged"), "evaluate", folder, "--data", held(out), "--json")
    with atomic_write(target) as temporary:
        temporary.write_text(told, "utf-8")


def assigned(name: str) -> list[str]:
    """Settings of a trial as `--set` takes them."""
    return [f"training.adversarial.{said}" for said in TRIALS[name].settings]


def gathered(out: Path, seeds: list[int], minutes: float) -> dict[str, Any]:
    """What was measured: of each trial the figures of every seed, and of no model at all."""
    found: dict[str, Any] = {"series": {"minutes": minutes, "seeds": seeds}}
    for name in TRIALS:
        told = [json.loads(judged(out, name, seed).read_text("utf-8")) for seed in seeds]
        found[name] = {"steps": [steps(out / f"{name}-{seed}") for seed in seeds],
                       "figures": [figures(one, "model") for one in told]}
    found["read_by"] = {name: figures(told[0], name) for name in (FLOOR, CEILING, "original")}
    return found


def figures(told: dict[str, Any], subject: str,
            columns: dict[str, tuple[str, str, int]] = COLUMNS) -> dict[str, float | None]:
    """Of what `tudor evaluate --json` told, what the table has of a subject."""
    where = {"sound": told["sound"]["subjects"].get(subject, {}),
             "results": told["results"].get(subject, {}),
             "standing": told["standing"] if subject == "model" else {}}
    return {key: where[place].get(key) for key, (place, _, _) in columns.items()}


# --- what is told of it ---------------------------------------------------------------------------


def table(found: dict[str, Any]) -> list[str]:
    """Means of the seeds, the range that they have, and what they are read by."""
    read = found["read_by"]
    lines = [["", *(heading for _, heading, _ in COLUMNS.values()), "steps"]]
    lines += [[trial.title, *cells(found[name]["figures"], COLUMNS),
               f"{mean(found[name]['steps']):.0f}"]
              for name, trial in TRIALS.items()]
    lines += [[title, *cells([read[name]], COLUMNS), "-"]
              for name, title in ((FLOOR, "noise 128 (floor)"), (CEILING, "1 ms late (ceiling)"),
                                  ("original", "original"))]
    return rows(*lines)


def page() -> list[str]:
    """The table of docs/quality.md; what to run where there are no figures yet."""
    return trial_runs.page(FIGURES, "coded_trials", table)


def main() -> None:
    series(__doc__ or "", MINUTES, TRIALS, FIGURES, learnt, run, gathered)


if __name__ == "__main__":
    main()
