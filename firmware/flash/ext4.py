"""Files of the ext4 root partition inside an image, through debugfs: nothing is mounted."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from firmware.flash.disk import ImageError, Partition
from firmware.tools import run

SAFE = re.compile(r"/[\w./@+~:-]*")  # debugfs splits its lines into words
_BANNER = re.compile(r"^debugfs \d.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """What stands at a path: permissions as in chmod, owner, bytes; `target` of a symbolic link."""

    kind: str  # "regular", "directory", "symlink", ...
    mode: int
    uid: int
    gid: int
    size_bytes: int
    target: str | None = None


class Ext4:
    """The file system at a partition. Changes are gathered by the caller and written in one go."""

    def __init__(self, image: Path, partition: Partition) -> None:
        self.image = image
        self._at = f"{image}?offset={partition.offset_bytes}"

    def stat(self, paths: Iterable[str]) -> dict[str, Entry | None]:
        """What stands at each path."""
        asked = list(dict.fromkeys(paths))
        if not asked:
            return {}
        text = self._script([f"stat {_word(path)}" for path in asked])
        answers = re.split(r"^debugfs: stat (.*)\n", text, flags=re.MULTILINE)[1:]
        told = dict(zip(answers[::2], answers[1::2], strict=True))
        return {path: _entry(told.get(path, "")) for path in asked}

    def read(self, paths: Iterable[str]) -> dict[str, bytes | None]:
        """The content of each file; None where there is none."""
        asked = list(dict.fromkeys(paths))
        with tempfile.TemporaryDirectory() as folder:
            self._script([f"dump {_word(path)} {number}" for number, path in enumerate(asked)],
                         Path(folder))
            found: dict[str, bytes | None] = {}
            regular = self.stat(asked)
            for number, path in enumerate(asked):
                entry, to = regular[path], Path(folder) / str(number)
                is_file = entry is not None and entry.kind == "regular"
                found[path] = to.read_bytes() if is_file and to.exists() else None
            return found

    def write(self, files: dict[str, tuple[bytes, int]], links: dict[str, str],
              empty: Iterable[str] = (), gone: Iterable[str] = ()) -> None:
        """Make or replace files (content, permissions; owned by root) and symbolic links; folders
        above them, and `empty` ones, are made where they are not. `gone`: are there, and are
        removed."""
        folders = _folders_above([*files, *links, *(f"{path}/inside" for path in empty)])
        there = self.stat([*folders, *files, *links])
        for path in folders:
            entry = there[path]
            if entry is not None and entry.kind not in ("directory", "symlink"):
                raise ImageError(f"{self.image}: {path} is no folder")
        script = []
        for path in folders:
            if there[path] is None:
                script += [f"mkdir {_word(path)}", f"sif {_word(path)} mode 040755"]
        script += [f"rm {_word(path)}" for path in (*files, *links) if there[path] is not None]
        script += [f"rm {_word(path)}" for path in gone]
        with tempfile.TemporaryDirectory() as folder:
            for number, (path, (data, mode)) in enumerate(files.items()):
                (Path(folder) / str(number)).write_bytes(data)
                script += [f"write {number} {_word(path)}",
                           f"sif {_word(path)} mode 0100{mode:03o}",
                           f"sif {_word(path)} uid 0", f"sif {_word(path)} gid 0"]
            script += [f"symlink {_word(path)} {to}" for path, to in links.items()]
            said = self._script(script, Path(folder), write=True)
        if "Could not allocate" in said or "No space" in said or "no free" in said.lower():
            raise ImageError(f"{self.image}: no space is left in the root partition")

    def check(self) -> None:
        """The whole file system is consistent (e2fsck, which changes nothing)."""
        done = run(["e2fsck", "-f", "-n", self._at])
        if done.returncode:
            lines = done.stdout.decode(errors="replace").splitlines()
            bad = next((line for line in lines if "?" in line), lines[-1] if lines else "")
            raise ImageError(f"{self.image}: the root file system is damaged: {bad}")

    def _script(self, lines: list[str], folder: Path | None = None, write: bool = False) -> str:
        """Run debugfs commands; what it prints, each command before its answer.

        Its exit code says nothing about the commands: callers read back what they wrote."""
        with tempfile.NamedTemporaryFile("w") as script:
            script.write("".join(f"{line}\n" for line in lines))
            script.flush()
            image = self._at if self._at.startswith("/") else str(Path.cwd() / self._at)
            options = ["-w"] if write else []
            done = run(["debugfs", *options, "-f", script.name, image], folder)
        text = (done.stdout + done.stderr if write else done.stdout).decode("utf-8", "replace")
        if done.returncode or "Bad magic" in done.stderr.decode(errors="replace"):
            said = _BANNER.sub("", done.stderr.decode("utf-8", "replace")).strip()
            raise ImageError(f"{self.image}: the root file system cannot be read: {said}")
        return text


def _word(path: str) -> str:
    if not SAFE.fullmatch(path):
        raise ImageError(f"{path!r} cannot be written into a root file system")
    return path


def _folders_above(paths: Iterable[str]) -> list[str]:
    """All folders that the paths lie in, outer ones first."""
    found = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    return sorted(found - {"/"}, key=lambda path: path.count("/"))


def _entry(text: str) -> Entry | None:
    """From what debugfs says of an inode."""
    head = re.search(r"Type: (\w+)\s+Mode:\s+(\d+)", text)
    owner = re.search(r"User:\s+(\d+)\s+Group:\s+(\d+).*?Size: (\d+)", text, re.DOTALL)
    if head is None or owner is None:
        return None
    link = re.search(r'Fast link dest: "(.*)"', text)
    return Entry(head[1], int(head[2], 8) & 0o7777, int(owner[1]), int(owner[2]), int(owner[3]),
                 link[1] if link else None)
