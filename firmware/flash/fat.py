"""Files of the FAT boot partition inside an image, through mtools: nothing is mounted."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path, PurePosixPath

from engine.errors import TudorError
from firmware.flash.disk import ImageError, Partition
from firmware.tools import run

FORBIDDEN = re.compile(r'[\x00-\x1f"*/:<>?\\|\x7f]')  # in a FAT name


class Fat:
    """The file system at a partition. Paths are POSIX-like, from its root."""

    def __init__(self, image: Path, partition: Partition) -> None:
        self.image = image
        self._at = f"{image}@@{partition.offset_bytes}"

    def read(self, path: str) -> bytes | None:
        """The content of a file, None if there is none."""
        if not self._names(str(PurePosixPath(path).parent)).get(PurePosixPath(path).name.lower()):
            return None
        with tempfile.TemporaryDirectory() as folder:
            to = Path(folder) / "file"
            self._mtools(["mcopy", "-i", self._at, "-n", f"::{path}", str(to)], path)
            return to.read_bytes()

    def write(self, path: str, data: bytes) -> None:
        """Make or replace a file; folders above it are made."""
        name = PurePosixPath(path).name
        if FORBIDDEN.search(name) or name.endswith((" ", ".")):
            raise TudorError(f"{name!r} cannot be a file's name on a FAT partition; rename it")
        self._make_folder(PurePosixPath(path).parent)
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            self._mtools(["mcopy", "-i", self._at, "-o", file.name, f"::{path}"], path)

    def delete(self, path: str) -> None:
        """Remove a file."""
        self._mtools(["mdel", "-i", self._at, f"::{path}"], path)

    def names(self, folder: str) -> list[str]:
        """What lies in a folder; nothing if there is no such folder."""
        return sorted(self._names(folder).values())

    def free_bytes(self) -> int:
        """What is free."""
        shown = self._mtools(["mdir", "-i", self._at, "::"], "/").decode()
        found = re.search(r"([\d ]+) bytes free", shown)
        if found is None:
            raise ImageError(f"{self.image}: the boot partition cannot be read")
        return int(found[1].replace(" ", ""))

    def _names(self, folder: str) -> dict[str, str]:
        """Names in a folder by their lower case: FAT knows no other difference."""
        done = run(["mdir", "-i", self._at, "-b", "-a", f"::{folder}"])
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        paths = [line.removeprefix("::").rstrip("/") for line in lines if line.startswith("::")]
        return {PurePosixPath(p).name.lower(): PurePosixPath(p).name for p in paths}

    def _make_folder(self, folder: PurePosixPath) -> None:
        for part in [*reversed(folder.parents), folder]:
            if part.name and part.name.lower() not in self._names(str(part.parent)):
                self._mtools(["mmd", "-i", self._at, f"::{part}"], str(part))

    def _mtools(self, command: list[str], path: str) -> bytes:
        done = run(command)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["failed"]
            why = "no space is left" if "full" in done.stderr.decode(errors="replace").lower() \
                else said[-1]
            raise ImageError(f"{self.image}: boot partition, {path}: {why}")
        return done.stdout
