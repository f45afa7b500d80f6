"""`tudor fit` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.boards.board import BOARDS
from engine.boards.fit import FITS
from engine.ops import DTYPES
from nn_tudor.cli import main


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    _tudor("fit", "techno-tiny", "--target", "daisy", "--dtype", "q16x8", "--json")
    data = json.loads(capsys.readouterr().out)
    assert data["figures"] == "modelled, not measured"
    assert data["verdict"] == FITS
    assert data["largest_preset"]
    assert data["placement"]["items"]
    _tudor("fit", "techno-tiny", "--json")
    assert [row["target"] for row in json.loads(capsys.readouterr().out)] == list(BOARDS)
    _tudor("fit", "techno-daisy", "--target", "daisy")
    text = capsys.readouterr().out
    for word in ("does not fit", "the instrument around the model", "AXI SRAM",
                 "one frame at a time", "modelled", "largest preset", "D2 SRAM", "QSPI flash",
                 "can give", "cannot be read from flash"):
        assert word in text
    for word in ("the file lies in SDRAM", "are copied from it: weights", "Were all read there"):
        assert word in text
    _tudor("fit", "techno-tiny", "--method", "encode+decode", "--target", "daisy")
    assert "(encode+decode, float32)" in capsys.readouterr().out
    _tudor("fit", "techno-tiny", "--dtype", "all", "--json")
    rows = json.loads(capsys.readouterr().out)
    assert [(row["target"], row["dtype"]) for row in rows] == [(b, d) for b in BOARDS
                                                               for d in DTYPES]


def _tudor(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0


@pytest.mark.parametrize(("words", "said"), [
    (("techno-tin",), "did you mean 'techno-tiny'"),
    (("techno-tiny", "--target", "dasy"), "did you mean 'daisy'"),
    (("techno-tiny", "--method", "dream"), "it has encode, decode, forward"),
    (("techno-tiny", "--method", "encode+dream"), "it has encode, decode, forward"),
    (("techno-tiny", "--method", "encode+encode"), "encode puts out 16 channels, one row for"),
    (("model.onnx",), "boards play .tudor files"),
])
def test_mistakes_are_one_line(words: tuple[str, ...], said: str,
                               capsys: pytest.CaptureFixture[str], tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").touch()
    with pytest.raises(SystemExit) as ended:
        main(["fit", *words])
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
