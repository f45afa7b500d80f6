"""What is late between the jacks: told by fit, simulate and status, and the same by all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_fits import tudor

from firmware.pi.status import lines, parse
from tests.firmware.machines import machine


def test_fit_says_it_where_there_are_jacks(capsys: pytest.CaptureFixture[str]) -> None:
    for target, waits in (("daisy", 2 * 48 / 48 + 0.8), ("pi4", 2 * 128 / 48 + 0.8)):
        assert tudor("fit", "techno-daisy", "--target", target, "--json") == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["jack_ms"] == pytest.approx(facts["latency_ms"] + waits)
    assert tudor("fit", "techno-daisy", "--target", "daisy") == 0
    assert "jack to jack, about" in capsys.readouterr().out
    assert tudor("fit", "techno-daisy", "--target", "desktop", "--json") == 0
    assert json.loads(capsys.readouterr().out)["jack_ms"] is None


@pytest.mark.parametrize(("board", "target"), [("daisy", "daisy"), ("pi", "pi4")])
def test_simulate_says_what_fit_says(board: str, target: str, tmp_path: Path,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    """Played as an effect, as fit takes it; bending hands latents over, and is a little later."""
    machine("native")
    soundfile.write(tmp_path / "in.wav", 0.1 * np.ones(4800), 48000)
    (tmp_path / "m.map").write_text("way effect\nknob1 wet\n")
    words = ["module", "simulate", "techno-daisy", "--board", board, "--in", tmp_path / "in.wav",
             "--out", tmp_path / "o.wav", "--no-plot", "--map", tmp_path / "m.map"]
    assert tudor(*words) == 0
    told = capsys.readouterr().out
    said = [int(ms) for ms in re.findall(r"about (\d+) ms", told)]
    assert len(said) == 2, "the verdict's, and of what was played"
    assert said[0] == said[1]
    assert tudor("fit", "techno-daisy", "--target", target, "--dtype",
                 "q16x8" if board == "daisy" else "float32", "--json") == 0
    assert said[0] == round(json.loads(capsys.readouterr().out)["jack_ms"])


def test_a_module_says_it_of_its_own_buffer() -> None:
    text = "rate_hz 48000\nperiod_samples 128\nbuffer_samples 384\nlatency_samples 480\n"
    assert "latency 10.0 ms, jack to jack about 19 ms" in "\n".join(lines(parse(text)))
