"""When the adversarial phase begins, whether a run reaches it, and how long a run still takes.

Its `start` is a share of the run (0.6), or a text: "12000 steps", "12 minutes". A start that the
run cannot reach is refused before the first step.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError

if TYPE_CHECKING:
    from training.objectives.adversarial import GanConfig

_START = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(step|steps|min|minute|minutes)\s*")


def start_of(start: float | str) -> tuple[str, float]:
    """("share", 0.6), ("steps", 12000.0) or ("minutes", 12.0)."""
    if isinstance(start, str):
        found = _START.fullmatch(start)
        if not found:
            raise ValueError("must be a share of the run such as 0.6, or \"12000 steps\", or "
                             "\"12 minutes\"")
        return "steps" if found[2].startswith("step") else "minutes", float(found[1])
    if not 0 <= start < 1:
        raise ValueError("a share of the run lies between 0 and 1, for example 0.6")
    return "share", float(start)


def begins(start: float | str, step: int, seconds: float, progress: float) -> bool:
    """Whether the phase begins here."""
    unit, value = start_of(start)
    return {"share": progress, "steps": step, "minutes": seconds / 60}[unit] >= value


def check_schedule(training: Any, times: tuple[float, float], first: str) -> str:
    """The schedule as a sentence, which says so if the discriminators would never be heard; an
    error if the run would end before the phase has begun.

    `times`: measured seconds of a step of each phase; `first`: what phase 1 is about."""
    config = training.adversarial
    if config is None or not config.on:
        return f"one phase: {first}"
    unit, value = start_of(config.start)
    ends: list[tuple[str, float]] = []  # of the run, in the unit of `start`
    if unit == "share" and training.steps is not None and training.minutes is None:
        ends.append((f"{training.steps} steps", 1 - 0.999 / training.steps))  # its last step
    if unit != "share" and training.steps is not None:
        known = unit == "steps"
        ends.append((f"{training.steps} steps",
                     training.steps if known else training.steps * times[0] / 60))
    if unit != "share" and training.minutes is not None:
        known = unit == "minutes"
        left = training.minutes * 60 / times[0]
        ends.append((f"{training.minutes:g} minutes", training.minutes if known else left))
    for text, end in ends:
        if value >= end:
            known = unit == "share" or text.endswith(unit)
            estimate = "" if known else f", about {end:.0f} {unit} here"
            raise ConfigError(
                f"the adversarial phase would never begin: training.adversarial.start is "
                f"{config.start!r}, but the run ends after {text}{estimate}. Give a share of the "
                "run, such as --set adversarial.start=0.6, or a longer run"
            )
    return _sentence(config, _phase_two_steps(training, times), first)


def _phase_two_steps(training: Any, times: tuple[float, float]) -> float:
    """About how many steps the run has left once the phase has begun."""
    assert training.adversarial is not None
    unit, value = start_of(training.adversarial.start)
    first, second = times
    left = []
    if training.steps is not None:
        begin = {"share": value * training.steps, "steps": value, "minutes": 60 * value / first}
        left.append(training.steps - begin[unit])
    if training.minutes is not None:
        seconds = 60 * training.minutes
        begin = {"share": value * seconds, "steps": value * first, "minutes": 60 * value}
        left.append((seconds - begin[unit]) / second)
    return min(left, default=float("inf"))


def _sentence(config: GanConfig, left: float, first: str) -> str:
    """The schedule, when phase 2 has about `left` steps."""
    unit, value = start_of(config.start)
    when = f"{value:.0%} of the run" if unit == "share" else f"{value:g} {unit}"
    begin = f"phase 1 {first} until {when}; then " if value else ""
    never = (f", which this run does not reach (about {left:.0f} steps in phase 2): give a smaller "
             "training.adversarial.start or warmup_steps") if left <= config.warmup_steps else ""
    return (f"{begin}phase 2 adversarial ({config.objective}, {config.told()}), its discriminators "
            f"heard after {config.warmup_steps} steps{never}")


def remaining_seconds(
    config: Any, times: tuple[float, float], step: int = 0, spent: float = 0.0,
    begun: bool = False,
) -> float:
    """Time from here to the end, after `step` steps and `spent` seconds: the steps that are left,
    at what a step of each phase takes (`times`), or the minutes that are left, if they end first.
    `begun`: phase 2 has begun, whatever its `start` says."""
    ends = []
    if config.steps is not None:
        left = max(0, config.steps - step)
        first = 0.0 if begun else min(left, _first_phase_steps(config, times[0], step, spent))
        ends.append(first * times[0] + (left - first) * times[1])
    if config.minutes is not None:
        ends.append(max(0.0, 60 * config.minutes - spent))
    return min(ends, default=float("inf"))


def _first_phase_steps(
    config: Any, seconds: float, step: int, spent: float
) -> float:
    """How many steps of `seconds` phase 1 goes on for; endless without a second phase."""
    start = config.second_phase
    if start is None:
        return float("inf")
    unit, value = start_of(start)
    share = unit == "share"  # of whichever budget is further
    at_step = value * (config.steps or math.inf) if share else value
    at_second = 60 * value * ((config.minutes or math.inf) if share else 1)
    by_steps = at_step - step if unit != "minutes" else math.inf
    by_time = (at_second - spent) / seconds if unit != "steps" else math.inf
    return max(0.0, min(by_steps, by_time))
