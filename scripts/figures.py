"""Writes into README, cards and docs the figures that the program can print.

    python scripts/figures.py            between the marks, in place
    python scripts/figures.py --check    exits with 1 and names what is stale

A mark is a line `<!-- figures: WHAT -->`; what lies between it and `<!-- end -->` is written here:
`presets` (README's table) or a preset's name (its card's). The distances in README are read from
the cards, where they stand as measured.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

MARK = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
# What a card says of `tudor fit`: board and number format.
FITS = {"techno-daisy": ("daisy", "q16x8"), "techno-pi": ("pi4", "float32"),
        "techno-tiny": ("daisy", "q16x8"), "techno-desktop": ("desktop", "float32")}


def files() -> list[Path]:
    """All that may hold marks."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")),
            *sorted((ROOT / "engine" / "presets").glob("*.md"))]


def written(text: str) -> str:
    """A file's text with what stands between its marks made anew."""
    return MARK.sub(lambda found: found[1] + figures(found[2]) + found[3], text)


def figures(what: str) -> str:
    return _presets() if what == "presets" else _card(what)


def facts(name: str) -> dict[str, Any]:
    """As `tudor presets --json` has them."""
    from engine.reports import preset_row

    return preset_row(name)


def short(row: dict[str, Any]) -> tuple[str, str, str, str]:
    """Rate, parameters, arithmetic and latency, as they are written everywhere."""
    main = row["methods"][row["main"]]
    return (f"{row['sample_rate_hz'] // 1000} kHz", f"{row['parameters']:,}",
            f"{main['macs_per_second'] / 1e6:.0f}", f"{main['latency_ms']:.1f} ms")


def _presets() -> str:
    from engine.presets import preset_names

    lines = ["| preset | rate | parameters | MMAC/s | latency | held-out distance |",
             "|---|---|---|---|---|---|"]
    for row in sorted(map(facts, preset_names()), key=lambda row: row["parameters"]):
        rate, parameters, macs, latency = short(row)
        name = row["name"]
        lines.append(f"| [`{name}`](engine/presets/{name}.md) | {rate} | {parameters} | {macs} | "
                     f"{latency} | {distance(name):.2f} |")
    return "\n".join(lines) + "\n"


def distance(name: str) -> float:
    """The measured distance in a preset's card."""
    card = (ROOT / "engine" / "presets" / f"{name}.md").read_text("utf-8")
    found = re.search(rf"^\| \*\*{name}\*\* \| \*\*([\d.]+)\*\*", card, re.MULTILINE)
    if found is None:
        raise SystemExit(f"{name}.md has no row of measured distances")
    return float(found[1])


def _card(name: str) -> str:
    from engine.boards.fit import fit, percent
    from engine.boards.fit_command import read_task
    from engine.description import ENCODE

    row = facts(name)
    rate, parameters, macs, latency = short(row)
    methods = row["methods"]
    main = methods[row["main"]]
    encode = next(each for each in methods.values() if each["role"] == ENCODE)
    frame, hertz = encode["out_ratio"], row["sample_rate_hz"]
    board, numbers = FITS[name]
    found = fit(read_task(name), board, numbers)
    return "\n".join([
        "| | |", "|---|---|",
        f"| rate, channels | {rate}, {main['in_channels']} |",
        f"| parameters | {parameters} |",
        f"| arithmetic | {macs} MMAC/s |",
        f"| latents | {encode['out_channels']} at {hertz / frame:g} Hz, "
        f"frames of {frame} samples |",
        f"| latency | {latency}: {main['lookahead_samples']} samples of lookahead, "
        f"{frame - 1} of waiting for a frame's last sample |",
        f"| `tudor fit {name} --target {board} --dtype {numbers}` | {found.verdict}: "
        f"{percent(found.loads.whole)} of a core, the busiest callback "
        f"{percent(found.worst_callback)}, weights {found.placement.weights_bytes // 1024} KiB, "
        f"latency on the board {found.latency_ms:.1f} ms (modelled) |",
    ]) + "\n"


def stale() -> list[Path]:
    return [path for path in files() if written(text := path.read_text("utf-8")) != text]


def main() -> None:
    if "--check" in sys.argv[1:]:
        if found := stale():
            names = ", ".join(str(path.relative_to(ROOT)) for path in found)
            raise SystemExit(f"{names}: not what the program prints; run python scripts/figures.py")
        return
    for path in stale():
        path.write_text(written(path.read_text("utf-8")), "utf-8")
        print(f"{path.relative_to(ROOT)} written")


if __name__ == "__main__":
    main()
