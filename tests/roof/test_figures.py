"""README, cards and docs say what the program prints."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from engine.presets import preset_names

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", ROOT / "scripts" / "figures.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_figure_is_stale(figures: ModuleType) -> None:
    assert [str(path) for path in figures.stale()] == [], "run `make figures`"


def test_every_preset_has_its_marks(figures: ModuleType) -> None:
    marked = {path: [found[2] for found in figures.MARK.finditer(path.read_text("utf-8"))]
              for path in figures.files()}
    assert marked[ROOT / "README.md"] == ["presets"]
    for name in preset_names():
        assert marked[ROOT / "engine" / "presets" / f"{name}.md"] == [name]


def test_a_changed_figure_is_stale(figures: ModuleType) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert figures.written(text) == text
    changed = text.replace("856,656", "857,096")
    assert changed != text
    assert figures.written(changed) == text


def test_prose_has_the_same_figures(figures: ModuleType) -> None:
    """Sentences too: a number of parameters belongs to a preset, and so does the arithmetic that is
    named with it."""
    shapes = {figures.short(figures.facts(name))[1:3] for name in preset_names()}
    seen = 0
    for path in figures.files():
        text = figures.MARK.sub("", path.read_text("utf-8"))
        for parameters, macs in re.findall(r"(\d+,\d+)\s+parameters(?:,\s+(\d+)\s+MMAC/s)?", text):
            seen += 1
            assert any(parameters == shape[0] and macs in ("", shape[1]) for shape in shapes), path
    assert seen


def test_one_latency(figures: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """README, cards, `tudor presets` and `tudor info`: lookahead and a frame but one sample."""
    from engine.reports import print_info, print_presets

    print_presets(False)
    listed = capsys.readouterr().out
    readme = (ROOT / "README.md").read_text("utf-8")
    for name in preset_names():
        row = figures.facts(name)
        forward, frame = row["methods"]["forward"], row["methods"]["encode"]["out_ratio"]
        samples = forward["lookahead_samples"] + frame - 1
        shown = f"{1000 * samples / row['sample_rate_hz']:.1f} ms"
        print_info(name, False, None, False)
        told = capsys.readouterr().out
        card = (ROOT / "engine" / "presets" / f"{name}.md").read_text("utf-8")
        for text, line in ((listed, f"│ {name} "), (told, "│ forward "), (card, "| latency |"),
                           (readme, f"[`{name}`](engine")):
            assert shown in next(part for part in text.splitlines() if line in part), (name, line)
