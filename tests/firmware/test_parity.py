"""`tudor verify --all`: every backend, number format and machine, and what a fault looks like."""

from __future__ import annotations

import json
import platform
from dataclasses import replace

import numpy as np
import pytest

from engine.errors import TudorError
from engine.models.store import Stored, load_model
from export.targets import TARGETS as EXPORTS
from firmware.host import parity
from firmware.host.build import TARGETS, MissingToolError
from firmware.host.play import Played, play
from nn_tudor import cli
from tests.export.small_models import small_model
from tests.firmware.machines import machine

PLACES = 3 + len(EXPORTS)  # two rows of PyTorch, one of each export, one more for scalar code


@pytest.fixture(scope="module")
def stored() -> Stored:
    return Stored("small", small_model(), {}, True, None)


def emulated(rows: list[parity.Row]) -> list[parity.Row]:
    return [row for row in rows if "emulated" in row.target]


def test_every_backend_number_format_and_machine_has_a_row() -> None:
    for board in TARGETS.values():
        machine(board.name)
    rows = list(parity.parity(load_model("techno-tiny")))
    assert all(row.passed for row in rows), [row for row in rows if not row.passed]
    assert {(row.backend, row.dtype) for row in rows} == {
        ("pytorch", "float64"), ("pytorch", "float32")} | {
        ("torchscript" if to == "nn" else to, dtype)
        for to, target in EXPORTS.items() for dtype in target.dtypes}
    assert len(rows) >= PLACES
    cpus = [cpu for board in TARGETS.values() for cpu in board.cpus]
    for dtype in EXPORTS["native"].dtypes:
        native = [row for row in rows if (row.backend, row.dtype) == ("native", dtype)]
        assert [row.target.split()[0] for row in emulated(native)] == cpus
        assert {f"{platform.machine()} ref", f"{platform.machine()} scalar"} <= {
            row.target for row in native}
        assert all(row.same_bits for row in native)
    assert all((row.audio_snr_db is None) == row.dtype.startswith("float") for row in rows)
    float32 = [row for row in rows if row.dtype == "float32"]
    assert all(row.max_abs_error is not None and 0 < row.max_abs_error < 1e-4 for row in float32)


def test_one_wrong_bit_on_one_machine_fails(stored: Stored, monkeypatch) -> None:
    machine("aarch64")
    machine("m7")

    def faulty(board, *words, **options) -> Played:
        played = play(board, *words, **options)
        if options["cpu"] == "cortex-a53" and options["method"] == "decode":
            played.audio.view(np.uint32)[0, -1] ^= 1
        return played

    monkeypatch.setattr(parity, "play", faulty)
    only = {"native": replace(EXPORTS["native"], dtypes=("float32",))}
    monkeypatch.setattr(parity, "EXPORTS", only)
    rows = emulated(list(parity.parity(stored)))
    assert [row.target.split()[0] for row in rows if not row.passed] == ["cortex-a53"]
    assert [row.same_bits for row in rows].count(False) == 1


@pytest.mark.parametrize(("error", "passed"), [
    (MissingToolError("qemu is not installed"), None),
    (TudorError("qemu, exit code 1: memory: the board has not enough"), None),
    (TudorError("qemu, exit code 99: the processor took a fault"), False),
])
def test_a_machine_that_cannot_try_says_why(stored: Stored, monkeypatch, error: TudorError,
                                            passed: bool | None) -> None:
    def absent(*_: object, **__: object) -> Played:
        raise error

    monkeypatch.setattr(parity, "play", absent)
    only = {"native": replace(EXPORTS["native"], dtypes=("float32",))}
    monkeypatch.setattr(parity, "EXPORTS", only)
    rows = emulated(list(parity.parity(stored)))
    assert len(rows) == sum(len(board.cpus) for board in TARGETS.values())
    assert all(row.passed is passed and str(error) in row.note for row in rows)


def test_an_export_that_fails_is_a_row(stored: Stored, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TudorError("layer encoder/3 has no such weights")

    monkeypatch.setattr(parity, "export_model", broken)
    rows = list(parity.parity(stored))
    failed = [row for row in rows if row.passed is False]
    assert len(failed) == sum(len(target.dtypes) for target in EXPORTS.values())
    assert all("encoder/3" in row.note for row in failed)


def _tudor(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    return int(ended.value.code or 0)


def test_the_command(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [parity.Row("pytorch", "float64", "here", 1e-6, passed=True),
            parity.Row("native", "float32", "here ref", 2e-6, 110.0, None, True, True),
            parity.Row("native", "float32", "cortex-m7", note="no qemu here")]
    monkeypatch.setattr("nn_tudor.parity.parity", lambda *_: iter(rows))
    assert _tudor("verify", "--all", "techno-tiny") == 0
    text = capsys.readouterr().out
    for word in ("the reference", "not tried", "no qemu here", "1.0e-06"):
        assert word in text
    rows.append(parity.Row("native", "float32", "cortex-a53", same_bits=False,
                           passed=False, note="other"))
    assert _tudor("verify", "--all", "techno-tiny", "--json") == 1
    data = json.loads(capsys.readouterr().out)
    assert data["model"] == "techno-tiny"
    assert [row["passed"] for row in data["rows"]] == [True, True, None, False]


@pytest.mark.parametrize(("words", "said"), [
    (("a.ts",), "--against RUN"),
    (("--all", "a", "b"), "takes one run directory or preset"),
    (("a.ts", "--against", "techno-tiny", "--calibrate", "x"), "belongs to --all"),
    (("--all", "techno-tin"), "did you mean 'techno-tiny'"),
])
def test_mistakes_are_one_line(words: tuple[str, ...], said: str,
                               capsys: pytest.CaptureFixture[str]) -> None:
    assert _tudor("verify", *words) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
