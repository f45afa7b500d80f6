"""A Daisy's report by USB MIDI: its own C code at the other end of a terminal, and answers that are
wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_daisy_midi import DAISY, program

from engine.presets import shipped_native
from firmware import midi_report
from firmware.flash import daisy
from nn_tudor.cli import main

SOUND = (b"version 0.1.0\nstate playing\nslot 1\nslots 1\nmodel techno-tiny\nway effect\n"
         b"rate_hz 48000\nblock_samples 48\nload 300\nload_worst 420\nmisses 0\noverloads 0\n"
         b"faults 0\ndropped 0\nlatency_samples 1000\nstack 12016\nstack_room 16384\nunsaved 0\n"
         b"file sdram\napart_dtcm 4096\n")


def command(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["module", "check", *words])
    return int(ended.value.code or 0)


@contextmanager
def terminal() -> Iterator[tuple[int, str]]:
    """The board's end, and the path of the computer's."""
    board, computer = os.openpty()
    tty.setraw(computer)
    try:
        yield board, os.ttyname(computer)
    finally:
        os.close(board)
        os.close(computer)


@contextmanager
def a_board(folder: Path, name: str = "techno-tiny") -> Iterator[str]:
    """The instrument, played under the thread sanitizer until MIDI says stop."""
    path = shipped_native("techno-tiny", "q16x8")
    assert path is not None
    (folder / "store").write_bytes(daisy.store([daisy.Stored(name, path.read_bytes())]))
    with terminal() as (file, port):
        board = subprocess.Popen([program("daisy_report.c"), folder / "store", str(file), "300"],
                                 pass_fds=[file], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True)
        yield port
        computer = os.open(port, os.O_RDWR | os.O_NOCTTY)
        os.write(computer, b"\xfc")
        said, errors = board.communicate(timeout=120)
        os.close(computer)
    assert board.returncode == 0, errors[-3000:]
    asked, blocks = (int(n) for n in re.findall(r"\d+", said))
    assert asked >= 1
    assert blocks > 1  # however busy the machine is


def test_a_board_says_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing races, though the audio never waits."""
    monkeypatch.setattr(midi_report, "ANSWER_SECONDS", 60)
    with a_board(tmp_path) as port:
        assert command("--midi", port, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert command("--midi", port) == 0
    board, shown = told["board"], capsys.readouterr().out
    assert (board["model"], board["way"], board["slots"]) == ("techno-tiny", "bend", 1)
    assert (board["load"], board["load_worst"]) == (250, 250), "as its clock says"
    assert (board["stack"], board["stack_room"], board["file"]) == (12016, 16384, "axi")
    assert told["measured"] == {"load": 0.25, "load_worst": 0.25}
    assert told["modelled"]["method"] == "encode+decode"
    assert told["modelled"]["dtype"] == "q16x8"
    assert 0.2 < told["modelled"]["load_low"] < told["modelled"]["load_high"] < 0.5
    assert told["wrong"] == 0
    assert "measured: mean 25.0 %, worst callback 25.0 %; `tudor fit` models the worst as" in shown
    assert "file in AXI SRAM" in shown
    assert "WRONG" not in shown


def test_a_name_of_another_alphabet_arrives_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(midi_report, "ANSWER_SECONDS", 60)
    with a_board(tmp_path, "klänge") as port:
        assert midi_report.ask(port)["model"] == "kl??nge"


def answered(said: bytes, *words: str) -> int:
    """The command, and a board that answers with `said` whatever it is asked."""
    with terminal() as (file, port):
        answer = threading.Thread(target=lambda: (os.read(file, 64), os.write(file, said)))
        answer.start()
        code = command("--midi", port, *words)
        answer.join()
    return code


def whole(text: bytes) -> bytes:
    return midi_report.ANSWER + text + b"\xf7"


def test_other_messages_around_the_answer_play_no_part(capsys: pytest.CaptureFixture[str]) -> None:
    text = SOUND[:40] + b"\xf8" + SOUND[40:]
    said = b"\x90\x40\x7f\xfe\xf0\x7d\x54\x01\xf7" + whole(text) + b"\xf8\x80"
    assert answered(said) == 0
    shown = capsys.readouterr().out
    assert "within" in shown
    assert "file in SDRAM; 4 KiB of weights in DTCM" in shown


@pytest.mark.parametrize(("old", "new", "what"), [
    (b"overloads 0", b"overloads 2", "in time  2 overloads"),
    (b"stack 12016", b"stack 16000", "stack    16000 of 16384 bytes"),
    (b"load_worst 420", b"load_worst 910", "worst callback 91.0 %"),
    (b"unsaved 0", b"unsaved 1", "saves    the last one was not kept"),
    (b"playing", b"overload", "as effect, overload"),
    (b"file", b"store_fault 3\nfile", "store fault 3"),
])
def test_what_is_wrong_is_said_and_exits_with_1(old: bytes, new: bytes, what: str,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    assert SOUND.count(old) == 1
    assert answered(whole(SOUND.replace(old, new))) == 1
    wrong = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WRONG")]
    assert len(wrong) == 1
    assert what in wrong[0]


@pytest.mark.parametrize(("said", "why"), [
    (whole(SOUND.replace(b"load 300\n", b"")), "the answer lacks load"),
    (whole(SOUND.replace(b"load 300", b"load -3")), "the answer says load '-3', which is no"),
    (whole(SOUND.replace(b"slot 1\n", b"slot 99999999999\n")), "which is no number"),
    (whole(b""), "the answer is damaged"),
    (whole(SOUND[:-1]), "the answer is damaged"),
    (whole(SOUND.replace(b"\nstate", b"\n\x01state")), "the answer is damaged"),
    (whole(SOUND)[:-1], "the answer does not end"),
    (b"\xf0\x7d\x55\x02\xf7", "no answer within"),
    (b"", "no answer within"),
])
def test_an_answer_that_is_wrong_is_refused_in_a_line(said: bytes, why: str,
                                                      capsys: pytest.CaptureFixture[str],
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(midi_report, "ANSWER_SECONDS", 0.5)
    assert answered(said) == 1
    shown = capsys.readouterr()
    assert why in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.out == ""


@pytest.mark.parametrize(("words", "why"), [
    (("--midi", "/dev/none"), "/dev/none: No such file or directory; "),
    (("--midi", "/dev/none", "--host", "x"), "give --host or --midi, not both"),
    (("--model", "techno-tiny"), "--model goes with --midi"),
])
def test_mistakes_are_a_line(words: tuple[str, ...], why: str,
                             capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*words) == 1
    error = capsys.readouterr().err
    assert why in error
    assert len(error.strip().splitlines()) == 1


def test_the_model_may_be_another_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert answered(whole(SOUND), "--model", str(shipped_native("techno-daisy", "q16x8"))) == 0
    shown = capsys.readouterr().out
    assert "(forward, q16x8)" in shown
    assert answered(whole(SOUND.replace(b"techno-tiny", b"mine"))) == 0
    assert "no file of that name to model: --model names it" in capsys.readouterr().out
    bend = SOUND.replace(b"way effect", b"way bend")
    assert answered(whole(bend)) == 0
    assert "(encode+decode, q16x8)" in capsys.readouterr().out
    assert answered(whole(bend), "--model", "bach-daisy") == 1
    assert "has no method to be played as bend" in capsys.readouterr().err


def test_both_ends_have_the_same_message() -> None:
    text = (DAISY / "report.h").read_text()
    for name, wanted in (("ASK", midi_report.ASK), ("HEAD", midi_report.ANSWER)):
        listed = re.findall(rf"#define REPORT_{name} {{(.*)}}", text)[0]
        assert bytes(int(word, 16) for word in listed.split(",")) == wanted
    for board in ("patch_sm", "seed"):
        assert "midi.Start(instrument," in (DAISY / f"{board}.cpp").read_text()
    rig = (DAISY / "rig.c").read_text()
    assert f"#define OVERLOAD 0.{midi_report.OVERLOAD // 10}f" in rig
    spare = re.findall(r"PLACES_STACK_SPARE (\d+)u", (DAISY / "places.h").read_text())
    assert spare == [str(midi_report.STACK_SPARE)]
