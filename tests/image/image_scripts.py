"""What a booted card is told to do, and what it is given for that."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

from firmware.pi.package import build_package
from firmware.tools import tool
from tests.firmware.card_image import BOOKWORM, TRIXIE

APPLY = """
mkdir -p up/models
mv *.tudor up/models
TUDOR_WAIT=60 /usr/lib/tudor/update apply /run/trial/up >out/told 2>&1
echo $? >out/rc
"""
MIDI_MAP = b"way source\ncc1 walk 0 0\ncc20 latent 1\ncc21 latent 2\nnote play\n"
# $1: a MIDI file, into the port that hands on; what the module says two seconds later to $2.
MIDI = """
sent() {
  for i in $(seq 100); do
    grep -A 3 Through /proc/asound/seq/clients | grep -q 'Connecting To' && break
    sleep 0.3
  done
  aplaymidi -p 14:0 $1
  sleep 2
  tudor-module --status >out/$2
}
"""
# Waits for another process than $1, and for what that says; the seconds this took to $2.
RESTARTED = """
restarted() {
  from=$(cut -d. -f1 /proc/uptime)
  for i in $(seq 600); do
    now=$(systemctl show --value -p MainPID tudor-module)
    [ "$now" != 0 ] && [ "$now" != "$1" ] && tudor-module --status && break
    sleep 0.2
  done
  echo $(($(cut -d. -f1 /proc/uptime) - from)) >out/$2
}
"""
# Stand-ins for what a stock image of each kind starts; each would leave a mark in /run.
UNITS, WANTS = "/usr/lib/systemd/system", "/etc/systemd/system/multi-user.target.wants"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
OWN_UNITS = {
    BOOKWORM: {"dphys-swapfile.service": """[Unit]
Before=tudor-module.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'touch /run/swap-ran; dd if=/dev/zero of=/var/swap bs=1M count=8'
"""},
    TRIXIE: {"cloud-init-local.service": """[Unit]
Before=tudor-module.service
ConditionPathExists=!/etc/cloud/cloud-init.disabled
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'rm -f /etc/ssh/ssh_host_*; touch /run/cloud-init-ran'
""", "rpi-swap.service": """[Unit]
Before=tudor-module.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'grep -qx Mechanism=none /etc/rpi/swap.conf.d/*.conf || touch /run/swap-ran'
"""},
}
STARTED = f"""played a
ls /run >out/run
cat /etc/machine-id >out/machine-id
cat {HOST_KEY} >out/key
cat /proc/swaps >out/swaps
journalctl --no-pager -b | grep -c 'Detected first boot' >out/first
tr ' ' '\\n' </proc/cmdline | grep ^cpufreq >out/governor
"""


def midi(*messages: bytes) -> bytes:
    """A MIDI file of messages at once: a header for one track, and each after no time."""
    track = b"".join(b"\0" + message for message in messages) + b"\0\xff\x2f\0"
    return (b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480)
            + b"MTrk" + struct.pack(">I", len(track)) + track)


def package(folder: Path, version: str, *edits: tuple[str, str]) -> bytes:
    """The module's package with another version, and another unit."""
    tree = folder / version
    subprocess.run([tool("dpkg-deb"), "-R", str(build_package()), str(tree)], check=True)
    unit, control = tree / "usr/lib/systemd/system/tudor-module.service", tree / "DEBIAN/control"
    for old_text, new_text in edits:
        assert unit.read_text().count(old_text) == 1
        unit.write_text(unit.read_text().replace(old_text, new_text))
    control.write_text(re.sub(r"^Version: .*", f"Version: {version}", control.read_text(),
                              flags=re.MULTILINE))
    subprocess.run([tool("dpkg-deb"), "--root-owner-group", "-Znone", "--build", str(tree)],
                   check=True, capture_output=True)
    return tree.with_name(f"{tree.name}.deb").read_bytes()
