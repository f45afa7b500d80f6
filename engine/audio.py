"""Sound files in and out. Shapes are [channels, samples], float32, full scale at 1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from engine.errors import AudioError
from engine.files import atomic_write
from engine.players.base import FloatArray

READ_FRAMES = 1 << 18
MOST_FRAMES_PER_BYTE = 8192  # the emptiest block of FLAC or Opus holds fewer
LOWEST_HZ, HIGHEST_HZ = 1_000, 1_000_000  # rates of sound; what a broken header says lies outside
# What is written, by suffix: latents keep their values only in floating point.
FORMATS = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24"),
           ".aiff": ("AIFF", "FLOAT"), ".aif": ("AIFF", "FLOAT")}


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
        if len(block) < max(size, 1):
            return


def unfit_rate(rate_hz: int) -> str | None:
    """Why no sound has this sample rate, with the remedy; None if it may."""
    if LOWEST_HZ <= rate_hz <= HIGHEST_HZ:
        return None
    return (f"its header says {rate_hz} Hz, sound has {LOWEST_HZ} to {HIGHEST_HZ} Hz; write the "
            "right rate into it (sox -r 44100 IN.wav OUT.wav)")


def channels_of(path: Path) -> int:
    """How many channels a sound file has."""
    with _opened(path) as file:
        return int(file.channels)


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """A sound file to be read from, or an error that names it."""
    if not path.exists():
        raise AudioError(f"{path} does not exist")
    if path.is_dir():
        raise AudioError(f"{path} is a folder, wanted one sound file")
    try:
        with soundfile.SoundFile(system_name(path)) as file:
            yield file
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        reason = str(error).split(": ")[-1].strip()
        raise AudioError(f"{path} is not a readable sound file: {reason}") from None


def read_audio(path: Path) -> tuple[FloatArray, int]:
    """A sound file as float32 [channels, samples] and its sample rate in Hz."""
    with _opened(path) as file:
        rate = int(file.samplerate)
        blocks = [np.ascontiguousarray(block.T) for block in audio_blocks(file, READ_FRAMES)]
    if not blocks:
        raise AudioError(f"{path} holds no samples")
    audio = np.empty((len(blocks[0]), sum(block.shape[1] for block in blocks)), np.float32)
    end = audio.shape[1]
    while blocks:  # each is given back when it was copied: an hour is not held twice
        block = blocks.pop()
        audio[:, end - block.shape[1] : end] = block
        end -= block.shape[1]
    return audio, rate


def believable(frames: int, size_bytes: int) -> bool:
    """Whether a file of this size may hold as many frames as its header says. A FLAC from a pipe
    claims 2^63. Even so the header may be wrong: whoever needs the truth decodes."""
    return 0 <= frames <= MOST_FRAMES_PER_BYTE * size_bytes


def count_frames(path: Path) -> int:
    """Frames that a sound file really holds, by decoding it."""
    with _opened(path) as file:
        return sum(len(block) for block in audio_blocks(file, READ_FRAMES))


def read_part(file: soundfile.SoundFile, start: int, frames: int) -> FloatArray:
    """At most `frames` frames from `start` on, float32 [frames, channels]. In a FLAC whose header
    gives no length a decoder finds most places, but not those near the end: then an earlier one,
    and on from there."""
    back = 0
    while True:
        at = max(0, start - back)
        try:
            file.seek(at)
            break
        except soundfile.SoundFileError:
            if at == 0:
                raise
            back = max(READ_FRAMES, 4 * back)
    end, have = start + frames, at
    parts = [np.zeros((0, file.channels), np.float32)]
    for block in audio_blocks(file, min(READ_FRAMES, end - at)):
        parts.append(block[max(0, start - have) :])
        have += len(block)
        if have >= end:
            break
    return np.concatenate(parts)[:frames]


def format_of(path: Path) -> tuple[str, str]:
    """Format and sample type that `path` is written in."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise AudioError(f"{path}: write to one of {', '.join(FORMATS)}, not {suffix or 'none'!r}")
    return FORMATS[suffix]


def write_audio(path: Path, audio: FloatArray, sample_rate_hz: int) -> None:
    """32-bit float WAV or AIFF (bit-exact) or 24-bit FLAC by suffix, whole or not at all."""
    kind, subtype = format_of(path)
    with atomic_write(path) as temporary:
        try:
            with soundfile.SoundFile(temporary, "w", sample_rate_hz, len(audio), subtype,
                                     format=kind) as file:
                for at in range(0, audio.shape[1], READ_FRAMES):
                    file.write(audio[:, at : at + READ_FRAMES].T)
            # What the library writes on closing may fail without a word.
            written = soundfile.info(temporary).frames
        except (soundfile.SoundFileError, RuntimeError, ValueError, AssertionError) as error:
            raise AudioError(f"cannot write {path}: {error}") from None
        if written != audio.shape[1]:
            raise AudioError(f"cannot write {path}: it came out with {written} frames of "
                             f"{audio.shape[1]}")


def resample(audio: FloatArray, from_hz: int, to_hz: int) -> FloatArray:
    """Band-limited rate conversion of a whole signal; at least one sample is left of it."""
    if from_hz == to_hz:
        return audio
    import soxr

    def convert(x: FloatArray) -> FloatArray:
        return np.ascontiguousarray(soxr.resample(x.T, from_hz, to_hz, quality="HQ").T)

    y = convert(audio)
    if y.shape[1]:
        return y
    # Too short for one sample of the new rate: as if silence followed.
    return convert(np.pad(audio, ((0, 0), (0, 2 * -(-from_hz // to_hz)))))[:, :1]


def match_channels(audio: FloatArray, channels: int, axis: int = 0) -> FloatArray:
    """The one rule of channels: one to any by copying, any to one by averaging, nothing else.

    `axis`: where the channels are. Averaging is for the caller to tell (`AudioCheck` says what it
    costs)."""
    have = audio.shape[axis]
    if have == channels:
        return audio
    if channels == 1:
        return audio.mean(axis=axis, keepdims=True, dtype=np.float32)
    if have == 1:
        return np.repeat(audio, channels, axis=axis)
    raise AudioError(f"the sound {channels_refused(have, channels)}")


def channels_refused(have: int, wanted: int) -> str | None:
    """Why a sound of `have` channels cannot be made one of `wanted`, with the remedy; None if it
    can: by copying one, or by averaging many to one."""
    if have in (1, wanted) or wanted == 1:
        return None
    picked = " ".join(str(1 + index % have) for index in range(wanted))
    return (f"has {have} channels, the model takes {wanted}: choose {wanted} of them (sox IN.wav "
            f"OUT.wav remix {picked}) or mix them to one (remix -)")
