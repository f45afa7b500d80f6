"""Decoded, resampled audio beside the run, so that a crop costs one short read.

    RUN_DIR/cache/index.json     what each file was (size, time) and is now, or why it is skipped
    RUN_DIR/cache/<hash>.i16     frames x channels, int16, scaled by the file's own peak

Only what changed is decoded again. int16 with a scale per file keeps noise 96 dB below the peak,
evenly over frequency; float16 would put it 66 dB below each loud sample, where a logarithmic loss
hears it. The file's peak is known at its end only: a short file waits in memory until then, a long
one is decoded twice.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.audio import channels_refused
from engine.audio_check import SILENT_BELOW, AudioCheck
from engine.errors import TudorError
from engine.files import atomic_write
from training.data.audio_folder import Skipped, Source
from training.data.decode import (
    BROKEN,
    MARGIN,
    decoded,
    read_range,
    unfit,
    why_broken,
)
from training.data.sounds import Sound, Stretches

__all__ = ["Cache", "Entry", "bytes_needed", "read_range"]

FloatArray = NDArray[np.float32]
INDEX = "index.json"
VERSION = 2  # of the index; an older one lacks what is known of sounds and channels
SPARE_BYTES = 1 << 30  # left free on the disk
HELD_SAMPLES = 1 << 22  # of a file that is decoded once only
SAVE_SECONDS = 5.0


@dataclass(frozen=True)
class Entry:
    """What is known of one file: `reason` says why it cannot be used, else frames are there."""

    name: str
    size_bytes: int
    modified_ns: int
    frames: int = 0
    peak: float = 0.0
    stored: bool = False
    reason: str = ""
    sounds: tuple[tuple[int, int], ...] = ()  # where it is not silent, in frames
    channels: int = 0  # of the file itself
    notes: tuple[str, ...] = ()  # what is worth a note though it can be used


def bytes_needed(sources: Iterable[Source], rate_hz: int, channels: int) -> int:
    """Size of a full cache, as far as headers tell."""
    return sum(round(s.seconds * rate_hz) * channels * 2 for s in sources)


class Cache:
    """Audio of a set of sources at one rate and channel count. `LatentCache` keeps what a model
    makes of it: then a frame is one of latents."""

    suffix: ClassVar[str] = ".i16"
    frame_bytes: ClassVar[int] = 2  # of each channel

    def __init__(
        self, folder: Path, rate_hz: float, channels: int, store: bool = True,
        limit_bytes: float = float("inf"),
    ) -> None:
        self.folder, self.rate_hz, self.channels, self.store = folder, rate_hz, channels, store
        self.audio_channels = channels  # of the sound that comes in
        self.limit_bytes = limit_bytes  # files beyond it are read directly
        self.entries: dict[str, Entry] = {}
        self.stored_bytes = 0
        self._sources: dict[str, Source] = {}

    @classmethod
    def plan(
        cls, folder: Path, sources: Iterable[Source], rate_hz: int, channels: int, limit_gb: float
    ) -> Cache:
        """A cache that stores if its size is within the limit and fits the disk."""
        needed = bytes_needed(sources, rate_hz, channels)
        folder.mkdir(parents=True, exist_ok=True)
        have = sum(path.stat().st_size for path in folder.glob("*.i16"))
        free = shutil.disk_usage(folder).free + have - SPARE_BYTES
        limit = min(free, limit_gb * 1e9)
        return cls(folder, rate_hz, channels, needed <= limit, limit)

    def fill(
        self, sources: Iterable[Source], progress: Callable[[Source], None] | None = None
    ) -> list[Skipped]:
        """Bring the cache up to date with `sources`; returns the unusable ones with reasons."""
        self._sources = {source.name: source for source in sources}
        known = self._read_index()
        self.entries, self.stored_bytes = {}, 0
        saved = time.monotonic()
        for source in self._sources.values():
            entry = known.get(source.name)
            if entry is None or not self._fresh(entry, source):
                entry = self._decode(source)
            self.entries[source.name] = entry
            self.stored_bytes += self._size(entry.frames) if entry.stored else 0
            if progress:
                progress(source)
            if time.monotonic() - saved > SAVE_SECONDS:
                self._write_index({**known, **self.entries})
                saved = time.monotonic()
        self._write_index(self.entries)
        wanted = {self._file(entry.name).name for entry in self.entries.values() if entry.stored}
        for path in self.folder.glob(f"*{self.suffix}"):
            if path.name not in wanted:
                path.unlink()
        return [Skipped(e.name, e.reason) for e in self.entries.values() if e.reason]

    def sounds(self, names: Iterable[str] | None = None) -> list[Sound]:
        """The stretches that are not silent, of all usable files or of those named."""
        chosen = self.usable() if names is None else names
        return [Sound(name, start, end)
                for name in chosen for start, end in self.entries[name].sounds]

    def usable(self) -> dict[str, int]:
        """Frames of each usable file at the cache's rate."""
        return {e.name: e.frames for e in self.entries.values() if not e.reason}

    def read(self, name: str, start: int, frames: int) -> FloatArray:
        """`frames` frames from `start`, float32 [channels, frames]; fewer at the file's end."""
        entry = self.entries[name]
        frames = max(0, min(frames, entry.frames - start))
        if not entry.stored:
            return self._direct(name, start, frames)
        try:
            raw = np.fromfile(self._file(name), np.int16, frames * self.channels,
                              offset=start * self.channels * 2)
        except OSError as error:
            raise TudorError(f"{self._file(name)}: {error.strerror}; delete {self.folder} and "
                             "start again to rebuild the cache") from None
        audio = raw.reshape(-1, self.channels).T.astype(np.float32)
        audio *= entry.peak / 32767
        return audio

    # --- inside -----------------------------------------------------------------------------

    def _key(self) -> dict[str, Any]:
        """What decides the contents beside the files themselves."""
        return {"version": VERSION, "rate_hz": self.rate_hz, "channels": self.channels}

    def _file(self, name: str) -> Path:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return self.folder / f"{digest[:24]}{self.suffix}"

    def _direct(self, name: str, start: int, frames: int) -> FloatArray:
        source = self._sources[name]
        audio = read_range(source, start, frames, round(self.rate_hz), self.channels)
        missing = frames - audio.shape[1]
        if missing > MARGIN:
            raise TudorError(f"{source.path} is shorter than it was when training began; start "
                             "again to look at it anew")
        # At the very end resampling a part may give a frame or two less than the whole file did.
        return np.pad(audio, ((0, 0), (0, missing)), "edge") if missing else audio

    def _fresh(self, entry: Entry, source: Source) -> bool:
        if (entry.size_bytes, entry.modified_ns) != (source.size_bytes, source.modified_ns):
            return False
        if entry.reason:
            return True
        return self._complete(entry) if entry.stored else not self._fits(entry.frames)

    def _complete(self, entry: Entry) -> bool:
        path = self._file(entry.name)
        return path.exists() and path.stat().st_size == self._size(entry.frames)

    def _size(self, frames: int) -> int:
        return frames * self.channels * self.frame_bytes

    def _fits(self, frames: int) -> bool:
        """Whether a file of true length `frames` may be stored beside those before it."""
        return self.store and self.stored_bytes + self._size(frames) <= self.limit_bytes

    def _decode(self, source: Source) -> Entry:
        """Decode one file, check it, store it."""
        known = Entry(source.name, source.size_bytes, source.modified_ns)
        refused = channels_refused(source.channels, self.audio_channels)
        if refused is not None:
            return replace(known, reason=refused)
        try:
            return self._checked(source, known)
        except BROKEN as error:
            return replace(known, reason=why_broken(error))

    def _checked(self, source: Source, known: Entry) -> Entry:
        rate = round(self.rate_hz)
        check, stretches, peak = AudioCheck(self.channels), Stretches(rate), 0.0
        held: list[FloatArray] | None = []
        for block in decoded(source, rate, self.channels, check):
            stretches.add(block)
            peak = max(peak, float(np.abs(block).max()))
            if held is not None:
                held.append(block)
                if stretches.frames * self.channels > HELD_SAMPLES:
                    held = None
        reason = unfit(check, source)
        if reason is None and peak < SILENT_BELOW:
            reason = f"silent at {rate} Hz"
        if reason is not None:
            return replace(known, reason=reason)
        frames = stretches.frames
        stored = self._fits(frames)
        if stored:
            with atomic_write(self._file(source.name)) as temporary, temporary.open("wb") as out:
                for block in held or decoded(source, rate, self.channels):
                    np.round(block * (32767 / peak)).astype(np.int16).tofile(out)
        return replace(
            known, frames=frames, peak=peak, stored=stored, channels=check.channels,
            sounds=stretches.found() or ((0, frames),),
            notes=tuple(finding.text for finding in check.findings()),
        )

    def _read_index(self) -> dict[str, Entry]:
        try:
            data = json.loads((self.folder / INDEX).read_text("utf-8"))
            if any(data[key] != value for key, value in self._key().items()):
                return {}
            return {item["name"]: _entry(item) for item in data["entries"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}  # no index, or a damaged one: everything is decoded again

    def _write_index(self, entries: dict[str, Entry]) -> None:
        data = {**self._key(), "entries": [asdict(entry) for entry in entries.values()]}
        with atomic_write(self.folder / INDEX) as temporary:
            temporary.write_text(json.dumps(data), "utf-8")


def _entry(item: dict[str, Any]) -> Entry:
    """From JSON, which has no tuples."""
    return Entry(**{**item, "sounds": tuple((int(a), int(b)) for a, b in item["sounds"]),
                    "notes": tuple(item["notes"])})
