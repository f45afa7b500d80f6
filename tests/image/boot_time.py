"""How long a module takes from the kernel's start to its first sound.

    python -m tests.image.boot_time [--kind trixie] [--boots 3]

It starts in an emulated computer of one core, whose time passes by instructions (2 ns each, about
what a Cortex-A53 of 1 GHz does), so that what else this machine does is hardly measured. What
systemd says of the last start stands below the figure."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path

import typer

from tests.firmware.card_image import BOOKWORM, TRIXIE
from tests.image.image_machine import Machine
from tests.image.image_root import Stock
from tests.image.image_trial import WANTED_BYTES, flash, heard
from tests.image.lite_root import make_lite

app = typer.Typer(add_completion=False)
TRIAL = """
for i in $(seq 2000); do
  systemctl is-active -q tudor-module && break
  sleep 0.2
done
systemctl show --value -p ActiveEnterTimestampMonotonic tudor-module >out/us
systemd-analyze --no-pager critical-chain tudor-module.service >out/chain
"""


class TimedMachine(Machine):
    """As slow as its instructions are many."""

    def _computer(self, initrd: Path, console: str) -> list[str]:
        words = super()._computer(initrd, console)
        words[words.index("-cpu") + 1] = "cortex-a53"
        words[words.index("-smp") + 1] = "1"
        words[words.index("-m") + 1] = "512"
        return [*words, "-icount", "shift=1"]


def start(stock: Stock, card: Path) -> tuple[float, str]:
    """Seconds until the service says that its first blocks are played, and on what it waited."""
    told = TimedMachine(stock, card, WANTED_BYTES).run(TRIAL)
    us = int(told["us"])
    assert us > 0, told["log"].decode(errors="replace")[-2000:]
    return us / 1e6, told["chain"].decode(errors="replace")


@app.command()
def boot_time(kind: str = typer.Option(BOOKWORM, help=f"{BOOKWORM} or {TRIXIE}"),
              boots: int = typer.Option(3, min=1, help="how many starts")) -> None:
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
              f"{max(seconds):.2f})\n{found[-1][1]}")


if __name__ == "__main__":
    app()
