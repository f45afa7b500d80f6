"""Presets that make loops from nothing: measures them, renders what docs/loops.md plays, and what
it, README and cards say of them.

Into docs/sound/: NAME.json (figures of the judge "loops" on loops that nobody learns from), and
NAME-WHAT.mp3 and .webp, with original-loop-RATE.* beside them, the first of those loops.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.files import atomic_write
from engine.players.base import Player
from engine.presets import preset_settings
from scripts import made_cards
from scripts.made_cards import Shape, cell, players, target_lines
from scripts.preset_cards import EXPORTED, Measured, data_rows, rows, tally, unmeasured
from scripts.preset_clips import SOUND, keep
from scripts.preset_measure import (
    SEED,
    WORK,
    Material,
    card_of,
    current,
    digest,
    loop_names,
    measured,
    short,
    told,
)
from training.evaluation import loop_table
from training.evaluation.loop_targets import verdicts

FloatArray = NDArray[np.float32]
HELD, HELD_MINUTES, LEARNT_MINUTES = "techno", 4.0, 15.0
SEEDED = re.compile(r"tudor corpus techno\b.*--seed (\d+)")  # of a source that is made again
CLIP_BARS, MORPH_BARS = 2, 8
# New loops: what they are called, their tempo, and the seed of their code and noise.
LOOPS = (("first", 124.0, 1), ("second", 138.0, 4))
MORPH, MORPH_BPM = "morph", 150.0
LONG_SECONDS = 600.0  # without a stop
SMALL = 0.75  # compression of what is played: the morph is long
KEPT = ("model", "real", "codec", "codec_learnt", "learnt", "own_steps", "own_frames", "gaussian",
        "noise")


def material(name: str) -> Material:
    """Loops that nothing is trained on."""
    return _techno("held-out loops", preset_settings(name)["model"]["sample_rate_hz"], SEED,
                   HELD_MINUTES)


def learnt(name: str) -> Material | None:
    """A part of what it learnt from, if its card says how that is made again."""
    for source in card_of(name)["sources"]:
        if (found := SEEDED.search(source["what"])) is not None:
            return _techno("learnt loops", preset_settings(name)["model"]["sample_rate_hz"],
                           int(found[1]), LEARNT_MINUTES)
    return None


def _techno(title: str, rate_hz: int, seed: int, minutes: float) -> Material:
    def fill(folder: Path) -> None:
        from training.corpus.kinds import write_corpus

        write_corpus("techno", folder, minutes, seed, rate_hz, 1)

    return Material(HELD, title, WORK / f"loops-{rate_hz}-{seed}", fill)


def measure(name: str) -> None:
    """Everything of a preset: minutes of one core."""
    from training.evaluation.judges.case import open_case
    from training.evaluation.judges.registry import JUDGES

    own, before = material(name), learnt(name)
    print(f"{name}: {own.title}", flush=True)
    judge = JUDGES["loops"]
    case = open_case(name, own.ready(), seconds=judge.seconds, seeds=judge.seeds,
                     learnt=before and before.ready(), long_seconds=LONG_SECONDS)
    found = judge(case).result
    trimmed = {key: found[key] for key in ("loops", "seconds", "draws", "spread", "knobs", "repeat",
                                           "code_rank", "paths", "targets", "long")}
    trimmed["results"] = {key: found["results"][key] for key in KEPT if key in found["results"]}
    if (dtype := card_of(name)["dtype"]) != "float32":
        trimmed["results"][EXPORTED] = exported(name, dtype, own.ready())
    clips = render(name, own.ready())
    with atomic_write(SOUND / f"{name}.json") as temporary:
        temporary.write_text(told({"preset": name, "weights": digest(name), "clips": clips,
                                   "measured": {HELD: short({"title": own.title, **trimmed})}}),
                             "utf-8")


def exported(name: str, dtype: str, folder: Path) -> dict[str, Any]:
    """Figures of what a board plays in fewer bits."""
    from scripts.quantised import ready
    from training.evaluation.judges.case import open_case
    from training.evaluation.judges.registry import JUDGES

    judge = JUDGES["loops"]
    case = open_case(ready(name, dtype), folder, seconds=judge.seconds, seeds=judge.seeds,
                     baselines=False)
    found: dict[str, Any] = judge(case).result["results"]["model"]
    return found


# --- what is heard --------------------------------------------------------------------------------


def render(name: str, folder: Path) -> dict[str, str]:
    """Clips of a preset, and one of a held-out loop: what each shows."""
    from training.data.audio_folder import scan
    from training.data.decode import read_range
    from training.evaluation.loop_floors import tiled

    rate = preset_settings(name)["model"]["sample_rate_hz"]
    source = scan(folder).sources[0]
    loop = read_range(source, 0, round(source.seconds * rate), rate, 1)[0]
    keep(f"original-loop-{rate // 1000}k", tiled(loop, 4 * rate)[None], rate, SMALL)
    said = {}
    for what, bpm, seed in LOOPS:
        keep(f"{name}-{what}", played(name, bpm, CLIP_BARS, (seed,)), rate, SMALL)
        said[what] = f"a new loop at {bpm:g} BPM, seed {seed}"
    keep(f"{name}-{MORPH}", played(name, MORPH_BPM, MORPH_BARS, (1, 4)), rate, SMALL)
    return {**said, MORPH: f"from the code of the one to that of the other in {MORPH_BARS} bars, "
                           f"at {MORPH_BPM:g} BPM"}


def played(name: str, bpm: float, bars: int, seeds: tuple[int, ...]) -> FloatArray:
    """Bars of a loop, see `conditions_of`: [channels, samples]. A bar before them is left out, for
    it begins in silence."""
    from engine.players.base import load
    from engine.scores.loops import bar_seconds

    player = load(name)
    bar = round(bar_seconds(bpm) * player.sample_rate_hz)
    player.set("seed", float(seeds[0]))
    x = conditions_of(player, bpm, bars, seeds)
    return player.process(player.description.main.name, x)[:, bar : (bars + 1) * bar]


def conditions_of(player: Player, bpm: float, bars: int, seeds: tuple[int, ...]) -> FloatArray:
    """A bar, and then bars, of a loop whose noise is the same in each; with two seeds, on the way
    from the code of the first to that of the second: [conditions, rows]."""
    from engine.scores import loops

    spec, rate = player.description.main, player.sample_rate_hz
    places = loops.code_places(spec.input_labels)
    codes = [loops.made_up_code(len(places), seed) for seed in seeds]
    x = loops.conditions(spec.input_labels, spec.in_ratio, rate, bars + 1, bpm, codes[0])
    bar = loops.bar_seconds(bpm) * rate
    way = np.clip((np.arange(x.shape[1]) * spec.in_ratio / bar - 1) / bars, 0, 1)
    x[places.start : places.stop] += ((codes[-1] - codes[0])[:, None] * way).astype(np.float32)
    return np.pad(x, ((0, 0), (0, -x.shape[1] % spec.in_frames)), mode="edge")


# --- what documents say ---------------------------------------------------------------------------


def figures_of(name: str) -> Measured | None:
    """What was measured with the weights that are shipped."""
    found = measured(name) if current(name) else None
    return None if found is None else found["measured"][HELD]


SUBJECTS = {"model": "model", EXPORTED: "model in the board's number format",
            **loop_table.SUBJECTS}
COLUMNS = {"descriptor MMD ↓": ("descriptor_mmd", 3), "rhythm MMD ↓": ("rhythm_mmd", 3),
           "beat": ("beat", 2), "bar": ("bar", 2), "lock16": ("lock16", 2), "lock4": ("lock4", 2),
           "tempo hit ↑": ("tempo_hit", 2), "level dB": ("level_error_db", 1),
           "nearest 5 % dB": ("neighbour_low_db", 1)}


def loop_figures(found: Measured) -> list[str]:
    """What it makes, beside floors and ceilings; half of what the draws differ by."""
    lines = [["", *COLUMNS]]
    for key, title in SUBJECTS.items():
        if (row := found["results"].get(key)) is None:
            continue
        cells = [cell(row.get(name), digits) for name, digits in COLUMNS.values()]
        if key == "model":
            spread = [found["spread"].get(name) for name, _ in COLUMNS.values()]
            cells = [cell if apart is None else f"{cell} ± {apart / 2:.{digits}f}" for
                     cell, apart, (_, digits) in zip(cells, spread, COLUMNS.values(), strict=True)]
        lines.append([f"**{title}**" if key == "model" else title, *cells])
    return rows(*lines)


def knob_figures(found: Measured) -> list[str]:
    """Whether each knob is obeyed."""
    return rows(["knob", "rank correlation ↑", "cross-talk ↓", "into"],
                *([name, cell(row["spearman"]), cell(row["cross_talk"]), row["into"] or "-"]
                  for name, row in found["knobs"].items()))


def path_figures(found: Measured) -> list[str]:
    """From loop to loop, by bars, beside a loop that is held and a crossfade."""
    lines = [["16 bars", "loudness: largest step / range ↓", "centroid ↓", "MMD halfway",
              "MMD of the ends", "halfway / ends →1"]]
    for name, row in found["paths"].items():
        steps = [row[curve]["largest_step"] for curve in ("level_db", "centroid_octaves")]
        lines.append([name, *map(cell, steps), cell(row["middle_mmd"], 3),
                      cell(row["ends_mmd"], 3), cell(row["middle_over_ends"])])
    return rows(*lines)


def long_figures(found: Measured) -> list[str]:
    """Of loops that went on without a stop: their beginning and their end."""
    if (long := found.get("long")) is None:
        return []
    part = f"{long['part_seconds']:.0f} s"
    lines = [[f"{long['loops']} loops of {long['seconds'] / 60:g} minutes without a stop",
              *loop_table.LONG_COLUMNS.values()]]
    for name in ("first", "last"):
        lines.append([f"{name} {part}", *(cell(long[name][key], LONG_DIGITS.get(key, 2))
                                          for key in loop_table.LONG_COLUMNS)])
    return ["", *rows(*lines)]


LONG_DIGITS = {"descriptor_mmd": 3, "rhythm_mmd": 3}


def card(name: str, fit_row: str, short_row: Shape,
         main: dict[str, Any]) -> list[str]:
    """A card's lines between its marks; `main`: facts of its method."""
    about, settings = card_of(name), preset_settings(name)
    rate, parameters, macs, _ = short_row
    coder = settings["training"]["coder"]
    found = figures_of(name)
    lines = [
        about["purpose"], "The family: [docs/loops.md](../../docs/loops.md).", "",
        "| | |", "|---|---|", f"| rate, channels | {rate}, {main['out_channels']} |",
        f"| parameters | {parameters}, those of its coder [`{coder}`]({coder}.md) included |",
        f"| arithmetic | {macs} MMAC/s |",
        f"| conditions | {main['in_channels']} channels, a row for {main['in_ratio']} samples "
        f"({1000 * main['in_ratio'] / settings['model']['sample_rate_hz']:.0f} ms) |",
        fit_row, *data_rows(name), "", about.get("notes", "")]
    if found is None:
        return [*lines, "", unmeasured(name)]
    return [
        *lines, "", "## How it plays", "",
        f"Hear it: [docs/loops.md](../../docs/loops.md#{name}). {found['draws']} draws of "
        f"{found['loops']} loops, each with other codes and seeds, at the tempi, styles and knobs "
        "of held-out loops, against those. What each figure means: "
        "[docs/evaluation.md](../../docs/evaluation.md#loops).", "",
        *target_lines(verdicts(found)), "", *loop_figures(found), "", *knob_figures(found), "",
        *path_figures(found)]


def readme_rows(shapes: dict[str, Shape]) -> list[str]:
    """README's table of presets that make loops."""
    def said(name: str, found: Measured) -> list[str]:
        model, real, codec = (found["results"][key] for key in ("model", "real", "codec"))
        return [f"{cell(model['descriptor_mmd'], 3)} ({cell(codec['descriptor_mmd'], 3)})",
                cell(model["tempo_hit"]), f"{cell(model['bar'])} ({cell(real['bar'])})",
                cell(found["code_rank"]), f"[{tally(verdicts(found))}](docs/loops.md#{name})"]

    head = ["descriptor MMD (through the codec)", "tempo hit", "bar (real)", "code: rank",
            "targets"]
    return made_cards.readme_table(head, shapes, figures_of, said) if shapes else [NONE]


NONE = "No preset of loops comes with weights yet."


def page() -> list[str]:
    """docs/loops.md: pictures, players, figures."""
    def said(name: str, found: Measured) -> list[str]:
        return [*players(name, "original-loop", "a held-out loop"), "",
                *target_lines(verdicts(found)), "", *loop_figures(found), *long_figures(found)]

    return made_cards.page(loop_names(), "###", figures_of, said) or [NONE]
