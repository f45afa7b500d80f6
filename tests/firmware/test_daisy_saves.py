"""Several models on a Daisy, and what hands have set kept in its flash: on simulated memories."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from common_build import SANITIZED
from common_models import coder
from machines import machine
from test_daisy import DAISY, HERE, ROOMS, rig

from engine.boards.board import KIB, MIB
from firmware.flash import daisy
from firmware.host import build as host
from firmware.host.play import command, run_there

BLANK = b"\xff" * 65536
SLOT0, SLOT1 = 0, 1
STILL = 4000  # milliseconds without a hand, and a little
MAPPING = b"way bend\nknob1 latent 1 -3 3 mode=set\n"
STORE = daisy.store([daisy.Stored(name, coder(4, ratio, ranges=(-4, 4)), MAPPING)
                     for name, ratio in (("one", 16), ("two", 32))])
TURNS = [KIB * 16, KIB * 64, 0, 0]  # enough for one, not for both


def play(folder: Path, script: str, flash: bytes = BLANK, rooms: Sequence[int] = ROOMS,
         name: str = "native", flags: Sequence[str] = ()) -> tuple[dict[str, int], bytes]:
    """The facts, and what the flash holds then."""
    (folder / "store").write_bytes(STORE)
    (folder / "flash").write_bytes(flash)
    words = ["store", "flash", "after", *map(str, rooms), *script.split()]
    text = run_there(command(machine(name), rig(name, "daisy_saves.c", *flags), words), folder)
    return ({key: int(value) for key, value in (line.split() for line in text.splitlines())},
            (folder / "after").read_bytes())


def test_both_are_ready_where_both_have_room(tmp_path: Path) -> None:
    facts, _ = play(tmp_path, "run 300 say a slot 1 run 300 say b")
    assert (facts["turns"], facts["a_loaded"], facts["a_slot"], facts["b_slot"]) == (0, 3, 0, 1)
    facts, _ = play(tmp_path, "run 300 say a slot 1 run 300 say b slot 0 slot 1 slot 0 run 300 "
                    "say c", rooms=TURNS)
    assert (facts["turns"], facts["a_loaded"], facts["a_slot"], facts["b_slot"]) == (1, 3, 0, 1)
    assert facts["b_state"] == facts["c_state"] == 1
    assert facts["c_slot"] == 0
    assert 0 < facts["b_dry"] < 120, "a fade out, the loading, a fade in"
    facts, _ = play(tmp_path, "run 300 say a", rooms=[MIB, 0, 0, 0])
    assert facts["turns"] == 0, "played from flash, both of them"


def test_knobs_and_slot_come_back(tmp_path: Path) -> None:
    before, flash = play(tmp_path, f"run 200 slot 1 knob 0 800 run {STILL + 500} say a")
    assert (before["a_saved"], before["a_failed"]) == (1, 0)
    for rooms in (ROOMS, TURNS):
        after, same = play(tmp_path, f"knob 0 800 run 200 say b run {STILL + 500} say c", flash,
                           rooms)
        assert after["b_slot"] == 1
        assert after["b_state"] == 1
        assert after["forgot"] == 0
        assert after["c_saved"] == 0, "nobody has changed anything"
        assert same == flash


def test_nothing_is_written_before_hands_rest(tmp_path: Path) -> None:
    turning = " ".join(f"knob 0 {100 + 50 * i} run 1000" for i in range(8))
    facts, _ = play(tmp_path, f"run 300 {turning} say a run {STILL} say b")
    assert (facts["a_saved"], facts["b_saved"]) == (0, 1)
    _, torn = play(tmp_path, f"run 300 {turning} run {STILL - 1000}")
    assert torn == BLANK


def test_no_sector_is_erased_while_there_is_sound(tmp_path: Path) -> None:
    """Records until the blank sectors are used up: the next one waits for silence."""
    often = " ".join(f"knob 0 {100 + 40 * (i % 20)} run {STILL + 100}" for i in range(24))
    facts, _ = play(tmp_path, f"loud 1 run 300 {often} say a knob 0 500 loud 0 run 7000 "
                    "say b", bytes(65536), flags=["-DKEEPER_ROOM=2048u"])
    assert facts["loud_erases"] == 0
    assert facts["b_failed"] == 0
    assert 15 < facts["a_saved"] < 24
    assert facts["b_saved"] > facts["a_saved"]


def test_a_flash_that_keeps_nothing_is_told(tmp_path: Path) -> None:
    # At the start the light counts the slot.
    facts, _ = play(tmp_path, f"run 1500 say start knob 0 500 run {STILL + 500} say a broken 1 "
                    f"knob 0 900 run {STILL + 500} run 2000 say b broken 0 knob 0 200 "
                    f"run {STILL + 500} run 100 say c run 1000 say d")
    assert (facts["a_failed"], facts["b_failed"], facts["c_failed"]) == (0, 1, 0)
    assert facts["a_dark"] == 0 < facts["b_dark"], "the LED winks"
    assert facts["d_dark"] == 0
    assert facts["d_saved"] == 2


def test_nothing_is_written_while_a_model_is_read_from_flash(tmp_path: Path) -> None:
    rooms = [MIB, 0, 0, 0]
    facts, flash = play(tmp_path, f"run 300 knob 0 500 run {STILL + 3000} say a", rooms=rooms)
    assert facts["a_touched"] == 0
    assert flash == BLANK


def test_what_the_flash_holds_is_not_trusted(tmp_path: Path) -> None:
    _, flash = play(tmp_path, f"run 200 slot 1 knob 0 800 run {STILL + 500}")
    torn = flash.replace(b"two", b"twe", 1)
    facts, _ = play(tmp_path, "run 100 say a", torn)
    assert facts["a_slot"] == 0, "its CRC is wrong: there is no record"
    facts, _ = play(tmp_path, "run 100 say a", bytes(65536))
    assert facts["a_state"] == 1


@pytest.mark.parametrize("name", ["m7"])
def test_the_board_s_processor_does_the_same(name: str, tmp_path: Path) -> None:
    script = f"run 200 slot 1 knob 0 800 run {STILL + 300} say a"
    here, there = (play(tmp_path, script, rooms=TURNS, name=n) for n in ("native", name))
    assert here == there
    assert here[0]["a_saved"] == 1


# ---- the flash's driver ----

def test_the_driver_speaks_to_the_chip_as_its_manual_says(tmp_path: Path) -> None:
    program = tmp_path / "chip"
    done = subprocess.run([
        host.tool("gcc"), *host.FLAGS, "-g", *SANITIZED[2:], "-DQSPI_SIMULATED", f"-I{DAISY}",
        f"-I{host.COMMON}", str(HERE / "qspi_chip.c"), str(DAISY / "qspi.c"),
        str(host.COMMON / "save_ring.c"), str(host.COMMON / "crc.c"), "-o", str(program)],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ran = subprocess.run([str(program), "200"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    facts = dict(line.split() for line in ran.stdout.splitlines())
    assert int(facts["writes"]) > 1000
    assert int(facts["erases"]) > 50


def test_the_driver_calls_nothing_that_lies_in_the_flash(tmp_path: Path) -> None:
    """All of it is in ITCM but what hands it over; it has no tables, and asks for no function."""
    machine("m7")
    made = tmp_path / "qspi.o"
    subprocess.run([host.tool("arm-none-eabi-gcc"), "-std=gnu11", "-O2", "-mcpu=cortex-m7",
                    "-mthumb", f"-I{DAISY}", f"-I{host.COMMON}", "-c", str(DAISY / "qspi.c"), "-o",
                    str(made)], check=True)
    symbols = subprocess.run(["arm-none-eabi-nm", str(made)], capture_output=True, text=True,
                             check=True).stdout
    assert " U " not in symbols
    sizes = dict(re.findall(r"^(\.[\w.]+) +(\d+)", subprocess.run(
        ["arm-none-eabi-size", "-A", str(made)], capture_output=True, text=True,
        check=True).stdout, re.MULTILINE))
    assert int(sizes[".text"]) < 64 < int(sizes[".text.tudor_qspi"])
    assert not any(name.startswith((".rodata", ".data")) and int(size)
                   for name, size in sizes.items())
    assert "*qspi.o(.text.tudor_qspi)" in (DAISY / "itcm.lds").read_text()


def test_the_rings_lie_where_nothing_else_does() -> None:
    text = (DAISY / "store.h").read_text()
    told = {k: int(v, 16) for k, v in re.findall(r"#define (\w+) (0x\w+)u", text)}
    saves, calibrations = (range(told[f"{n}_ADDRESS"], told[f"{n}_ADDRESS"] + told[f"{n}_BYTES"])
                           for n in ("SAVES", "CALIBRATIONS"))
    assert saves.start >= 0x90000000 + 65536  # where other apps keep their settings
    assert saves.stop <= calibrations.start
    assert calibrations.stop <= daisy.APP_ADDRESS
    assert all(edge % 4096 == 0 for r in (saves, calibrations) for edge in (r.start, r.stop))
