"""The emulated computer wired as a module is: the card in a slot for SD cards, a converter on SPI,
a GPIO chip, a sound card that keeps time, and a MIDI cable at the UART."""

from __future__ import annotations

import gzip
import socket
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from firmware.flash.disk import partitions
from firmware.flash.saves import NUMBER
from tests.firmware.card_image import MIB
from tests.image.gate_kernel import HERE, driver, kernel_root
from tests.image.image_machine import Machine, disks
from tests.image.image_root import Stock, entry

# Loaded in this order: the sound card's, then our own chips.
DRIVERS, CHIPS = ("snd-pcm", "snd-aloop"), ("adc_chip", "gate_chip")
CARD_BYTES = 1024 * MIB  # the emulated slot takes powers of two
Cable = Callable[[bytes], None]


def wired(stock: Stock, folder: Path) -> Stock:
    """The same computer with drivers for what is wired to it. They are there from the start, as a
    Pi's would be."""
    root = kernel_root(folder)
    assert next(root.glob("boot/vmlinuz*")).name == stock.kernel.name, "two kernels"
    paths = [next(root.rglob(f"{name}.ko*")) for name in DRIVERS]
    paths += [driver(root, HERE / f"{name}.c", folder / name) for name in CHIPS]
    files = b"".join(entry(f"parts/{number}-{path.name}", stat.S_IFREG | 0o644, path.read_bytes())
                     for number, path in enumerate(paths))
    initrd = folder / "initrd"
    initrd.write_bytes(stock.initrd.read_bytes() + gzip.compress(
        entry("parts", stat.S_IFDIR | 0o755, b"") + files + entry("TRAILER!!!", 0, b""), 1))
    return replace(stock, initrd=initrd)


class WiredMachine(Machine):
    """A gate of 1 ms has 1 ms, however little of this machine it gets. `asked`: what happens at the
    other end of the MIDI cable when the trial writes such a word to the UART. Each gets what sends
    bytes."""

    def __init__(self, stock: Stock, card: Path, wanted_bytes: int,
                 asked: dict[str, Callable[[Cable], None]]) -> None:
        super().__init__(stock, card, wanted_bytes)
        self.asked = asked
        with card.open("r+b") as file:
            file.truncate(CARD_BYTES)

    def run(self, script: str, files: dict[str, bytes] | None = None,
            cut: Callable[[], bool] | None = None) -> dict[str, bytes]:
        ended = threading.Event()
        other_end = threading.Thread(target=self._other_end, args=(ended,))
        other_end.start()
        try:
            return super().run(script, files, cut)
        finally:
            ended.set()
            other_end.join()

    def _words(self, folder: Path) -> list[str]:
        self._cable.unlink(missing_ok=True)
        nothing = folder / "vda"  # so that the others have their names
        nothing.write_bytes(bytes(MIB))
        computer = self._computer(self.stock.initrd, "ttyS0")
        return [*computer, "-display", "none", "-monitor", "none",
                "-serial", f"unix:{self._cable},server=on,wait=off",
                "-chardev", "stdio,id=console,signal=off", "-device", "pci-serial,chardev=console",
                "-device", "sdhci-pci", "-device", "sd-card,drive=card", "-drive",
                f"if=none,id=card,file={self.card},format=raw,cache=unsafe",
                *disks(nothing, folder / "vdb", folder / "vdc")]

    @property
    def _cable(self) -> Path:
        return self.card.parent / "midi"

    def _other_end(self, ended: threading.Event) -> None:
        with socket.socket(socket.AF_UNIX) as cable:
            while not ended.wait(0.2):
                try:
                    cable.connect(str(self._cable))
                    break
                except OSError:
                    pass
            cable.settimeout(0.2)
            said = b""
            while not ended.is_set():
                try:
                    said += cable.recv(4096)
                except TimeoutError:
                    continue
                except OSError:
                    return
                *whole, said = said.split(b"\n")
                for word in whole:
                    if word.decode(errors="replace").strip() in self.asked:
                        self.asked[word.decode().strip()](cable.sendall)

    def saves(self) -> bytes:
        """The card's partition for saves, as it is now."""
        part = next(part for part in partitions(self.card) if part.number == NUMBER)
        with self.card.open("rb") as file:
            file.seek(part.offset_bytes)
            return file.read(part.size_bytes)

    def tear(self, before: bytes) -> int:
        """The power went while the card was being written: of the bytes that differ from `before`
        the second half never reached it. How many that are."""
        part = next(part for part in partitions(self.card) if part.number == NUMBER)
        after = self.saves()
        differ = [at for at in range(len(after)) if after[at] != before[at]]
        lost = differ[len(differ) // 2:]
        with self.card.open("r+b") as file:
            for at in lost:
                file.seek(part.offset_bytes + at)
                file.write(before[at:at + 1])
        return len(lost)
