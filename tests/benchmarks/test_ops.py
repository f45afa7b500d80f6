"""`rtf-bench --suite ops`: a line for each case, number format and instruction set, and no more."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import benchmarks.ops as ops
from benchmarks.commands import main
from benchmarks.op_cases import cases
from engine.ops import Q16X8


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "CHANNELS", 8)
    monkeypatch.setattr(ops, "BLOCKS", 16)


def test_the_command_says_what_is_there_and_how_fast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ops.json"
    with pytest.raises(SystemExit) as ended:
        main(["--suite", "ops", "--only", "tanh,gru", "--dtype", "q16x8", "--quick",
              "--json", str(file)])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    lines = json.loads(file.read_text("utf-8"))["results"]
    isas = ops.instruction_sets()
    assert isas
    assert [(line["kind"], line["dtype"], line["isa"]) for line in lines] == [
        (kind, dtype, isa) for kind in ("tanh", "gru") for dtype in ("float32", "q16x8")
        for isa in isas]
    for line in lines:
        assert line["supported"] == ((line["kind"], line["dtype"]) != ("gru", Q16X8))
        if line["supported"]:
            assert line["same_bits"] is True
            assert line["ns_per_row"] > 0
        else:
            assert "has no q16x8 form" in line["why"]
    assert "no form" in shown
    assert "same" in shown


@pytest.mark.parametrize(("words", "said"), [
    (["--only", "convd"], "unknown operation 'convd'; did you mean 'conv1d'?"),
    (["--dtype", "q8"], "unknown dtype 'q8'"), (["techno-tiny"], "leave out MODEL")])
def test_mistakes_are_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--suite", "ops", *words])
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_other_bits_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instruction set that gave another number would stand in the line."""
    played = ops.Player.play

    def off(self: ops.Player, index: int) -> np.ndarray:
        y = played(self, index).copy()
        y[0, 0, 0] += np.float32(self.isa != ops.REFERENCE) * np.float32(1e-3)
        return y

    monkeypatch.setattr(ops.Player, "play", off)
    (line, *_) = ops.lines_of(cases("tanh", 8)[0], "float32", ["scalar"], calls=0)
    assert line.same_bits is False
    assert ops._cells([line])[0] == "differ: scalar"
