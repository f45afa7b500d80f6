"""How long a module takes from the kernel's start to its first sound.

    python -m tests.image.boot_time [--kind trixie] [--boots 3] [--beside-stock]

`--beside-stock` starts the image as it comes too, with a builder's own service on it that wants the
sound card and does nothing: when that begins, its program would still have to. Both start in an
emulated computer of one core, whose time passes by instructions (2 ns each, about what a Cortex-A53
of 1 GHz does), so that what else this machine does is hardly measured. What systemd says of the
last start stands below the figure."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path

import typer

from firmware.flash.disk import layout
from firmware.flash.ext4 import Ext4
from firmware.flash.fat import Fat
from tests.firmware.card_image import BOOKWORM, TRIXIE
from tests.image.image_machine import Machine
from tests.image.image_root import Stock
from tests.image.image_scripts import UNITS, WANTS
from tests.image.image_trial import WANTED_BYTES, flash, heard
from tests.image.lite_root import make_lite

app = typer.Typer(add_completion=False)
MODULE, OWN = "tudor-module", "builder"
OWN_UNIT = """[Unit]
After=sound.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
"""
TRIAL = """
for i in $(seq 2000); do
  systemctl is-active -q {unit} && break
  sleep 0.2
done
systemctl show --value -p ActiveEnterTimestampMonotonic {unit} >out/us
systemd-analyze --no-pager critical-chain {unit}.service >out/chain
systemctl --no-pager --plain --failed >out/failed
"""


class TimedMachine(Machine):
    """As slow as its instructions are many."""

    def _computer(self, initrd: Path, console: str) -> list[str]:
        words = super()._computer(initrd, console)
        words[words.index("-cpu") + 1] = "cortex-a53"
        words[words.index("-m") + 1] = "512"
        return words


def start(stock: Stock, card: Path, unit: str = MODULE) -> tuple[float, str]:
    """Seconds until the service says that its first blocks are played, and on what it waited, and
    what failed."""
    told = TimedMachine(stock, card, WANTED_BYTES).run(TRIAL.format(unit=unit))
    us = int(told["us"])
    assert us > 0, told["log"].decode(errors="replace")[-2000:]
    return us / 1e6, (told["chain"] + told["failed"]).decode(errors="replace")


def as_it_comes(stock: Stock, folder: Path) -> Path:
    """A card with the image that is not flashed, and a builder's own service on it. It has started
    once: what that does (another root size, keys) takes its `init=` out of the kernel's line."""
    card = folder / "card.img"
    subprocess.run(["cp", "--sparse=always", str(stock.image), str(card)], check=True)
    boot = Fat(card, layout(card).boot)
    words = (boot.read("/cmdline.txt") or b"").decode().split()
    assert any(word.startswith("init=") for word in words)
    boot.write("/cmdline.txt", " ".join(
        word for word in words if not word.startswith("init=")).encode() + b"\n")
    Ext4(card, layout(card).root).write({f"{UNITS}/{OWN}.service": (OWN_UNIT.encode(), 0o644)},
                                        {f"{WANTS}/{OWN}.service": f"{UNITS}/{OWN}.service"})
    return card


@app.command()
def boot_time(kind: str = typer.Option(BOOKWORM, help=f"{BOOKWORM} or {TRIXIE}"),
              boots: int = typer.Option(3, min=1, help="how many starts"),
              beside_stock: bool = typer.Option(False, help="also of the image as it comes")
              ) -> None:
    """The start of a flashed card in an emulator."""
    if kind not in (BOOKWORM, TRIXIE):
        raise typer.BadParameter(f"{kind!r} is neither {BOOKWORM} nor {TRIXIE}")
    with tempfile.TemporaryDirectory(prefix="tudor-boot-") as name:
        folder = Path(name)
        stock = make_lite(folder, kind, heard().tobytes(), WANTED_BYTES)
        card, own = flash(stock.image, folder), folder / "own"
        own.mkdir()
        subprocess.run(["cp", "--sparse=always", str(card), str(own / "card.img")], check=True)
        found = [start(stock, own / "card.img") for _ in range(boots)]
        seconds = [value for value, _ in found]
        print(f"an image like {kind}'s, flashed, until its first sound: "
              f"{statistics.median(seconds):.2f} s (median of {boots}, {min(seconds):.2f} to "
              f"{max(seconds):.2f})\n{found[-1][1]}", flush=True)
        if beside_stock:
            other = folder / "stock"
            other.mkdir()
            theirs, why = start(stock, as_it_comes(stock, other), OWN)
            print(f"as it comes, until a service of one's own begins: {theirs:.2f} s; with the "
                  f"module {statistics.median(seconds) / theirs:.2f} times that\n{why}")


if __name__ == "__main__":
    app()
