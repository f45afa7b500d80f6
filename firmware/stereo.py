"""A model of one channel on a board of two: played once, or twice, an instance for each side. What
is asked for, and what `tudor fit` says of it."""

from __future__ import annotations

import re

from engine.boards.fit import TOO_MUCH, Fit, fit, percent
from engine.boards.work import Task
from engine.errors import ConfigError, nearest

OFF, ON, AUTO = MODES = ("off", "on", "auto")  # as enum module_stereo of firmware/common
# What holds where a mapping says nothing: `stereo` of module.conf; a Daisy has no such file.
BOARD_MODES = {"pi": AUTO, "daisy": OFF}
LINE = re.compile(r"^([ \t]*stereo[ \t]+)(on|off|auto)(?=[ \t\r]*(#|$))", re.MULTILINE)
SOURCE = re.compile(r"^[ \t]*way[ \t]+source\b", re.MULTILINE)


def mode_named(name: str) -> str:
    """`name` if it is a mode, or an error that suggests one."""
    if name not in MODES:
        raise ConfigError(f"--stereo wants on, off or auto, not {name!r}{nearest(name, MODES)}")
    return name


def asked(mapping: str | None, board: str, mode: str | None = None) -> str:
    """What a model's mapping asks for; else `mode`; else what the board does."""
    found = LINE.findall(mapping or "")
    return found[-1][1] if found else mode or BOARD_MODES[board]


def concerns(task: Task, mapping: str | None) -> bool:
    """Whether a model may be played twice: of one channel, and no source."""
    return task.is_mono and not SOURCE.search(mapping or "")


def of_two(task: Task, fits: list[Fit], block: int | None) -> list[Fit]:
    """The same fits for two instances."""
    return [fit(task, found.target, block=block, streams=2) for found in fits]


def told(twice: list[Fit]) -> str:
    """What `auto` does on each machine that the board may be, by the modelled load."""
    able = [f for f in twice if f.verdict != TOO_MUCH]
    each = ", ".join(f"{f.target} {f.verdict} ({percent(f.worst_callback)})" for f in able)
    if not able:
        least = f"{twice[-1].target} {percent(twice[-1].worst_callback)}"
        return f"stereo auto: two instances would be too much ({least}), one plays"
    rest = "" if len(able) == len(twice) else "; elsewhere one plays"
    return f"stereo auto: two instances on {each}{rest}"


def settled(mapping: str | None, two: bool) -> str | None:
    """A mapping whose `auto` has been decided."""
    return mapping and LINE.sub(lambda m: m[1] + ((ON if two else OFF) if m[2] == AUTO else m[2]),
                                mapping)
