"""Changes to text files of a stock image. Each gives the same text when it is applied again."""

from __future__ import annotations

import re

from engine.errors import ConfigError

BEGIN, END = "# tudor-module: begin", "# tudor-module: end"
OVERLAY_INIT = "/usr/lib/tudor/overlay-init"
# What a stock image does once on its first boot, growing the root file system and rebooting: the
# module has no use for it, since nothing is written there.
FIRST_BOOT = re.compile(r"(init=\S+|resize|systemd\.run\S*|systemd\.unit=kernel-command-line\S*)")
SERIAL_CONSOLE = re.compile(r"console=(serial0|ttyAMA0|ttyS0)\b")
HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)


# MIDI at the header's UART (GPIO 15): the good UART of older Pis is Bluetooth's otherwise, and the
# last one makes MIDI's 31250 baud of 38400. The firmware has names of its own for a Pi 5's.
MIDI_OVERLAYS = ("disable-bt", "midi-uart0")
# The firmware shows no picture, waits for nothing, and looks for no camera and no screen.
AT_ONCE = ("disable_splash=1", "boot_delay=0", "camera_auto_detect=0", "display_auto_detect=0")


def config_txt(text: str, overlay: str, midi: bool = False) -> str:
    """`config.txt` with our block at its end, for every model of Pi ([all]). `overlay`: the
    codec's; empty: it needs none. `midi`: the UART is a MIDI input. The Pi's own sound is off."""
    lines = ["[all]", "dtparam=audio=off", "dtparam=spi=on", "dtparam=i2c_arm=on",
             "dtparam=i2c_arm_baudrate=400000", *AT_ONCE]
    if overlay:
        lines += ["dtparam=i2s=on", f"dtoverlay={overlay}"]
    if midi:
        lines += ["enable_uart=1", "dtparam=uart0=on",
                  *(f"dtoverlay={name}" for name in MIDI_OVERLAYS)]
    return _with_block(text, lines)


def _with_block(text: str, lines: list[str]) -> str:
    kept = re.sub(rf"\n*^{re.escape(BEGIN)}$.*?^{re.escape(END)}$\n?", "\n", text,
                  flags=re.MULTILINE | re.DOTALL).rstrip("\n")
    return "\n".join([kept, "", BEGIN, *lines, END, ""])


def cmdline_txt(text: str, writable: bool, country: str | None = None, midi: bool = False) -> str:
    """The kernel's command line: no first-boot work; the processor at its full speed from the
    start; the overlay's init unless `writable`; no console at the UART that `midi` needs.

    Whatever stands at `root=` stays. One line, as the firmware wants it."""
    words = [word for word in text.split() if not FIRST_BOOT.fullmatch(word)]
    if not any(word.startswith("root=") for word in words):
        raise ConfigError("cmdline.txt of the image names no root=; take a fresh image")
    words = [word for word in words if not word.startswith("cpufreq.default_governor=")]
    if midi:
        words = [word for word in words if not SERIAL_CONSOLE.match(word)]
    words.append("cpufreq.default_governor=performance")
    if country:
        words = [w for w in words if not w.startswith("cfg80211.ieee80211_regdom=")]
        words.append(f"cfg80211.ieee80211_regdom={country}")
    if not writable:
        words.append(f"init={OVERLAY_INIT}")
    return " ".join(words) + "\n"


def hosts(text: str, name: str) -> str:
    """`/etc/hosts` with the host's own name at 127.0.1.1."""
    lines = [line for line in text.splitlines() if not re.match(r"127\.0\.1\.1\s", line)]
    return "\n".join([*lines, f"127.0.1.1\t{name}", ""])


def check_hostname(name: str) -> str:
    """A name that a network takes (RFC 1123)."""
    if not HOSTNAME.fullmatch(name):
        raise ConfigError(f"--hostname: {name!r} is no host name; letters, digits and '-' only")
    return name.lower()


def dpkg_status(text: str, stanza: str) -> str:
    """dpkg's list of packages with ours in place of any older entry of it."""
    name = _field(stanza, "Package")
    kept = [entry.strip("\n") for entry in re.split(r"\n\s*\n", text)
            if entry.strip() and _field(entry, "Package") != name]
    return "\n\n".join([*kept, stanza.strip("\n")]) + "\n\n"


def _field(stanza: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(\S+)", stanza, re.MULTILINE)
    return found[1] if found else ""


def wifi_connection(name: str, password: str) -> str:
    """A connection of NetworkManager. SSID and password go in as they are; see keyfile(5)."""
    if not 1 <= len(name.encode()) <= 32:
        raise ConfigError("--wifi: a network's name has 1 to 32 bytes")
    if not 8 <= len(password) <= 63 or not password.isascii() or not password.isprintable():
        raise ConfigError("--wifi: a WPA password has 8 to 63 ASCII characters")
    ssid = "".join(f"{byte};" for byte in name.encode())
    return "\n".join([
        "[connection]", "id=tudor-wifi", "type=wifi", "autoconnect=true", "",
        "[wifi]", "mode=infrastructure", f"ssid={ssid}", "",
        "[wifi-security]", "key-mgmt=wpa-psk", f"psk={_escaped(password)}", "",
        "[ipv4]", "method=auto", "", "[ipv6]", "method=auto", "",
    ])


def _escaped(text: str) -> str:
    """As GLib's key files want it: backslashes, and spaces at the beginning."""
    text = text.replace("\\", "\\\\")
    inner = text.lstrip(" ")
    return "\\s" * (len(text) - len(inner)) + inner


def ssh_key(text: str) -> str:
    """A public key, one line; a private key is refused."""
    line = text.strip()
    if "PRIVATE KEY" in line:
        raise ConfigError("--ssh-key: that is a private key; give the file that ends in .pub")
    if not re.fullmatch(r"(ssh-|ecdsa-|sk-)\S+ [A-Za-z0-9+/=]+( .*)?", line):
        raise ConfigError("--ssh-key: no public key such as ~/.ssh/id_ed25519.pub")
    return line + "\n"
