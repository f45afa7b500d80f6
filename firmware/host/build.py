"""Builds the host program for a target, once per content of its sources."""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from engine.errors import TudorError, nearest
from firmware.tools import MissingToolError, cache, made, tool

__all__ = ["MissingToolError", "tool"]  # for those who build and play

HERE = Path(__file__).parent
CORE = HERE.parent.parent / "engine" / "core"
COMMON = HERE.parent / "common"
PROGRAM = ("host.c", "counter.c", "words.c")
RACK = ("rack.c", "rack_words.c", "rack_slots.c", "rack_script.c", "rack_counts.c", "counter.c",
        "words.c")
# Calls that the rack plants faults in or counts.
WRAPPED = ("tudor_process", "tudor_process_slice", "tudor_run_op", "player_run",
           "player_attributes", "edit_rows", "input_block", "controls_until", "mix_block",
           "output_block", "transport_step", "transport_pulse", "actions_step")
FLAGS = ("-std=c11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Wconversion", "-Werror")
LINKER = ("-nostartfiles", "--specs=nosys.specs", f"-Wl,-T,{HERE / 'an500.ld'}", "-static")
CORTEX_M7 = ("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard",
             "-DTUDOR_ONLY_SCALAR", *LINKER[:3])


@dataclass(frozen=True)
class Target:
    """A machine that the program is built for."""

    name: str
    title: str
    compiler: str
    platform: str
    flags: tuple[str, ...] = ()
    emulator: str | None = None
    cpus: tuple[str, ...] = ()  # processors that the emulator imitates, the usual one first
    isas: tuple[str, ...] = ()  # instruction sets of the runtime that must work there


TARGETS = {target.name: target for target in (
    Target("native", "this machine", "gcc", "platform_linux.c", isas=("ref", "scalar")),
    Target("aarch64", "aarch64 under qemu-aarch64", "aarch64-linux-gnu-gcc", "platform_linux.c",
           ("-static",), "qemu-aarch64", ("cortex-a72", "cortex-a53", "cortex-a76"),
           ("ref", "scalar", "neon")),
    Target("m7", "bare-metal Cortex-M7 under qemu-system-arm", "arm-none-eabi-gcc",
           "platform_an500.c", CORTEX_M7, "qemu-system-arm", ("cortex-m7",), ("scalar",)),
)}


def target_named(name: str) -> Target:
    """The target called `name`, or an error that suggests one."""
    if name not in TARGETS:
        raise TudorError(f"unknown machine {name!r}{nearest(name, TARGETS)}")
    return TARGETS[name]


def program(target: Target) -> Path:
    """The built program."""
    sources = [HERE / name for name in (*PROGRAM, target.platform)]
    if not all(path.exists() for path in sources):
        raise TudorError(f"the host program's sources are not in {HERE}: run from a checkout")
    return _built(f"host-{target.name}", [
        tool(target.compiler), *FLAGS, *target.flags, f"-I{CORE}", "-Wl,--wrap=tudor_run_op",
        *map(str, sources), *runtime(target)])


def rack(target: Target, *flags: str) -> Path:
    """The program that plays the instrument from files; `flags`: further ones for the compiler."""
    sources = [HERE / name for name in (*RACK, target.platform)]
    if not sources[0].exists():
        raise MissingToolError(f"the instrument's sources are not in {HERE}: run from a checkout")
    return _built(f"rack-{target.name}", [
        tool(target.compiler), *FLAGS, *target.flags, *flags, f"-I{CORE}", f"-I{COMMON}",
        "-Wl," + ",".join(f"--wrap={name}" for name in WRAPPED), *map(str, sources),
        *instrument(target, *flags), *runtime(target, *flags)])


def runtime(target: Target, *flags: str) -> list[str]:
    """The runtime's objects: they take most of the time, and are the same for all programs."""
    return _objects(target, (CORE,), flags)


def instrument(target: Target, *flags: str) -> list[str]:
    """The objects of firmware/common, which many programs share too."""
    return _objects(target, (COMMON, CORE), flags)


def _objects(target: Target, folders: tuple[Path, ...], flags: tuple[str, ...]) -> list[str]:
    """Of each C file of the first folder, which reads headers of all of them."""
    words = [word for word in (tool(target.compiler), *FLAGS, *target.flags, *flags, "-c")
             if word not in LINKER]
    headers = hashlib.sha256("\0".join(words).encode())
    for path in sorted(p for folder in folders for p in folder.iterdir()
                       if p.suffix in (".h", ".inc")):
        headers.update(path.name.encode() + path.read_bytes())
    compiler, objects = [*words, *(f"-I{folder}" for folder in folders)], []
    for path in sorted(folders[0].glob("*.c")):
        digest = headers.copy()
        digest.update(path.name.encode() + path.read_bytes())
        out = cache("host") / f"{target.name}-{path.stem}-{digest.hexdigest()[:16]}.o"
        objects.append(str(made(out, [*compiler, str(path)])))
    return objects


def count_plugin() -> Path:
    """The plugin that counts instructions for qemu-aarch64."""
    shown = subprocess.run([tool("qemu-aarch64"), "--version"], capture_output=True, text=True)
    found = re.search(r"version (\d+)", shown.stdout)
    version = 2 if found and int(found[1]) >= 9 else 1
    command = [tool("gcc"), *FLAGS, f"-DPLUGIN_VERSION={version}", "-fPIC", "-shared",
               str(HERE / "count_plugin.c")]
    return _built("count-plugin", command)


def _built(name: str, command: list[str]) -> Path:
    """What `command` makes, from the cache if nothing that goes into it has changed."""
    digest = hashlib.sha256("\0".join(command).encode())
    for folder in (HERE, COMMON, CORE):
        for path in sorted(p for p in folder.iterdir() if p.suffix in (".c", ".h", ".inc", ".ld")):
            digest.update(path.name.encode() + path.read_bytes())
    return made(cache("host") / f"{name}-{digest.hexdigest()[:16]}", command)
