"""`tudor flash daisy` against a dfu-util that writes down how it was called."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
from machines import machine

from engine.presets import shipped_native
from firmware.flash import daisy
from nn_tudor.cli import main

MODEL = shipped_native("techno-tiny") or Path("techno-tiny.tudor")
BOOTLOADER = ('Found DFU: [0483:df11] ver=0200, devnum=46, cfg=1, intf=0, path="1-4", alt=0, '
              'name="@Flash /0x90000000/64*4Kg/0x90040000/60*64Kg/0x90400000/60*64Kg", '
              'serial="{}"')
CHIP = ('Found DFU: [0483:df11] ver=0200, devnum=46, cfg=1, intf=0, path="1-4", alt=0, '
        'name="@Internal Flash   /0x08000000/16*128Kg", serial="200364500000"')


class Board:
    """A fake dfu-util on the PATH: what it finds, what it was told to write."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.finds(BOOTLOADER.format("395B377C3330"))
        script = folder / "dfu-util"
        script.write_text(f"""#!/bin/sh
cd {folder}
if [ "$1" = -l ]; then cat found; exit 0; fi
echo "$@" >> calls
while [ $# -gt 0 ]; do
  case "$1" in -D) data="$2"; shift;; -s) at="$2"; shift;; esac; shift
done
cp "$data" "written-${{at%:leave}}"
code=$(cat code 2>/dev/null || echo 0)
case "$at" in *:leave) exit "$code";; *) exit "$(cat hard 2>/dev/null || echo 0)";; esac
""")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")

    def finds(self, *lines: str) -> None:
        (self.folder / "found").write_text("dfu-util 0.11\n\n" + "".join(f"{x}\n" for x in lines))

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def written(self, address: int) -> bytes:
        return (self.folder / f"written-0x{address:08x}").read_bytes()


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Board(folder, monkeypatch)


def flash(*options: object) -> int:
    """Its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["flash", "daisy", *map(str, options)])
    return int(ended.value.code or 0)


def make_app(path: Path, start: int = 0x24000299, stack: int = 0x20020000, size: int = 4096
             ) -> Path:
    path.write_bytes(struct.pack("<II", stack, start) + bytes(size - 8))
    return path


def test_model_and_app_go_to_their_places(board: Board, tmp_path: Path) -> None:
    app = make_app(tmp_path / "tudor.bin")
    assert flash("--app", app, "--model", MODEL) == 0
    assert len(board.calls) == 2
    model_call, app_call = board.calls
    assert model_call.startswith("-a 0 -s 0x90100000 -D ")
    assert app_call.startswith("-a 0 -s 0x90040000:leave -D ")
    assert model_call.endswith("-d ,0483:df11")
    assert board.written(0x90040000) == app.read_bytes()
    calibration, ((name, data, mapping),) = listed(board.written(0x90100000))
    assert (name, data, mapping, calibration) == (MODEL.stem, MODEL.read_bytes(), b"", b"")


def listed(data: bytes) -> tuple[bytes, list[tuple[str, bytes, bytes]]]:
    """What a store holds: the calibration; of each model name, file and mapping."""
    magic, version, count, size, crc, extra = struct.unpack_from("<8sIIII4xI", data)
    assert (magic, version, size, crc) == (b"TUDRSTOR", 2, len(data) - 64, zlib.crc32(data[64:]))
    at, found = 64 * (1 + count), []
    for i in range(count):
        one, two, name = struct.unpack_from("<II32s", data, 64 * (1 + i))
        behind = at + -(-one // 64) * 64
        assert at % 64 == behind % 64 == 0
        found.append((name.rstrip(b"\0").decode(), data[at : at + one],
                      data[behind : behind + two]))
        at = behind + -(-two // 64) * 64
    assert at + extra == len(data)
    return data[at:], found


def test_the_mapping_goes_along(board: Board, tmp_path: Path) -> None:
    model = tmp_path / "a.tudor"
    model.write_bytes(MODEL.read_bytes())
    model.with_suffix(".map").write_bytes(b"knob1 latent 1\n")
    assert flash("--model", model) == 0
    assert listed(board.written(0x90100000))[1][0][2] == b"knob1 latent 1\n"
    assert ":leave" not in board.calls[0]


def test_the_calibration_goes_along(board: Board, tmp_path: Path) -> None:
    model, calibration = tmp_path / "a.tudor", tmp_path / "mine.txt"
    model.write_bytes(MODEL.read_bytes())
    model.with_suffix(".map").write_bytes(b"knob1 latent 1\n")
    calibration.write_bytes(b"cv1 offset=0.02 gain=4.9\n")
    assert flash("--model", model, "--calibration", calibration) == 0
    text, models = listed(board.written(0x90100000))
    assert text == calibration.read_bytes()
    assert models[0][2] == b"knob1 latent 1\n"


def test_several_models_go_along_each_with_its_mapping(
        board: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = [tmp_path / f"{name}.tudor" for name in ("kick", "snare", "ä" * 20)]
    for i, model in enumerate(models):
        model.write_bytes(MODEL.read_bytes())
        if i:
            model.with_suffix(".map").write_text(f"knob{i} latent 1\n")
    options = [word for model in models for word in ("--model", model)]
    assert flash(*options) == 0
    found = listed(board.written(0x90100000))[1]
    assert [name for name, _, _ in found] == ["kick", "snare", "ä" * 15]
    assert [mapping for _, _, mapping in found] == [b"", b"knob1 latent 1\n", b"knob2 latent 1\n"]
    assert len(board.calls) == 1
    for wrong, says in ((options * 3, "at most 8 models"), (options[:2] * 2, "called 'kick'")):
        assert flash(*wrong) == 1
        assert says in capsys.readouterr().err
    models[1].with_suffix(".map").write_text("knob1 nothing\n")
    assert flash(*options) == 1
    assert "snare.map: line 1" in capsys.readouterr().err
    assert len(board.calls) == 1


def test_a_calibration_that_the_app_would_misread_is_not_written(
        board: Board, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine("native")  # a compiler
    bad = tmp_path / "bad.txt"
    bad.write_text("cv1 gain=5\n# cv2\ncv2 gian=5\n")
    for options, says in (((bad, "--model", MODEL), f"error: {bad}: line 3: wants offset=NUMBER"),
                          ((tmp_path / "none", "--model", MODEL), "none: No such file"),
                          ((bad, "--app", make_app(tmp_path / "app")), "together with --model")):
        assert flash("--calibration", *options) == 1
        said = capsys.readouterr().err.strip()
        assert says in said
        assert "\n" not in said
    assert board.calls == []


def test_dry_run_checks_and_writes_nothing(board: Board, tmp_path: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    app = make_app(tmp_path / "tudor.bin")
    assert flash("--app", app, "--model", MODEL, "--dry-run", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [w["address"] for w in report["writes"]] == ["0x90100000", "0x90040000"]
    assert not report["written"]
    # What goes to the model's place is not the user's file: it has a header, and its mapping.
    assert [w["command"][5] for w in report["writes"]] == ["-D", "-D"]
    assert [w["command"][6] for w in report["writes"]] == ["model-store.bin", "app.bin"]
    assert board.calls == []
    (tmp_path / "broken.tudor").write_bytes(MODEL.read_bytes()[:-9])
    assert flash("--model", tmp_path / "broken.tudor", "--dry-run") == 1


def test_what_the_app_would_refuse_is_not_written(board: Board, tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    """The board itself could only blink."""
    machine("native")  # a compiler
    model = tmp_path / "a.tudor"
    model.write_bytes(MODEL.read_bytes())
    model.with_suffix(".map").write_text("knob1 wet\nknob2 latent1\n")
    assert flash("--model", model) == 1
    assert "a.map: line 2: there is no target 'latent1'" in capsys.readouterr().err
    assert board.calls == []


@pytest.mark.parametrize(("found", "word"), [
    ([], "none listens"),
    ([CHIP], "the chip's own bootloader"),
    ([BOOTLOADER.format("A"), BOOTLOADER.format("B")], "2 Daisys"),
])
def test_the_wrong_board_gets_nothing(board: Board, found: list[str], word: str,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    board.finds(*found)
    assert flash("--model", MODEL) == 1
    said = capsys.readouterr().err
    assert word in said
    assert len(found) == 2 or "press BOOT once" in said
    assert board.calls == []


@pytest.mark.parametrize(("start", "stack", "size", "word"), [
    (0x24000299, 0x20020000, 480 * 1024 + 1, "may have 491520"),
    (0x90040299, 0x20020000, 768 * 1024 + 1, "may have 786432"),
    (0x08000299, 0x20020000, 4096, "BOOT_SRAM or BOOT_QSPI"),
    (0x24000299, 0x464C457F, 4096, "not the .elf"),
])
def test_apps_that_would_not_start_are_refused(board: Board, tmp_path: Path, start: int,
                                               stack: int, size: int, word: str,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    assert flash("--app", make_app(tmp_path / "tudor.bin", start, stack, size)) == 1
    assert word in capsys.readouterr().err
    assert board.calls == []


def test_apps_at_the_limit_are_taken(tmp_path: Path) -> None:
    for start, size in ((0x24000299, 480 * 1024), (0x90040299, 768 * 1024)):
        assert len(daisy.read_app(make_app(tmp_path / "app", start, size=size))) == size


def test_a_model_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    room = len(daisy.read_models([MODEL]))
    monkeypatch.setattr(daisy, "END_ADDRESS", daisy.MODEL_ADDRESS + room)
    assert len(daisy.read_models([MODEL])) == room
    monkeypatch.setattr(daisy, "END_ADDRESS", daisy.MODEL_ADDRESS + room - 1)
    with pytest.raises(daisy.ConfigError, match="the board has"):
        daisy.read_models([MODEL])


def test_failures_of_dfu_util_are_told(board: Board, tmp_path: Path,
                                       capsys: pytest.CaptureFixture[str]) -> None:
    app = make_app(tmp_path / "tudor.bin")
    (board.folder / "code").write_text("74")  # the board has left: the file is there
    assert flash("--app", app) == 0
    (board.folder / "code").write_text("64")
    assert flash("--app", app) == 1
    assert "exit code 64" in capsys.readouterr().err
    (board.folder / "hard").write_text("74")
    assert flash("--model", MODEL) == 1


def test_nothing_asked_is_an_error(board: Board) -> None:
    assert flash() == 1
