"""Presets of voices that a gate triggers: measures them, renders what docs/drums.md and
docs/notes.md play, and what these, README and cards say of them. `preset_notes.py` has what is
other for notes.

Into docs/sound/: NAME.json (figures of the judge "strokes" on strokes of the synthesiser and on
recordings, of both of which nothing is learnt), and NAME-WHAT.mp3 and .webp, with
original-strokes-RATE.* beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.files import atomic_write
from engine.presets import preset_settings
from scripts import made_cards, preset_notes
from scripts.made_cards import Shape, cell, players, target_lines
from scripts.preset_cards import EXPORTED, Measured, data_rows, rows, tally, unmeasured
from scripts.preset_clips import SAMPLES, SOUND, keep, played
from scripts.preset_measure import (
    SEED,
    WORK,
    Material,
    card_of,
    current,
    digest,
    measured,
    short,
    stroke_names,
    told,
)
from scripts.preset_notes import is_pitched
from training.evaluation.judges.strokes import COLUMNS, NOTE_COLUMNS, SUBJECTS
from training.evaluation.stroke_targets import verdicts

FloatArray = NDArray[np.float32]
HELD, REAL = "held", "real"
HELD_MINUTES, LEARNT_MINUTES, LEARNT_SEED = 5.0, 12.0, 1
# Recordings by class, of which nothing is learnt: names in Debian's sonic-pi-samples.
RECORDED = {
    "kick": ("bd_*", "drum_bass_*", "drum_heavy_kick", "elec_hollow_kick", "elec_soft_kick"),
    "snare": ("sn_*", "drum_snare_*", "elec_*snare"),
    "tom": ("drum_tom_*", "elec_fuzz_tom"),
    "cymbal": ("drum_cymbal_hard", "drum_cymbal_soft", "drum_splash_*", "elec_cymbal"),
    "hat_closed": ("drum_cymbal_closed", "drum_cymbal_pedal"), "hat_open": ("drum_cymbal_open",),
    "clap": ("perc_snap*",), "cowbell": ("drum_cowbell",)}
KIT_GENRE, EVERY_S, SMALL = "house", 0.34, 0.75
MORPH = ("kick", "tom", "cowbell")
PAIR = ("kick", "snare")
ORIGINAL = "original-strokes"


def materials(name: str) -> dict[str, Material]:
    """What it is measured on, by key, and under "learnt" what a classifier learns from."""
    if is_pitched(name):
        return preset_notes.materials(name, HELD, REAL)
    rate = preset_settings(name)["model"]["sample_rate_hz"]

    def made(title: str, seed: int, minutes: float) -> Material:
        def fill(folder: Path) -> None:
            from training.corpus.kinds import write_corpus

            write_corpus("drums", folder, minutes, seed, rate, 1, genres=("all",))

        return Material(HELD, title, WORK / f"strokes-{rate}-{seed}", fill)

    return {HELD: made("held-out strokes of the synthesiser", SEED, HELD_MINUTES),
            REAL: Material(REAL, "recorded strokes nobody learnt from", WORK / "strokes-recorded",
                           link_strokes),
            "learnt": made("learnt strokes", LEARNT_SEED, LEARNT_MINUTES)}


def link_strokes(folder: Path) -> None:
    """Links to recordings, in a folder for each class."""
    for name, patterns in RECORDED.items():
        found = [path for pattern in patterns for path in sorted(SAMPLES.glob(f"{pattern}.flac"))]
        if not found:
            raise SystemExit(f"{SAMPLES} lacks the recordings that presets are measured on: "
                             "apt install sonic-pi-samples")
        (folder / name).mkdir(parents=True)
        for path in found:
            (folder / name / path.name).symlink_to(path)


def measure(name: str) -> None:
    """Everything of a preset: minutes of one core."""
    parts, dtype = materials(name), card_of(name)["dtype"]
    learnt = parts.pop("learnt").ready()
    found = {}
    for key, material in parts.items():
        print(f"{name}: {material.title}", flush=True)
        found[key] = {"title": material.title, **_judged(name, material, learnt)}
        if dtype != "float32":
            from scripts.quantised import ready

            own = _judged(ready(name, dtype), material, learnt, baselines=False)
            found[key]["results"][EXPORTED] = own["results"]["model"]
    clips = (preset_notes.render if is_pitched(name) else render)(name, parts[HELD].ready())
    with atomic_write(SOUND / f"{name}.json") as temporary:
        temporary.write_text(told({"preset": name, "weights": digest(name), "clips": clips,
                                   "measured": short(found)}), "utf-8")


def _judged(model: str | Path, material: Material, learnt: Path, baselines: bool = True
            ) -> dict[str, Any]:
    from training.evaluation.judges.case import open_case
    from training.evaluation.judges.registry import JUDGES

    judge = JUDGES["strokes"]
    case = open_case(model, material.ready(), seconds=judge.seconds, seeds=judge.seeds,
                     learnt=learnt, baselines=baselines)
    found = judge(case).result
    return {key: found[key] for key in ("files", "learnt", "results", "played", "targets")}


# --- what is heard --------------------------------------------------------------------------------


def render(name: str, folder: Path) -> dict[str, str]:
    """Clips of a preset, and one of held-out strokes: what each shows."""
    from engine.players.base import load
    from training.data.audio_folder import Source, scan
    from training.data.decode import read_range
    from training.data.hit_facts import read_strokes, stroke_of

    config = preset_settings(name)["model"]
    rate, classes = config["sample_rate_hz"], list(config["classes"])
    every = round(EVERY_S * rate)
    originals = np.zeros((1, every * len(classes)), np.float32)
    table, first = read_strokes(folder), dict[str, Source]()
    for source in scan(folder).sources:
        stroke = stroke_of(source.name, table)
        if stroke is not None and stroke.subclass == KIT_GENRE:
            first.setdefault(stroke.of_class, source)
    for place, of_class in enumerate(classes):
        sound = read_range(first[of_class], 0, every, rate, 1)[0][:every]
        originals[0, place * every :][: len(sound)] = sound
    keep(f"{ORIGINAL}-{rate // 1000}k", originals, rate, SMALL)

    player = load(name)
    pairs = [{each: 1.0, genre: 1.0} for genre in config["subclasses"] for each in PAIR]
    steps = 12
    morph = []
    for step in range(steps):
        way = step / (steps - 1) * (len(MORPH) - 1)
        low = min(int(way), len(MORPH) - 2)
        morph.append({MORPH[low]: low + 1 - way, MORPH[low + 1]: way - low, KIT_GENRE: 1.0})
    keep(f"{name}-kit", played(player, [{each: 1.0, KIT_GENRE: 1.0} for each in classes], EVERY_S),
         rate, SMALL)
    keep(f"{name}-genres", played(player, pairs, 0.8 * EVERY_S), rate, SMALL)
    keep(f"{name}-morph", played(player, morph, EVERY_S), rate, SMALL)
    return {"kit": f"{', '.join(classes)}; {KIT_GENRE}",
            "genres": f"{' and '.join(PAIR)} of {', '.join(config['subclasses'])}",
            "morph": f"from {' to '.join(MORPH)} in {steps} strokes"}


# --- what documents say ---------------------------------------------------------------------------


def figures_of(name: str) -> Measured | None:
    """What was measured with the weights that are shipped, by material."""
    found = measured(name) if current(name) else None
    return None if found is None else found["measured"]


def stroke_figures(found: Measured) -> list[str]:
    """What it makes, beside floors and ceilings."""
    columns = NOTE_COLUMNS if "in_tune" in found["results"]["model"] else COLUMNS
    lines = [["", *(column.heading for column in columns)]]
    titles = {"model": "**model**", EXPORTED: "model in the board's number format", **{
        key: title for key, title in SUBJECTS.items() if key != "model"}}
    for key, title in titles.items():
        if (row := found["results"].get(key)) is not None:
            lines.append([title, *(cell(row.get(column.key)) for column in columns)])
    return rows(*lines)


def _tables(found: Measured) -> list[str]:
    lines = []
    for part in found.values():
        lines += [f"**{part['title']}**, {part['files']}:", "", *stroke_figures(part), ""]
    return lines[:-1]


def card(name: str, fit_row: str, short_row: Shape, main: dict[str, Any]) -> list[str]:
    """A card's lines between its marks; `main`: facts of its method."""
    about, config = card_of(name), preset_settings(name)["model"]
    rate, parameters, macs, _ = short_row
    document = document_of(name)
    lines = [
        about["purpose"], f"The family: [{document}](../../{document}).", "",
        "| | |", "|---|---|", f"| rate, channels | {rate}, {main['out_channels']} |",
        f"| classes | {', '.join(config['classes'])} |",
        *([f"| subclasses | {', '.join(config['subclasses'])} |"] if config["subclasses"] else []),
        f"| parameters | {parameters} |", f"| arithmetic | {macs} MMAC/s |",
        f"| gate to sound | {1000 * config['fft'] / config['sample_rate_hz']:.1f} ms, and up to "
        f"{1000 * main['in_ratio'] / config['sample_rate_hz']:.1f} ms until a row begins |",
        fit_row, *data_rows(name), "", about.get("notes", "")]
    if (found := figures_of(name)) is None:
        return [*lines, "", unmeasured(name)]
    return [*lines, "", "## How it plays", "",
            f"Hear it: [{document}](../../{document}#{name}). What each figure means: "
            "[docs/evaluation.md](../../docs/evaluation.md#strokes).", "",
            f"On {found[HELD]['title']}:", "", *target_lines(verdicts(found[HELD])), "",
            f"On {found[REAL]['title']}:", "", *target_lines(verdicts(found[REAL])), "",
            *_tables(found)]


def readme_rows(shapes: dict[str, Shape]) -> list[str]:
    """README's table of drum voices."""
    def said(name: str, found: Measured) -> list[str]:
        held = found[HELD]["results"]
        return [*(f"{cell(found[key]['results']['model']['class_accuracy'])} "
                  f"({cell(found[key]['results']['recordings']['class_accuracy'])})"
                  for key in (HELD, REAL)),
                cell(held["model"]["recall"]), cell(held["model"]["diversity"]),
                f"[{tally(verdicts(found[HELD]))}]({document_of(name)}#{name})"]

    head = ["class heard (held-out strokes)", "on recordings (they)", "recall", "diversity",
            "targets"]
    return made_cards.readme_table(head, shapes, figures_of, said) if shapes else [NONE]


NONE = "No such voice comes with weights yet."


def document_of(name: str) -> str:
    """Where a preset is told of and played."""
    return "docs/notes.md" if is_pitched(name) else "docs/drums.md"


def page(of_notes: bool = False) -> list[str]:
    """docs/drums.md, or docs/notes.md: pictures, players, figures."""
    original, title = ((preset_notes.ORIGINAL, "held-out notes of all instruments") if of_notes
                       else (ORIGINAL, "held-out strokes of all classes"))

    def said(name: str, found: Measured) -> list[str]:
        return [*players(name, original, title), "",
                *target_lines(verdicts(found[HELD])), "", *_tables(found)]

    names = [name for name in stroke_names() if is_pitched(name) == of_notes]
    return made_cards.page(names, "###", figures_of, said) or [NONE]
