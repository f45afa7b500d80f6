"""What a stock Raspberry Pi OS does of its own that a module must not: files that stop it.

Facts are those of pi-gen (branches bookworm-arm64 and master), raspi-config, rpi-swap, cloud-init
and systemd. Each is written whether or not the image is of the kind that reads it, but where a
folder says which kind it is."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

MACHINE_ID = "/etc/machine-id"
CLOUD = "/etc/cloud"  # a folder; Trixie's image has it
# dphys-swapfile is Bookworm's, rpi-swap (by its settings) Trixie's: either would build its file in
# the memory that the root's overlay is made of.
UNITS, NOWHERE = "/etc/systemd/system", "/dev/null"  # a unit that is a link to there never starts
SWAP_SERVICE = f"{UNITS}/dphys-swapfile.service"
SWAP_SETTINGS = "/etc/rpi/swap.conf.d/tudor.conf"
# raspi-config's service sets this at each start; without it "ondemand", which lets the processor
# run at 600 MHz until it has been busy for a while.
GOVERNOR = "/etc/default/cpu_governor"
# What a module has no use for, and what starts while it waits for the processor: radios that it has
# not, keyboards, updates of what is forgotten at the next start, consoles' fonts and keys.
IDLE = ("bluetooth.service", "hciuart.service", "ModemManager.service", "triggerhappy.service",
        "triggerhappy.socket", "keyboard-setup.service", "console-setup.service",
        "rpi-eeprom-update.service", "apt-daily.timer", "apt-daily-upgrade.timer", "man-db.timer",
        "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
        "cron.service", "logrotate.timer", "udisks2.service",
        "NetworkManager-wait-online.service", "systemd-networkd-wait-online.service")
# Nobody can come in without a key or a network: then none is looked for.
NETWORK = ("NetworkManager.service", "wpa_supplicant.service", "avahi-daemon.service",
           "avahi-daemon.socket", "ssh.service", "ssh.socket", "sshswitch.service",
           "systemd-timesyncd.service")
# The stock image has the radio off here, and NetworkManager goes by it whatever rfkill says.
RADIO = "/var/lib/NetworkManager/NetworkManager.state"
CODEC = "/etc/tudor/codec.conf"


@dataclass
class Quiet:
    """Files (content, permissions) and links for the root partition; links to nowhere that are not
    to be there any more."""

    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)


def quiet(machine_id: bytes | None, has_cloud_init: bool, wifi: bool, cards: tuple[str, ...],
          reached: bool, midi: bool = False) -> Quiet:
    """`machine_id`: what the image has as one; `cards`: ids of the codec for ALSA; `reached`: the
    module is to be found on a network; `midi`: the UART is a MIDI input."""
    found = Quiet()
    if not re.fullmatch(rb"[0-9a-f]{32}\n?", machine_id or b""):
        # Empty or "uninitialized", each start would be the first for systemd, since what it writes
        # is forgotten: presets applied anew, another identity on the network.
        found.files[MACHINE_ID] = (f"{secrets.token_hex(16)}\n".encode(), 0o444)
    if has_cloud_init:
        # Its first start would come at every start: new ssh host keys, and seconds of waiting.
        found.files[f"{CLOUD}/cloud-init.disabled"] = (b"", 0o644)
    found.links |= {f"{UNITS}/{unit}": NOWHERE for unit in IDLE}
    network = [f"{UNITS}/{unit}" for unit in NETWORK]
    if reached:
        found.gone = network
    else:
        found.links |= dict.fromkeys(network, NOWHERE)
    found.links[SWAP_SERVICE] = NOWHERE
    found.files[SWAP_SETTINGS] = (b"[Main]\nMechanism=none\n", 0o644)
    found.files[GOVERNOR] = (b"CPU_DEFAULT_GOVERNOR=performance\n", 0o644)
    if wifi:
        found.files[RADIO] = (b"[main]\nWirelessEnabled=true\n", 0o600)
    found.files[CODEC] = (_codec(cards, midi), 0o644)
    return found


def _codec(cards: tuple[str, ...], midi: bool) -> bytes:
    told = f"codec = {','.join(cards)}\n" if cards else ""
    told += "midi_port = /dev/ttyAMA0\n" if midi else ""
    return ("# Written by `tudor flash pi`: the sound card that is preferred over others, such as "
            f"a keyboard's, and the UART for MIDI.\n{told}").encode()
