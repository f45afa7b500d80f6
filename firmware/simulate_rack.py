"""Runs the instrument's C code on this machine or an emulated one: controls and audio in, audio and
a status for every block out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from firmware.host.build import TARGETS, Target, rack
from firmware.host.play import (
    CALLS,
    EMPTY,
    FIRST_OP,
    command,
    parse_output,
    parse_tallies,
    run_there,
)

FloatArray = NDArray[np.float32]

KINDS = {"knob": 1, "cv": 2, "gate": 3, "midi": 4, "select": 5}
# Faults that the program plants: a load of every block, an xrun, output that is no audio.
PLANTS = {"load": 100, "miss": 101, "nan": 102, "huge": 103,
          "tempo": 104, "at beat": 105,  # and a host's transport: beats a minute, beats
          "each": 106}  # a load of every stream of the model
EVENT = np.dtype([("at_samples", "<u4"), ("kind", "<u2"), ("source", "<u2"), ("value", "<f4"),
                  ("midi", "u1", 4)])
SHOWN = 8
STATUS = np.dtype([
    *((name, "<u4") for name in ("blocks", "state", "flags", "slot", "loaded", "way",
                                 "streams", "latency_samples", "strike_samples")),
    ("load", "<f4"), ("load_worst", "<f4"),
    *((name, "<u4") for name in ("misses", "overloads", "faults", "dropped", "ignored",
                                 "nonfinite")),
    *((name, "<f4") for name in ("in_peak", "out_peak", "reduction", "envelope", "wet", "tempo")),
    ("beat", "<u4"), ("beat_phase", "<f4"), ("bar_phase", "<f4"),
    ("latents", "<u4"), ("latent", "<f4", SHOWN),
])
# How the converters read each knob, then each CV: struct calibration of firmware/common.
POINTS = 12
CALIBRATION = np.dtype([("offset", "<f4"), ("gain", "<f4"), ("curve", "<u4"), ("points", "<u4"),
                        ("at", "<f4", POINTS), ("volts", "<f4", POINTS)])
FIRST_CV = 16
CLOCKED = 16  # of the status' flags: MODULE_CLOCKED
STATES = ("empty", "playing", "changing", "overload", "recovering")


@dataclass(frozen=True)
class Racked:
    """What a run gave. `status`: one STATUS record per block; `facts`: what the program said, of
    what it said of several slots the last; `slots`: what it said of each."""

    audio: FloatArray  # [channels, samples]
    status: NDArray[np.void]
    facts: dict[str, str]
    refused: tuple[str, ...]
    digests: tuple[str, ...]
    slots: tuple[dict[str, str], ...] = ()
    refused_slots: tuple[int, ...] = ()  # from 0, of each that was refused
    saved: bytes = b""  # what was to be kept when the power goes


def events(rows: Sequence[tuple[float, str, int, float]], sample_rate_hz: int) -> NDArray[np.void]:
    """Event records from (seconds, kind, source from 0, value), in order of time.

    A MIDI message is (seconds, "midi", 0, its bytes as one number 0xSSDDDD)."""
    made = np.zeros(len(rows), EVENT)
    for record, (seconds, kind, source, value) in zip(made, rows, strict=True):
        record["at_samples"] = round(seconds * sample_rate_hz)
        record["kind"] = {**KINDS, **PLANTS}[kind]
        record["source"] = source
        if kind == "midi":
            packed = int(value)
            record["midi"] = (packed >> 16 & 255, packed >> 8 & 255, packed & 255, 0)
        else:
            record["value"] = value
    return made[np.argsort(made["at_samples"], kind="stable")]


def play_rack(
    target: Target, models: Sequence[bytes], *, maps: Sequence[str | None] = (),
    script: NDArray[np.void] | None = None, audio: FloatArray | None = None,
    seconds: int = 0, channels: tuple[int, int] = (1, 1), calibration: str | None = None,
    trace: bool = True, digest: bool = False, cpu: str | None = None,
    restore: bytes | None = None, save: bool = False, **options: int | str,
) -> Racked:
    """Play `models`, one slot each, on a target.

    audio: [channels, samples], or None for the program's own test signal of `seconds`.
    restore, save: what a run before has saved; whether to save at the end.
    options: rate, block, taps, overlap, fade, seed, lane, turns, stereo (a digit of enum
    module_stereo for each slot, the last for all others), as rack.c takes them.
    digest: no audio comes back, but a digest of it for every second."""
    with TemporaryDirectory(prefix="tudor-rack-") as name:
        folder = Path(name)
        words = _files(folder, models, maps, script, audio, calibration)
        words += [f"channels={channels[0]},{channels[1]}"]
        words += [f"seconds={seconds}"] if audio is None else []
        words += ["digest=1"] if digest else ["out=out"]
        words += ["trace=trace"] if trace else []
        words += [f"{key}={value}" for key, value in options.items()]
        if restore is not None:
            (folder / "before").write_bytes(restore)
            words.append("restore=before")
        words += ["save=saved"] if save else []
        text = run_there(command(target, rack(target), words, cpu), folder)
        saved = (folder / "saved").read_bytes() if save else b""
        got = np.zeros(0, np.float32) if digest else np.fromfile(folder / "out", np.float32)
        status = np.fromfile(folder / "trace", STATUS) if trace else np.zeros(0, STATUS)
    pairs = [line.partition(" ") for line in text.splitlines()]
    return Racked(
        got.reshape(channels[1], -1), status, {key: value for key, _, value in pairs},
        tuple(value for key, _, value in pairs if key == "refused"),
        tuple(value for key, _, value in pairs if key == "digest"),
        tuple(_slots(pairs)),
        tuple(int(value) for key, _, value in pairs if key == "refused_slot"), saved,
    )


def calibrated(text: str, path: Path) -> NDArray[np.void]:
    """A CALIBRATION record for every knob and CV, as the instrument reads the `text` of `path`.

    Raises ConfigError with the line that it does not understand."""
    target = TARGETS["native"]
    with TemporaryDirectory(prefix="tudor-rack-") as name:
        folder = Path(name)
        words = [*_files(folder, [], [], None, None, text), "calibrated=values"]
        said = run_there(command(target, rack(target), words), folder)
        if said.startswith("refused "):
            raise ConfigError(f"{path}: {said.partition(' ')[2].strip()}")
        return np.fromfile(folder / "values", CALIBRATION)


def _slots(pairs: list[tuple[str, str, str]]) -> list[dict[str, str]]:
    """The facts that follow each "slot"."""
    found: list[dict[str, str]] = []
    for key, _, value in pairs:
        if key == "slot":
            found.append({})
        if found:
            found[-1].setdefault(key, value)
    return found


def count_rack(
    target: Target, model: bytes, part: str, mapping: str, audio: FloatArray,
    script: NDArray[np.void], settled: int, channels: tuple[int, int] = (1, 1), **options: int,
) -> tuple[NDArray[np.int64], dict[str, str]]:
    """Instructions of each call of one part (rack_counts.c names them) from callback `settled` on,
    and the facts that the program said. "ops": one figure, all operations of the model."""
    with TemporaryDirectory(prefix="tudor-rack-") as name:
        folder = Path(name)
        words = _files(folder, [model], [mapping], script, audio, None)
        words += [f"channels={channels[0]},{channels[1]}", f"count={part}", f"from={settled}",
                  "times=times", "out=out"]
        words += ["marks=1"] if target.name == "aarch64" else []
        words += [f"{key}={value}" for key, value in options.items()]
        text = run_there(command(target, rack(target), words, None, True), folder)
        calls = np.fromfile(folder / "times", np.uint64).astype(np.int64)
    tallies = parse_tallies(text)
    empty = tallies[EMPTY].worst  # what counting costs by itself
    if part == "ops":
        ops = [t.total - empty * t.calls for slot, t in tallies.items() if slot >= FIRST_OP]
        return np.array([sum(ops)], np.int64), parse_output(text)
    if not calls.size and CALLS in tallies:  # an observer outside keeps sums only
        calls = np.array([tallies[CALLS].total - empty * (tallies[CALLS].calls - 1)], np.int64)
    return calls - empty, parse_output(text)


def _files(
    folder: Path, models: Sequence[bytes], maps: Sequence[str | None],
    script: NDArray[np.void] | None, audio: FloatArray | None, calibration: str | None,
) -> list[str]:
    """Everything the program reads, under short names: a Cortex-M7's command line is short."""
    known: dict[bytes, str] = {}
    names, map_names = [], []
    for model in models:
        name = known.setdefault(model, f"m{len(known)}")
        (folder / name).write_bytes(model)
        names.append(name)
    for i, text in enumerate(maps):
        map_names.append("-" if text is None else f"t{i}")
        if text is not None:
            (folder / map_names[-1]).write_text(text)
    words = [f"models={','.join(names)}"] if names else []
    words += [f"maps={','.join(map_names)}"] if map_names else []
    if script is not None and script.size:
        script.tofile(folder / "events")
        words.append("events=events")
    if audio is not None:
        np.ascontiguousarray(audio, np.float32).tofile(folder / "in")
        words.append("in=in")
    if calibration is not None:
        (folder / "cal").write_text(calibration)
        words.append("calibration=cal")
    return words
