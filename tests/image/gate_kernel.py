"""A kernel of Debian for arm64 with a GPIO chip of ours, and the module's gate thread as its first
process: boots in seconds, without a card."""

from __future__ import annotations

import gzip
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from firmware.pi.build import COMPILERS
from firmware.tools import MissingToolError, tool
from tests.firmware.pi_build import controls_driver
from tests.image.image_root import SOURCES, entry

HERE = Path(__file__).parent
LIMIT_SECONDS = 900
APT = """APT::Architecture "arm64";
APT::Architectures {{ "arm64"; "{own}"; }};
APT::Sandbox::User "root";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{sources}";
Dir::Etc::sourceparts "-";
"""


@dataclass(frozen=True)
class Kernel:
    """What is booted."""

    image: Path
    initrd: Path


def make_kernel(folder: Path) -> Kernel:
    """Kernel and headers from Debian's archive, by an apt of their own; MissingToolError where
    this machine cannot."""
    root = kernel_root(folder)
    chip = driver(root, HERE / "gate_chip.c", folder / "chip")
    watch = controls_driver(HERE / "gate_watch.c", "arm64", "-static", "-Wl,--wrap=ioctl")
    files = {"init": watch.read_bytes(), "gate_chip.ko": chip.read_bytes()}
    archive = b"".join([*(entry(name, stat.S_IFREG | 0o755, data) for name, data in files.items()),
                        entry("TRAILER!!!", 0, b"")])
    (folder / "initrd").write_bytes(gzip.compress(archive, 1))
    return Kernel(next(root.glob("boot/vmlinuz*")), folder / "initrd")


def kernel_root(folder: Path) -> Path:
    """Kernel, its drivers, and headers, unpacked."""
    packages, root = _packages(folder / "apt"), folder / "root"
    for package in packages.glob("*.deb"):
        subprocess.run([tool("dpkg-deb"), "-x", str(package), str(root)], check=True)
    return root


def _packages(folder: Path) -> Path:
    sources = [path for path in SOURCES if Path(path).is_file() and Path(path).read_text().strip()]
    if not sources or "ID=debian" not in Path("/etc/os-release").read_text():
        raise MissingToolError("the kernel is Debian's; apt here knows none")
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    own = _said(["dpkg", "--print-architecture"], folder).strip()
    (folder / "conf").write_text(APT.format(own=own, folder=folder, sources=sources[0]))
    _said(["apt-get", "update", "-q"], folder)
    depends = _said(["apt-cache", "depends", "linux-image-arm64"], folder)
    found = re.search(r"Depends: linux-image-((\d+\.\d+)\S*)-arm64", depends)
    if found is None:
        raise MissingToolError("apt names no kernel for arm64")
    version, series = found[1], found[2]
    _said(["apt-get", "download", "-q", f"linux-image-{version}-arm64",
           f"linux-headers-{version}-arm64", f"linux-headers-{version}-common",
           f"linux-kbuild-{series}:{own}"], folder)
    return folder


def _said(command: list[str], folder: Path) -> str:
    done = subprocess.run([tool(command[0]), *command[1:]], capture_output=True, text=True,
                          cwd=folder, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                                           "APT_CONFIG": str(folder / "conf")})
    if done.returncode:
        raise MissingToolError(f"{' '.join(command[:2])}: {done.stderr.strip()[-400:]}")
    return done.stdout


def driver(root: Path, source: Path, folder: Path) -> Path:
    """The driver of `source` for that kernel."""
    headers = next(root.glob("usr/src/linux-headers-*-arm64"))
    common = next(root.glob("usr/src/linux-headers-*-common"))
    (headers / "Makefile").write_text(f"include {common}/Makefile\n")
    folder.mkdir()
    shutil.copy(source, folder)
    (folder / "Makefile").write_text(f"obj-m := {source.stem}.o\n")
    prefix = COMPILERS["arm64"].removesuffix("gcc")
    done = subprocess.run(
        [tool("make"), "-C", str(headers), "ARCH=arm64", f"CROSS_COMPILE={prefix}", f"M={folder}",
         f"CC={tool(COMPILERS['arm64'])}", "modules"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    return folder / f"{source.stem}.ko"


def boot(kernel: Kernel, folder: Path, *words: object) -> list[list[str]]:
    """What the first process printed, line by line in words. Time is the guest's: it passes by
    instructions, 8 ns each, and what idles costs nothing here."""
    command = ["nice", tool("qemu-system-aarch64"), "-M", "virt", "-cpu", "cortex-a53", "-smp",
               "2", "-m", "256", "-nographic", "-no-reboot", "-nic", "none", "-icount",
               "shift=3,sleep=off", "-kernel", str(kernel.image), "-initrd", str(kernel.initrd),
               "-append", "console=ttyAMA0 quiet panic=-1 rdinit=/init -- "
               + " ".join(map(str, words))]
    with (folder / "console").open("wb") as console:
        done = subprocess.run(command, stdout=console, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, timeout=LIMIT_SECONDS)
    text = (folder / "console").read_text(errors="replace")
    assert done.returncode == 0, text[-2000:]
    lines = [line.split() for line in text.splitlines()]
    assert ["end"] in lines, text[-2000:]
    return lines
