"""What `tudor module calibrate` was asked for, checked, and carried out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from firmware import calibrate as job
from firmware.pi.calibrate import Module
from firmware.simulate_rack import calibrated
from firmware.simulate_script import board_named


@dataclass(frozen=True)
class Request:
    """The options of the command."""

    host: str | None
    cvs: list[str]
    volts: str
    together: bool = False
    measure: float | None = None
    points: Path | None = None
    simulate: int | None = None
    board: str = "pi"
    dry_run: bool = False


def calibrate(request: Request) -> dict[str, Any]:
    """Does it; what was done, for people and programs."""
    volts = job.volts_of(request.volts)
    if (request.host is None) == (request.simulate is None):
        raise ConfigError("give one of --host, such as root@tudor.local, and --simulate NUMBER")
    if request.measure is not None and request.points is not None:
        raise ConfigError("give one of --measure and --points")
    if request.measure is not None and not abs(request.measure) <= 12:
        raise ConfigError(f"--measure wants volts from -12 to 12, not {request.measure:g}")
    if request.simulate is not None:
        name = board_named(request.board).name
        if request.measure is None and request.points is None:
            return job.simulated(name, request.simulate, request.cvs, volts)
        inputs = job.Simulated(name, request.simulate)
        return _measured(inputs, request) if request.points is None else _dry(request, "")
    assert request.host is not None
    with Module(request.host) as module:
        if request.points is None and request.measure is not None:
            return _measured(module, request)
        names = job.chosen(module, request.cvs)
        points = job.read_points(request.points) if request.points else job.measure(
            module, names, volts, request.together, job.at_terminal)
        lines = job.lines_of([p for p in points if not request.cvs or p.input in names])
        text = job.merged(module.calibration(), lines)
        calibrated(text, Path(module.path))  # says what else is wrong with the file
        if not request.dry_run:
            module.write(text)
        return job.report_of(points, text, lines, not request.dry_run)


def _measured(inputs: job.Inputs, request: Request) -> dict[str, Any]:
    assert request.measure is not None
    found = inputs.read(job.chosen(inputs, request.cvs), request.measure)
    return {"points": [asdict(point) for point in found]}


def _dry(request: Request, text: str) -> dict[str, Any]:
    assert request.points is not None
    points = job.read_points(request.points)
    lines = job.lines_of(points)
    return job.report_of(points, job.merged(text, lines), lines, False)


def printed(report: dict[str, Any], host: str | None, as_json: bool) -> str:
    """The report as JSON, or for people: what was measured as --points takes it."""
    if as_json:
        return json.dumps(report)
    if "lines" not in report:
        return "\n".join(f"{p['input']},{p['volts']:g},{p['reading']}" for p in report["points"])
    return "\n".join(job.told(report, host))
