"""Writes into README, cards and docs the figures that the program can print.

    python scripts/figures.py            between the marks, in place
    python scripts/figures.py --measure  first measures presets whose weights are new (minutes)
    python scripts/figures.py --measure NAME ...   these, whatever was measured before
    python scripts/figures.py --check    exits with 1 and names what is stale

A mark is a line `<!-- figures: WHAT -->`; what lies between it and `<!-- end -->` is written here:
`presets`, `drawn`, `looped` and `struck` (README's tables), a preset's name (its card), `heard`
(docs/sound.md), `played` and `trials-...` (docs/violin.md), `loops` and `loop-...` (docs/loops.md),
`strokes` and `stroke-trials` (docs/drums.md), `discriminators` (docs/quality.md), `frames`
(docs/spectrogram-vae.md), `shipped` and `targets` (tables of all presets that code sound). A
shipped preset without a card gets one.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

TRIALS = "trials-"  # a mark that begins so: a table of `scripts/drawn_tables.py`
MARK = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def files() -> list[Path]:
    """All that may hold marks."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")),
            *sorted((ROOT / "engine" / "presets").glob("*.md"))]


def written(text: str) -> str:
    """A file's text with what stands between its marks made anew."""
    return MARK.sub(lambda found: found[1] + figures(found[2]) + found[3], text)


def figures(what: str) -> str:
    from scripts.preset_cards import shipped_table, sound_page

    parts = {"presets": _presets, "heard": sound_page, "shipped": shipped_table,
             "targets": _targets, "drawn": _drawn, "played": _played,
             "discriminators": _discriminators, "frames": _frames, "looped": _looped,
             "loops": _loops, "struck": _struck, "strokes": _strokes, "held-notes": _notes,
             "stroke-trials": _stroke_trials,
             "loop-levels": _loop_levels, "loop-lengths": _loop_lengths}
    lines = (parts[what]() if what in parts else
             _trials(what.removeprefix(TRIALS)) if what.startswith(TRIALS) else _card(what))
    return "\n".join(lines) + "\n"


def facts(name: str) -> dict[str, Any]:
    """As `tudor presets --json` has them."""
    from engine.reports import preset_row

    return preset_row(name)


def short(row: dict[str, Any]) -> tuple[str, str, str, str]:
    """Rate, parameters, arithmetic and latency, as they are written everywhere."""
    main = row["methods"][row["main"]]
    return (f"{row['sample_rate_hz'] // 1000} kHz", f"{row['parameters']:,}",
            f"{main['macs_per_second'] / 1e6:.0f}", f"{main['latency_ms']:.1f} ms")


def _presets() -> list[str]:
    from engine.presets import preset_names
    from scripts.preset_cards import readme_cells, rows
    from scripts.preset_measure import codes

    lines = [["preset", "rate", "parameters", "MMAC/s", "latency", "energy score (noise)",
              "texture dB", "held latents", "targets", "distance"]]
    coded = [name for name in preset_names() if codes(name)]
    for row in sorted(map(facts, coded), key=lambda row: row["parameters"]):
        name = row["name"]
        lines.append([f"[`{name}`](engine/presets/{name}.md)", *short(row),
                      *readme_cells(name, row["sample_rate_hz"])])
    return rows(*lines)


def _drawn() -> list[str]:
    from scripts.preset_drawn import readme_rows
    from scripts.preset_measure import drawn_names

    return readme_rows({name: short(facts(name)) for name in drawn_names()})


def _played() -> list[str]:
    from scripts.preset_drawn import page

    return page()


def _looped() -> list[str]:
    from scripts.preset_loops import readme_rows
    from scripts.preset_measure import loop_names

    return readme_rows({name: short(facts(name)) for name in loop_names()})


def _loops() -> list[str]:
    from scripts.preset_loops import page

    return page()


def _struck() -> list[str]:
    from scripts.preset_measure import stroke_names
    from scripts.preset_strokes import readme_rows

    return readme_rows({name: short(facts(name)) for name in stroke_names()})


def _strokes() -> list[str]:
    from scripts.preset_strokes import page

    return page()


def _notes() -> list[str]:
    from scripts.preset_strokes import page

    return page(of_notes=True)


def _loop_levels() -> list[str]:
    from scripts.loop_trials import page

    return page("levels")


def _loop_lengths() -> list[str]:
    from scripts.loop_trials import page

    return page("lengths")


def _stroke_trials() -> list[str]:
    from scripts.stroke_trials import page

    return page()


def _trials(name: str) -> list[str]:
    from scripts.drawn_tables import page

    return page(name)


def _discriminators() -> list[str]:
    from scripts.coded_trials import page

    return page()


def _frames() -> list[str]:
    from scripts.frames_trials import page

    return page()


def _targets() -> list[str]:
    from scripts.preset_cards import target_matrix
    from scripts.preset_measure import coded_names

    return target_matrix({name: facts(name)["sample_rate_hz"] for name in coded_names()})


def _fits(name: str) -> str:
    """A card's row of what `tudor fit` says of the board that it is for."""
    from engine.boards.fit import fit, percent
    from engine.boards.fit_command import read_task
    from scripts.preset_measure import card_of

    board, numbers = card_of(name)["board"], card_of(name)["dtype"]
    found = fit(read_task(name), board, numbers)
    return (f"| `tudor fit {name} --target {board} --dtype {numbers}` | {found.verdict}: "
            f"{percent(found.loads.whole)} of a core, the busiest callback "
            f"{percent(found.worst_callback)}, weights {found.placement.weights_bytes // 1024} "
            f"KiB, latency on the board {found.latency_ms:.1f} ms (modelled) |")


def _card(name: str) -> list[str]:
    from engine.description import ENCODE
    from scripts import preset_drawn, preset_loops, preset_strokes
    from scripts.preset_cards import data_rows, sound_part
    from scripts.preset_measure import card_of, codes, draws, makes_loops

    row, card = facts(name), card_of(name)
    rate, parameters, macs, latency = short(row)
    methods = row["methods"]
    main = methods[row["main"]]
    if not codes(name):
        own = (preset_drawn if draws(name) else preset_loops if makes_loops(name)
               else preset_strokes)
        return own.card(name, _fits(name), short(row), main)
    encode = next(each for each in methods.values() if each["role"] == ENCODE)
    frame, hertz = encode["out_ratio"], row["sample_rate_hz"]
    return [
        card["purpose"], "How its shape was chosen: [docs/presets.md](../../docs/presets.md).", "",
        "| | |", "|---|---|",
        f"| rate, channels | {rate}, {main['in_channels']} |",
        f"| parameters | {parameters} |",
        f"| arithmetic | {macs} MMAC/s |",
        f"| latents | {encode['out_channels']} at {hertz / frame:g} Hz, "
        f"frames of {frame} samples |",
        f"| latency | {latency}: {main['lookahead_samples']} samples of lookahead, "
        f"{frame - 1} of waiting for a frame's last sample |",
        _fits(name),
        *data_rows(name), "", card.get("notes", ""), *sound_part(name, hertz),
    ]


def stale() -> list[Path]:
    return [path for path in files() if written(text := path.read_text("utf-8")) != text]


def measure(names: list[str]) -> None:
    """Measure `names`, or all whose weights are not those that were measured; cards for all."""
    from engine.presets import shipped_names
    from scripts import preset_drawn, preset_loops, preset_strokes
    from scripts.preset_measure import current, draws, forget, makes_loops, makes_strokes
    from scripts.preset_measure import measure as measure_one

    if unknown := set(names) - set(shipped_names()):
        raise SystemExit(f"{', '.join(sorted(unknown))}: no shipped preset; there are "
                         f"{', '.join(shipped_names())}")
    for name in names:
        forget(name)
    for name in names or [name for name in shipped_names() if not current(name)]:
        (preset_drawn.measure if draws(name) else
         preset_loops.measure if makes_loops(name) else
         preset_strokes.measure if makes_strokes(name) else measure_one)(name)


def begin_cards() -> None:
    """A card for each preset that has none."""
    from engine.presets import preset_names

    for name in preset_names():
        path = ROOT / "engine" / "presets" / f"{name}.md"
        if not path.exists():
            path.write_text(f"# {name}\n\n<!-- figures: {name} -->\n<!-- end -->\n", "utf-8")


def main() -> None:
    options = sys.argv[1:]
    if "--check" in options:
        if found := stale():
            names = ", ".join(str(path.relative_to(ROOT)) for path in found)
            raise SystemExit(f"{names}: not what the program prints; run python scripts/figures.py")
        return
    if options[:1] == ["--measure"]:
        measure(options[1:])
    elif options:
        raise SystemExit(f"{options[0]}: unknown; --check, --measure [NAME ...] or nothing")
    begin_cards()
    for path in stale():
        path.write_text(written(path.read_text("utf-8")), "utf-8")
        print(f"{path.relative_to(ROOT)} written")


if __name__ == "__main__":
    main()
