"""The module's program and its test drivers, built once; files for ALSA to play from and to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.pi import build
from firmware.tools import MissingToolError
from tests.core.core_build import ONLY_WRITES

HERE = Path(__file__).parent
INTS = NDArray[np.int32]
CROSS_LIBRARY = "/usr/aarch64-linux-gnu"


def skip(why: str) -> None:
    """In CI everything must be there; elsewhere the reason is told."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@cache
def program(target: str = "native") -> Path:
    """tudor-module, the same for all tests of a run."""
    try:
        return build.program(target)
    except MissingToolError as error:
        skip(str(error))
        raise


@cache
def driver(main: str, *links: str, flags: tuple[str, ...] = ()) -> Path:
    """The program of `main` (a file of this folder) with the board's sources but its main.c, and
    the runtime's portable part."""
    files = [HERE / main, *(path for path in build.sources() if path != build.HERE / "main.c")]
    scalar = ("-DTUDOR_ONLY_SCALAR",)
    # The build looks at the board's headers alone: this one counts as a flag.
    header = f"-DONLY_WRITES_SUM={crc32(ONLY_WRITES.read_bytes())}u"
    try:
        return build.linked(Path(main).stem, "native", files, (*flags, header), links, scalar)
    except MissingToolError as error:
        skip(str(error))
        raise


# What lies between pins and the instrument, without the instrument.
CONTROLS = [*(build.HERE / f"{name}.c" for name in (
    "adc", "controls", "gates", "gpio", "moment", "notes", "sequencer", "serial", "settings")),
    *(build.COMMON / f"{name}.c" for name in ("leds", "midi", "steady"))]
# What of the instrument they call: a driver has its own.
CALLED = "-Wl," + ",".join(f"--wrap={name}" for name in (
    "module_push", "module_now", "module_read_status"))


@cache
def controls_driver(main: Path, target: str = "native", *links: str) -> Path:
    """The program of `main` with the board's controls alone: quick to build."""
    try:
        return build.linked(main.stem, target, [main, *CONTROLS], (), (CALLED, *links))
    except MissingToolError as error:
        skip(str(error))
        raise


def arm64_library() -> Path:
    """A folder with libasound.so.2 for arm64."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for root in (base / "tudor" / "arm64", Path("/")):
        folder = root / "usr/lib/aarch64-linux-gnu"
        if (folder / "libasound.so.2").exists():
            return folder
    skip("no libasound2 for arm64; scripts/setup.sh unpacks it into ~/.cache/tudor/arm64")
    raise AssertionError


def emulated(binary: Path, cpu: str) -> tuple[list[str], dict[str, str]]:
    """The words before a program for arm64, and nothing more in its surroundings."""
    qemu = shutil.which("qemu-aarch64")
    if qemu is None:
        skip("qemu-aarch64 is not installed; on Debian: apt install qemu-user")
    words = [str(qemu), "-cpu", cpu, "-L", CROSS_LIBRARY, "-E",
             f"LD_LIBRARY_PATH={arm64_library()}", str(binary)]
    return words, {}


def settings(folder: Path, models: Path, **more: object) -> Path:
    """module.conf for a sound card of files: plays `in.raw`, writes `out.raw`, S32 stereo."""
    (folder / "asound.conf").write_text(
        'pcm.sink { type null }\n'
        f'pcm.filed {{ type file slave.pcm sink file "{folder}/out.raw" format raw }}\n'
        'pcm.played { type file slave.pcm sink file "/dev/null" '
        f'infile "{folder}/in.raw" format raw }}\n')
    pairs = {"device": "filed", "capture": "played", "inputs": 2, "outputs": 2,
             "rate": 48000, "period": 128, "overload": "off", "priority": "off", "cpu": "off",
             "models": models, "calibration": folder / "none", "socket": folder / "status",
             "midi": "off", "saves": "off", "stereo": "off", **more}
    path = folder / "module.conf"
    path.write_text("".join(f"{key} = {value}\n" for key, value in pairs.items()))
    return path


def alsa(folder: Path) -> dict[str, str]:
    """What points ALSA to the card of files."""
    return {**os.environ, "ALSA_CONFIG_PATH": f"/usr/share/alsa/alsa.conf:{folder}/asound.conf"}


def play(words: list[str], folder: Path, audio: INTS, blocks: int, period: int = 128,
         config: Path | None = None) -> INTS:
    """Runs tudor-module for some blocks; what it played, [samples, 2], without the silence that
    it fills the card's buffer with at first."""
    audio.astype("<i4").tofile(folder / "in.raw")
    (folder / "out.raw").unlink(missing_ok=True)
    done = subprocess.run(
        [*words, "--config", str(config or folder / "module.conf"), "--blocks", str(blocks)],
        capture_output=True, text=True, env=alsa(folder), timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"played {blocks} blocks, 0 xruns, 0 overloads, 0 faults" in done.stderr, done.stderr
    got = np.fromfile(folder / "out.raw", "<i4").reshape(-1, 2)
    filled = len(got) - blocks * period
    assert filled >= 0
    assert not got[:filled].any()
    return got[filled:]


class running:  # noqa: N801
    """tudor-module for the time of a block; gives its status, once it plays."""

    def __init__(self, folder: Path, config: Path, **surroundings: str) -> None:
        self.folder, self.config, self.surroundings = folder, config, surroundings

    def __enter__(self) -> str:
        (self.folder / "asound.conf").write_text(
            "pcm.filed { type null }\npcm.played { type null }\n")
        self.process = subprocess.Popen(
            [str(program()), "--config", str(self.config)], stderr=subprocess.PIPE, text=True,
            env={**alsa(self.folder), **self.surroundings})
        try:
            return self.until("^blocks [1-9]")
        except BaseException:
            self.process.kill()
            raise

    def until(self, said: str) -> str:
        """The status, once a line of it begins so. It ends with the program; pytest's limit of a
        test ends it in any case."""
        while self.process.poll() is None:
            done = subprocess.run([str(program()), "--config", str(self.config), "--status"],
                                  capture_output=True, text=True)
            if done.returncode == 0 and re.search(said, done.stdout, re.MULTILINE):
                return done.stdout
            time.sleep(0.05)
        raise AssertionError(f"it ended: {self.process.stderr.read()}")  # type: ignore

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        assert self.process.wait() == 0
