"""What cards, README and docs say of the shipped presets, from what was measured of them.

`docs/sound/NAME.json` has the figures (scripts/preset_measure.py); the `[card]` of a preset's own
file says what nobody can measure: what it is for, what it learnt from and under which licence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.presets import preset_settings, shipped_names
from scripts.preset_measure import (
    RECORDINGS,
    SOUND,
    card_of,
    coded_names,
    current,
    measured,
    recordings,
)
from training.evaluation.sound_table import STANDING
from training.evaluation.targets import HELD, NOTES, TARGETS, Target, Verdict, verdicts

Measured = dict[str, Any]
EXPORTED = "exported"
SUBJECTS = {"model": "", "noise_128": "noise 128 (floor)", "shifted": "1 ms late (ceiling)"}


def figures_of(name: str) -> Measured | None:
    """What was measured of a shipped preset, if it was with the weights that it ships."""
    found = measured(name) if name in shipped_names() and current(name) else None
    return None if found is None else found["measured"]


def unmeasured(name: str) -> str:
    """What stands where figures would."""
    if name not in shipped_names():
        return "It ships no weights, so there is nothing to hear."
    return ("Not measured yet with the weights that are shipped: "
            f"`python scripts/figures.py --measure {name}`.")


def judged(found: Measured, rate_hz: int) -> list[Verdict]:
    """Every target; where the board plays another number format, also that of the export."""
    exported = [Verdict(IN_FORMAT, exported_texture(found))] if EXPORTED in found else []
    return [*verdicts(found, rate_hz), *exported]


def exported_texture(found: Measured) -> float:
    """By how much texture differs in the board's number format, in dB."""
    own, real = (found[key]["sound"]["subjects"]["model"]["texture_db"]
                 for key in (EXPORTED, HELD))
    return own - real


IN_FORMAT = Target("exported", "texture in the board's format less that in float32, dB",
                   "within ±0.3", exported_texture, lambda value: abs(value) <= 0.3, EXPORTED,
                   "{:+.2f}")


def rows(*cells: list[str]) -> list[str]:
    """A table in Markdown; the first row is its head."""
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return [lines[0], "|" + "---|" * len(cells[0]), *lines[1:]]


# --- one material, one subject --------------------------------------------------------------------


def _number(digits: int) -> Callable[[float | None], str]:
    return lambda value: "-" if value is None else f"{value:.{digits}f}"


def _beside(key: str, digits: int) -> Callable[[Measured, str], str]:
    """A figure, and what it is of the original."""
    def cell(part: Measured, subject: str) -> str:
        subjects = part["sound"]["subjects"]
        own, real = (subjects[name].get(key) for name in (subject, "original"))
        shown = _number(digits)
        return shown(own) if real is None else f"{shown(own)} of {shown(real)}"
    return cell


def _plain(key: str, digits: int) -> Callable[[Measured, str], str]:
    return lambda part, subject: _number(digits)(part["sound"]["subjects"][subject].get(key))


def _score(key: str, digits: int) -> Callable[[Measured, str], str]:
    return lambda part, subject: _number(digits)(part["results"].get(subject, {}).get(key))


COLUMNS: dict[str, Callable[[Measured, str], str]] = {
    "energy score ↓": _plain("energy_score", 3),
    "texture dB": _beside("texture_db", 2),
    "texture error dB ↓": _plain("texture_error_db", 2),
    "modulation →1": _plain("modulation_ratio", 2),
    "comb": _beside("comb", 2),
    "worst octave dB ↓": _plain("octave_error_db", 1),
    "log-mel dB ↓": _score("log_mel_db", 1),
    "onset F ↑": _score("onset_f", 2),
    "partials to Hz ↑": _plain("partials_to_hz", 0),
    "distance": _score("spectral_distance", 3),
}

WIDTH: dict[str, Callable[[Measured, str], str]] = {
    "width dB": _beside("width_db", 1),
    "width error dB ↓": _plain("width_error_db", 1),
}


def columns_of(*parts: Measured) -> dict[str, Callable[[Measured, str], str]]:
    """Columns of a table of these; width, where there is any."""
    wide = any("width_db" in part["sound"]["subjects"]["model"] for part in parts)
    return {**COLUMNS, **WIDTH} if wide else COLUMNS


def sound_table(found: Measured) -> list[str]:
    """Everything that a preset was measured on, each with its floor and its ceiling."""
    columns = columns_of(*found.values())
    lines = [["", *columns]]
    for part in found.values():
        for subject, label in SUBJECTS.items():
            if subject not in part["sound"]["subjects"] or (subject != "model" and
                                                            part is found.get(EXPORTED)):
                continue
            title = label or f"**{part['title']}**, {part['files']} files, {part['seconds']:.0f} s"
            lines.append([title, *(cell(part, subject) for cell in columns.values())])
    return rows(*lines)


def octaves(found: Measured) -> list[str]:
    """Level error of each octave on real sound that was not learnt from."""
    sound = found[HELD]["sound"]
    model = sound["subjects"]["model"]["octave_db"]
    return rows(["octave from, Hz", *(f"{low:g}" for low in sound["octaves_hz"])],
                ["level error dB", *("-" if v is None else f"{v:+.1f}" for v in model)])


def standing(found: Measured) -> list[str]:
    """What a preset does by itself."""
    own = found[HELD]["standing"]
    shown = [[row.title, f"{own[row.key]:.3g}", row.wanted] for row in STANDING
             if own.get(row.key) is not None]
    return rows(["by itself", "", "wanted"], *shown)


def targets(found: Measured, rate_hz: int) -> list[str]:
    """Every target, the figure, and whether it is met; first how many are."""
    verdict = judged(found, rate_hz)
    lines = [[v.target.title, v.target.wanted, v.text, v.word] for v in verdict]
    return [f"**Meets {tally(verdict)} targets.**", "",
            *rows(["target", "wanted", "measured", ""], *lines)]


def tally(verdict: list[Verdict]) -> str:
    """How many are met, of those that can be measured."""
    known = [v.met for v in verdict if v.met is not None]
    return f"{sum(known)} of {len(known)}"


# --- the parts of documents -----------------------------------------------------------------------


def data_rows(name: str) -> list[str]:
    """Rows of a card's first table: what it learnt from."""
    card = card_of(name)
    sources = "; ".join(f"{row['what']} ({row['licence']})" for row in card["sources"])
    return [f"| sources | {sources} |", f"| training | {'; then '.join(card['training'])} |",
            "| licence | MIT, weights included |"]


def sound_part(name: str, rate_hz: int) -> list[str]:
    """A card's figures: targets first, then all tables."""
    found = figures_of(name)
    if found is None:
        return ["", unmeasured(name)]
    return [
        "", "## How it sounds", "",
        f"Hear it beside the original: [docs/sound.md](../../docs/sound.md#{name}). What each "
        "figure means: [docs/evaluation.md](../../docs/evaluation.md#reconstruction). Targets are "
        f"read on {found[HELD]['title']}"
        f"{', those of notes on held-out notes' if NOTES in found else ''}.", "",
        *targets(found, rate_hz), "", *sound_table(found), "",
        "The model stands in bold beside what it was played; \"of\" is the original's. `noise 128` "
        "has the original's octave-band levels in frames of 128 samples and needs no model. The "
        "distance is reported and no target: it prefers smooth sound to noise.", "",
        *octaves(found), "", *standing(found),
    ]


def readme_cells(name: str, rate_hz: int) -> list[str]:
    """Of README's table: energy score and noise's, texture, held latents, targets, distance."""
    found = figures_of(name)
    if found is None:
        return ["-"] * 5
    part = found[HELD]
    noise = part["sound"]["subjects"]["noise_128"]["energy_score"]
    return [f"{COLUMNS['energy score ↓'](part, 'model')} ({noise:.3f})",
            COLUMNS["texture dB"](part, "model"),
            _number(2)(part["standing"].get("held_at_frame_rate")),
            f"[{tally(judged(found, rate_hz))}](docs/sound.md#{name})",
            COLUMNS["distance"](part, "model")]


def shipped_table(key: str = HELD) -> list[str]:
    """All shipped presets on one material, and noise at each rate."""
    lines = [["", *COLUMNS, "held latents ↓"]]
    for name in coded_names():
        found = figures_of(name)
        if found is None:
            lines.append([name, *["-"] * (len(lines[0]) - 1)])
            continue
        part = found[key]
        real = recordings(name)
        label = name if real is RECORDINGS["loops"] else f"{name}, {real.title}"
        lines.append([label, *(cell(part, "model") for cell in COLUMNS.values()),
                      _number(3)(part["standing"].get("held_at_frame_rate"))])
        lines.append(["noise 128 on the same (floor)",
                      *(cell(part, "noise_128") for cell in COLUMNS.values()), ""])
    return rows(*lines)


def target_matrix(rates: dict[str, int]) -> list[str]:
    """Targets down, presets across: the figure, in bold where it is met."""
    names = coded_names()
    by_name = {name: {v.target.key: v for v in judged(found, rates[name])}
               for name in names if (found := figures_of(name)) is not None}
    lines = [["target", "wanted", *names]]
    every = (*TARGETS, IN_FORMAT)
    for key in dict.fromkeys(target.key for target in every):
        wanted = " / ".join(dict.fromkeys(t.wanted for t in every if t.key == key))
        title = next(t.title for t in every if t.key == key)
        cells = [by_name.get(name, {}).get(key) for name in names]
        lines.append([title, wanted, *("-" if v is None else f"**{v.text}**" if v.met else v.text
                                       for v in cells)])
    return rows(*lines)


# --- docs/sound.md --------------------------------------------------------------------------------


def sound_page() -> list[str]:
    """Families, and in each all shipped presets: pictures, players, figures before and now."""
    lines: list[str] = []
    names = coded_names()
    for family in dict.fromkeys(name.rpartition("-")[0] or name for name in names):
        lines += [f"## {family.capitalize()}", ""]
        for name in names:
            if (name.rpartition("-")[0] or name) == family:
                lines += [*_preset(name), ""]
    return lines[:-1]


def _preset(name: str) -> list[str]:
    found, card = measured(name), card_of(name)
    if found is None or not current(name):
        return [f"### {name}", "", f"{card['purpose']} {unmeasured(name)}"]
    before = measured(name, SOUND / "before")
    if before is not None and before["weights"] == found["weights"]:
        before = None  # what is shipped is what was
    rate = preset_settings(name)["model"]["sample_rate_hz"] // 1000
    columns = {"original": f"original-{{}}-{rate}k", **({"in 0.1": f"before/{name}-{{}}"}
                                                        if before else {}), "now": f"{name}-{{}}"}
    heard = [["", *columns]]
    for what, title in found["clips"].items():
        heard.append([title, *(to_hear(stem.format(what), f"{name}, {label}: {title}")
                               for label, stem in columns.items())])
    return [f"### {name}", "", f"{card['purpose']} Its card: "
            f"[{name}.md](../engine/presets/{name}.md).", "", *rows(*heard), "",
            *_before_and_now(found["measured"], before and before["measured"])]


def to_hear(stem: str, text: str) -> str:
    """A picture with its player; where no page plays sound, the file is a link. "-" for what was
    not rendered before."""
    if not (SOUND / f"{stem}.mp3").exists():
        return "-"
    text = text.replace("`", "")
    return (f"![spectrogram: {text}](sound/{stem}.webp)<br>"
            f'<audio controls preload="none" style="width:100%" src="sound/{stem}.mp3"></audio><br>'
            f"[MP3](sound/{stem}.mp3)")


def _before_and_now(found: Measured, before: Measured | None) -> list[str]:
    part = found[HELD]
    subjects: list[tuple[str, Measured, str]] = [("now", part, "model")]
    if before is not None:
        subjects.insert(0, ("in 0.1", before[HELD], "model"))
    subjects += [(label, part, key) for key, label in SUBJECTS.items() if label]
    columns = columns_of(*(each for _, each, _ in subjects))
    lines = [[part["title"], *columns, "held latents ↓", "start dBFS ↓"]]
    for label, each, subject in subjects:
        own = each["standing"] if subject == "model" else {}
        lines.append([label, *(cell(each, subject) for cell in columns.values()),
                      _number(3)(own.get("held_at_frame_rate")) if own else "",
                      _number(0)(own.get("start_dbfs")) if own else ""])
    return rows(*lines)
