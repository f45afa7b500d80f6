"""What is asked of a model that makes loops, read from what the judge "loops" found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from training.evaluation.judges.findings import Grid
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

LINE = "line between codes"  # of the paths: the one that a player takes


def _worst(key: str, choose: Callable[[list[float]], float]) -> Callable[[Result], float | None]:
    """Of all knobs."""
    def value(result: Result) -> float | None:
        known = [row[key] for row in result.get("knobs", {}).values() if row.get(key) is not None]
        return choose(known) if known else None

    return value


def _third_bar(result: Result) -> float | None:
    """Mean square of what bars 2 and 3 differ by, over the variance: `repeat_errors` are of twice
    that, from bar 2 on."""
    errors = result.get("repeat") or []
    return 2 * float(errors[1]) if len(errors) > 1 else None


def _middle(result: Result) -> float | None:
    middle: float | None = result.get("paths", {}).get(LINE, {}).get("middle_over_ends")
    return middle


TARGETS = (
    Target("descriptor_mmd", "descriptor MMD", "at most 0.1", own_figure("descriptor_mmd"),
           below(0.1), shown="{:.3f}"),
    Target("rhythm_mmd", "rhythm MMD", "at most 0.02", own_figure("rhythm_mmd"), below(0.02),
           shown="{:.3f}"),
    Target("tempo", "share of loops in the tempo asked for", "at least 0.97",
           own_figure("tempo_hit"), above(0.97)),
    Target("lock16", "lock to sixteenths over the codec's", "at least 0.92",
           against("lock16", "codec", share), above(0.92)),
    Target("lock4", "lock to beats over the codec's", "at least 0.75",
           against("lock4", "codec", share), above(0.75)),
    Target("bar", "likeness of a bar to the next, noise free", "at least 0.7", own_figure("bar"),
           above(0.7)),
    Target("level", "level against held-out loops, dB", "within ±1", own_figure("level_error_db"),
           lambda value: abs(value) <= 1, shown="{:+.1f}"),
    Target("copies", "nearest 5 % of what was learnt from: further than copies through the codec, "
           "dB", "above 0", against("neighbour_low_db", "codec_learnt",
                                    lambda own, other: own - other),
           lambda value: value > 0, shown="{:+.2f}"),
    Target("code", "rank of a loop's own rhythm, made from its code", "at most 0.2",
           lambda result: result.get("code_rank"), below(0.2)),
    Target("knobs", "rank correlation of the worst knob", "at least 0.9",
           _worst("spearman", min), above(0.9)),
    Target("cross_talk", "worst cross-talk of knobs", "at most 0.2", _worst("cross_talk", max),
           below(0.2)),
    Target("repeat", "bar 3 against bar 2 when nothing varies, share of the latents' variance",
           "at most 0.005", _third_bar, below(0.005), shown="{:.4f}"),
    Target("path", "MMD halfway between two codes over that of the ends", "at most 1.5", _middle,
           below(1.5)),
)


def verdicts(result: Result) -> list[Verdict]:
    """What was found of every target."""
    return verdicts_of(TARGETS, result)


def target_grid(result: dict[str, Any]) -> Grid:
    """A table of them, which are noted in the result too."""
    return verdict_grid("what is asked of such a model", verdicts(result), result)
