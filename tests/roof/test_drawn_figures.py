"""Figures of the presets that draw sound: cards, README, docs/violin.md."""

from __future__ import annotations

from pathlib import Path

from scripts import preset_drawn
from scripts.preset_measure import drawn_names

ROOT = Path(__file__).parents[2]


def test_a_card_of_what_draws_has_floors_and_says_what_is_missed() -> None:
    assert drawn_names()
    for name in drawn_names():
        found = preset_drawn.figures_of(name)
        assert found is not None
        card = (ROOT / "engine" / "presets" / f"{name}.md").read_text("utf-8")
        for line in ("| **model** |", "(ceiling) |", "noise with its envelopes (floor) |",
                     "32 taps, adaptive"):
            assert line in card, (name, line)
        verdict = preset_drawn.verdicts(found)
        assert card.count("| missed |") == sum(v.met is False for v in verdict)
        assert card.count("| met |") == sum(v.met is True for v in verdict)
        assert found["long"]["model"]["share"] is not None, "ten minutes were not played"
