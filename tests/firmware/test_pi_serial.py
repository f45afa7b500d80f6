"""MIDI by wire: a real port's bytes become events."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import time
from pathlib import Path

from pi_build import controls_driver

HERE = Path(__file__).parent
TCGETS2 = 0x802C542A  # Linux's, of x86 and ARM: any speed, which `termios` does not know


def speeds(port: int) -> tuple[int, int]:
    """In and out, in baud."""
    return struct.unpack("=4I20x2I", fcntl.ioctl(port, TCGETS2, bytes(44)))[4:]


def test_midi_comes_by_wire() -> None:
    """Running status, a clock within a message, active sensing, what a terminal would eat; bytes
    one by one or in heaps."""
    ours, port = os.openpty()
    binary = controls_driver(HERE / "pi_serial.c")
    with subprocess.Popen([str(binary), os.ttyname(port), "31250"], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert speeds(port) == (31250, 31250)
        for text in ("90", "3c", "f8", "64", "fe", "3c00", "11130d0a0304", "f04110f8420a", "f7",
                     "f2107f", "fa", "b0017ffefefe4a", "7f", "c003", "e0ff0040"):
            os.write(ours, bytes.fromhex(text))
            time.sleep(0.002)
        time.sleep(0.1)
        said = process.communicate("")[0].splitlines()
    os.close(ours)
    os.close(port)
    assert said[-1] == "messages 13"
    got = [re.findall(r"lane (\d) .* midi (\w+)", line)[0] for line in said[:-1]]
    assert {lane for lane, _ in got} == {"3"}
    assert [message for _, message in got] == [
        "f80000", "903c64", "903c00", "901113", "900d0a", "900304", "f80000", "f2107f", "fa0000",
        "b0017f", "b04a7f", "c00300", "e00040"]


def test_a_port_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, says in (("no", "No such file or directory"),
                       ("file", "Inappropriate ioctl for device")):
        done = subprocess.run([controls_driver(HERE / "pi_serial.c"), tmp_path / name, "38400"],
                              capture_output=True, text=True, check=True)
        assert done.stdout == f"serial {says}\n"
