"""MIDI on a Daisy: bytes from two interrupts reach the audio's through the instrument's rings."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from firmware.flash import daisy
from firmware.host.build import COMMON, CORE
from tests.core.core_build import compiled_object, linked
from tests.firmware.common_build import instrument
from tests.firmware.common_models import coder

HERE = Path(__file__).parent
DAISY = HERE.parent.parent / "firmware" / "daisy"
ON_THE_CHIP = ("places.c", "qspi.c")


@cache
def program(driver: str = "daisy_midi.c") -> Path:
    """A driver, the board's files, the instrument and the runtime under the thread sanitizer."""
    flags = ("-g", "-fsanitize=thread")
    own = [HERE / driver, *(path for path in sorted(DAISY.glob("*.c"))
                            if path.name not in ON_THE_CHIP)]
    objects = [compiled_object(path, "-std=c11", "-O1", "-ffp-contract=off", "-Wall", "-Wextra",
                               "-DTUDOR_ONLY_SCALAR", *flags,
                               *(f"-I{folder}" for folder in (DAISY, COMMON, CORE)), cc="clang")
               for path in own]
    objects += instrument(*flags, cc="clang", runtime=flags)
    return linked(Path(driver).stem, objects, *flags, "-lpthread", cc="clang")


def run(folder: Path, what: str) -> dict[str, float]:
    model = daisy.Stored("coder", coder(), b"way source\nnote jump\ncc1 walk\n")
    (folder / "store").write_bytes(daisy.store([model]))
    done = subprocess.run([program(), folder / "store", what], capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr[-3000:] or done.returncode
    return {key: float(value) for key, value in re.findall(r"(\w+) ([\d.]+)", done.stdout)}


def test_a_clock_within_running_status_is_followed(tmp_path: Path) -> None:
    told = run(tmp_path, "clock")
    assert abs(told["tempo"] - 120) < 0.05
    assert int(told["flags"]) & 16, "it is not followed"
    assert told["beat"] in (7, 8)  # four seconds
    assert told["dropped"] == told["ignored"] == 0


def test_two_wires_do_not_disturb_the_audio_nor_each_other(tmp_path: Path) -> None:
    """Under the thread sanitizer: no race; what found no room is counted, nothing is torn."""
    told = run(tmp_path, "hammer")
    assert told["ignored"] == 0
    assert told["dropped"] < 2 * 20000 * 2
    assert told["blocks"] > 20


def test_each_board_hears_a_uart_and_usb() -> None:
    for board, pin in (("patch_sm", "UART_4, DaisyPatchSM::A2"), ("seed", "USART_1, D14")):
        text = (DAISY / f"{board}.cpp").read_text()
        assert f"Peripheral::{pin})" in text
        assert text.index("midi.Start(") < text.index("hw.StartAudio(Callback)")
        assert "midi.Attend();" in text
    page = (DAISY.parent.parent / "docs/daisy.md").read_text()
    assert "| MIDI | USB; A2 on the header, behind an optocoupler | USB; D14, the same |" in page
