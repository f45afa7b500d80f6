"""A folder of audio as training sees it: which files, which not and why, and the split."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from engine.audio import believable, count_frames, shown_name, system_name, unfit_rate
from engine.errors import AudioError

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".caf", ".w64")
CLOSED = (".m4a", ".aac", ".mp4", ".wma", ".ape", ".wv", ".amr")  # sound that cannot be read


@dataclass(frozen=True)
class Source:
    """A sound file of the folder. `name` is its path relative to the folder, with slashes."""

    path: Path
    name: str
    frames: int
    sample_rate_hz: int
    channels: int
    size_bytes: int
    modified_ns: int

    def open(self) -> soundfile.SoundFile:
        """The file, to be read from."""
        return soundfile.SoundFile(system_name(self.path))

    @property
    def seconds(self) -> float:
        """Duration as far as it is known without decoding; see `engine.audio.believable`."""
        return self.frames / self.sample_rate_hz


@dataclass(frozen=True)
class Skipped:
    """Something that was left out, and why."""

    name: str
    reason: str

    @property
    def shown(self) -> str:
        """The name for people and files."""
        return shown_name(self.name)

    def __str__(self) -> str:
        return f"{self.shown}: {self.reason}"


@dataclass(frozen=True)
class Folder:
    """What a scan found; sources are sorted by name."""

    root: Path
    sources: tuple[Source, ...]
    skipped: tuple[Skipped, ...]


def scan(root: Path) -> Folder:
    """Look through `root`, headers only where they can be believed. Without a single usable file it
    is an error."""
    if not root.exists():
        raise AudioError(f"{root} does not exist; --data wants a folder of audio")
    if not root.is_dir():
        raise AudioError(f"{root} is not a folder; --data wants a folder of audio")
    sources: list[Source] = []
    skipped: list[Skipped] = []
    for path in _files(root, skipped):
        found = _inspect(path, path.relative_to(root).as_posix())
        if isinstance(found, Source):
            sources.append(found)
        else:
            skipped.append(found)
    if not sources:
        raise AudioError(nothing_usable(root, skipped))
    sources.sort(key=lambda source: source.name)
    return Folder(root, tuple(sources), tuple(skipped))


def nothing_usable(root: Path, skipped: Sequence[Skipped]) -> str:
    """The error for a folder of which nothing is left, in one line."""
    if not skipped:
        return f"{root} holds no audio; looked for {', '.join(SUFFIXES)} in it and below"
    shown = "; ".join(str(item) for item in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"{root} holds no usable audio ({shown}{more})"


def _files(root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """Audio files below `root` by suffix. Links are followed, each folder is entered once."""
    def denied(error: OSError) -> None:
        name = os.path.relpath(error.filename, root) if error.filename else str(root)
        skipped.append(Skipped(name, error.strerror or "cannot be opened"))

    entered: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=denied):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in entered:  # a link back up, or a second way in
            subfolders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(SUFFIXES + CLOSED):
                yield Path(folder) / name


def _inspect(path: Path, name: str) -> Source | Skipped:
    """A file by its header."""
    try:
        status = path.stat()
        if not os.access(path, os.R_OK):
            return Skipped(name, "permission denied")
        if status.st_size == 0:
            return Skipped(name, "empty file")
        if name.lower().endswith(CLOSED):
            kind = path.suffix.lower()
            return Skipped(name, f"{kind} cannot be read; convert it to wav or flac")
        info = soundfile.info(system_name(path))
        wrong = unfit_rate(info.samplerate)
        if wrong:
            return Skipped(name, wrong)
        known = believable(info.frames, status.st_size)
        frames = info.frames if known else count_frames(path)
    except (soundfile.SoundFileError, RuntimeError, AudioError):
        return Skipped(name, "not readable as audio")
    except OSError as error:
        return Skipped(name, error.strerror or "cannot be opened")
    if frames <= 0:
        return Skipped(name, "holds no samples")
    return Source(path, name, frames, info.samplerate, info.channels, status.st_size,
                  status.st_mtime_ns)


def split(names: list[str], fraction: float) -> tuple[list[str], list[str]]:
    """Training and validation names. A name's side depends on the name alone, so adding files
    moves none; only where that leaves a side empty the nearest name fills it."""
    ordered = sorted(names, key=name_position)
    if len(ordered) < 2 or fraction == 0:
        return sorted(names), []
    cut = sum(name_position(name) < fraction for name in ordered)
    cut = min(max(cut, 1), len(ordered) - 1)
    return sorted(ordered[cut:]), sorted(ordered[:cut])


def name_position(name: str) -> float:
    """A name's fixed place in [0, 1), by which sides are chosen."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
