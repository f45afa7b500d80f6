"""An autoencoder of frames of a spectrogram beside one of the waveform: at equal arithmetic, with
as many latents a second, each trained from scratch for the same processor time on the same sound,
loops or notes, and measured on sound that neither learnt from.

    python -m scripts.frames_trials OUT             trains what is not there, measures, keeps
    python -m scripts.frames_trials OUT --minutes 1 --seeds 1

OUT gets the corpora and a run TRIAL-SEED of each trial; the same command goes on where it was
stopped, and `--keep` writes what is there, of the seeds that have every trial. Figures go into
docs/sound/frames-trials.json; `python scripts/figures.py` writes docs/spectrogram-vae.md's tables.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

from engine.files import atomic_write
from scripts import trial_runs
from scripts.coded_trials import CEILING, FLOOR, HELD
from scripts.coded_trials import figures as coded_figures
from scripts.preset_clips import SOUND
from scripts.preset_measure import link_recordings
from scripts.trial_runs import TUDOR_BY_PROCESSOR, cells, judged, series, steps, tudor

RATE_HZ, MINUTES = 16000, 4.0
LEARNT_MINUTES, LEARNT_SEED, HELD_MINUTES, HELD_SEED = 10, 5, 0.5, 1000
FIGURES = SOUND / "frames-trials.json"
COMMON = "batch_size = 4\ncrop_seconds = 1.0\nlearning_rate = 4e-3\n"
# 125 frames of 16 latents a second, 54 MMAC/s, in both.
SHAPES = {
    "raw_vae": """strides = [4, 2]
widths = [32, 48, 64]
dilations = [1, 3]
compression = 128
bands = 16
latents = 16
""",
    "spectrogram_vae": """fft = 512
hop = 128
frames = 1
latents = 16
width = 120
""",
}
# What is learnt, and what it is measured on: kinds of `tudor corpus`, held out, or recordings.
MATERIALS = {"techno": ("techno", "real"), "notes": ("notes",)}
TITLES = {"techno": "loops, of the kind that was learnt", "real": "five real loops",
          "notes": "notes, of the kind that was learnt"}
TRIALS = tuple(f"{family}-{kind}" for kind in MATERIALS for family in SHAPES)
# Of `tudor evaluate --json`, beside those of coded_trials: where, heading, digits.
COLUMNS = {
    "energy_score": ("sound", "energy score ↓", 3),
    "texture_error_db": ("sound", "texture error dB ↓", 2),
    "octave_error_db": ("sound", "worst octave dB ↓", 1),
    "pitch_kept": ("sound", "pitch within 20 cents ↑", 2),
    "log_mel_db": ("results", "log-mel dB ↓", 2),
    "onset_f": ("results", "onset F ↑", 2),
    "held_at_frame_rate": ("standing", "held latents ↓", 2),
    "spectral_distance": ("results", "distance", 3),
}


def prepare(out: Path) -> None:
    """What is learnt from and measured on, and the shapes."""
    for kind in MATERIALS:
        for folder, minutes, seed in ((out / f"{kind}-learnt", LEARNT_MINUTES, LEARNT_SEED),
                                      (out / f"{kind}-held", HELD_MINUTES, HELD_SEED)):
            if not folder.exists():
                tudor(out / "corpus.log", "corpus", kind, folder, "--minutes", minutes, "--seed",
                      seed, "--rate", RATE_HZ, "--channels", 1)
    if not (out / "real-held").exists():
        link_recordings(out / "real-held", HELD)
    for family, shape in SHAPES.items():
        (out / f"{family}.toml").write_text(
            f'[model]\nfamily = "{family}"\nsample_rate_hz = {RATE_HZ}\n{shape}\n'
            f"[training]\n{COMMON}", "utf-8")


def run(name: str, seed: int, minutes: float, out: Path) -> None:
    """Train and measure a trial, as far as that is still to be done."""
    folder, target = out / f"{name}-{seed}", judged(out, name, seed)
    if target.exists():
        return
    family, kind = name.split("-")
    tudor(folder.with_suffix(".log"), "train", out / f"{family}.toml", "--data",
          out / f"{kind}-learnt", "--out", folder, "--minutes", minutes, "--seed", seed,
          command=TUDOR_BY_PROCESSOR)
    found = {"info": json.loads(tudor(folder.with_suffix(".info"), "info", folder, "--json"))}
    for material in MATERIALS[kind]:
        found[material] = json.loads(tudor(folder.with_suffix(".judged"), "evaluate", folder,
                                           "--data", out / f"{material}-held", "--json"))
    with atomic_write(target) as temporary:
        temporary.write_text(json.dumps(found), "utf-8")


def gathered(out: Path, seeds: list[int], minutes: float) -> dict[str, Any]:
    """What was measured: of each trial the figures of every seed, and of no model at all."""
    found: dict[str, Any] = {"series": {"minutes": minutes, "seeds": seeds}}
    for name in TRIALS:
        kind = name.split("-")[1]
        told = [json.loads(judged(out, name, seed).read_text("utf-8")) for seed in seeds]
        whole = told[0]["info"]["methods"][told[0]["info"]["main"]]
        found[name] = {
            "steps": [steps(out / f"{name}-{seed}") for seed in seeds],
            "bits_per_second": [bits(out / f"{name}-{seed}") for seed in seeds],
            "parameters": told[0]["info"]["parameters"],
            "mmacs": whole["macs_per_second"] / 1e6, "latency_ms": whole["latency_ms"],
            **{material: [figures(one[material], "model") for one in told]
               for material in MATERIALS[kind]}}
        found[f"read_by-{kind}"] = {
            material: {subject: figures(told[0][material], subject)
                       for subject in (FLOOR, CEILING)} for material in MATERIALS[kind]}
    return found


def figures(told: dict[str, Any], subject: str) -> dict[str, float | None]:
    """Of what `tudor evaluate --json` told, what the table has of a subject."""
    return coded_figures(told, subject, COLUMNS)


def bits(folder: Path) -> float:
    """That latents carried in a second at the end of a run."""
    rows = map(json.loads, (folder / "metrics.jsonl").read_text("utf-8").splitlines())
    return float([row["latent_bits_per_second"] for row in rows if row["kind"] == "train"][-1])


# --- what is told of it ---------------------------------------------------------------------------


def table(found: dict[str, Any]) -> list[str]:
    """For each material a table: means of the seeds, and what they are read by."""
    from scripts.preset_cards import rows

    kinds = [kind for kind in MATERIALS if f"read_by-{kind}" in found]
    lines: list[str] = rows(
        ["", "weights", "MMAC/s", "latency", *(f"steps on {kind}" for kind in kinds),
         *(f"kbit/s of {kind}" for kind in kinds)],
        *([f"`{family}`", f"{each[0]['parameters']:,}", f"{each[0]['mmacs']:.1f}",
           f"{each[0]['latency_ms']:.1f} ms", *(f"{mean(one['steps']):.0f}" for one in each),
           *(f"{mean(one['bits_per_second']) / 1000:.1f}" for one in each)]
          for family in SHAPES
          for each in [[found[f"{family}-{kind}"] for kind in kinds]]))
    for kind in kinds:
        for material in MATERIALS[kind]:
            read = found[f"read_by-{kind}"][material]
            lines += ["", *rows(
                [TITLES[material], *(heading for _, heading, _ in COLUMNS.values())],
                *([f"`{family}`", *cells(found[f"{family}-{kind}"][material], COLUMNS)]
                  for family in SHAPES),
                *([title, *cells([read[name]], COLUMNS)] for name, title in (
                    (FLOOR, "noise 128 (floor)"), (CEILING, "1 ms late (ceiling)"))))]
    return lines


def page() -> list[str]:
    """The tables of docs/spectrogram-vae.md; what to run where there are no figures yet."""
    return trial_runs.page(FIGURES, "frames_trials", table)


def main() -> None:
    series(__doc__ or "", MINUTES, TRIALS, FIGURES, prepare, run, gathered)


if __name__ == "__main__":
    main()
