"""Readings of a module's CVs by ssh, and a calibration onto its card, whole or not at all.

The work over there is done by firmware/pi/put-calibration, which is sent along.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from types import TracebackType

from engine.errors import TudorError
from firmware.calibrate import Point
from firmware.host.ssh import Remote
from firmware.pi.status import parse

SCRIPT = Path(__file__).parent / "put-calibration"
PUT_SECONDS = 120
TAKES = 20
# A steady input's mean takes 0.13 s to settle at 500 readings a second.
READ = f"""for i in $(seq {TAKES}); do sleep 0.1; tudor-module --status || exit; done"""
READING = re.compile(r"^(cv\d+)_reading (-?[\d.]+)$", re.MULTILINE)


class Module:
    """A running module for the time of a `with` block."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._remote = Remote(host)

    def __enter__(self) -> Module:
        self._remote.__enter__()
        try:
            self._status = parse(self._ask("tudor-module --status"))
        except BaseException as error:
            self._remote.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._remote.__exit__(kind, error, trace)

    def _ask(self, script: str) -> str:
        return self._remote.run(["sh", "-c", script], "the module does not answer")

    def names(self) -> list[str]:
        """CVs that are read, in order."""
        if "calibration" not in self._status:
            raise TudorError(f"{self.host}: its program is older than this one: tudor flash pi "
                             f"--ssh {self.host}")
        found = [name for name in self._status if re.fullmatch(r"cv\d+_reading", name)]
        return sorted((name.removesuffix("_reading") for name in found), key=lambda n: int(n[2:]))

    def read(self, names: Sequence[str], volts: float) -> list[Point]:
        """The mean of two seconds."""
        taken: dict[str, list[float]] = {name: [] for name in names}
        for name, value in READING.findall(self._ask(READ)):
            if name in taken:
                taken[name].append(float(value))
        for name, values in taken.items():
            if not values:
                raise TudorError(f"{self.host}: {name} is not read any more")
        return [Point(name, volts, round(fmean(values), 6), max(values) - min(values))
                for name, values in taken.items()]

    @property
    def path(self) -> str:
        """Where it reads its calibration."""
        return str(self._status["calibration"])

    def calibration(self) -> str:
        """What is there; empty if there is none."""
        return self._remote.run(["sh", "-c", '[ ! -e "$1" ] || cat "$1"', "sh", self.path],
                                "its calibration cannot be read")

    def write(self, text: str) -> None:
        """Puts it there and lets the module start with it; raises when it has gone back."""
        self._remote.send("put-calibration", SCRIPT.read_bytes(), executable=True)
        self._remote.send("calibration", text.encode())
        self._remote.run(["./put-calibration", "calibration", self.path], "not calibrated",
                         PUT_SECONDS)
