"""Pieces of a one-page HTML report: house style, tables, pictures, players."""

from __future__ import annotations

import html
from pathlib import Path

from engine.files import atomic_write

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1e293b; }
h1, h2 { line-height: 1.2; } img { max-width: 100%; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #cbd5e1; }
th:first-child, td:first-child { text-align: left; }
pre { background: #f1f5f9; padding: .8rem; overflow-x: auto; font-size: .85rem; }
audio { vertical-align: middle; } .row { margin: .4rem 0; }
"""
Row = list[str]


def write_page(path: Path, title: str, parts: list[str]) -> Path:
    """The page from its parts, which are HTML."""
    page = (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}'
            f"</title><style>{STYLE}</style>\n" + "\n".join(parts) + "\n</html>\n")
    with atomic_write(path) as temporary:
        temporary.write_text(page, "utf-8")
    return path


def table(head: Row, rows: list[Row]) -> str:
    """An HTML table; cells are escaped."""
    def line(tag: str, cells: Row) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

    return "<table>" + line("th", head) + "".join(line("td", row) for row in rows) + "</table>"


def image(name: str, text: str) -> str:
    """A picture beside the page, with what it shows."""
    return f'<p><img src="{name}" alt="{html.escape(text)}"></p>'


def sound(name: str, text: str) -> str:
    """A player of a file beside the page."""
    return (f'<div class="row"><audio controls preload="none" src="{name}"></audio> '
            f"{html.escape(text)}</div>")
