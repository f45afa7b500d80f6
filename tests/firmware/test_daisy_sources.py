"""What can be said of the Daisy's board files without libDaisy: pins, and that all sources bear
what its headers bring."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from test_daisy import DAISY, MEMORIES, _places

from engine.boards.board import BOARDS, KIB
from firmware.flash import daisy
from firmware.host import build as host
from tests.firmware.machines import machine


def test_names_of_ours_are_none_of_the_c_library_s() -> None:
    """libDaisy's chip headers include math.h before every source, with all of newlib's names."""
    machine("m7")
    folders = (host.CORE, host.COMMON)
    done = subprocess.run(
        [host.tool("arm-none-eabi-gcc"), "-fsyntax-only", "-std=gnu11", "-mcpu=cortex-m7",
         "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard", "-include", "math.h",
         "-DTUDOR_ONLY_SCALAR", *(f"-I{folder}" for folder in folders),
         *(str(path) for folder in folders for path in sorted(folder.glob("*.c")))],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]


def test_no_two_sources_of_the_app_have_one_name() -> None:
    """libDaisy puts all objects into one folder: the later one would be linked twice."""
    makefile = (DAISY / "Makefile").read_text()
    own = re.findall(r"\w+\.c\b", makefile[makefile.index("C_SOURCES"):makefile.index("CPP_")])
    names = [*own, *(p.name for folder in (host.COMMON, host.CORE) for p in folder.glob("*.c"))]
    assert {"rig.c", "report.c", "apart.c", "plan.c"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("board", ["patch_sm", "seed"])
def test_the_app_is_made_of_all_sources(board: str, tmp_path: Path) -> None:
    """As make itself reads the list; what libDaisy's own Makefile would do is left out."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core/Makefile").write_text("print:\n\t@echo $(C_SOURCES) $(CPP_SOURCES)\n")
    for script in ("STM32H750IB_qspi.lds", "STM32H750IB_sram.lds"):
        (tmp_path / "core" / script).touch()
    done = subprocess.run(
        [host.tool("make"), "--no-print-directory", "-C", str(tmp_path), "-f",
         str(DAISY / "Makefile"), f"BOARD={board}", f"LIBDAISY_DIR={tmp_path}", "print"],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folders = (DAISY, host.COMMON, host.CORE)
    wanted = {str(path) for folder in folders for path in folder.glob("*.c")}
    assert set(done.stdout.split()) == wanted | {str(DAISY / f"{board}.cpp")}


def test_a_seed_s_dac_reaches_both_of_its_ends() -> None:
    """With the chip's own buffer it gives 0.2 to 3.1 V (STM32H750 data sheet)."""
    source = (DAISY / "seed.cpp").read_text()
    assert re.findall(r"dac\.buff_state += DacHandle::BufferState::(\w+);", source) == ["DISABLED"]


def test_buttons_are_gates_3_and_4_of_both_boards() -> None:
    """Low is on: they lead to ground, and the pins are pulled up. Their contacts bounce."""
    page = (DAISY.parent.parent / "docs/daisy.md").read_text()
    patch, seed = ((DAISY / f"{board}.cpp").read_text() for board in ("patch_sm", "seed"))
    assert re.findall(r"buttons\[\d\]\.Init\(DaisyPatchSM::(\w+), GPIO::Mode::INPUT, "
                      r"GPIO::Pull::PULLUP\)", patch) == ["B7", "B8"]
    assert "inputs.gate[2 + i] = !buttons[i].Read()" in patch
    assert re.findall(r"Pin in\[RIG_GATES\] = \{(.*)\};", seed) == ["D0, D1, D3, D4"]
    assert re.findall(r"Pin lights\[LED_COUNT\] = \{(.*)\};", seed) == ["D5, D6, D7, D8, D9, D10"]
    for source in (patch, seed):
        assert re.search(r"board\.buttons += 0xc;", source)
    assert "| gate 3, 4 | button B7, toggle B8 | D3, D4 to ground |" in page
    assert "D5 to D10" in page


def test_the_stack_has_the_room_that_is_painted() -> None:
    low = re.findall(r"tudor_stack_low = _estack - (0x\w+);", (DAISY / "memories.lds").read_text())
    kib = re.findall(r"PLACES_STACK_BYTES \((\d+) \* PLACES_KIB\)",
                     (DAISY / "places.h").read_text())
    assert int(low[0], 16) == 1024 * int(kib[0])


def test_app_and_flasher_agree_on_the_places() -> None:
    text = (DAISY / "store.h").read_text()
    told = {k: int(v, 16) for k, v in re.findall(r"#define (STORE_\w+) (0x\w+)u", text)}
    assert told == {"STORE_ADDRESS": daisy.MODEL_ADDRESS, "STORE_END": daisy.END_ADDRESS}
    numbers = dict(re.findall(r"#define (STORE_\w+) (\d+)u", text))
    assert numbers == {"STORE_HEADER_BYTES": str(daisy.STORE.size),
                       "STORE_MODELS": str(daisy.MAX_SLOTS),
                       "STORE_NAME": str(daisy.NAME_BYTES + 1)}
    assert daisy.ENTRY.size == 64


def test_a_seed_s_inputs_leave_the_pins_of_its_dac_alone() -> None:
    """daisy_seed.h: A7 is PA5 and A8 is PA4, where the chip's two DAC channels come out."""
    source = (DAISY / "seed.cpp").read_text()
    assert "DacHandle::Channel::BOTH" in source
    pins = re.findall(r"\bA\d+", re.findall(r"const Pin +analog\[8\] = \{(.*)\};", source)[0])
    assert pins == ["A0", "A1", "A2", "A3", "A4", "A5", "A6", "A9"]
    page = (DAISY.parent.parent / "docs/daisy.md").read_text()
    assert "| A0 to A3, 0 to 3.3 V |" in page
    assert f"| {', '.join(pins[4:])}: 0 to 3.3 V" in page
    assert "| A8 (the DAC's pin)" in page
    assert "| A7: latent 2" in page


def test_the_app_gives_models_the_room_that_is_planned() -> None:
    assert list(_places("BOOT_QSPI").values())[:4] == [m.room_bytes for m in MEMORIES]
    less = _places("BOOT_SRAM")
    assert all(a <= b for a, b in zip(less.values(), _places("BOOT_QSPI").values(), strict=True))
    assert less["AXI"] < MEMORIES[1].room_bytes
    assert BOARDS["daisy"].file_bytes == daisy.END_ADDRESS - daisy.MODEL_ADDRESS
    assert [m.bytes for m in MEMORIES[:3]] == [128 * KIB, 512 * KIB, 288 * KIB]
