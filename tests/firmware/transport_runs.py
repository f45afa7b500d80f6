"""Clocks for the transport (firmware/common/transport*.c), and where it then is, on any machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from firmware.host.build import COMMON, CORE, FLAGS, HERE, TARGETS, Target, tool
from firmware.host.play import command, parse_output, run_there
from firmware.tools import cache, made

RATE = 48000
BEAT = float(1 << 40)
GIVEN = np.dtype([("handed", "<u4"), ("at", "<u4"), ("kind", "<u4"), ("number", "<u4"),
                  ("value", "<f4"), ("reserved", "<f4")])
SEEN = np.dtype([("position", "<u8"), ("step", "<u4"), ("passed", "<u4")])
PULSE, MIDI_PULSE, TAP, DOWNBEAT, MIDI, OWN, HOST = range(1, 8)
START, CONTINUE, STOP, SONG_POSITION = 0xFA, 0xFB, 0xFC, 0xF2
MACHINES: dict[str, Target] = {
    **TARGETS, "clang": replace(TARGETS["native"], name="native", compiler="clang")}

Event = tuple[float, int, int, float]  # seconds, kind, number, value
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """Where the transport was at the end of every block."""

    seconds: FloatArray
    beats: FloatArray
    tempo: FloatArray
    seen: NDArray[np.void]
    facts: dict[str, str]

    def at(self, seconds: float) -> float:
        """The position in beats, between blocks on a line."""
        return float(np.interp(seconds, self.seconds, self.beats))


def program(name: str) -> Path:
    """The driver for a machine, once per content of its sources."""
    target = MACHINES[name]
    sources = [Path(__file__).with_name("common_transport.c"), *sorted(COMMON.glob("transport*.c")),
               HERE / "words.c", HERE / target.platform]
    build = [tool(target.compiler), *FLAGS, *target.flags, f"-I{CORE}", f"-I{COMMON}", f"-I{HERE}",
             *map(str, sources)]
    digest = hashlib.sha256("\0".join(build).encode())
    for path in [*sources, *sorted(COMMON.glob("*.h"))]:
        digest.update(path.read_bytes())
    return made(cache("host") / f"transport-{name}-{digest.hexdigest()[:16]}", build)


def pulses(times: FloatArray, kind: int = MIDI_PULSE, per_beat: int = 24) -> list[Event]:
    """A pulse at each of the times."""
    return [(float(at), kind, per_beat, 0.0) for at in times]


def steady(tempo: float, begin: float, end: float, per_beat: int = 24) -> FloatArray:
    """The times of a clock that does not jitter."""
    return np.arange(begin, end, 60 / tempo / per_beat)


def jittered(times: FloatArray, seed: int, ms: float = 1.0) -> FloatArray:
    """Each up to `ms` early or late, evenly drawn."""
    return times + np.random.default_rng(seed).uniform(-ms, ms, times.size) / 1000


def run(events: list[Event], seconds: float, machine: str = "native", block: int = 48,
        late: FloatArray | None = None) -> Run:
    """late: seconds from each event's stamp to its being handed over; without, that is early."""
    made_ = np.zeros(len(events), GIVEN)
    order = np.argsort([event[0] for event in events], kind="stable")
    for record, i in zip(made_, order, strict=True):
        at, kind, number, value = events[i]
        record["at"] = max(0, round(at * RATE))
        ahead = 0.02 if late is None else -late[i]
        record["handed"] = max(0, round((at - ahead) * RATE))
        record["kind"], record["number"], record["value"] = kind, number & 0xFFFFFFFF, value
    made_["handed"] = np.maximum.accumulate(made_["handed"])  # a queue keeps the order
    blocks = round(seconds * RATE / block)
    with TemporaryDirectory(prefix="tudor-transport-") as name:
        folder = Path(name)
        made_.tofile(folder / "e")
        words = ["e", "o", str(RATE), str(block), str(blocks)]
        text = run_there(command(MACHINES[machine], program(machine), words), folder)
        seen = np.fromfile(folder / "o", SEEN)
    ends = np.arange(1, blocks + 1) * block / RATE
    return Run(ends, seen["position"].astype(np.int64) / BEAT,
               seen["step"] / BEAT * RATE * 60, seen, parse_output(text))
