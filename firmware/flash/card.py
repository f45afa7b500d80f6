"""Puts the instrument into the image of a card, and reads back every byte of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import TudorError
from firmware.flash import edits, saves, system
from firmware.flash.codecs import OVERLAYS, Codec, overlay_on
from firmware.flash.deb import Package
from firmware.flash.disk import STOCK, ImageError, layout
from firmware.flash.ext4 import Ext4
from firmware.flash.fat import Fat

FOLDER = "/tudor"  # on the boot partition: models, mappings, settings
UNIT = "/usr/lib/systemd/system/tudor-module.service"
WANTED = "/etc/systemd/system/multi-user.target.wants/tudor-module.service"
STATUS = "/var/lib/dpkg/status"
LIBRARY = "/usr/lib/aarch64-linux-gnu/libasound.so.2"
MARGIN_BYTES = 1 << 20  # that a partition keeps free
Step = Callable[[str], None]


@dataclass(frozen=True)
class Load:
    """What shall be on the card. `models` and `mappings` by file name."""

    package: Package
    codec: Codec
    models: dict[str, bytes]
    mappings: dict[str, bytes] = field(default_factory=dict)
    settings: bytes = b""  # module.conf, where the card has none
    hostname: str | None = None
    ssh_key: str | None = None
    host_keys: dict[str, bytes] = field(default_factory=dict)
    wifi: tuple[str, str] | None = None
    country: str | None = None
    writable: bool = False


@dataclass(frozen=True)
class Content:
    """Files of both partitions, ready to be written."""

    boot: dict[str, bytes]
    root: dict[str, tuple[bytes, int]]
    links: dict[str, str]
    overlay: str  # of the codec; empty: it needs none
    midi: bool  # the UART is a MIDI input
    gone: tuple[str, ...] = ()  # links of the root that are to be removed


def put(image: Path, load: Load, step: Step = lambda text: None) -> Content:
    """Writes the load into the image and verifies it; the image must not be in use.

    Raises ImageError for images that are broken, foreign or too full; then the image is spoilt."""
    step("looking at the image")
    parts = layout(image)
    boot, root = Fat(image, parts.boot), Ext4(image, parts.root)
    content = _content(boot, root, load, image)
    _make_room(boot, content, image)
    step("root partition")
    changed = _changed_root(root, content)
    root.write({p: content.root[p] for p in changed if p in content.root},
               {p: content.links[p] for p in changed if p in content.links},
               load.package.folders, content.gone)
    for path, data in content.boot.items():
        step(f"boot partition: {path.removeprefix('/')}")
        if boot.read(path) != data:
            boot.write(path, data)
    step("partition for saves")
    saves.add(image)
    step("reading back")
    verify(boot, root, content, image)
    return content


def verify(boot: Fat, root: Ext4, content: Content, image: Path) -> None:
    """Everything is on the card as it was meant."""
    for path, data in content.boot.items():
        if boot.read(path) != data:
            raise ImageError(f"{image}: {path} reads back otherwise than it was written; the boot "
                             "partition is full or broken")
    wrong = _changed_root(root, content)
    if wrong:
        raise ImageError(f"{image}: {wrong[0]} reads back otherwise than it was written; the root "
                         "partition is full or broken")
    root.check()
    if not saves.is_there(image):
        raise ImageError(f"{image}: the partition for saves reads back otherwise than it was "
                         "written")


def _content(boot: Fat, root: Ext4, load: Load, image: Path) -> Content:
    config, cmdline = boot.read("/config.txt"), boot.read("/cmdline.txt")
    if config is None or cmdline is None:
        raise ImageError(f"{image}: the boot partition has no config.txt and cmdline.txt; {STOCK}")
    names = boot.names(OVERLAYS)
    overlay = overlay_on(load.codec, names, image)
    midi = {f"{name}.dtbo" for name in edits.MIDI_OVERLAYS} <= {name.lower() for name in names}
    there = root.read([STATUS, "/etc/hosts", "/etc/os-release", "/usr/lib/os-release",
                       system.MACHINE_ID])
    _check_system(root, there, image, load.package)
    files = dict(load.package.files)
    files |= {path: (data, 0o644) for path, data in load.package.records().items()}
    status = edits.dpkg_status((there[STATUS] or b"").decode(), load.package.stanza())
    files[STATUS] = (status.encode(), 0o644)
    links = dict(load.package.links) | {WANTED: UNIT}
    _add_identity(files, links, load, (there["/etc/hosts"] or b"").decode())
    cloud = root.stat([system.CLOUD])[system.CLOUD]
    quiet = system.quiet(there[system.MACHINE_ID], cloud is not None, load.wifi is not None,
                         load.codec.cards, load.wifi is not None or load.ssh_key is not None,
                         midi)
    files |= quiet.files
    links |= quiet.links
    gone = tuple(path for path, entry in root.stat(quiet.gone).items()
                 if entry is not None and entry.target == system.NOWHERE)
    has_key = root.stat(load.host_keys)  # a card keeps the keys that it has
    files = {path: file for path, file in files.items() if not has_key.get(path)}
    texts = {
        "/config.txt": edits.config_txt(config.decode("utf-8", "replace"), overlay,
                                         midi).encode(),
        "/cmdline.txt": edits.cmdline_txt(cmdline.decode(), load.writable, load.country,
                                          midi).encode(),
    }
    named = {f"{FOLDER}/{name}": data for name, data in {**load.models, **load.mappings}.items()}
    if boot.read(f"{FOLDER}/module.conf") is None and load.settings:
        named[f"{FOLDER}/module.conf"] = load.settings
    return Content({**texts, **named}, files, links, overlay, midi, gone)


def _check_system(root: Ext4, there: dict[str, bytes | None], image: Path, package: Package
                  ) -> None:
    release = (there["/usr/lib/os-release"] or there["/etc/os-release"] or b"").decode()
    ids = re.findall(r'^ID(?:_LIKE)?="?([^"\n]*)', release, re.MULTILINE)
    if not any("debian" in word or "raspbian" in word for word in ids) or there[STATUS] is None:
        raise ImageError(f"{image}: the root partition is no Debian or Raspberry Pi OS; {STOCK}")
    if package.architecture == "arm64":
        found = root.stat(["/usr/lib/aarch64-linux-gnu", LIBRARY])
        if found["/usr/lib/aarch64-linux-gnu"] is None:
            raise ImageError(f"{image}: is a 32-bit system; {STOCK}")
        if found[LIBRARY] is None:
            raise ImageError(f"{image}: has no ALSA library (libasound2), which the module plays "
                             f"through; {STOCK}")
    needed = _number(re.search(r"libc6 \(>= ([\d.]+)\)", package.control))
    has = _number(re.search(r"^Package: libc6\n(?:.+\n)*?Version: (?:\d+:)?([\d.]+)",
                            (there[STATUS] or b"").decode(), re.MULTILINE))
    if needed and has and has < needed:
        raise ImageError(f"{image}: its C library is {'.'.join(map(str, has))}, the package needs "
                         f"{'.'.join(map(str, needed))}; take a newer Raspberry Pi OS, or a "
                         "package built on an older Debian")


def _number(found: re.Match[str] | None) -> tuple[int, ...]:
    """A version as numbers that compare."""
    return tuple(int(part) for part in found[1].strip(".").split(".")) if found else ()


def _add_identity(files: dict[str, tuple[bytes, int]], links: dict[str, str], load: Load,
                  hosts: str) -> None:
    """Name, keys and network: what makes this card this module."""
    # The stock image asks for a user's name on a screen before it goes on.
    links["/etc/systemd/system/userconfig.service"] = "/dev/null"
    if load.hostname:
        files["/etc/hostname"] = (f"{load.hostname}\n".encode(), 0o644)
        files["/etc/hosts"] = (edits.hosts(hosts, load.hostname).encode(), 0o644)
    if load.ssh_key:
        files["/root/.ssh/authorized_keys"] = (load.ssh_key.encode(), 0o600)
        links["/etc/systemd/system/multi-user.target.wants/ssh.service"] = \
            "/usr/lib/systemd/system/ssh.service"
        # Made here, since the card forgets what it writes; the stock service would make others.
        links["/etc/systemd/system/regenerate_ssh_host_keys.service"] = "/dev/null"
        for path, data in load.host_keys.items():
            files[path] = (data, 0o644 if path.endswith(".pub") else 0o600)
    if load.wifi:
        text = edits.wifi_connection(*load.wifi)
        files["/etc/NetworkManager/system-connections/tudor-wifi.nmconnection"] = (
            text.encode(), 0o600)
        links["/etc/systemd/system/multi-user.target.wants/tudor-wifi.service"] = \
            "/usr/lib/systemd/system/tudor-wifi.service"


def _changed_root(root: Ext4, content: Content) -> list[str]:
    """Paths of the root partition that are not as they should be."""
    bytes_there = root.read(content.root)
    entries = root.stat([*content.root, *content.links])
    wrong = []
    for path, (data, mode) in content.root.items():
        entry = entries[path]
        if entry is None or entry.kind != "regular" or bytes_there[path] != data or (
                entry.mode, entry.uid, entry.gid) != (mode, 0, 0):
            wrong.append(path)
    for path, target in content.links.items():
        entry = entries[path]
        if entry is None or entry.target != target:
            wrong.append(path)
    return wrong


def _make_room(boot: Fat, content: Content, image: Path) -> None:
    """Refuses before anything is written what will not go onto the boot partition."""
    there = {path: boot.read(path) or b"" for path in content.boot}
    more = sum(max(0, len(data) - len(there[path])) for path, data in content.boot.items())
    free = boot.free_bytes()
    if more + MARGIN_BYTES > free:
        raise TudorError(f"{image}: the models take {more / 1e6:.1f} MB, the boot partition has "
                         f"{max(0, free - MARGIN_BYTES) / 1e6:.1f} MB for them; put fewer on the "
                         "card")
