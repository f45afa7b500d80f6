"""What a Daisy says of itself by USB MIDI, beside what `tudor fit` modelled: the first measurement
that a board gives. firmware/daisy/report.h has the same message.

A raw MIDI device of ALSA (/dev/snd/midiC1D0) is a file that bytes are written to and read from; any
other file that takes both will do, a terminal among them."""

from __future__ import annotations

import os
import re
import select
import time
import tty
from pathlib import Path
from typing import Any

from engine.boards.board import BOARDS, board_named
from engine.boards.fit import Fit, fit, percent
from engine.boards.fit_command import read_task
from engine.boards.work import IN_A_ROW
from engine.description import DECODE, EFFECT, ENCODE, GENERATE
from engine.errors import ConfigError, TudorError
from engine.players.native_model import NativeFile
from firmware.fits import model_file

HEAD, END, REAL_TIME = bytes((0xF0, 0x7D, 0x54)), 0xF7, 0xF8
ASK, ANSWER = HEAD + b"\x01\xf7", HEAD + b"\x02"
ANSWER_SECONDS, ASK_SECONDS = 3.0, 1.0  # in all; until it is asked again
MOST_BYTES = 4096
DEVICES = "/dev/snd"
UNREAD = 0xFFFF
OVERLOAD = 900  # per mille of a callback: OVERLOAD of firmware/daisy/rig.c
STACK_SPARE = 1024  # bytes: PLACES_STACK_SPARE of firmware/daisy/places.h
# The methods that a way plays, one after the other, by their roles.
ROLES = {"effect": (EFFECT,), "bend": (ENCODE, DECODE), "source": (GENERATE, DECODE)}
NUMBERS = ("slot", "slots", "rate_hz", "block_samples", "load", "load_worst", "misses", "overloads",
           "faults", "dropped", "latency_samples", "stack", "stack_room", "unsaved")
STRIKE = "strike_samples"  # from a gate to its sound; older firmware does not say it
WORDS = ("version", "state", "model", "way")


def ask(port: str) -> dict[str, Any]:
    """The board's answer at `port`, numbers as numbers."""
    try:
        file = os.open(port, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise TudorError(f"{port}: {error.strerror}; {_there_are()}") from None
    try:
        if os.isatty(file):
            tty.setraw(file)
        return parse(_received(file, port, ANSWER_SECONDS), port)
    except OSError as error:
        raise TudorError(f"{port}: {error.strerror}") from None
    finally:
        os.close(file)


def _there_are() -> str:
    found = sorted(str(p) for p in Path(DEVICES).glob("midiC*D*")) if Path(DEVICES).exists() else []
    return f"there are {', '.join(found)}" if found else f"no MIDI device is in {DEVICES}"


def _received(file: int, port: str, seconds: float) -> bytes:
    """Asks, and asks again: the text of an answer, picked out of whatever else a MIDI device
    sends."""
    end, got, asked = time.monotonic() + seconds, b"", 0.0
    while (left := end - time.monotonic()) > 0:
        if time.monotonic() - asked > ASK_SECONDS:
            os.write(file, ASK)
            asked = time.monotonic()
        if not select.select([file], [], [], min(left, ASK_SECONDS))[0]:
            continue
        read = os.read(file, 1024)
        if not read:  # a file that has ended stays readable
            time.sleep(0.01)
        got += bytes(byte for byte in read if byte < REAL_TIME)
        start = got.rfind(ANSWER)
        if start >= 0 and END in got[start:]:
            return got[start + len(ANSWER) : got.index(END, start)]
        if len(got) > MOST_BYTES:
            got = got[-MOST_BYTES // 2 :]
    began = ANSWER in got
    raise TudorError(f"{port}: the answer does not end" if began else
                     f"{port}: no answer within {seconds:g} s; is it a Daisy with tudor's app of "
                     "this version?")


def parse(answer: bytes, port: str) -> dict[str, Any]:
    """Lines of "name value"; what is missing or no number is named."""
    text = answer.decode("ascii", "replace")
    if not re.fullmatch(r"(?:[a-z0-9_]+ [ -~]*\n)+", text):
        raise TudorError(f"{port}: the answer is damaged: {text[:40]!r}")
    found: dict[str, Any] = dict(line.split(" ", 1) for line in text.splitlines())
    for name in (*NUMBERS, *WORDS):
        if name not in found:
            raise TudorError(f"{port}: the answer lacks {name}")
    found.setdefault(STRIKE, "0")
    for name, value in found.items():
        if name in (*NUMBERS, STRIKE) or name.startswith("apart_") or name == "store_fault":
            if not re.fullmatch(r"\d{1,10}", value):
                raise TudorError(f"{port}: the answer says {name} {value[:20]!r}, which is no "
                                 "number")
            found[name] = int(value)
    return found


def modelled(found: dict[str, Any], model: str | None, port: str) -> Fit | None:
    """What `tudor fit` says of the model that plays: the file or preset that is named, else the
    preset that is called as the board calls it. None where there is none, or nothing plays."""
    if found["way"] not in ROLES or not found["model"]:
        return None
    try:
        path = model_file(model or found["model"].partition(".")[0], "daisy")
    except TudorError:
        if model is not None:
            raise
        return None
    roles = {role: name for name, role in NativeFile(path).roles.items()}
    methods = [roles[role] for role in ROLES[found["way"]] if role in roles]
    if not methods:
        raise ConfigError(f"{path}: has no method to be played as {found['way']}, as {port} does")
    block = found["block_samples"]
    return fit(read_task(str(path), IN_A_ROW.join(methods)), "daisy", block=block)


def checks(found: dict[str, Any], model: Fit | None) -> list[dict[str, Any]]:
    """{"what", "ok", "detail"} of each: what the board measured."""
    def told(what: str, ok: bool, detail: str) -> dict[str, Any]:
        return {"what": what, "ok": ok, "detail": detail}

    playing = found["state"] in ("playing", "changing")
    spare = found["stack_room"] - found["stack"]
    counts = [f"{found[name]} {name}" for name in ("overloads", "misses", "faults", "dropped")]
    return [
        told("answer", "store_fault" not in found,
             f"tudor {found['version']} on a Daisy, {found['rate_hz']} Hz, blocks of "
             f"{found['block_samples']}" + (f", store fault {found['store_fault']}"
                                            if "store_fault" in found else "")),
        told("model", playing, f"slot {found['slot']} of {found['slots']}: "
             f"{found['model'] or 'none'}, as {found['way']}, {found['state']}{_strikes(found)}"),
        told("load", found["load_worst"] < OVERLOAD, _load(found, model)),
        told("in time", not (found["overloads"] or found["misses"] or found["faults"]
                             or found["dropped"]), ", ".join(counts)),
        told("stack", spare >= STACK_SPARE, f"{found['stack']} of {found['stack_room']} bytes"),
        told("memory", True, _memory(found)),
        told("saves", not found["unsaved"],
             "the last one was not kept" if found["unsaved"] else "kept"),
    ]


def _strikes(found: dict[str, Any]) -> str:
    samples = found.get(STRIKE, 0)
    return f", gate to sound {1000 * samples / found['rate_hz']:.1f} ms" if samples else ""


def _load(found: dict[str, Any], model: Fit | None) -> str:
    if UNREAD in (found["load"], found["load_worst"]):
        return "not measured"
    mean, worst = found["load"] / 10, found["load_worst"] / 10
    text = f"measured: mean {mean:.1f} %, worst callback {worst:.1f} %"
    if model is None:
        return f"{text}; no file of that name to model: --model names it"
    low, high = (100 * end for end in (model.worst_callback.low, model.worst_callback.high))
    where = "below" if worst < low else "above" if worst > high else "within"
    return (f"{text}; `tudor fit` models the worst as {percent(model.worst_callback)} "
            f"({model.method}, {model.dtype}): {where}")


def _memory(found: dict[str, Any]) -> str:
    names = dict(zip(("dtcm", "axi", "d2", "sdram"), (m.name for m in BOARDS["daisy"].memories),
                     strict=True)) | {"qspi": "QSPI flash"}
    apart = [f"{found[f'apart_{key}'] / 1024:.0f} KiB of weights in {name}"
             for key, name in names.items() if f"apart_{key}" in found]
    return "; ".join([f"file in {names.get(found.get('file', ''), '?')}", *apart])


def report(port: str, model: str | None) -> dict[str, Any]:
    """Measured and modelled, as data."""
    found = ask(port)
    figures = modelled(found, model, port)
    listed = checks(found, figures)
    limit = board_named("daisy").load_limit
    return {
        "wrong": sum(not c["ok"] for c in listed), "checks": listed, "board": found,
        "measured": {"load": found["load"] / 1000, "load_worst": found["load_worst"] / 1000},
        "modelled": None if figures is None else {
            "figures": "modelled, not measured", "method": figures.method, "dtype": figures.dtype,
            "load_low": round(figures.worst_callback.low, 4),
            "load_high": round(figures.worst_callback.high, 4), "load_limit": limit},
    }


def lines(told: dict[str, Any]) -> str:
    """For people."""
    return "\n".join(f"{'ok   ' if c['ok'] else 'WRONG'} {c['what']:<8} {c['detail']}"
                     for c in told["checks"])
