"""Decoded, resampled audio beside the run, so that a crop costs one short read.

    RUN_DIR/cache/index.json     what each file was (size, time) and is now, or why it is skipped
    RUN_DIR/cache/<hash>.i16     frames x channels, int16, scaled by the file's own peak

Only what changed is decoded again. int16 with a scale per file keeps noise 96 dB below the peak,
evenly over frequency; float16 would put it 66 dB below each loud sample, where a logarithmic loss
hears it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from engine.errors import TudorError
from engine.files import atomic_write
from training.data.audio_folder import Skipped, Source

FloatArray = NDArray[np.float32]
INDEX = "index.json"
SILENCE = 1e-5  # a file whose peak stays below -100 dB holds nothing to learn
SPARE_BYTES = 1 << 30  # left free on the disk
BLOCK_SECONDS = 30.0
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


def bytes_needed(sources: Iterable[Source], rate_hz: int, channels: int) -> int:
    """Size of a full cache."""
    return sum(round(s.seconds * rate_hz) * channels * 2 for s in sources)


class Cache:
    """Audio of a set of sources at one rate and channel count."""

    def __init__(self, folder: Path, rate_hz: int, channels: int, store: bool = True) -> None:
        self.folder, self.rate_hz, self.channels, self.store = folder, rate_hz, channels, store
        self.entries: dict[str, Entry] = {}
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
        return cls(folder, rate_hz, channels, store=needed <= min(free, limit_gb * 1e9))

    def fill(
        self, sources: Iterable[Source], progress: Callable[[Source], None] | None = None
    ) -> list[Skipped]:
        """Bring the cache up to date with `sources`; returns the unusable ones with reasons."""
        self._sources = {source.name: source for source in sources}
        known = self._read_index()
        self.entries = {}
        saved = time.monotonic()
        for source in self._sources.values():
            entry = known.get(source.name)
            if entry is None or not self._fresh(entry, source):
                entry = self._decode(source)
            self.entries[source.name] = entry
            if progress:
                progress(source)
            if time.monotonic() - saved > SAVE_SECONDS:
                self._write_index({**known, **self.entries})
                saved = time.monotonic()
        self._write_index(self.entries)
        wanted = {self._file(entry.name).name for entry in self.entries.values() if entry.stored}
        for path in self.folder.glob("*.i16"):
            if path.name not in wanted:
                path.unlink()
        return [Skipped(e.name, e.reason) for e in self.entries.values() if e.reason]

    def usable(self) -> dict[str, int]:
        """Frames of each usable file at the cache's rate."""
        return {e.name: e.frames for e in self.entries.values() if not e.reason}

    def read(self, name: str, start: int, frames: int) -> FloatArray:
        """`frames` frames from `start`, float32 [channels, frames]; fewer at the file's end."""
        entry = self.entries[name]
        frames = max(0, min(frames, entry.frames - start))
        if not entry.stored:
            return read_range(self._sources[name], start, frames, self.rate_hz, self.channels)
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

    def _file(self, name: str) -> Path:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return self.folder / f"{digest[:24]}.i16"

    def _fresh(self, entry: Entry, source: Source) -> bool:
        if (entry.size_bytes, entry.modified_ns) != (source.size_bytes, source.modified_ns):
            return False
        if entry.reason:
            return True
        return self._complete(entry) if entry.stored else not self.store

    def _complete(self, entry: Entry) -> bool:
        path = self._file(entry.name)
        return path.exists() and path.stat().st_size == entry.frames * self.channels * 2

    def _decode(self, source: Source) -> Entry:
        """Decode one file, check it, store it."""
        entry = Entry(source.name, source.size_bytes, source.modified_ns)
        try:
            audio = decode(source, self.rate_hz, self.channels)  # [frames, channels]
        except (soundfile.SoundFileError, RuntimeError, OSError, MemoryError) as error:
            return _unusable(entry, f"cannot be decoded ({str(error).split(': ')[-1].strip()})")
        if not len(audio):
            return _unusable(entry, "holds no samples")
        peak = float(np.abs(audio).max())
        if not np.isfinite(peak):
            return _unusable(entry, "holds non-finite samples")
        if peak < SILENCE:
            return _unusable(entry, "silent")
        if self.store:
            with atomic_write(self._file(source.name)) as temporary:
                np.round(audio * (32767 / peak)).astype(np.int16).tofile(temporary)
        return Entry(source.name, source.size_bytes, source.modified_ns, len(audio), peak,
                     self.store)

    def _read_index(self) -> dict[str, Entry]:
        try:
            data = json.loads((self.folder / INDEX).read_text("utf-8"))
            if (data["rate_hz"], data["channels"]) != (self.rate_hz, self.channels):
                return {}
            return {item["name"]: Entry(**item) for item in data["entries"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}  # no index, or a damaged one: everything is decoded again

    def _write_index(self, entries: dict[str, Entry]) -> None:
        data = {"rate_hz": self.rate_hz, "channels": self.channels,
                "entries": [asdict(entry) for entry in entries.values()]}
        with atomic_write(self.folder / INDEX) as temporary:
            temporary.write_text(json.dumps(data), "utf-8")


def _unusable(entry: Entry, reason: str) -> Entry:
    return Entry(entry.name, entry.size_bytes, entry.modified_ns, reason=reason)


def decode(source: Source, rate_hz: int, channels: int) -> FloatArray:
    """A whole file, block by block, as float32 [frames, channels] at `rate_hz`."""
    resampler = None
    if source.sample_rate_hz != rate_hz:
        resampler = soxr.ResampleStream(source.sample_rate_hz, rate_hz, channels, dtype="float32")
    parts = []
    with source.open() as file:
        size = round(BLOCK_SECONDS * source.sample_rate_hz)
        while True:
            block = file.read(size, dtype="float32", always_2d=True)
            last = len(block) < size
            block = to_channels(block, channels)
            if resampler is not None:
                block = resampler.resample_chunk(block, last=last)
            parts.append(block.reshape(-1, channels))
            if last:
                return np.concatenate(parts)


def to_channels(audio: FloatArray, channels: int) -> FloatArray:
    """[frames, any] -> contiguous [frames, channels]: averaged to mono; to stereo by copying mono
    or keeping the first two."""
    if audio.shape[1] != channels:
        if channels == 1:
            audio = audio.mean(axis=1, keepdims=True, dtype=np.float32)
        elif audio.shape[1] == 1:
            audio = np.repeat(audio, channels, axis=1)
        else:
            audio = audio[:, :channels]
    return np.ascontiguousarray(audio)


def read_range(
    source: Source, start: int, frames: int, rate_hz: int, channels: int
) -> FloatArray:
    """A stretch of a file without a cache, [channels, frames]; positions are at `rate_hz`."""
    ratio = source.sample_rate_hz / rate_hz
    margin = 64  # frames at `rate_hz` on either side, for the resampler to settle
    first = max(0, start - margin)
    with source.open() as file:
        file.seek(min(round(first * ratio), file.frames))
        count = round((start - first + frames + margin) * ratio)
        block = to_channels(file.read(count, dtype="float32", always_2d=True), channels)
    if source.sample_rate_hz != rate_hz and len(block):
        block = soxr.resample(block, source.sample_rate_hz, rate_hz)
    block = np.nan_to_num(block[start - first : start - first + frames])
    return np.ascontiguousarray(block.T.astype(np.float32))
