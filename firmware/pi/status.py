"""`tudor module status` and `tudor module check`: what a module says of itself, here or by ssh."""

from __future__ import annotations

import re
import subprocess
from typing import Any

from engine.errors import ConfigError, TudorError
from firmware.tools import MissingToolError, tool

PROGRAM = "tudor-module"
CONVERTERS_MS = 0.8  # both, about
ASK_SECONDS, CONNECT_SECONDS = 30, 10
Fact = int | float | str


def ask(host: str | None, *words: str, seconds: int = ASK_SECONDS
        ) -> subprocess.CompletedProcess[str]:
    """Runs tudor-module with `words` here (no host) or over there."""
    if host is None:
        command = [_here()]
    elif host.startswith("-") or not host.strip() or " " in host:
        raise ConfigError(f"--host wants a name such as root@tudor.local, got {host!r}")
    else:
        command = [tool("ssh"), "-T", "-o", "BatchMode=yes", "-o",
                   f"ConnectTimeout={CONNECT_SECONDS}", "--", host, PROGRAM]
    try:
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=seconds,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise TudorError(f"{host or 'the module'} did not answer within {seconds} s") from None
    if host is not None and done.returncode == 255:
        said = done.stderr.strip().splitlines() or ["no answer"]
        raise TudorError(f"{host} cannot be reached by ssh: {said[-1]}")
    if done.returncode == 127:
        raise TudorError(f"{host}: tudor-module is not installed there; tudor flash pi makes cards")
    return done


def _here() -> str:
    try:
        return tool(PROGRAM)
    except MissingToolError:
        raise TudorError("no module runs on this machine: give --host, such as root@tudor.local; "
                         "tudor flash pi makes cards") from None


def status(host: str | None = None) -> dict[str, Any]:
    """What the running module does. Numbers are numbers; models and notes are lists."""
    done = ask(host, "--status")
    if done.returncode:
        raise TudorError(done.stderr.strip() or "tudor-module gave no status")
    return parse(done.stdout)


def parse(text: str) -> dict[str, Any]:
    """The program's lines of "name value"."""
    found: dict[str, Any] = {"models": {}, "notes": []}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "note":
            found["notes"].append(value)
        elif name.startswith("model") and name[5:].isdigit():
            found["models"][int(name[5:])] = value
        elif name:
            found[name] = value if name in ("version", "card") else _fact(value)
    return found


def _fact(value: str) -> Fact:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def check(host: str | None, seconds: int) -> str:
    """What the board says of itself after `seconds`: lines "ok" or "WRONG"."""
    done = ask(host, "--check", str(seconds), seconds=seconds + ASK_SECONDS)
    if not parse_check(done.stdout)["checks"]:
        raise TudorError(done.stderr.strip() or "tudor-module checked nothing")
    return done.stdout


def parse_check(text: str) -> dict[str, Any]:
    """{"wrong": how many, "checks": [{"what", "ok", "detail"}]}"""
    checks = []
    for word, rest in re.findall(r"^(ok|WRONG) +(.*)$", text, re.MULTILINE):
        what, _, detail = rest.partition("  ")
        checks.append({"what": what, "ok": word == "ok", "detail": detail.strip()})
    return {"wrong": sum(not c["ok"] for c in checks), "checks": checks}


def _stereo(found: dict[str, Any]) -> str:
    """How often the model is played, where that needs saying."""
    if found.get("instances") == 2:
        return ", in stereo: two instances"
    return ", once: two instances take too long" if found.get("narrowed") else ""


def _strikes(found: dict[str, Any], rate: int) -> str:
    samples = found.get("strike_samples")
    return f", gate to sound {1000 * float(samples) / rate:.1f} ms" if samples else ""


def lines(found: dict[str, Any]) -> list[str]:
    """For people."""
    def get(name: str) -> Any:
        return found.get(name, "?")

    rate = found.get("rate_hz") or 48000
    latency = 1000 * float(found.get("latency_samples", 0)) / rate
    jacks = latency + 1000 * float(found.get("buffer_samples", 0)) / rate + CONVERTERS_MS
    controls = [f"{name} {found[name] / 4095:.2f}" for name in found
                if name.startswith(("knob", "cv")) and name[-1].isdigit()]
    told = [
        f"tudor-module {get('version')}: {get('state')}, slot {get('slot')} of "
        f"{len(found['models'])}, as {get('way')}{_stereo(found)}",
        f"load {100 * float(found.get('load', 0)):.1f} %, worst block "
        f"{100 * float(found.get('load_worst', 0)):.1f} %, latency {latency:.1f} ms, "
        f"jack to jack about {jacks:.0f} ms{_strikes(found, rate)}",
        f"{get('card')}: {get('rate_hz')} Hz, blocks of {get('period_samples')}, "
        f"{get('inputs')} in, {get('outputs')} out",
        f"xruns {get('xruns')}, overloads {get('overloads')}, faults {get('faults')}, "
        f"dropped {get('dropped')}, reading errors {get('read_errors')}",
        f"level in {get('in_peak')}, out {get('out_peak')}",
    ]
    if "tempo" in found:
        held = [name for name in ("frozen", "recording", "looping") if found.get(name)]
        clock = "follows a clock" if found.get("clocked") else "of its own"
        told.append(", ".join([f"{found['tempo']:.1f} beats a minute, {clock}", *held]))
    told += [f"slot {slot}: {name}" for slot, name in found["models"].items()]
    told += [", ".join(controls)] if controls else []
    if found.get("unsaved"):
        told.append("what was set last is not on the card yet")
    return told + [f"note: {note}" for note in found["notes"]]
