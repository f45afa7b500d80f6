"""What `tudor module mapping` and `simulate` make of what a board has: gates, slots, converters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_simulate import tudor

from tests.firmware.common_models import coder, wire
from tests.firmware.machines import machine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    machine("native")
    (tmp_path / "coder.tudor").write_bytes(coder())
    (tmp_path / "wire.tudor").write_bytes(wire())
    noise = 0.1 * np.random.default_rng(0).standard_normal(48000)
    soundfile.write(tmp_path / "in.wav", noise, 48000)
    (tmp_path / "s.csv").write_text("0.5,gate2,1\n0.6,gate2,0\n")
    return tmp_path


@pytest.mark.parametrize(("board", "model", "gates"), [
    ("daisy", "coder.tudor", ["freeze", "jump", "reset", "record"]),
    ("daisy", "wire.tudor", ["reset", "record", "loop"]),
    ("pi", "coder.tudor", ["freeze", "next", "jump", "reset", "record", "loop"]),
])
def test_the_printed_mapping_has_the_board_s_gates(
    board: str, model: str, gates: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Daisy has four, and one model: none of them asks for the next."""
    assert tudor("module", "mapping", folder / model, "--board", board) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("gate")]
    assert lines == [f"gate{n} {what}" for n, what in enumerate(gates, 1)]


def test_a_voice_on_a_daisy_is_set_free_by_a_jack_or_the_toggle(
        folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a Pi gate 4 is for the next model."""
    printed = {}
    for board in ("daisy", "pi"):
        assert tudor("module", "mapping", "bach-daisy", "--board", board) == 0
        lines = capsys.readouterr().out.splitlines()
        printed[board] = [line.split(" ", 1)[1] for line in lines if line.startswith("gate")]
    gate, free, reset, last = printed["daisy"]
    assert (reset, last, printed["pi"]) == ("reset", free, [gate, free, reset, "next"])
    assert free != gate


def test_gate_2_of_a_daisy_jumps_as_long_as_there_is_one_model(folder: Path) -> None:
    def heard(*models: str) -> Iterator[np.ndarray]:
        for script in ((), ("--script", folder / "s.csv")):
            assert tudor("module", "simulate", *(folder / m for m in models), "--in",
                         folder / "in.wav", "--board", "daisy", "--out", folder / "o.wav",
                         "--no-plot", *script) == 0
            yield soundfile.read(folder / "o.wav")[0]

    still, jumped = heard("coder.tudor")
    assert np.array_equal(still[:24000], jumped[:24000])
    assert np.abs((still - jumped)[26000:]).max() > 1e-3
    still, changed = heard("coder.tudor", "wire.tudor")
    assert np.abs((still - changed)[30000:]).max() > 1e-3, "the wire plays"


def test_a_mono_model_on_two_channels_is_played_as_the_board_would(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine("native")
    x = 0.1 * np.random.default_rng(0).standard_normal((24000, 2))
    soundfile.write(tmp_path / "in.wav", x, 48000)
    heard = {}
    for words in (("--board", "pi"), ("--board", "pi", "--stereo", "off"), ("--board", "daisy"),
                  ("--board", "daisy", "--stereo", "on")):
        out = tmp_path / "out.wav"
        assert tudor("module", "simulate", "techno-tiny", "--in", tmp_path / "in.wav", "--out", out,
                     "--no-plot", "--json", *words) == 0
        heard[words[1:]] = json.loads(capsys.readouterr().out)["slots"][0]["instances"]
        y, _ = soundfile.read(out)
        assert (np.abs(y[12000:, 0] - y[12000:, 1]).max() > 1e-3) == (heard[words[1:]] == 2)
    assert list(heard.values()) == [2, 1, 1, 2]
    assert tudor("module", "simulate", "techno-tiny", "--in", tmp_path / "in.wav", "--out", out,
                 "--stereo", "both") == 1
    assert "--stereo wants on, off or auto, not 'both'" in capsys.readouterr().err
