"""`tudor flash daisy`: the app and the model into a Daisy's QSPI flash, by dfu-util.

The Daisy bootloader offers the QSPI flash at 0x90000000: 64 sectors of 4 KB that are its own, then
64 KB sectors from 0x90040000, where it looks for the app. The models have a place of their own
behind the app's, so that each can be replaced without the other. firmware/daisy/store.h says the
same to the app; a test compares them.
"""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError, TudorError
from firmware.tools import run, tool

USB_ID = "0483:df11"  # of the bootloader, and of the chip's own that writes the internal flash
APP_ADDRESS, MODEL_ADDRESS, END_ADDRESS = 0x90040000, 0x90100000, 0x907C0000
APP_BYTES = {"sram": 480 * 1024, "qspi": MODEL_ADDRESS - APP_ADDRESS}
SRAM_START, SRAM_END, DTCM_START, DTCM_END = 0x24000000, 0x24080000, 0x20000000, 0x20020000
STORE_MAGIC, STORE_VERSION = b"TUDRSTOR", 2
# Magic, version, number of models, bytes behind the header, their CRC-32, bytes of the calibration.
STORE = struct.Struct("<8sIIII4xI32x")
ENTRY = struct.Struct("<II32s24x")  # of each model: its bytes, its mapping's, its name
ALIGN, MAX_SLOTS, NAME_BYTES = 64, 8, 31
DFU_HELP = """How a Daisy is made ready for this:
  1. Connect its USB socket to this computer.
  2. Press RESET. For 2.5 seconds its LED pulses slowly: the Daisy bootloader listens.
  3. Within that time press BOOT once: the LED blinks fast, and the bootloader stays.
  4. Run this command again.
If the LED never pulses, the board has no Daisy bootloader yet. Put it there once: hold BOOT, press
and release RESET, release BOOT, then run `make program-boot` in a project of your libDaisy."""


@dataclass(frozen=True)
class Write:
    """One call of dfu-util."""

    what: str
    file: str  # a name for `data`: a model gets a header, so it is not the user's file
    address: int
    data: bytes
    leave: bool

    def command(self, folder: Path = Path()) -> list[str]:
        """The words of the call, for `data` in a file of `folder`."""
        at = f"0x{self.address:08x}" + (":leave" if self.leave else "")
        return ["dfu-util", "-a", "0", "-s", at, "-D", str(folder / self.file), "-d", f",{USB_ID}"]


@dataclass(frozen=True)
class Stored:
    """A model for a slot, with the mapping that it is played under (empty: a derived one)."""

    name: str
    model: bytes
    mapping: bytes = b""


def store(models: Sequence[Stored], calibration: bytes = b"") -> bytes:
    """Models as they lie in QSPI: a header of 64 bytes, an entry of 64 for each, the files and
    their mappings on boundaries of 64, and how the board's inputs read.

    The CRC is zlib's, over everything behind the header."""
    entries = b"".join(ENTRY.pack(len(m.model), len(m.mapping), _short(m.name)) for m in models)
    data = entries + b"".join(_padded(m.model) + _padded(m.mapping) for m in models) + calibration
    return STORE.pack(STORE_MAGIC, STORE_VERSION, len(models), len(data), zlib.crc32(data),
                      len(calibration)) + data


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGN)


def _short(name: str) -> bytes:
    """A name that is whole characters of UTF-8, and has room."""
    return name.encode()[:NAME_BYTES].decode(errors="ignore").encode()


def read_app(path: Path) -> bytes:
    """An app that the bootloader would start, small enough for where it runs.

    A Cortex-M program begins with its stack pointer and the address that it starts at; the
    latter tells BOOT_SRAM from BOOT_QSPI."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TudorError(f"{path}: {error.strerror}; LIBDAISY_DIR=... make -C firmware/daisy "
                         "builds the app") from None
    if len(data) < 8:
        raise ConfigError(f"{path}: is no app: {len(data)} bytes")
    stack, start = struct.unpack_from("<II", data)
    if not (DTCM_START < stack <= DTCM_END or SRAM_START < stack <= SRAM_END):
        raise ConfigError(f"{path}: is no app for a Daisy (its stack would be at 0x{stack:08x}); "
                          "give the .bin, not the .elf")
    if SRAM_START <= start < SRAM_END:
        kind = "sram"
    elif APP_ADDRESS <= start < END_ADDRESS:
        kind = "qspi"
    else:
        raise ConfigError(f"{path}: starts at 0x{start:08x}, where the bootloader starts nothing; "
                          "build it with APP_TYPE=BOOT_SRAM or BOOT_QSPI")
    if len(data) > APP_BYTES[kind]:
        raise ConfigError(f"{path}: {len(data)} bytes, an app of BOOT_{kind.upper()} may have "
                          f"{APP_BYTES[kind]}")
    return data


def read_models(paths: Sequence[Path], calibration: Path | None = None) -> bytes:
    """Models for the board, one a slot, with the mappings beside them and the board's calibration,
    checked by what would play them."""
    from engine.players.native_model import NativeFile
    from firmware.flash.playable import check_calibration, check_playable

    if len(paths) > MAX_SLOTS:
        raise ConfigError(f"--model: at most {MAX_SLOTS} models, one for each slot; "
                          f"got {len(paths)}")
    room = END_ADDRESS - MODEL_ADDRESS
    models: list[Stored] = []
    if calibration:
        check_calibration(calibration)
    text = calibration.read_bytes() if calibration else b""
    for path in paths:
        name = _short(path.stem).decode()
        if name in (m.name for m in models):
            raise ConfigError(f"{path}: another model is called {name!r} already (a board knows "
                              f"{NAME_BYTES} bytes of a name); rename one")
        NativeFile(path)
        check_playable(path, "daisy")
        models.append(Stored(name, path.read_bytes(), _mapping_beside(path)))
        taken = len(store(models, text))
        if taken > room:
            them = f"{path}: takes" if len(paths) == 1 else f"{path}: with it the models take"
            raise ConfigError(f"{them} {taken} bytes, the board has {room}; export with "
                              "--dtype q16x8, or give fewer")
    return store(models, text)


def _mapping_beside(path: Path) -> bytes:
    from firmware.simulate import MAPPING_SUFFIX

    mapping = path.with_suffix(MAPPING_SUFFIX)
    return mapping.read_bytes() if mapping.is_file() else b""


def plan(app: Path | None, models: Sequence[Path], calibration: Path | None = None) -> list[Write]:
    """The calls, in order: the models first, since writing the app starts it."""
    if app is None and not models:
        raise ConfigError("nothing to write: give --app, --model or both")
    if calibration and not models:
        raise ConfigError("--calibration is written together with --model: give both")
    writes = []
    if models:
        what = f"model {models[0].name}" if len(models) == 1 else \
            f"models {', '.join(path.name for path in models)}"
        writes.append(Write(what, "model-store.bin", MODEL_ADDRESS,
                            read_models(models, calibration), False))
    if app is not None:
        writes.append(Write(f"app {app.name}", "app.bin", APP_ADDRESS, read_app(app), True))
    return writes


def check_device() -> str:
    """The serial number of the one Daisy that listens; otherwise an error that says what to do."""
    done = run(["dfu-util", "-l", "-d", USB_ID])
    text = done.stdout.decode("utf-8", "replace")
    found = re.findall(r'Found DFU: \[0483:df11\].*?name="([^"]*)", serial="([^"]*)"', text)
    if not found:
        denied = b"LIBUSB_ERROR_ACCESS" in done.stderr or "LIBUSB_ERROR_ACCESS" in text
        why = "may not be opened: run this as root, or give yourself access to USB devices " \
            f"{USB_ID} by a udev rule" if denied else "none listens"
        raise TudorError(f"no Daisy: {why}\n{DFU_HELP}")
    ready = [serial for name, serial in found if name.startswith("@Flash /0x90000000")]
    if not ready:
        raise TudorError("the board is in the chip's own bootloader, which cannot write QSPI; the "
                         f"Daisy bootloader is needed\n{DFU_HELP}")
    if len(set(ready)) > 1:
        raise TudorError(f"{len(set(ready))} Daisys listen ({', '.join(sorted(set(ready)))}): "
                         "connect one")
    return ready[0]


def write(writes: list[Write]) -> None:
    """Runs dfu-util for each; its own bar shows how far it is."""
    with tempfile.TemporaryDirectory() as folder:
        for item in writes:
            (Path(folder) / item.file).write_bytes(item.data)
            done = subprocess.run([tool("dfu-util"), *item.command(Path(folder))[1:]])
            # Told to leave, the board restarts before it answers, which dfu-util takes for an
            # input/output error (74). The app itself checks the model when it starts.
            if done.returncode and not (item.leave and done.returncode == 74):
                raise TudorError(f"dfu-util failed with exit code {done.returncode} at the "
                                 f"{item.what}; press RESET, then BOOT, and run this again")
