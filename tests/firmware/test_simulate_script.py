"""Scripts of `tudor module simulate`, and what converters make of what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError
from firmware.simulate_script import Row, board_named, converted, read_script


@pytest.mark.parametrize(("line", "says"), [
    ("0,knob17,0", "knob from 1 to 16"), ("0,knob1,2", "goes from 0 to 1"),
    ("-1,knob1,0", "seconds from 0"), ("0,knob1,x", "must be numbers"),
    ("0,nob1,0", "no input 'nob1'; wants knob1.., cv1..,"),
    ("0,clock,12", "clock wants beats a minute from 20, or 0 to end it, not 12"),
    ("0,host,500", "host goes from 0 to 400"), ("0,pulses9,60", "pulses from 1 to 8"),
])
def test_mistakes_of_a_script(line: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f"seconds,input,value\n{line}\n")
    with pytest.raises(ConfigError, match=f"line 2: .*{says}"):
        read_script(path)


def test_converters_have_steps_and_noise() -> None:
    board = board_named("pi")
    sent = converted([Row(0, "knob", 1, 0.6), Row(1, "knob", 1, 0.6)], board, 2.0, 0)
    assert len(sent) > 500
    codes = sent["value"] * 4095
    assert np.abs(codes - np.rint(codes)).max() < 1e-3
    assert np.abs(sent["value"] - 0.6).max() < 0.002
    assert len(set(np.rint(codes))) > 2


def test_voltages_that_stand_still_are_steadied_as_on_the_board() -> None:
    sent = converted([Row(0, "cv", 1, 1.0), Row(1, "cv", 1, 1.0)], board_named("pi"), 2.0, 0)
    assert 2 < len(sent) < 100
    assert np.abs(sent["value"] * 5 - 1.0).max() < 0.02
    settled = sent["value"][sent["at_samples"] >= 4 * 96]
    assert settled.size > 1
    assert np.ptp(settled * 5 * 1200) < 2, "in cents, from the fifth reading on"
