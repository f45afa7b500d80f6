"""What a judge found: tables for the screen, data for JSON, a page with pictures and sound."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.audio import write_audio
from engine.page import sound, write_page

# Which way of a column is good.
DIRECTIONS = {"lower": "↓", "higher": "↑", "one": "→1", "": ""}
LEGEND = {"↓": "↓ lower is better", "↑": "↑ higher is better", "→1": "→1 best near 1",
          "→±1": "→±1 best near 1 or -1", "(floor)": "a floor needs no training",
          "(ceiling)": "a ceiling is what real sound reaches"}


class Column(NamedTuple):
    """A figure: its key in the result, its heading, and which way is good."""

    key: str
    title: str
    better: str = "lower"

    @property
    def heading(self) -> str:
        return f"{self.title} {DIRECTIONS[self.better]}".strip()


class Grid(NamedTuple):
    """A table of text."""

    title: str
    head: list[str]
    rows: list[list[str]]


class Plot(NamedTuple):
    """A picture of the page: `draw` gets the axes."""

    file: str
    caption: str
    draw: Callable[[Any], None]
    size: tuple[float, float] = (6.0, 4.5)


@dataclass
class Findings:
    """`result`: plain data, with figures by subject and column in "results"."""

    result: dict[str, Any]
    grids: list[Grid]
    notes: list[str] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    sounds: list[tuple[str, str]] = field(default_factory=list)  # file beside the page, caption
    page: Callable[[Path], Path] | None = None  # writes the page, where it is not the common one

    def show(self, console: Console) -> None:
        """Tables and notes."""
        for grid in self.grids:
            shown = Table(title=escape(grid.title))
            for index, title in enumerate(grid.head):
                shown.add_column(title, justify="right" if index else "left")
            for number, row in enumerate(grid.rows):
                shown.add_row(*map(escape, row), style="" if number or len(grid.rows) < 2
                              else "bold")
            console.print(shown)
        for line in self.lines():
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    def lines(self) -> list[str]:
        """What is said below the tables."""
        skipped = [f"skipped {item['name']}: {item['reason']}"
                   for item in self.result.get("skipped", ())]
        words = [text for grid in self.grids
                 for text in (*grid.head, *(row[0] for row in grid.rows))]
        legend = [said for mark, said in LEGEND.items() if any(t.endswith(mark) for t in words)]
        return ["; ".join(legend), *self.notes, *skipped]

    def write_page(self, folder: Path) -> Path:
        """`report.html` in `folder`, with its pictures; sounds are there already."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.page is not None:
            return self.page(folder)
        from training.evaluation.page import picture_parts, table_parts

        name = self.result["model"]
        parts = [f"<h1>{html.escape(name)}</h1>",
                 f"<p>Judge: {html.escape(self.result['judge'])}. "
                 f"Data: {html.escape(self.result['data'])}.</p>", *table_parts(self.grids)]
        parts += [f"<p>{html.escape(line)}</p>" for line in self.lines()]
        parts += picture_parts(self.plots, folder)
        parts += [sound(file, caption) for file, caption in self.sounds]
        return write_page(folder / "report.html", f"tudor: {name}", parts)


def number(value: float | None) -> str:
    """A figure of a table."""
    return "-" if value is None else f"{value:.3g}"


def score_grid(
    title: str, result: dict[str, Any], columns: Sequence[Column], subjects: dict[str, str]
) -> Grid:
    """Figures by subject. `subjects`: what each is called, in order. Columns without a single
    figure are left out; in the result stands which way of each is good."""
    results = result["results"]
    used = [c for c in columns if any(row.get(c.key) is not None for row in results.values())]
    result["better"] = {column.key: column.better for column in used}
    return Grid(title, ["", *(column.heading for column in used)], [
        [subjects.get(key, key), *(number(results[key].get(c.key)) for c in used)]
        for key in (*[s for s in subjects if s in results],
                    *[s for s in results if s not in subjects])])


def bars(results: dict[str, dict[str, float | None]], column: Column,
         subjects: dict[str, str]) -> Callable[[Any], None]:
    """A picture of one column."""
    def draw(axis: Any) -> None:
        names = [n for n in results if results[n].get(column.key) is not None]
        axis.barh([subjects.get(n, n) for n in names], [results[n][column.key] for n in names],
                  color=["#0f766e" if n == "model" else "#94a3b8" for n in names])
        axis.invert_yaxis()
        axis.set_xlabel(column.heading)

    return draw


def drawn_confusion(table: NDArray[Any], names: Sequence[str]) -> Callable[[Any], None]:
    """A picture of how often each class [asked, heard] is heard."""
    def draw(axis: Any) -> None:
        axis.imshow(table / np.maximum(table.sum(axis=1, keepdims=True), 1), vmin=0, vmax=1,
                    cmap="Blues")
        axis.set_xticks(range(len(names)), names, rotation=45)
        axis.set_yticks(range(len(names)), names)
        axis.set(xlabel="heard", ylabel="asked for")

    return draw


def keep_sound(out: Path | None, file: str, audio: NDArray[np.float32], rate_hz: int) -> bool:
    """Write a sound beside the page, if there will be one."""
    if out is None:
        return False
    out.mkdir(parents=True, exist_ok=True)
    write_audio(out / file, audio, rate_hz)
    return True
