"""`tudor flash daisy`: the app and the model into a Daisy's QSPI flash, by dfu-util.

The Daisy bootloader offers the QSPI flash at 0x90000000: 64 sectors of 4 KB that are its own, then
64 KB sectors from 0x90040000, where it looks for the app. The model has a place of its own behind
the app's, so that each can be replaced without the other. firmware/daisy/store.h says the same to
the app; a test compares them.
"""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigError, TudorError
from firmware.tools import run, tool

USB_ID = "0483:df11"  # of the bootloader, and of the chip's own that writes the internal flash
APP_ADDRESS, MODEL_ADDRESS, END_ADDRESS = 0x90040000, 0x90100000, 0x907C0000
APP_BYTES = {"sram": 480 * 1024, "qspi": MODEL_ADDRESS - APP_ADDRESS}
SRAM_START, SRAM_END, DTCM_START, DTCM_END = 0x24000000, 0x24080000, 0x20000000, 0x20020000
STORE_MAGIC, STORE_VERSION = b"TUDRSTOR", 1
# Magic, version, bytes of model and mapping, CRC-32, board, bytes of the calibration.
STORE = struct.Struct("<8sIIIIII32x")
ALIGN = 64
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


def store(model: bytes, mapping: bytes = b"", calibration: bytes = b"") -> bytes:
    """The model as it lies in QSPI: a header of 64 bytes, the file, its mapping, and how the
    board's inputs read.

    The CRC is zlib's, over everything behind the header."""
    padded = model + bytes(-len(model) % ALIGN) + mapping + calibration
    head = STORE.pack(STORE_MAGIC, STORE_VERSION, len(model), len(mapping), zlib.crc32(padded), 0,
                      len(calibration))
    return head + padded


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


def read_model(path: Path, calibration: Path | None = None) -> bytes:
    """A model for the board, with the mapping beside it and the board's calibration, checked by
    what would play them."""
    from engine.players.native_model import NativeFile
    from firmware.flash.playable import check_calibration, check_playable
    from firmware.simulate import MAPPING_SUFFIX

    NativeFile(path)
    check_playable(path, "daisy")
    mapping = path.with_suffix(MAPPING_SUFFIX)
    if calibration:
        check_calibration(calibration)
    data = store(path.read_bytes(), mapping.read_bytes() if mapping.is_file() else b"",
                 calibration.read_bytes() if calibration else b"")
    room = END_ADDRESS - MODEL_ADDRESS
    if len(data) > room:
        raise ConfigError(f"{path}: takes {len(data)} bytes, the board has {room} for a model; "
                          "export it with --dtype q16x8")
    return data


def plan(app: Path | None, model: Path | None, calibration: Path | None = None) -> list[Write]:
    """The calls, in order: the model first, since writing the app starts it."""
    if app is None and model is None:
        raise ConfigError("nothing to write: give --app, --model or both")
    if calibration and model is None:
        raise ConfigError("--calibration is written together with --model: give both")
    writes = []
    if model is not None:
        writes.append(Write(f"model {model.name}", "model-store.bin", MODEL_ADDRESS,
                            read_model(model, calibration), False))
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
