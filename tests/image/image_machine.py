"""A computer that boots a card: qemu-system-aarch64, with the trial on a second disk."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from firmware.flash.disk import layout
from firmware.flash.fat import Fat
from firmware.tools import tool
from tests.image.image_root import Stock

RESULT_BYTES = 8 << 20
LIMIT_SECONDS = 2400  # where others work on the same cores
# The trial's first lines: `played` waits until the sound card has what is wanted of it.
PRELUDE = """exec >/run/trial/out/log 2>&1
set -x
played() {{
  for i in $(seq 300); do
    [ "$(stat -c %s /run/tudor/out.raw 2>/dev/null)" = {wanted} ] && break
    sleep 0.3
  done
  cp /run/tudor/out.raw out/$1
  tudor-module --status >out/$1.status
}}
"""
END = """
cat /proc/mounts >out/mounts
systemctl --no-pager status tudor-module >out/service
journalctl --no-pager -b -u tudor-module >out/journal
tar cf /dev/vdc -C out .
sync
poweroff -f
"""


class Machine:
    """Boots `card` with a trial."""

    def __init__(self, stock: Stock, card: Path, wanted_bytes: int) -> None:
        self.stock, self.card, self.wanted_bytes = stock, card, wanted_bytes
        self.boot = Fat(card, layout(card).boot)

    def run(self, script: str, files: dict[str, bytes] | None = None,
            cut: Callable[[], bool] | None = None) -> dict[str, bytes]:
        """What the trial left in its folder `out`, once the machine has switched itself off. With
        `cut` the machine's power goes when that becomes true, and nothing comes back."""
        folder = self.card.parent
        _pack(folder / "vdb", {"go": (PRELUDE.format(wanted=self.wanted_bytes) + script
                                      + END).encode(), **(files or {})})
        with (folder / "vdc").open("wb") as file:
            file.truncate(RESULT_BYTES)
        with (folder / "console").open("wb") as console:
            process = subprocess.Popen(self._words(folder), stdout=console,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            try:
                self._wait(process, cut)
            finally:
                process.kill()
                process.wait()
        return {} if cut else self.told()

    def told(self) -> dict[str, bytes]:
        """What the last trial left, also if it was cut off after that."""
        return _unpacked(self.card.parent / "vdc", self._seen())

    def _words(self, folder: Path) -> list[str]:
        words = [*self._computer(self.stock.initrd, "ttyAMA0"), "-nographic"]
        return words + disks(self.card, folder / "vdb", folder / "vdc")

    def _computer(self, initrd: Path, console: str) -> list[str]:
        """The emulator with everything but what is plugged into it. Its time passes by the
        instructions of its one core (2 ns each): by this machine's clock a busy machine would let
        systemd's limits pass before a slow guest has found its disks."""
        cmdline = (self.boot.read("/cmdline.txt") or b"").decode().strip()
        return ["nice", tool("qemu-system-aarch64"), "-M", "virt", "-cpu", "cortex-a72", "-smp",
                "1", "-icount", "shift=1", "-m", "1024", "-no-reboot", "-nic", "none", "-kernel",
                str(self.stock.kernel), "-initrd", str(initrd), "-append",
                f"{cmdline} console={console}"]

    def _wait(self, process: subprocess.Popen[bytes], cut: Callable[[], bool] | None) -> None:
        until = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < until:
            if cut and cut():
                return
            try:
                assert process.wait(0.02) == 0, self._seen()
                assert cut is None, f"it ended before its power went: {self._seen()}"
                return
            except subprocess.TimeoutExpired:
                pass
        raise AssertionError(f"it does not end: {self._seen()}")

    def _seen(self) -> str:
        return (self.card.parent / "console").read_text(errors="replace")[-3000:]


def disks(*paths: Path) -> list[str]:
    """Of the emulated computer, in this order: /dev/vda and so on."""
    # "unsafe": what the guest has written is this system's, which outlives the emulator; it need
    # not reach this machine's own disk.
    return [word for path in paths
            for word in ("-drive", f"file={path},format=raw,if=virtio,cache=unsafe")]


def _pack(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _unpacked(path: Path, seen: str) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file:
                    found[member.name.removeprefix("./")] = file.read()
    except tarfile.ReadError as error:
        raise AssertionError(f"the trial told nothing: {seen}") from error
    return found
