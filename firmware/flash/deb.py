"""A Debian package as what it puts on a card: files, links, and its entry in dpkg's list."""

from __future__ import annotations

import io
import re
import tarfile
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path

from engine.errors import TudorError
from firmware.tools import run


@dataclass(frozen=True)
class Package:
    """What is in a `.deb`. `files`: content and permissions by absolute path."""

    name: str
    version: str
    architecture: str
    control: str
    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()  # conffiles

    def stanza(self) -> str:
        """The entry in /var/lib/dpkg/status of an installed package."""
        lines = self.control.rstrip("\n").splitlines()
        lines.insert(1, "Status: install ok installed")
        if self.settings:
            sums = [f" {path} {md5(self.files[path][0]).hexdigest()}" for path in self.settings]
            lines += ["Conffiles:", *sums]
        return "\n".join(lines) + "\n"

    def records(self) -> dict[str, bytes]:
        """What dpkg keeps of it in /var/lib/dpkg/info."""
        stem = f"/var/lib/dpkg/info/{self.name}"
        paths = sorted({"/.", *self.folders, *self.files, *self.links})
        sums = "".join(f"{md5(data).hexdigest()}  {path[1:]}\n"
                       for path, (data, _) in sorted(self.files.items())
                       if path not in self.settings)
        records = {f"{stem}.list": "".join(f"{p}\n" for p in paths).encode(),
                   f"{stem}.md5sums": sums.encode()}
        if self.settings:
            records[f"{stem}.conffiles"] = "".join(f"{p}\n" for p in self.settings).encode()
        return records


def read_package(path: Path) -> Package:
    """A checked package for the module."""
    if not path.is_file():
        raise TudorError(f"{path}: no such package")
    control = _tar(path, "--ctrl-tarfile")
    texts = {Path(m.name).name: _bytes(control, m).decode() for m in control if m.isfile()}
    told = dict(re.findall(r"^(\w+): (.*)$", texts.get("control", ""), re.MULTILINE))
    if told.get("Package") != "tudor-module":
        raise TudorError(f"{path}: is the package {told.get('Package')!r}, wanted tudor-module")
    files, links, folders = {}, {}, []
    data = _tar(path, "--fsys-tarfile")
    for member in data:
        name = "/" + member.name.removeprefix("./").strip("/")
        if ".." in Path(name).parts:
            raise TudorError(f"{path}: holds the path {member.name}, which leads out of the root")
        if member.isfile():
            files[name] = (_bytes(data, member), member.mode & 0o777)
        elif member.issym():
            links[name] = member.linkname
        elif member.isdir() and name != "/":
            folders.append(name)
    settings = tuple(line for line in texts.get("conffiles", "").splitlines() if line in files)
    return Package(told["Package"], told.get("Version", ""), told.get("Architecture", ""),
                   texts["control"], files, links, tuple(folders), settings)


def _tar(path: Path, part: str) -> tarfile.TarFile:
    done = run(["dpkg-deb", part, str(path)])
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("dpkg-deb: error: ")
        raise TudorError(f"{path}: no Debian package: {said[:200]}")
    return tarfile.open(fileobj=io.BytesIO(done.stdout))


def _bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""
