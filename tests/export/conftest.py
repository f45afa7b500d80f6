"""What tests of exports share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`once(make, *words)`: what `make(*words, folder)` gives, made for the first test of a module
    that asks for it. Those after it may read it, not change it."""
    found: dict[tuple[Any, ...], Any] = {}

    def of(make: Callable[..., Any], *words: Any) -> Any:
        if (make, *words) not in found:
            found[make, *words] = make(*words, tmp_path_factory.mktemp("once"))
        return found[make, *words]

    return of


@pytest.fixture
def few(monkeypatch):
    """Of everything, as much as a test needs."""
    monkeypatch.setattr("export.quantise.drawn.CALIBRATION_DRAWS", 2048)
    monkeypatch.setattr("export.quantise.drawn.HELD_OUT_DRAWS", 1024)
    monkeypatch.setattr("export.quantise.drawn.CHECKED_DRAWS", 512)
    monkeypatch.setattr("export.verify.DRAWN_SAMPLES", 256)
    monkeypatch.setattr("export.verify.DRAWN_BLOCKS", 8)
    monkeypatch.setattr("export.quantise.calibration.CALIBRATION_SECONDS", 8.0)
    monkeypatch.setattr("export.quantise.calibration.HELD_OUT_SECONDS", 4.0)
    monkeypatch.setattr("export.quantise.loops.CALIBRATION_SECONDS", 8.0)
    monkeypatch.setattr("export.quantise.loops.HELD_OUT_SECONDS", 4.0)
    monkeypatch.setattr("export.verify.FED_BACK_SAMPLES", 4096)
