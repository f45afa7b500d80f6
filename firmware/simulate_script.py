"""Scripts of controls, and what a board's converters make of them."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.boards.board import board_named as board_of
from engine.boards.fit import jack_to_jack_ms
from engine.errors import ConfigError, nearest
from firmware.converter import steady
from firmware.fits import MACHINES
from firmware.simulate_rack import CALIBRATION, FIRST_CV, KINDS, events

INPUT = re.compile(r"(knob|cv|gate|cc|slot|pulses)(\d+)|note|bender|pressure|clock|start|stop|"
                   r"continue|host")
# kind: first number, numbers, least and most value
LIMITS = {"knob": (1, 16, 0.0, 1.0), "cv": (1, 16, -12.0, 12.0), "gate": (1, 8, 0.0, 1.0),
          "cc": (0, 128, 0.0, 127.0), "slot": (1, 8, -np.inf, np.inf),
          "note": (0, 1, -127.0, 127.0), "bender": (0, 1, -1.0, 1.0),
          "pressure": (0, 1, 0.0, 127.0), "pulses": (1, 8, 0.0, 38400.0),
          "clock": (0, 1, 0.0, 400.0), "host": (0, 1, 0.0, 400.0),
          **dict.fromkeys(("start", "stop", "continue"), (0, 1, -np.inf, np.inf))}
INPUTS = ("knob1.., cv1.., gate1.., cc0.., slot1.., note, bender, pressure, pulses1.., clock, "
          "start, stop, continue or host")
# What makes time and is no control: MIDI's clock and what belongs to it, pulses, a host.
REAL_TIME = {"start": 0xFA, "continue": 0xFB, "stop": 0xFC}
TIMES = ("clock", "pulses", "host", *REAL_TIME)
TEMPO_LEAST, MIDI_PULSES, PULSE_SECONDS = 20, 24, 0.005


@dataclass(frozen=True)
class Board:
    """What matters of a board: its audio, and how it reads voltages.

    Converters: `bits` over the whole range, gaussian noise of `noise_lsb` (standard deviation, in
    steps), read every `scan_samples`; CVs `averaged` and steadied. The noise is assumed, not
    measured. Rate conversion: `resample_taps`, and the most bytes that its tables may take.
    `knobs`, `cvs` and `gates`: as many as are on its panel, buttons among the gates. `slots`:
    models that it holds."""

    name: str
    sample_rate_hz: int
    block_samples: int
    bits: int
    noise_lsb: float
    scan_samples: int
    resample_taps: int
    resample_bytes: int
    overlap: bool
    averaged: int  # readings of a CV at once
    knobs: int = 4
    cvs: int = 4
    gates: int = 8  # a Pi has pins for as many
    slots: int = 8

    def has(self, word: str) -> bool:
        """Whether an input of a mapping, such as `knob5`, is on its panel, or none of its kind."""
        found = re.fullmatch(r"(knob|cv|gate)(\d+)", word)
        there = {"knob": self.knobs, "cv": self.cvs, "gate": self.gates}
        return found is None or int(found[2]) <= there[found[1]]

    def jack_ms(self, latency_samples: int) -> float:
        """About, between its jacks, where a model is so late: its buffers and converters too."""
        instrument = board_of(MACHINES[self.name][0]).instrument
        assert instrument is not None, f"{self.name} is an instrument"
        at = replace(instrument, rate_hz=self.sample_rate_hz)
        late = jack_to_jack_ms(1000 * latency_samples / at.rate_hz, self.block_samples, at)
        return late or 0.0

    @property
    def words(self) -> dict[str, Any]:
        """What `play_rack` is told of the board."""
        instrument = board_of(MACHINES[self.name][-1]).instrument
        assert instrument is not None, f"{self.name} is an instrument"
        return {"rate": self.sample_rate_hz, "block": self.block_samples,
                "taps": self.resample_taps, "tables": self.resample_bytes,
                "overlap": int(self.overlap), "slots": self.slots,
                "burst": instrument.burst_macs, "ahead": int(instrument.ahead)}


BOARDS = {board.name: board for board in (
    # As firmware/pi/module.conf has it: MCP3208, read 500 times a second.
    Board("pi", 48000, 128, 12, 0.7, 96, 32, 1 << 20, True, 4),
    # The STM32's own converters.
    Board("daisy", 48000, 48, 16, 8.0, 48, 32, 1 << 17, False, 1, gates=4, slots=1),
)}


@dataclass(frozen=True)
class Row:
    """A line of a script: at `seconds` the input reaches `value`."""

    seconds: float
    kind: str
    number: int  # as written: knob1 is 1
    value: float


def board_named(name: str) -> Board:
    """The board called `name`, or an error that suggests one."""
    if name not in BOARDS:
        raise ConfigError(f"unknown board {name!r}{nearest(name, BOARDS)}")
    return BOARDS[name]


def read_script(path: Path) -> list[Row]:
    """The rows of a CSV `seconds,input,value`; a header and lines that begin with # are skipped."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()  # spreadsheets begin with a mark
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: no text file") from None
    rows: list[Row] = []
    for number, cells in enumerate(csv.reader(lines), 1):
        cells = [cell.strip() for cell in cells]
        first = not rows and number == 1 and cells[:1] == ["seconds"]
        if not cells or not cells[0] or cells[0].startswith("#") or first:
            continue
        rows.append(_row(cells, f"{path}, line {number}"))
    return sorted(rows, key=lambda row: row.seconds)


def _row(cells: list[str], where: str) -> Row:
    if len(cells) != 3:
        raise ConfigError(f"{where}: wants seconds,input,value, has {len(cells)} cells")
    found = INPUT.fullmatch(cells[1])
    kind = found[1] or cells[1] if found else ""
    if kind not in LIMITS:
        raise ConfigError(f"{where}: no input {cells[1]!r}; wants {INPUTS}")
    try:
        seconds, value = float(cells[0]), float(cells[2])
    except ValueError:
        raise ConfigError(f"{where}: {cells[0]!r} and {cells[2]!r} must be numbers") from None
    first, count, least, most = LIMITS[kind]
    number = int(found[2]) if found and found[2] else first
    if not 0 <= seconds <= 86400:
        raise ConfigError(f"{where}: seconds from 0 to 86400, not {cells[0]}")
    if not first <= number < first + count:
        raise ConfigError(f"{where}: {kind} from {first} to {first + count - 1}, not {number}")
    if not least <= value <= most:
        raise ConfigError(f"{where}: {cells[1]} goes from {least:g} to {most:g}, not {cells[2]}")
    if kind in ("clock", "host") and 0 < value < TEMPO_LEAST:
        raise ConfigError(f"{where}: {kind} wants beats a minute from {TEMPO_LEAST}, or 0 to end "
                          f"it, not {cells[2]}")
    return Row(seconds, kind, number, value)


def plain_calibration() -> NDArray[np.void]:
    """Knobs as they are read, a CV's -1 to 1 as -5 V to 5 V: what holds without a file."""
    made = np.zeros(2 * FIRST_CV, CALIBRATION)
    made["gain"][:FIRST_CV], made["gain"][FIRST_CV:] = 1, 5
    return made


def converted(rows: list[Row], board: Board, seconds: float, seed: int,
              calibration: NDArray[np.void] | None = None) -> NDArray[np.void]:
    """The events that a board would send for a script: converters read in steps and with noise.

    calibration: the board is one whose converters read so (simulate_rack.calibrated)."""
    calibration = plain_calibration() if calibration is None else calibration
    made: list[tuple[float, str, int, float]] = []
    for row in rows:
        if row.kind == "gate":
            made.append((row.seconds, "gate", row.number - 1, row.value))
        elif row.kind == "slot":
            made.append((row.seconds, "select", row.number - 1, 0.0))
        elif row.kind in REAL_TIME:
            made.append((row.seconds, "midi", 0, REAL_TIME[row.kind] << 16))
        elif row.kind == "host":
            made += [(row.seconds, "tempo", 0, row.value)]
        elif row.kind not in (*KINDS, *TIMES):
            made.append((row.seconds, "midi", 0, _midi(row)))
    made += _ticks(rows, seconds)
    noise = np.random.default_rng(seed)
    for kind in ("knob", "cv"):
        for number in sorted({row.number for row in rows if row.kind == kind}):
            line = [row for row in rows if row.kind == kind and row.number == number]
            how = calibration[number - 1 + FIRST_CV * (kind == "cv")]
            made += _readings(line, board, seconds, noise, how)
    return events(made, board.sample_rate_hz)


def _ticks(rows: list[Row], seconds: float) -> list[tuple[float, str, int, float]]:
    """Clocks and pulses, each from its row to the next one of its kind, or to the end. The first
    of them is at the row's time: a `start` at the same time belongs to it."""
    made: list[tuple[float, str, int, float]] = []
    for kind, number in sorted({(row.kind, row.number) for row in rows
                                if row.kind in ("clock", "pulses")}):
        line = [row for row in rows if (row.kind, row.number) == (kind, number)]
        for row, end in zip(line, [*(r.seconds for r in line[1:]), seconds], strict=True):
            if row.value <= 0:
                continue
            rate = row.value * (MIDI_PULSES if kind == "clock" else 1) / 60
            for at in np.arange(row.seconds, end, 1 / rate).tolist():
                if kind == "clock":
                    made.append((at, "midi", 0, 0xF8 << 16))
                else:
                    made += [(at, "gate", number - 1, 1.0),
                             (at + min(PULSE_SECONDS, 0.5 / rate), "gate", number - 1, 0.0)]
    return made


def _midi(row: Row) -> int:
    """The message as one number; a note's value is its number, negative to end it."""
    value = round(row.value)
    if row.kind == "note":
        return (0x90 if value >= 0 else 0x80) << 16 | abs(value) << 8 | 100
    if row.kind == "cc":
        return 0xB0 << 16 | row.number << 8 | value
    if row.kind == "pressure":
        return 0xD0 << 16 | value << 8
    bend = min(16383, round((row.value + 1) * 8192))
    return 0xE0 << 16 | (bend & 127) << 8 | bend >> 7


def reading_of(volts: NDArray[np.float64], how: np.void) -> NDArray[np.float64]:
    """What an input that is calibrated so reads at `volts`: the inverse of `calibrated` in C."""
    count = int(how["points"])
    if count < 2:
        return np.asarray(volts / float(how["gain"]) + float(how["offset"]))
    at, means = how["at"][:count].astype(float), how["volts"][:count].astype(float)
    if means[0] > means[-1]:
        at, means = at[::-1], means[::-1]
    line = np.clip(np.searchsorted(means, volts) - 1, 0, count - 2)
    part = (volts - means[line]) / (means[line + 1] - means[line])
    return np.asarray(at[line] + part * (at[line + 1] - at[line]))


def _readings(
    rows: list[Row], board: Board, seconds: float, noise: np.random.Generator, how: np.void,
) -> list[tuple[float, str, int, float]]:
    """A knob or CV as it is read: quantised, noisy, sent when the reading changed. A reading ends
    at the converter's range."""
    kind, source = rows[0].kind, rows[0].number - 1
    at = np.arange(0, seconds, board.scan_samples / board.sample_rate_hz)
    wanted = np.interp(at, [r.seconds for r in rows], [r.value for r in rows])
    steps = 2**board.bits - 1
    read = reading_of(wanted, how)
    part = np.clip(read if kind == "knob" else (read + 1) / 2, 0, 1)
    times = board.averaged if kind == "cv" else 1
    codes = np.clip(np.rint(part * steps + board.noise_lsb * noise.standard_normal(
        (times, at.size))), 0, steps).mean(axis=0)
    reading = codes / steps if kind == "knob" else steady(2 * codes / steps - 1)[1]
    changed = np.flatnonzero(np.diff(reading, prepend=-2))
    return [(float(at[i]), kind, source, float(reading[i])) for i in changed]
