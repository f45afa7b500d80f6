"""What cards, README and pages have in common of presets that make sound by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.presets import preset_settings
from scripts.preset_cards import Measured, rows, tally, to_hear, unmeasured
from scripts.preset_measure import card_of, measured
from training.evaluation.targets import Verdict

Shape = tuple[str, str, str, str]  # rate, parameters, arithmetic, latency, as they are written


def cell(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def target_lines(verdict: list[Verdict]) -> list[str]:
    """Every target, the figure, and whether it is met."""
    return [f"**Meets {tally(verdict)} targets.**", "",
            *rows(["target", "wanted", "measured", ""],
                  *([v.target.title, v.target.wanted, v.text, v.word] for v in verdict))]


def readme_table(head: list[str], shapes: dict[str, Shape],
                 figures_of: Callable[[str], Measured | None],
                 told: Callable[[str, Measured], list[str]]) -> list[str]:
    """README's table of such presets, by name; `told`: what stands behind the shape, under
    `head`."""
    lines = [["preset", "rate", "parameters", "MMAC/s", *head]]
    for name, shape in shapes.items():
        found = figures_of(name)
        lines.append([f"[`{name}`](engine/presets/{name}.md)", *shape[:3],
                      *(["-"] * len(head) if found is None else told(name, found))])
    return rows(*lines)


def players(name: str, original: str, title: str) -> list[str]:
    """A table of pictures and players: `original`-RATE, called `title`, and every clip of a preset.
    """
    rate, about = preset_settings(name)["model"]["sample_rate_hz"] // 1000, measured(name)
    assert about is not None
    clips = about["clips"]
    return rows([title, *clips.values()],
                [to_hear(f"{original}-{rate}k", title),
                 *(to_hear(f"{name}-{what}", f"{name}: {said}") for what, said in clips.items())])


def page(names: Iterable[str], level: str, figures_of: Callable[[str], Measured | None],
         told: Callable[[str, Measured], list[str]]) -> list[str]:
    """A page's part for each preset, under headings of a level (`##`); `told`: players and
    figures."""
    lines: list[str] = []
    for name in names:
        found = figures_of(name)
        lines += [f"{level} {name}", "", f"{card_of(name)['purpose']} Its card: "
                  f"[{name}.md](../engine/presets/{name}.md).", "",
                  *([unmeasured(name)] if found is None else told(name, found)), ""]
    return lines[:-1]
