"""`tudor module calibrate`: known volts at the CV inputs, how they read there, and a file of it.

Between two volts the instrument goes in a straight line (`at=READING:VOLTS`, docs/mapping.md): with
a point for each octave a converter's bow is gone, and not only the stage's offset and gain.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine.errors import ConfigError, TudorError
from firmware.converter import Converter, converter, steady
from firmware.simulate_rack import calibrated
from firmware.simulate_script import reading_of

OCTAVES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
POINTS, CVS = 12, 16
RESTLESS = 0.004  # readings that differ by more do not stand still: eight steps of 12 bits
END = 0.998  # of the converter's range
LEAST_SLOPE = 0.02  # of readings in a volt: 0.2 where -1 to 1 is 10 V
# Between two volts readings rise as they do elsewhere but for the converter's INL, a percent; less
# is an op-amp that is at its rail, more a voltage that was not what was asked for.
ALIKE = 0.05
READINGS = 200  # of one point, where they are simulated
NAME = re.compile(r"cv([1-9]|1[0-6])")


@dataclass(frozen=True)
class Point:
    """An input at a known voltage: the mean of its readings, and how far they lay apart."""

    input: str
    volts: float
    reading: float
    spread: float = 0.0


class Inputs(Protocol):
    """Where readings come from."""

    def names(self) -> list[str]:
        """CVs that are read, in order."""

    def read(self, names: Sequence[str], volts: float) -> list[Point]:
        """Each of them, now that so many volts are there."""


class Simulated:
    """Inputs with errors that a seed draws: to try it without a module."""

    def __init__(self, board: str, seed: int) -> None:
        self.inputs: dict[str, Converter] = {
            f"cv{i + 1}": converter(board, seed + i) for i in range(4)}
        self._noise = np.random.default_rng(seed)

    def names(self) -> list[str]:
        return list(self.inputs)

    def read(self, names: Sequence[str], volts: float) -> list[Point]:
        found = []
        for name in names:
            mean, told = self._settled(name, volts)
            found.append(Point(name, volts, round(mean, 6), abs(told - mean)))
        return found

    def _settled(self, name: str, volts: float) -> tuple[float, float]:
        means, told = steady(self.inputs[name].read(np.full(READINGS, volts), self._noise))
        return float(means[-1]), float(told[-1])

    def cents(self, text: str | None, name: str) -> float:
        """The farthest that a semitone of five octaves lies off, under a calibration."""
        at = NAME.fullmatch(name)
        assert at is not None
        how = calibrated(text or "", Path("calibration"))[15 + int(at[1])]
        volts = np.arange(61) / 12
        wanted = reading_of(volts, how)
        slope = (reading_of(volts + 0.01, how) - wanted) / 0.01
        told = np.array([self._settled(name, float(v))[1] for v in volts])
        return round(float(np.abs((told - wanted) / slope).max() * 1200), 2)


def lines_of(points: Sequence[Point]) -> dict[str, str]:
    """A line of a calibration file for each input. Raises ConfigError for what cannot be right."""
    made = {}
    for name in dict.fromkeys(point.input for point in points):
        own = sorted((p for p in points if p.input == name), key=lambda point: point.volts)
        _check(name, own)
        made[name] = " ".join([name, *(f"at={p.reading:.6f}:{p.volts:.5f}".rstrip("0").rstrip(".")
                                       for p in own)])
    return made


def _check(name: str, own: Sequence[Point]) -> None:
    if not 2 <= len(own) <= POINTS:
        raise ConfigError(f"{name}: {len(own)} known voltages; 2 to {POINTS} are needed")
    for point in own:
        if point.spread > RESTLESS:
            raise ConfigError(f"{name}: it does not stand still at {point.volts:g} V (readings "
                              f"differ by {point.spread:.4f}); is a steady voltage patched in?")
        if abs(point.reading) > END:
            raise ConfigError(f"{name}: {point.volts:g} V is beyond what it can read; leave that "
                              "out: --volts")
    steps = [(b.reading - a.reading) / (b.volts - a.volts) if b.volts > a.volts else 0.0
             for a, b in pairwise(own)]
    if min(map(abs, steps)) < LEAST_SLOPE or len({step > 0 for step in steps}) > 1:
        worst = int(np.argmin(np.abs(steps)))
        raise ConfigError(f"{name}: reads {own[worst].reading:.4f} at {own[worst].volts:g} V and "
                          f"{own[worst + 1].reading:.4f} at {own[worst + 1].volts:g} V; was the "
                          "right jack patched, with the right voltage?")
    usual = float(np.median(steps))
    for step, (a, b) in zip(steps, pairwise(own), strict=True):
        if abs(step / usual - 1) > ALIKE:
            far = max((a, b), key=lambda point: abs(point.volts))
            raise ConfigError(f"{name}: from {a.volts:g} V to {b.volts:g} V it moves by "
                              f"{abs(b.reading - a.reading):.4f}, where "
                              f"{abs(usual) * (b.volts - a.volts):.4f} is usual; either that was "
                              f"not the voltage, or {far.volts:g} V is beyond what it can read: "
                              "--volts")


def merged(text: str, lines: dict[str, str]) -> str:
    """A calibration file with `lines` in the place of what it says of these inputs."""
    kept = [line for line in text.lstrip("\ufeff").splitlines()
            if (line.split() or [""])[0] not in lines]
    return "\n".join([*kept, *lines.values(), ""])


def measure(inputs: Inputs, names: Sequence[str], volts: Sequence[float], together: bool,
            ask: Callable[[str], None]) -> list[Point]:
    """Asks for each voltage and reads it: one input after the other, or all of them at once."""
    points = []
    for group in ([list(names)] if together else [[name] for name in names]):
        for level in volts:
            ask(f"patch {level:g} V into {', '.join(group)}")
            points += inputs.read(group, level)
        lines_of([p for p in points if p.input in group])  # says at once what is wrong
    return points


def read_points(path: Path) -> list[Point]:
    """What was measured elsewhere: a CSV of input,volts,reading."""
    try:
        rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: no text file") from None
    points = []
    for number, cells in enumerate(rows, 1):
        cells = [cell.strip() for cell in cells]
        if not any(cells) or cells[0].startswith("#") or (number == 1 and cells[0] == "input"):
            continue
        try:
            name, volts, reading = cells
            points.append(Point(name, float(volts), float(reading)))
        except ValueError:
            raise ConfigError(f"{path}, line {number}: wants input,volts,reading, such as "
                              "cv1,0,0.0123") from None
        if not NAME.fullmatch(name) or not abs(points[-1].volts) <= 12:
            raise ConfigError(f"{path}, line {number}: wants cv1 to cv16, and volts from -12 to 12")
    if not points:
        raise ConfigError(f"{path}: holds no points; wants lines of input,volts,reading")
    return points


def chosen(inputs: Inputs, wanted: Sequence[str]) -> list[str]:
    """The inputs to calibrate: those that were named, else all that are read."""
    there = inputs.names()
    if not there:
        raise TudorError("no CV is read: module.conf names none, or its converter does not answer")
    for name in wanted:
        if name not in there:
            raise ConfigError(f"--cv {name} is not read there; {', '.join(there)} are")
    return list(dict.fromkeys(wanted)) or there


def volts_of(text: str) -> tuple[float, ...]:
    """The voltages of "0,1,2"."""
    try:
        volts = tuple(sorted({float(word) for word in text.split(",")}))
    except ValueError:
        volts = ()
    if not 2 <= len(volts) <= POINTS or not all(abs(level) <= 12 for level in volts):
        raise ConfigError(f"--volts wants 2 to {POINTS} different voltages from -12 to 12, such as "
                          f"0,1,2,3,4,5, not {text!r}")
    return volts


def at_terminal(line: str) -> None:
    """Waits for Enter."""
    if not sys.stdin.isatty():
        raise ConfigError("nobody is here to patch voltages: --points FILE takes what was "
                          "measured, --measure measures")
    print(f"{line}, then press Enter ", end="", file=sys.stderr, flush=True)
    if not sys.stdin.readline():
        raise TudorError("ended before all was measured: nothing was written")


def report_of(points: Sequence[Point], text: str, lines: dict[str, str], written: bool
              ) -> dict[str, Any]:
    """What was done, for people and programs."""
    return {"points": [asdict(point) for point in points], "lines": list(lines.values()),
            "calibration": text, "written": written}


def simulated(board: str, seed: int, names: Sequence[str], volts: Sequence[float]
              ) -> dict[str, Any]:
    """All of it on inputs that are imitated, with how many cents they lie off before and after."""
    inputs = Simulated(board, seed)
    known = chosen(inputs, names)
    points = measure(inputs, known, volts, True, lambda line: None)
    lines = lines_of(points)
    text = merged("", lines)
    cents = {name: {"before": inputs.cents(None, name), "after": inputs.cents(text, name)}
             for name in known}
    return {**report_of(points, text, lines, False), "cents": cents}


def told(report: dict[str, Any], host: str | None) -> list[str]:
    """The report for people."""
    said = [*report["lines"]]
    for name, cents in report.get("cents", {}).items():
        said.append(f"{name}: {cents['before']} cents off before, {cents['after']} after, over "
                    "five octaves")
    if report["written"]:
        said.append(f"{host}: plays by it")
    return said
