"""What a booted card plays, and what this machine plays of the same; cards by the command that a
builder types."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np

from engine.presets import shipped_native
from tests.firmware.pi_build import INTS, play, program, settings
from tests.image.image_root import BUFFER, PERIOD

BLOCKS = 798
FRAME_BYTES = 8  # two channels of 32 bits
WANTED_BYTES = (BUFFER + BLOCKS * PERIOD) * FRAME_BYTES


@cache
def heard() -> INTS:
    """What the sound card of files hears."""
    rng = np.random.default_rng(5)
    return (rng.standard_normal((200000, 2)) * 0.2 * 2**31).clip(-(2**31), 2**31 - 1).astype("<i4")


def tiny() -> bytes:
    preset = shipped_native("techno-tiny")
    assert preset is not None
    return preset.read_bytes()


def flash(image: Path, folder: Path, *options: str) -> Path:
    """A card with one model, by the command that a builder types."""
    (folder / "m.tudor").write_bytes(tiny())
    done = subprocess.run(
        [sys.executable, "-m", "nn_tudor.cli", "flash", "pi", "--image", str(image), "--out",
         str(folder / "card.img"), "--models", str(folder / "m.tudor"), "--codec", "usb",
         "--hostname", "rack", "--json", *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["models"] == ["m.tudor"]
    return folder / "card.img"


def here(folder: Path, model: bytes) -> INTS:
    """What tudor-module plays on this machine with that model, [samples, 2]."""
    (folder / "models").mkdir()
    (folder / "models/m.tudor").write_bytes(model)
    settings(folder, folder / "models", period=PERIOD, periods=BUFFER // PERIOD)
    return play([str(program())], folder, heard(), BLOCKS, PERIOD)


def sound(found: dict[str, bytes], name: str) -> INTS:
    """What the service played after the silence that fills the card's buffer, [samples, 2]."""
    assert name in found, found.get("log", b"").decode(errors="replace")[-2000:]
    got = np.frombuffer(found[name], "<i4").reshape(-1, 2)
    assert len(got) == BUFFER + BLOCKS * PERIOD, found["service"].decode(errors="replace")
    assert not got[:BUFFER].any()
    return got[BUFFER:]


def assert_same(got: INTS, wanted: INTS) -> None:
    assert got.shape == wanted.shape == (BLOCKS * PERIOD, 2)
    assert np.abs(wanted.astype(np.int64)).max() > 1e6, "silence proves nothing"
    differ = np.flatnonzero((got != wanted).any(axis=1))
    assert differ.size == 0, f"{differ.size} of {len(got)} samples differ, first {differ[0]}"
