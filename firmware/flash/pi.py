"""`tudor flash pi`: a stock image in, a card with the instrument out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ConfigError, TudorError
from engine.files import atomic_write
from firmware.flash import card, device, edits
from firmware.flash.deb import Package
from firmware.flash.fat import FORBIDDEN
from firmware.flash.unpack import unpack
from firmware.simulate import MAPPING_SUFFIX
from firmware.tools import run

MAX_SLOTS = 8
Ask = Callable[[str], bool]


class Progress:
    """A bar for what takes long, on stderr; silent where that is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(),
                             TextColumn("{task.percentage:3.0f} %"), TimeRemainingColumn(),
                             console=console, transient=True, disable=not console.is_terminal)

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar over `total` bytes."""
        with self._bar:
            task = self._bar.add_task(what, total=max(total, 1))
            try:
                yield lambda count: self._bar.advance(task, count)
            finally:
                self._bar.remove_task(task)

    @contextmanager
    def steps(self) -> Iterator[Callable[[str], None]]:
        """A line that says what is being done."""
        with self._bar:
            task = self._bar.add_task("", total=None)
            try:
                yield lambda text: self._bar.update(task, description=text)
            finally:
                self._bar.remove_task(task)


def read_models(paths: list[Path]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Models and the mappings beside them, by file name; each model opened by the runtime first.

    Slots are taken in the order of names on the card, so the order given is kept by a prefix only
    where the names would sort otherwise."""
    from engine.players.native_model import NativeFile

    if not 1 <= len(paths) <= MAX_SLOTS:
        raise ConfigError(f"--models: 1 to {MAX_SLOTS} models, one per slot; got {len(paths)}")
    names = [path.name for path in paths]
    if names != sorted(names, key=str.lower):
        names = [f"{i + 1}-{name}" for i, name in enumerate(names)]
    models: dict[str, bytes] = {}
    mappings: dict[str, bytes] = {}
    for path, name in zip(paths, names, strict=True):
        if path.suffix != ".tudor":
            raise ConfigError(f"{path}: the module plays .tudor files; tudor export MODEL --to "
                              f"native --out {path.stem}.tudor makes one")
        if FORBIDDEN.search(name) or name.lower() in (n.lower() for n in models):
            raise ConfigError(f"{path}: its name cannot stand on the card beside the others")
        NativeFile(path)
        models[name] = path.read_bytes()
        mapping = path.with_suffix(MAPPING_SUFFIX)
        if mapping.is_file():
            mappings[Path(name).stem + MAPPING_SUFFIX] = mapping.read_bytes()
    return models, mappings


def default_settings(package: Package) -> bytes:
    """The commented settings that the package brings, for the card's models folder."""
    data, _ = package.files.get("/etc/tudor/module.conf", (b"", 0))
    return data


def host_keys(hostname: str) -> dict[str, bytes]:
    """A pair of ssh host keys for a card that cannot keep what it would make itself."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        done = run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{hostname}", "-f",
                    str(key)])
        if done.returncode:
            raise TudorError(f"ssh-keygen failed: {done.stderr.decode(errors='replace')[:200]}")
        path = "/etc/ssh/ssh_host_ed25519_key"
        return {path: key.read_bytes(), f"{path}.pub": key.with_suffix(".pub").read_bytes()}


def flash_file(image: Path, out: Path, load: card.Load, progress: Progress) -> card.Content:
    """A new image at `out`, in place only when it is whole and verified."""
    if out.exists() and image.exists() and out.samefile(image):
        raise ConfigError(f"--out {out}: is the stock image; it stays as it is, name another file")
    if out.is_dir() or (out.exists() and not out.is_file()):
        raise ConfigError(f"--out {out}: is no file; for a card's device use --device")
    with atomic_write(out) as temporary:
        return _build(image, temporary, load, progress)


def flash_device(image: Path, disk: device.Disk, load: card.Load, ask: Ask, progress: Progress
                 ) -> card.Content:
    """Builds the card beside, asks, and writes it."""
    with tempfile.TemporaryDirectory(prefix="tudor-card-") as folder:
        built = Path(folder) / "card.img"
        there = _build(image, built, load, progress)
        size = built.stat().st_size
        if size > disk.size_bytes:
            raise TudorError(f"{disk.path}: holds {disk.size_bytes / 1e9:.1f} GB, the image has "
                             f"{size / 1e9:.1f} GB")
        kind = "removable" if disk.removable else "NOT removable"
        if not ask(f"{disk.path} ({disk.model}, {disk.size_bytes / 1e9:.1f} GB, {kind}): erase all "
                   "that is on it?"):
            raise TudorError(f"{disk.path}: nothing was written")
        again = device.look_at(disk.path)  # time has passed: it may have been mounted
        with progress.counting(f"writing {again.path}", 2 * size) as advance:
            device.write(built, again.path, advance)
        return there


def _build(image: Path, to: Path, load: card.Load, progress: Progress) -> card.Content:
    if not image.is_file():
        raise ConfigError(f"--image {image}: no such file; download Raspberry Pi OS Lite (64-bit) "
                          "from raspberrypi.com/software/operating-systems")
    with progress.counting(f"unpacking {image.name}", image.stat().st_size) as advance:
        unpack(image, to, advance)
    try:
        with progress.steps() as step:
            return card.put(to, load, step)
    except TudorError as error:  # the image is what the builder knows, not its copy
        raise TudorError(str(error).replace(str(to), str(image))) from None


def settings_for(hostname: str | None, key: Path | None, wifi: str | None, password: str | None
                 ) -> tuple[str | None, str | None, tuple[str, str] | None]:
    """Checked identity: host name, public key line, network and password."""
    name = edits.check_hostname(hostname) if hostname else None
    line = None
    if key is not None:
        if not key.is_file():
            raise ConfigError(f"--ssh-key {key}: no such file; ssh-keygen makes one")
        line = edits.ssh_key(key.read_text(errors="replace"))
    if wifi is not None and password is None:
        raise ConfigError("--wifi: its password is wanted in TUDOR_WIFI_PASSWORD, or asked for at "
                          "a terminal")
    network = (wifi, password) if wifi is not None and password is not None else None
    if network:
        edits.wifi_connection(*network)
    return name, line, network
