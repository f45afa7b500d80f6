"""What `tudor flash pi` was asked for, checked, and carried out."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigError
from firmware.fits import check_fit, machines, model_file
from firmware.flash import card, device, pi
from firmware.flash.codecs import CODECS, alias_note, codec_named
from firmware.flash.deb import read_package
from firmware.flash.edits import MIDI_OVERLAYS
from firmware.flash.playable import check_playable
from firmware.simulate import mapping_beside


@dataclass(frozen=True)
class Request:
    """The options of the command."""

    image: Path | None
    out: Path | None
    device: Path | None
    ssh: str | None
    models: list[Path]
    codec: str | None
    hostname: str
    ssh_key: Path | None
    wifi: str | None
    country: str | None
    package: Path | None
    writable: bool
    yes: bool
    fixed_disk: Path | None = None
    target: str | None = None
    force: bool = False


def flash(request: Request) -> dict[str, Any]:
    """Does it; what was done, for people and programs."""
    if request.codec == "list":
        return {"codecs": [{"name": c.name, "title": c.title, "inputs": c.inputs,
                            "outputs": c.outputs} for c in CODECS.values()]}
    if [request.out, request.device, request.ssh].count(None) != 2:
        raise ConfigError("where to? give one of --out FILE, --device /dev/..., --ssh HOST")
    if request.ssh is not None:
        from firmware.flash.update import update

        models, told = _models(request)
        package = request.package if request.package or models else _built()
        report = update(request.ssh, package, models)
        return {**report, **told, "lines": [*told["verdicts"], *report["lines"]]}
    return _card(request)


def _models(request: Request) -> tuple[list[Path], dict[str, Any]]:
    """The files of the models that are named, and what `tudor fit` says of them."""
    machines("pi", request.target)
    models = [model_file(str(path), "pi") for path in request.models]
    fits = [check_fit(path, "pi", request.target, request.force, mapping=mapping_beside(path))
            for path in models]
    return models, {"verdicts": [line for line, _ in fits], "fit": [data for _, data in fits]}


def _card(request: Request) -> dict[str, Any]:
    started = time.perf_counter()
    if request.image is None:
        raise ConfigError("--image: the stock image is missing; download Raspberry Pi OS Lite "
                          "(64-bit)")
    if request.codec is None:
        raise ConfigError(f"--codec: which sound card? one of {', '.join(CODECS)}")
    disk = device.look_at(request.device) if request.device else None
    if disk is not None:
        device.check_meant(disk, request.yes, request.fixed_disk)
    codec = codec_named(request.codec)
    files, told = _models(request)
    models, mappings = pi.read_models(files)
    for path in files:
        check_playable(path, "pi")
    country = _country(request.country, request.wifi)
    name, key, wifi = pi.settings_for(request.hostname, request.ssh_key, request.wifi,
                                      _password(request.wifi))
    package = read_package(request.package or _built())
    load = card.Load(
        package, codec, models, mappings, pi.default_settings(package), name, key,
        pi.host_keys(request.hostname) if key else {}, wifi, country, request.writable)
    progress = pi.Progress()
    if disk is not None:
        there = pi.flash_device(request.image, disk, load, _asker(request.yes), progress)
    else:
        assert request.out is not None
        there = pi.flash_file(request.image, request.out, load, progress)
    notes = [alias_note(request.codec, there.overlay)]
    if not there.midi:
        notes.append(f"{request.image} has no overlay {' and '.join(MIDI_OVERLAYS)}: MIDI comes "
                     "by USB alone")
    return {"to": str(request.device or request.out), "package": package.version,
            "codec": codec.name, "overlay": there.overlay,
            "notes": [text for text in notes if text],
            "models": sorted(models), "mappings": sorted(mappings),
            **told, "hostname": name, "ssh": bool(key), "wifi": wifi[0] if wifi else None,
            "root": "writable" if request.writable else "overlay",
            "seconds": round(time.perf_counter() - started, 1)}


def _built() -> Path:
    from firmware.pi.package import build_package

    return build_package()


def _country(country: str | None, wifi: str | None) -> str | None:
    if country is None:
        if wifi:
            raise ConfigError("--wifi: the radio needs to know --country, such as DE or US")
        return None
    if len(country) != 2 or not country.isalpha() or not country.isascii():
        raise ConfigError(f"--country: two letters such as DE or US, got {country!r}")
    return country.upper()


def _password(wifi: str | None) -> str | None:
    if wifi is None:
        return None
    given = os.environ.get("TUDOR_WIFI_PASSWORD")
    if given is None and sys.stdin.isatty():
        from getpass import getpass

        given = getpass(f"password of the network {wifi}: ")
    return given


def _asker(yes: bool) -> pi.Ask:
    """A question at the terminal; without one only --yes says yes."""
    def ask(question: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise ConfigError("--device: nobody is here to ask; --yes erases the card unasked")
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")

    return ask


def lines(report: dict[str, Any]) -> list[str]:
    """The report for people."""
    if "codecs" in report:
        return [f"{c['name']:14s} {c['inputs']} in, {c['outputs']} out  {c['title']}"
                for c in report["codecs"]]
    if "lines" in report:
        return list(report["lines"])
    ssh = f"; ssh root@{report['hostname']}.local" if report["ssh"] else ""
    return [*report["verdicts"], *(f"note: {note}" for note in report["notes"]),
            f"{report['to']}: tudor-module {report['package']}, {', '.join(report['models'])}, "
            f"codec {report['codec']}, root {report['root']}; written and read back in "
            f"{report['seconds']} s{ssh}"]
