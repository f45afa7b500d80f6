"""A stand-in of a stock Raspberry Pi OS Lite, as far as it starts: the packages of Debian that
pi-gen puts into it (stage2) and whose services start with it, switched on as it leaves them. What
is Raspberry Pi's own (raspi-config, rpi-eeprom, the radio's firmware) is not in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from firmware.tools import tool
from tests.firmware.card_image import BOOKWORM, MIB, TRIXIE
from tests.image.image_root import Stock, make_stock

PACKAGES = ("dbus", "polkitd", "network-manager", "wpasupplicant", "modemmanager", "avahi-daemon",
            "openssh-server", "bluez", "triggerhappy", "dphys-swapfile", "cron", "console-setup",
            "keyboard-configuration", "systemd-timesyncd", "man-db", "logrotate", "apt",
            "e2fsprogs", "rfkill")
CLOUD = ("cloud-init",)  # Trixie's image has it
SERVICES = ("NetworkManager.service", "NetworkManager-wait-online.service",
            "wpa_supplicant.service", "ModemManager.service", "avahi-daemon.service",
            "avahi-daemon.socket", "bluetooth.service", "triggerhappy.service",
            "triggerhappy.socket", "dphys-swapfile.service", "cron.service",
            "keyboard-setup.service", "console-setup.service", "systemd-timesyncd.service",
            "e2scrub_reap.service", "getty@tty1.service",
            "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "man-db.timer",
            "logrotate.timer", "fstrim.timer", "e2scrub_all.timer")
CLOUD_SERVICES = ("cloud-init-local.service", "cloud-init.service", "cloud-config.service",
                  "cloud-final.service")
# Of packages that make theirs when they are installed.
USERS = ("messagebus", "avahi", "polkitd", "sshd", "triggerhappy", "systemd-timesync",
         "systemd-network")
CLOUD_CONFIG = "datasource_list: [NoCloud, None]\n"
ROOT_BYTES = 1400 * MIB


def make_lite(folder: Path, kind: str, heard: bytes, wanted_bytes: int) -> Stock:
    """As `make_stock`, of the kind BOOKWORM or TRIXIE."""
    cloud = kind == TRIXIE
    assert cloud or kind == BOOKWORM
    return make_stock(folder, heard, wanted_bytes, PACKAGES + (CLOUD if cloud else ()),
                      lambda tree: _settle(tree, cloud), ROOT_BYTES)


def _settle(tree: Path, cloud: bool) -> None:
    with (tree / "etc/passwd").open("a") as users, (tree / "etc/group").open("a") as groups:
        for number, name in enumerate(USERS, 401):
            users.write(f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n")
            groups.write(f"{name}:x:{number}:\n")
        groups.write("netdev:x:501:\nbluetooth:x:502:\n")
    (tree / "etc/default/keyboard").write_text('XKBMODEL="pc105"\nXKBLAYOUT="gb"\n')
    (tree / "etc/default/console-setup").write_text('CHARMAP="UTF-8"\nCODESET="guess"\n'
                                                    'FONTFACE="Terminus"\nFONTSIZE="8x16"\n')
    # It has started once before: it knows its identity, and its swap file is there.
    (tree / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tree / "etc/dphys-swapfile").write_text("CONF_SWAPSIZE=512\n")
    with (tree / "var/swap").open("wb") as swap:
        swap.truncate(512 * MIB)
    keys = tree / "etc/ssh"
    for kind in ("rsa", "ecdsa", "ed25519"):
        subprocess.run([tool("ssh-keygen"), "-q", "-t", kind, "-N", "", "-f",
                        str(keys / f"ssh_host_{kind}_key")], check=True)
    services = list(SERVICES)
    if cloud:
        services += CLOUD_SERVICES
        (tree / "etc/cloud/cloud.cfg.d/99_card.cfg").write_text(CLOUD_CONFIG)
    else:
        assert not (tree / "etc/cloud").exists()
    shutil.rmtree(tree / "etc/init.d")  # each has a unit too; else they would be asked here
    done = subprocess.run([tool("systemctl"), f"--root={tree}", "enable", *services],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]
    default = tree / "etc/systemd/system/default.target"
    default.unlink(missing_ok=True)
    default.symlink_to("/lib/systemd/system/multi-user.target")
