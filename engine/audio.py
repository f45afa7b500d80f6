"""Sound files in and out. Shapes are [channels, samples], float32, full scale at 1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from engine.errors import AudioError
from engine.files import atomic_write
from engine.players.base import FloatArray

READ_FRAMES = 1 << 18


def system_name(path: Path) -> str | bytes:
    """As the sound library wants it: it would refuse a name that is not UTF-8, which disks of
    other times hold, unless it comes as the system's own bytes."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def shown_name(name: str | Path) -> str:
    """For people and text files: bytes that are not UTF-8 are written as their numbers."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def audio_blocks(file: soundfile.SoundFile, size: int) -> Iterator[FloatArray]:
    """What `file` holds from its present place on, float32 [frames, channels], `size` frames at a
    time. It ends where the decoder ends: a header's length may be unknown or a lie (FLAC from a
    pipe says 2^63 frames)."""
    # After each read soundfile would seek to where it stands; at the end of a FLAC of unknown
    # length that fails, and the last block would be lost.
    file.seekable = lambda: False
    while True:
        block = file.read(size, dtype="float32", always_2d=True)
        if len(block):
            yield block
        if len(block) < size:
            return


def read_audio(path: Path) -> tuple[FloatArray, int]:
    """A sound file as float32 [channels, samples] and its sample rate in Hz."""
    if not path.exists():
        raise AudioError(f"{path} does not exist")
    if path.is_dir():
        raise AudioError(f"{path} is a folder, wanted one sound file")
    try:
        with soundfile.SoundFile(system_name(path)) as file:
            rate = int(file.samplerate)
            blocks = list(audio_blocks(file, READ_FRAMES))
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        reason = str(error).split(": ")[-1].strip()
        raise AudioError(f"{path} is not a readable sound file: {reason}") from None
    if not blocks:
        raise AudioError(f"{path} holds no samples")
    return np.ascontiguousarray(np.concatenate(blocks).T), rate


def write_audio(path: Path, audio: FloatArray, sample_rate_hz: int) -> None:
    """32-bit float WAV (bit-exact) or 24-bit FLAC by suffix, whole or not at all."""
    subtypes = {".wav": "FLOAT", ".flac": "PCM_24", ".aiff": "FLOAT", ".aif": "FLOAT"}
    suffix = path.suffix.lower()
    if suffix not in subtypes:
        raise AudioError(f"{path}: write to one of {', '.join(subtypes)}, not {suffix or 'none'!r}")
    with atomic_write(path) as temporary:
        try:
            soundfile.write(temporary, audio.T, sample_rate_hz, subtype=subtypes[suffix])
        except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
            raise AudioError(f"cannot write {path}: {error}") from None


def resample(audio: FloatArray, from_hz: int, to_hz: int) -> FloatArray:
    """Band-limited rate conversion of a whole signal."""
    if from_hz == to_hz:
        return audio
    import soxr

    return np.ascontiguousarray(soxr.resample(audio.T, from_hz, to_hz, quality="HQ").T)


def match_channels(audio: FloatArray, channels: int) -> FloatArray:
    """Mono to stereo by copying, stereo to mono by averaging; other counts are an error."""
    have = audio.shape[0]
    if have == channels:
        return audio
    if channels == 1:
        return audio.mean(axis=0, keepdims=True, dtype=np.float32)
    if have == 1:
        return np.repeat(audio, channels, axis=0)
    raise AudioError(f"the sound has {have} channels, the model takes {channels}")
