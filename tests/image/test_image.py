"""A card made by `tudor flash pi`, booted: the service plays with the bits that this machine plays,
whatever has happened to the card. Run by `make test-image`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware.flash.disk import layout
from firmware.flash.ext4 import Ext4
from firmware.pi.status import parse
from firmware.tools import run
from tests.firmware.card_image import BOOKWORM, TRAITS, TRIXIE
from tests.firmware.common_models import vae
from tests.firmware.pi_build import INTS
from tests.image import image_scripts as scripts
from tests.image.image_machine import Machine
from tests.image.image_root import PLUGGED, ROOT_BYTES, SETTINGS, Stock
from tests.image.image_scripts import APPLY, MIDI, MIDI_MAP, RESTARTED, midi, package
from tests.image.image_trial import WANTED_BYTES, assert_same, flash, sound, tiny

pytestmark = [pytest.mark.image, pytest.mark.timeout(5400)]


def test_a_flashed_card_boots_and_plays(machine: Machine, old: INTS) -> None:
    found = machine.run("played a\ntouch /forgotten\n")
    assert_same(sound(found, "a"), old)
    told = parse(found["a.status"].decode())
    assert told["models"] == {1: "m"}
    assert b"overlay / overlay" in found["mounts"]
    assert b"/boot/firmware vfat ro," in found["mounts"]
    root = Ext4(machine.card, layout(machine.card).root)
    root.check()
    assert root.stat(["/forgotten"])["/forgotten"] is None


@pytest.mark.parametrize("kind", [BOOKWORM, TRIXIE])
def test_what_a_stock_image_does_at_its_first_start_is_never_done(
        stock: Stock, tmp_path: Path, old: INTS, kind: str) -> None:
    """Under the overlay each start would be the first: other keys, a swap file in memory."""
    image, key = tmp_path / "stock.img", tmp_path / "key.pub"
    subprocess.run(["cp", "--sparse=always", str(stock.image), str(image)], check=True)
    root = Ext4(image, layout(image).root)
    units = scripts.OWN_UNITS[kind]
    files = {f"/{name}": text for name, text in TRAITS[kind].items() if name != "etc/os-release"}
    files |= {f"{scripts.UNITS}/{name}": unit for name, unit in units.items()}
    root.write({path: (text.encode(), 0o644) for path, text in files.items()},
               {f"{scripts.WANTS}/{name}": f"{scripts.UNITS}/{name}" for name in units})
    key.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJust4Test me@here\n")
    card = flash(image, tmp_path, "--ssh-key", str(key))
    found = Machine(stock, card, WANTED_BYTES).run(scripts.STARTED)
    assert_same(sound(found, "a"), old)
    there = Ext4(card, layout(card).root).read(["/etc/machine-id", scripts.HOST_KEY])
    assert found["machine-id"] == there["/etc/machine-id"]
    assert found["key"] == there[scripts.HOST_KEY]
    assert b"-ran" not in found["run"], found["run"]
    assert len(found["swaps"].splitlines()) == 1  # its heading
    assert found["first"] == b"0\n"
    assert found["governor"] == b"cpufreq.default_governor=performance\n"


def test_a_truncated_model_is_skipped_and_named(machine: Machine, old: INTS) -> None:
    machine.boot.write("/tudor/cut.tudor", tiny()[: len(tiny()) // 2])
    found = machine.run("played a\n")
    assert_same(sound(found, "a"), old)
    told = parse(found["a.status"].decode())
    assert told["models"] == {1: "m"}
    assert any(note.startswith("cut.tudor is skipped: ") for note in told["notes"]), told["notes"]
    assert b"cut.tudor is skipped: " in found["journal"]


def fill_boot(machine: Machine) -> None:
    """Leaves less on the boot partition than a model needs."""
    machine.boot.write("/filler", bytes(machine.boot.free_bytes() - 200_000))
    assert 0 < machine.boot.free_bytes() < len(tiny())


def fill_root(machine: Machine) -> None:
    """Leaves nothing on the root partition, where an update notes what would have to come back."""
    filler = machine.card.with_name("filler")
    filler.write_bytes(b"x" * ROOT_BYTES)
    at = f"{machine.card}?offset={layout(machine.card).root.offset_bytes}"
    done = run(["debugfs", "-w", "-R", f"write {filler} filler", at])
    assert b"Could not allocate block" in done.stderr, done.stderr
    filler.unlink()


@pytest.mark.parametrize("fill", [fill_boot, fill_root])
def test_a_full_card_plays_and_keeps_what_it_has(
        machine: Machine, old: INTS, fill: Callable[[Machine], None]) -> None:
    fill(machine)
    found = machine.run(f"played a\n{APPLY}played b\n", {"m.tudor": vae(), "n.tudor": tiny()})
    assert found["rc"] == b"1\n", found["told"]
    assert b"no space is left on the card; what was there before is back" in found["told"]
    assert_same(sound(found, "a"), old)
    assert_same(sound(found, "b"), old)
    assert machine.boot.read("/tudor/m.tudor") == tiny()
    assert left(machine) == ["m.tudor", "module.conf"]


def left(machine: Machine) -> list[str]:
    return machine.boot.names("/tudor")


def test_an_update_plays_the_new_model(machine: Machine, new: INTS) -> None:
    found = machine.run(f"{APPLY}played a\n", {"m.tudor": vae()})
    assert (found["rc"], found["told"]) == (b"0\n", b"updated\n")
    assert_same(sound(found, "a"), new)
    assert machine.boot.read("/tudor/m.tudor") == vae()
    assert left(machine) == ["m.tudor", "module.conf"]


@pytest.mark.parametrize("sign", [".new-m.tudor", ".old-m.tudor"])
def test_a_power_cut_in_an_update_leaves_a_whole_model(machine: Machine, old: INTS, new: INTS,
                                                       sign: str) -> None:
    machine.run(f"{APPLY}sleep 100\n", {"m.tudor": vae()},
                cut=lambda: sign in machine.boot.names("/tudor"))
    assert sign in machine.boot.names("/tudor") or ".old-m.tudor" in left(machine)
    found = machine.run("played a\n")
    got = sound(found, "a")
    assert_same(got, new if np.array_equal(got, new) else old)
    assert b"an update was cut off: what was there before is back" in found["journal"]
    assert left(machine) == ["m.tudor", "module.conf"]
    assert machine.boot.read("/tudor/m.tudor") in (tiny(), vae())


def test_a_midi_port_that_comes_later_plays_the_module(machine: Machine) -> None:
    """Through the kernel's own sequencer: controllers move latents, a note opens the sound."""
    machine.boot.write("/tudor/m.map", MIDI_MAP)
    machine.boot.write("/tudor/module.conf",
                       SETTINGS.replace("midi = off", "midi = on").encode())
    found = machine.run(
        f"{MIDI}tudor-module --status >out/before\ninsmod ./{PLUGGED}.ko\n"
        "sent on.mid on\nsent off.mid off\ncat /proc/asound/seq/clients >out/clients\n",
        {f"{PLUGGED}.ko": machine.stock.plugged,
         "on.mid": midi(b"\xb0\x01\x00", b"\xb0\x14\x7f", b"\xb0\x15\x00", b"\x90\x3c\x64"),
         "off.mid": midi(b"\xb0\x15\x7f", b"\xe0\x00\x40", b"\x80\x3c\x00")})
    before, on, off = (parse(found[name].decode()) for name in ("before", "on", "off"))
    seen = f"{found['clients'].decode()} {on} {off} {found['journal'].decode(errors='replace')}"
    assert (before["way"], before["midi_messages"]) == ("source", 0), before
    assert (on.get("midi_messages"), off.get("midi_messages")) == (4, 7), seen
    assert (on["latent1"], on["latent2"]) == (1, 0), seen
    assert (off["latent1"], off["latent2"]) == (1, 1), seen
    # A release takes 150 ms of sound, and the emulator need not keep up with it.
    assert before["out_peak"] < 0.01 < 0.1 < on["out_peak"], f"{before} {seen}"
    assert off["out_peak"] < on["out_peak"] / 4, seen


def test_a_program_that_hangs_is_restarted(machine: Machine, old: INTS) -> None:
    found = machine.run(f"""{RESTARTED}
played a
pid=$(systemctl show --value -p MainPID tudor-module)
kill -STOP $pid
restarted $pid seconds
played b
systemctl show -p NRestarts tudor-module >out/restarts
""")
    assert_same(sound(found, "a"), old)
    assert_same(sound(found, "b"), old)
    assert b"Watchdog timeout (limit 5s)!" in found["journal"], found["journal"].decode()
    assert found["restarts"] != b"NRestarts=0\n"
    # It was fed at most a second before, and is started a second after its end.
    assert 4 <= int(found["seconds"]) <= 60, found["journal"].decode()


def test_an_update_brings_its_unit_and_takes_it_back(machine: Machine, old: INTS, tmp_path: Path
                                                     ) -> None:
    shows = """
unit() {
  for what in WatchdogUSec FragmentPath; do
    systemctl show --value -p $what tudor-module >>out/$1
  done
}
"""
    found = machine.run(shows + """
mkdir up
for name in good bad; do
  mv $name up/package.deb
  TUDOR_WAIT=60 /usr/lib/tudor/update apply /run/trial/up >out/$name 2>&1
  unit $name.unit
done
played a
readlink /var/lib/tudor/current >out/current
""", {"good": package(tmp_path, "8.0", ("WatchdogSec=5", "WatchdogSec=7")),
      "bad": package(tmp_path, "9.0", ("ExecStart=/usr/lib/tudor/start", "ExecStart=/bin/false"))})
    unit = b"7s\n/run/systemd/generator/tudor-module.service\n"
    assert found["good"] == b"updated\n", found["journal"].decode(errors="replace")[-3000:]
    assert b"the service does not start; what was there before is back\n" in found["bad"]
    assert (found["good.unit"], found["bad.unit"]) == (unit, unit)
    assert found["current"] == b"versions/8.0\n"
    assert_same(sound(found, "a"), old)
    again = machine.run(f"{shows}unit again\nplayed a\n")
    assert again["again"] == unit
    assert_same(sound(again, "a"), old)
