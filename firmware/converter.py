"""A CV input as boards have it, errors and all: what calibration is tried on.

An op-amp stage that is off by a little, a converter whose steps are not all alike (integral
nonlinearity, INL), and noise. The errors are drawn from a seed: a bow, as amplifiers and references
make it, and unequal weights of the bits, as in a converter that compares with a bank of capacitors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOVES, STEP, MEAN_OF = 2.0**-8, 2.0**-14, 64  # firmware/common/steady.h
STEPS_12 = 4095
DNL_LSB = 0.5  # most of one step's error: typical of an MCP3208 (its data sheet allows 1)
# An ADS1115 as a Pi's module reads it: steps from ground to the supply, in a range of 4.096 V. By
# its data sheet a step's noise at 860 readings a second, at most a step of INL, no code missing.
ADS1115_STEPS, ADS1115_NOISE_LSB, ADS1115_INL_LSB = 26399, 1.0, 1.0
# The stage before a Pi's converter, as docs/module.md has it for ±5 V: Rin, Rf, and the divider for
# Vb from 3.3 V; and an MCP6004's offset.
STAGE_OHM, SUPPLY_VOLT, OFFSET_VOLT = (100e3, 31.6e3, 10e3, 6.2e3), 3.3, 0.0045


def steady(readings: Floats) -> tuple[Floats, Floats]:
    """The mean after each reading, and what was told last: firmware/common/steady.c."""
    means, told = np.empty(len(readings)), np.empty(len(readings))
    mean = said = np.float32(0)
    count = 0
    for i, reading in enumerate(readings.astype(np.float32)):
        sure = np.float32((reading - mean) / np.float32(MOVES)) ** 2
        if count == 0 or sure >= 1:
            mean, first, count = reading, count == 0, 1
        else:
            count, first = min(count + 1, MEAN_OF), False
            mean = mean + (reading - mean) * max(np.float32(1 / count), sure)
        if first or abs(mean - said) >= STEP:
            said = mean
        means[i], told[i] = mean, said
    return means, told


def stage(parts: Floats) -> tuple[float, float]:
    """What a reading of 1 is in volts, and where the readings' middle lies, of a Pi's input: Rin,
    Rf and the divider's two in ohms."""
    r_in, r_f, upper, lower = parts
    gain = SUPPLY_VOLT / 2 * r_in / r_f
    top = SUPPLY_VOLT * lower / (upper + lower) * (1 + r_in / r_f)  # where its output is at 0 V
    return float(gain), float(top - gain)


def _nonlinearity(rng: np.random.Generator, peak_lsb: float, dnl_lsb: float) -> Floats:
    """The error at each of 4096 codes, in steps of 12 bits: nothing at the ends, at most `peak`."""
    code = np.arange(STEPS_12 + 1)
    weights = rng.standard_normal(12) * np.sqrt(2.0 ** np.arange(12))
    bits = ((code[:, None] >> np.arange(12)) & 1) @ weights
    bits *= dnl_lsb / np.abs(np.diff(bits)).max()
    x = 2 * code / STEPS_12 - 1
    bits -= np.interp(x, [-1, 1], bits[[0, -1]])
    shape = rng.uniform(-1, 1) * (x**3 - x) * 2.6 + rng.uniform(-1, 1) * (x**2 - 1)
    low, high = 0.0, 1000.0
    for _ in range(60):  # as much of the bow as reaches the peak
        middle = (low + high) / 2
        low, high = (middle, high) if np.abs(bits + middle * shape).max() < peak_lsb else (low,
                                                                                           middle)
    return np.asarray(bits + low * shape)


@dataclass(frozen=True)
class Converter:
    """An input of a board. `volts` become readings from -1 to 1, a few of which are averaged where
    the board does so."""

    steps: int  # from its lowest code to its highest
    noise_lsb: float  # standard deviation, in these steps
    averaged: int
    offset: float  # of the stage, in readings
    gain: float  # volts of a reading of 1
    errors: Floats  # of 4096 codes, in steps of 12 bits
    most: float = 1.0  # of a reading: the stage need not come as far as the converter

    def read(self, volts: Floats, rng: np.random.Generator) -> Floats:
        """A reading for each of `volts`."""
        steps = self.steps
        part = (np.clip(volts / self.gain + self.offset, -self.most, self.most) + 1) / 2
        part = part + np.interp(part * STEPS_12, np.arange(STEPS_12 + 1), self.errors) / STEPS_12
        noise = self.noise_lsb * rng.standard_normal((self.averaged, len(part)))
        codes = np.clip(np.rint(part * steps + noise), 0, steps).mean(axis=0)
        return np.asarray(2 * codes / steps - 1)


def converter(board: str, seed: int, inl_lsb: float = 2.0, dnl_lsb: float = DNL_LSB) -> Converter:
    """An input of `board` ("pi" or "daisy"), with errors of its parts that `seed` draws: resistors
    of 1 %, offsets, INL of `inl_lsb` steps of 12 bits, of which one step's error is at most
    `dnl_lsb`."""
    rng = np.random.default_rng(seed)
    if board == "pi":
        gain, offset = _stage_of_parts(rng)
        return Converter(STEPS_12, 0.7, 4, offset, gain, _nonlinearity(rng, inl_lsb, dnl_lsb))
    gain = 5.0 * (1 + rng.uniform(0.0, 0.04))
    offset = rng.uniform(-0.03, 0.03) / 5
    return Converter(2**16 - 1, 8.0, 1, offset, gain, _nonlinearity(rng, inl_lsb, dnl_lsb))


def pitch_converter(seed: int, worse: float = 1.0) -> Converter:
    """An input of a Pi's module with an ADS1115, `worse` times as nonlinear as its data sheet
    allows, of which all may lie in a single step."""
    rng = np.random.default_rng(seed)
    gain, offset = _stage_of_parts(rng)
    most = worse * ADS1115_INL_LSB * STEPS_12 / ADS1115_STEPS
    errors = _nonlinearity(rng, most, most)
    return Converter(ADS1115_STEPS, ADS1115_NOISE_LSB, 1, offset, gain, errors)


def _stage_of_parts(rng: np.random.Generator) -> tuple[float, float]:
    """Gain and offset, as a Converter has them, with resistors of 1 % and an op-amp's offset."""
    gain, middle = stage(np.array(STAGE_OHM) * (1 + rng.uniform(-0.01, 0.01, 4)))
    middle += rng.uniform(-1, 1) * OFFSET_VOLT * (1 + gain / (SUPPLY_VOLT / 2))
    return gain, -middle / gain
