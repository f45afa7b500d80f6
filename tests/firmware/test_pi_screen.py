"""The module's small screen: what it shows, and what goes over the bus."""

from __future__ import annotations

import subprocess
from functools import cache

import numpy as np
import pytest

from tests.firmware.pi_build import driver

WRAPPED = "-Wl," + ",".join(f"--wrap={name}" for name in ("open", "ioctl", "write", "close"))
EMPTY, PLAYING, CHANGING, OVERLOAD = range(4)
FROZEN, RECORDING, LOOPING = 1, 2, 4
CELL, SIGN, WIDTH, PAGES = 6, 5, 128, 8


def told(*words):
    done = subprocess.run([driver("pi_screen.c", WRAPPED), *map(str, words)], capture_output=True,
                          text=True, check=True, timeout=60)
    return done.stdout, done.stderr


def picture(state=PLAYING, flags=0, slot=0, name="techno-daisy", load=0.41, latency=672,
            tempo=120.0, clipped=0, latents=(0.0, 0.5, 1.0)):
    out, _ = told("picture", state, flags, slot, name, load, latency, tempo, clipped, *latents)
    return np.frombuffer(bytes.fromhex(out.strip()), np.uint8).reshape(PAGES, WIDTH)


@cache
def signs():
    """What each sign looks like; two that look alike would be read as the first."""
    found = {}
    for line in told("signs")[0].splitlines():
        columns, code = line.split()
        if found.get(columns) is None:
            found[columns] = chr(int(code))
    return found


def read(dots, page):
    row = dots[page]
    cells = (row[at : at + SIGN].tobytes().hex() for at in range(0, WIDTH - SIGN + 1, CELL))
    return "".join(signs()[cell] for cell in cells).rstrip()


def test_every_sign_is_another():
    known = set(signs().values())
    assert set(" -.%?0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") - {"?"} <= known


def test_rows_say_slot_load_lateness_and_tempo():
    dots = picture(slot=1, clipped=1, tempo=97.5)
    assert read(dots, 0) == "2 TECHNO-DAISY"
    assert read(dots, 1).split() == ["LOAD", "41%", "14", "MS", "CLIP"]
    assert read(dots, 2).split() == ["97.5"]
    assert "CLIP" not in read(picture(), 1)
    assert read(picture(name="a_name-that-is-longer-than-all"), 0) == "1 A-NAME-THAT-IS-LONG"


@pytest.mark.parametrize(("flags", "words"), [
    (0, []), (FROZEN, ["FROZEN"]), (RECORDING, ["REC"]), (LOOPING | FROZEN, ["FROZEN", "LOOP"])])
def test_what_is_held_is_said(flags, words):
    assert read(picture(flags=flags), 2).split() == [*words, "120.0"]


def test_what_does_not_play_says_why():
    for state in (EMPTY, OVERLOAD):
        assert read(picture(state=state), 0) not in ("", "1 TECHNO-DAISY")
    assert read(picture(state=CHANGING), 0) == "1 TECHNO-DAISY"


@pytest.mark.parametrize("latents", [(0.0, 0.5, 1.0), (0.25,) * 8, (2.0, -1.0), ("nan", 1.0), ()])
def test_bars_are_as_high_as_latents(latents):
    dots = np.unpackbits(picture(latents=latents)[:, :, None], axis=2, bitorder="little")
    column = dots.transpose(0, 2, 1).reshape(64, WIDTH)[32:]
    width = WIDTH // len(latents) if latents else WIDTH
    for i in range(max(1, len(latents))):
        part = float(latents[i]) if latents else 0.0
        part = min(1.0, max(0.0, part)) if part == part else 0.0
        wanted = 1 + int(part * 31 + 0.5) if latents else 0
        bar = column[:, i * width]
        assert bar.sum() == wanted
        assert bar[32 - wanted :].all()


def test_only_what_changes_goes_over_the_bus_a_little_at_a_time():
    lines = [line.split() for line in told("shown")[0].splitlines()]
    sent, right = [int(line[0]) for line in lines[:60]], [line[1] == "1" for line in lines[:60]]
    piece = 7 + 33
    assert sent[:16] == [2 * piece] * 16  # all is new
    assert right.index(True) == 15
    assert sent[16:40] == [0] * 24
    assert sum(sent[40:]) == 2 * piece  # two dots in two pieces
    assert right[-1]
    assert lines[60] == ["0"]  # dark in the end


@pytest.mark.parametrize(("transfers", "said"), [(0, "does not answer"), (9, "not there any more")])
def test_a_screen_that_fails_is_said_once_and_left_alone(transfers, said):
    out, errors = told("shown", "fails", transfers)
    assert errors.count("screen: ") == 1
    assert said in errors
    assert [line.split()[2] for line in out.splitlines()[:60]][-1] == "0"
