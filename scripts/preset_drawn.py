"""Presets that draw sound from notes: measures them, renders what docs/violin.md plays, and what
it, README and cards say of them.

Into docs/sound/: NAME.json (figures of the judge "playing" on movements nobody learns from), and
NAME-WHAT.mp3 and .webp with original-WHAT-RATE.* beside them, the notes' own synthesis.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.files import atomic_write
from engine.presets import preset_settings
from scripts import made_cards
from scripts.made_cards import Shape, cell, target_lines
from scripts.preset_cards import Measured, data_rows, rows, tally, to_hear, unmeasured
from scripts.preset_clips import SOUND, keep
from scripts.preset_measure import (
    SEED,
    WORK,
    Material,
    card_of,
    current,
    digest,
    drawn_names,
    measured,
    short,
    told,
)
from training.evaluation.judges import playing_table
from training.evaluation.targets import Verdict

HELD, MADE = "bach", "made"
HELD_MINUTES, LONG_SECONDS, CLIP_SECONDS = 6.0, 600.0, 5.5
MADE_SEED = 1
KEPT = ("model", "free", "held_out", "shuffled", "noise", "adaptive", "following", "fixed",
        "bigram", "unigram")


def material(name: str) -> Material:
    """Movements that nothing is trained on, performed, with their notes."""
    rate = preset_settings(name)["model"]["sample_rate_hz"]

    def fill(folder: Path) -> None:
        from training.corpus.kinds import write_corpus

        write_corpus("bach", folder, HELD_MINUTES, SEED, rate, held_out=True)

    return Material(HELD, "held-out movements", WORK / f"bach-{rate}", fill)


def measure(name: str) -> None:
    """Everything of a preset, ten minutes without a stop included."""
    from training.evaluation.judges.case import open_case
    from training.evaluation.judges.registry import JUDGES

    own = material(name)
    print(f"{name}: {own.title}", flush=True)
    judge = JUDGES["playing"]
    case = open_case(name, own.ready(), seconds=judge.seconds, seeds=judge.seeds,
                     long_seconds=LONG_SECONDS)
    found = judge(case).result
    trimmed = {"title": own.title, "files": found["files"], "seconds": found["seconds"],
               "generated": found["generated"], "targets": found["targets"],
               "results": {key: found["results"][key] for key in KEPT if key in found["results"]},
               "long": {key: {k: v for k, v in row.items() if not isinstance(v, list)}
                        for key, row in found["long"].items() if isinstance(row, dict)}}
    clips = render(name, own.ready())
    with atomic_write(SOUND / f"{name}.json") as temporary:
        temporary.write_text(told({"preset": name, "weights": digest(name), "clips": clips,
                                   "measured": {HELD: short(trimmed)}}), "utf-8")


def render(name: str, folder: Path) -> dict[str, str]:
    """Clips of a preset, and of the synthesis that it learnt from playing the same notes."""
    from engine.scores.choose import score_notes
    from engine.scores.timed import read_notes
    from training.corpus import bowed
    from training.corpus.draw import stream
    from training.data.audio_folder import scan
    from training.data.decode import read_range

    rate = preset_settings(name)["model"]["sample_rate_hz"]
    count = round(CLIP_SECONDS * rate)
    source = scan(folder).sources[0]
    made = score_notes("bach", MADE_SEED, CLIP_SECONDS, None)
    rng = stream(MADE_SEED, 0, "instrument")
    own = bowed.bowed(made, bowed.draw_violin(rng), count, rate, rng)
    own *= 0.1 / np.sqrt(np.mean(own**2))
    for what, notes, audio in (
        (HELD, read_notes(source.path.with_suffix(".notes")),
         read_range(source, 0, count, rate, 1)),
        (MADE, made, own[None].astype(np.float32)),
    ):
        keep(f"original-{what}-{rate // 1000}k", audio, rate)
        keep(f"{name}-{what}", played(name, notes, count), rate)
    return {HELD: f"movement {source.path.parent.name}, held out",
            MADE: f"made-up music, seed {MADE_SEED}"}


def played(name: str, notes: Any, count: int) -> Any:
    """`count` samples of a preset that plays notes: [1, samples]."""
    from engine.players.base import load
    from engine.scores.conditions import conditions, voices_of

    player = load(name)
    spec = player.description.main
    x = conditions(notes, spec.in_ratio, player.sample_rate_hz, voices_of(spec.input_labels),
                   CLIP_SECONDS + 0.1)
    x = x[:, : x.shape[1] // spec.in_frames * spec.in_frames]
    return player.process(spec.name, x)[:, :count]


# --- what documents say ---------------------------------------------------------------------------


def figures_of(name: str) -> Measured | None:
    """What was measured with the weights that are shipped."""
    found = measured(name) if current(name) else None
    return None if found is None else found["measured"][HELD]


def verdicts(found: Measured) -> list[Verdict]:
    return playing_table.verdicts(found)


PLAYED = {"asked pitch ↑": ("pitch", 2), "clarity ↑": ("clarity", 2), "level dB": ("level_db", 1),
          "jumps →1": ("jumps", 2), "silent seconds ↓": ("quiet_windows", 0),
          "descriptor MMD ↓": ("descriptor_mmd", 3), "loudness jumps apart ↓":
          ("loudness_apart", 3), "spectral jumps apart ↓": ("flux_apart", 3)}


def played_table(found: Measured) -> list[str]:
    """What it draws by itself, beside floors and ceilings."""
    lines = [["", *PLAYED]]
    for key, title in playing_table.SUBJECTS.items():
        if (row := found["results"].get(key)) is not None:
            lines.append([f"**{title}**" if key == "model" else title,
                          *(cell(row.get(name), digits) for name, digits in PLAYED.values())])
    return rows(*lines)


def bits_table(found: Measured) -> list[str]:
    """Bits per sample of held-out sound."""
    known = [(title, row["bits"]) for key, title in playing_table.PREDICTORS.items()
             if (row := found["results"].get(key)) and row.get("bits") is not None]
    return rows(["", *(title for title, _ in known)],
                ["bits per sample ↓", *(f"{bits:.2f}" for _, bits in known)])


def card(name: str, fit_row: str, short_row: Shape,
         main: dict[str, Any]) -> list[str]:
    """A card's lines between its marks; `main`: facts of its method."""
    about = card_of(name)
    rate, parameters, macs, _ = short_row
    found = figures_of(name)
    lines = [
        about["purpose"], "The family: [docs/autoregressive.md](../../docs/autoregressive.md).", "",
        "| | |", "|---|---|", f"| rate, channels | {rate}, {main['out_channels']} |",
        f"| parameters | {parameters} |", f"| arithmetic | {macs} MMAC/s |",
        f"| conditions | {main['in_channels']} channels, a row for {main['in_ratio']} samples |",
        fit_row, *data_rows(name), "", about.get("notes", "")]
    if found is None:
        return [*lines, "", unmeasured(name)]
    about_it = found["generated"]
    return [
        *lines, "", "## How it plays", "",
        f"Hear it: [docs/violin.md](../../docs/violin.md#{name}). Measured on held-out movements, "
        f"{found['files']} files, {found['seconds']:.0f} s; {about_it['sounds']} sounds of "
        f"{about_it['seconds']:g} s are drawn to their scores. What each figure means: "
        "[docs/evaluation.md](../../docs/evaluation.md#playing).", "",
        *target_lines(verdicts(found)), "", *played_table(found), "", *bits_table(found)]


def readme_rows(shapes: dict[str, Shape]) -> list[str]:
    """README's table of presets that draw."""
    def said(name: str, found: Measured) -> list[str]:
        model, best = found["results"]["model"], found["results"]["adaptive"]
        return [cell(model["pitch"]), cell(model["clarity"]),
                f"{model['bits']:.2f} ({best['bits']:.2f})",
                f"[{tally(verdicts(found))}](docs/violin.md#{name})"]

    head = ["asked pitch", "clarity", "bits per sample (adaptive prediction)", "targets"]
    return made_cards.readme_table(head, shapes, figures_of, said)


def page() -> list[str]:
    """docs/violin.md: pictures, players, figures."""
    def said(name: str, found: Measured) -> list[str]:
        rate, about = preset_settings(name)["model"]["sample_rate_hz"] // 1000, measured(name)
        assert about is not None
        table = [["", "the corpus's own synthesis of these notes", "the preset"]]
        for what, title in about["clips"].items():
            table.append([title, to_hear(f"original-{what}-{rate}k", f"synthesis: {title}"),
                          to_hear(f"{name}-{what}", f"{name}: {title}")])
        return [*rows(*table), "", *played_table(found), "", *bits_table(found), "",
                *target_lines(verdicts(found))]

    return made_cards.page(drawn_names(), "##", figures_of, said)
