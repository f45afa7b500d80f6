"""`tudor flash pi` as a builder types it, and what came of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.presets import shipped_native
from firmware.flash.disk import layout
from firmware.flash.ext4 import Ext4
from firmware.flash.fat import Fat
from nn_tudor.cli import main

MODEL = shipped_native("techno-tiny") or Path("techno-tiny.tudor")


def flash(stock: Path, out: Path, package: Path, *options: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["flash", "pi", "--image", str(stock), "--out", str(out), "--models", str(MODEL),
              "--codec", "wm8731", "--package", str(package), *options])
    if ended.value.code:
        raise RefusedError


class RefusedError(Exception):
    """The command ended with an error."""


def content(image: Path) -> tuple[Fat, Ext4]:
    parts = layout(image)
    return Fat(image, parts.boot), Ext4(image, parts.root)


def refused(capsys: pytest.CaptureFixture[str], *wanted: str) -> str:
    """The one line that the command ended with."""
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "\n" not in said
    for word in wanted:
        assert word in said
    return said
