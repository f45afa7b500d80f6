"""What docs/violin.md says of the trials of `scripts/drawn_trials.py`: tables, learning curves, and
the first seed's sound."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

from engine.files import atomic_write
from scripts.drawn_trials import FIGURES, SEEDS, TABLES, corpus, curve
from scripts.preset_cards import rows, to_hear
from scripts.preset_clips import SOUND, keep
from scripts.trial_runs import spread

CURVES = SOUND / "drawn-trials.webp"
HEARD = "after"  # whose trials are played side by side
CLIP_SECONDS = 5.0
TITLES = {"bits": ("bits ↓", 2), "free_bits": ("bits without conditions ↓", 2),
          "pitch": ("asked pitch ↑", 2), "clarity": ("clarity ↑", 2), "level_db": ("level dB", 1),
          "jumps": ("jumps →1", 2), "descriptor_mmd": ("descriptor MMD ↓", 3),
          "loudness_apart": ("loudness jumps apart ↓", 3),
          "flux_apart": ("spectral jumps apart ↓", 3)}


def table(found: dict[str, Any], name: str) -> list[str]:
    """Means of the seeds, and the range that they have."""
    keys = [key for key in TITLES if name != "likelihood" or key in ("bits", "free_bits")]
    warm = any(len(trial.temperatures) > 1 for trial in TABLES[name].values())
    lines = [["", *(["temperature"] if warm else []), *(TITLES[key][0] for key in keys), "steps"]]
    for trial, one in ((TABLES[name][key], found[key]) for key in TABLES[name]):
        for temperature, seeds in one["by_temperature"].items():
            lines.append([trial.title, *([temperature] if warm else []),
                          *(spread([seed.get(key) for seed in seeds], TITLES[key][1])
                            for key in keys), f"{mean(one['steps']):.0f}"])
    rate = str(next(iter(TABLES[name].values())).rate_hz)
    base = found["baselines"][rate]
    if name == "likelihood":
        for key, title in (("adaptive", "32 taps, adaptive"), ("fixed", "32 taps, fixed"),
                           ("bigram", "bigram")):
            lines.append([title, f"{base[key]:.2f}", "-", "-"])
        return rows(*lines)
    for key, title in (("held_out", "real sound of the scores (ceiling)"),
                       ("noise", "noise with its envelopes (floor)")):
        lines.append([title, *(["-"] if warm else []),
                      *(spread([base[key].get(kept)], TITLES[kept][1]) for kept in keys), "-"])
    return rows(*lines)


def page(name: str) -> list[str]:
    """A table of docs/violin.md; what to run where there are no figures yet."""
    if not FIGURES.exists():
        return ["*Not run yet: `python -m scripts.drawn_trials OUT`.*"]
    lines = table(json.loads(FIGURES.read_text("utf-8")), name)
    if name == HEARD:
        trials = TABLES[name]
        lines += ["", *rows([trial.title for trial in trials.values()],
                            [to_hear(f"drawn-{key}", trial.title)
                             for key, trial in trials.items()])]
    return lines


def plot(out: Path) -> None:
    """Learning curves, a line for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(TABLES), figsize=(4.2 * len(TABLES), 3.2),
                                layout="constrained", squeeze=False)
    for axis, table in zip(axes[0], TABLES, strict=True):
        for number, (name, trial) in enumerate(TABLES[table].items()):
            for seed in SEEDS:
                found = curve(out / f"{name}-{seed}")
                axis.plot([at for _, at, _ in found], [bits for *_, bits in found],
                          color=f"C{number}", linewidth=1,
                          label=trial.title.replace("`", "") if seed == SEEDS[0] else None)
        axis.set_xlabel("minutes")
        axis.set_ylabel("validation, bits per sample")
        axis.legend(fontsize=7)
    axes[0][0].set_ylim(top=6.5)
    with atomic_write(CURVES) as temporary:
        figure.savefig(temporary, dpi=90, format="webp", pil_kwargs={"quality": 80, "method": 6})
    plt.close(figure)


def render(out: Path) -> None:
    """The same held-out notes by the trials that begin with a preset, first seed."""
    from engine.scores.timed import read_notes
    from scripts.preset_drawn import played
    from training.data.audio_folder import scan

    source = scan(corpus(out, 8000, True)).sources[0]
    for name, trial in TABLES[HEARD].items():
        audio = played(str(out / f"{name}-{SEEDS[0]}"), read_notes(source.path.with_suffix(
            ".notes")), round(CLIP_SECONDS * trial.rate_hz))
        keep(f"drawn-{name}", audio, trial.rate_hz)
