"""What is asked of a voice that a gate triggers, read from what the judge "strokes" found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from training.evaluation.judges.findings import Grid
from training.evaluation.note_pitch import NEAR_CENTS
from training.evaluation.targets import (
    Result,
    Target,
    Verdict,
    above,
    against,
    below,
    own_figure,
    share,
    verdict_grid,
    verdicts_of,
)


def _played(key: str) -> Callable[[Result], float | None]:
    return lambda result: result.get("played", {}).get(key)


TARGETS = (
    Target("class", "class accuracy over that of held-out recordings", "at least 0.95",
           against("class_accuracy", "recordings", share), above(0.95)),
    Target("taught", "accuracy on recordings of a classifier taught by it, over one taught by "
           "recordings", "at least 0.85", against("taught_accuracy", "recordings", share),
           above(0.85)),
    Target("frechet", "Fréchet distance over the variance of recordings", "at most 0.06",
           own_figure("frechet"), below(0.06), shown="{:.3f}"),
    Target("precision", "precision", "at least 0.75", own_figure("precision"), above(0.75)),
    Target("recall", "recall", "at least 0.55", own_figure("recall"), above(0.55)),
    Target("diversity", "diversity within a class, of that of recordings", "0.85 to 1.15",
           own_figure("diversity"), lambda value: 0.85 <= value <= 1.15),
    Target("bins", "bins that hold another share (NDB/K)", "at most 0.25", own_figure("ndb"),
           below(0.25)),
    Target("nearest", "distance to the nearest that was learnt, over that of recordings",
           "at least 0.9", own_figure("nearest"), above(0.9)),
    Target("gap", "levels in bands, asked for by frames and heard, nepers apart", "at most 0.25",
           _played("gap"), below(0.25)),
    Target("tune", f"notes within {NEAR_CENTS:.0f} cents of what was asked for", "at least 0.95",
           own_figure("in_tune"), above(0.95)),
    Target("click", "sharpest corner where a stroke is cut off, over that of the stroke",
           "at most 1.1", _played("click"), below(1.1)),
)


def verdicts(result: Result) -> list[Verdict]:
    """What was found of every target: of notes their tuning, of strokes what becomes of the
    magnitudes that were asked for."""
    other = "gap" if "in_tune" in result["results"]["model"] else "tune"
    return verdicts_of([target for target in TARGETS if target.key != other], result)


def target_grid(result: dict[str, Any]) -> Grid:
    """A table of them, which are noted in the result too."""
    return verdict_grid("what is asked of such a voice", verdicts(result), result)
