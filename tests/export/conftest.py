"""What tests of exports share."""

from __future__ import annotations

import pytest


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
