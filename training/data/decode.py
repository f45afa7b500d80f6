"""Files as blocks of sound at a model's rate and channels, in constant memory, and whether a file
is fit to be learnt from or measured with. One check for training and evaluation alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from engine.audio import audio_blocks, match_channels, read_part
from engine.audio_check import AudioCheck
from training.data.audio_folder import Source

FloatArray = NDArray[np.float32]
READ_FRAMES = 1 << 16
LEAST_SECONDS = 0.01  # a shorter file holds neither a spectrum nor a pitch
MARGIN = 64  # frames at the model's rate on either side of a stretch, for the resampler to settle
BROKEN = (soundfile.SoundFileError, RuntimeError, OSError, MemoryError)  # what a decoder raises


def decoded(
    source: Source, rate_hz: int, channels: int, check: AudioCheck | None = None
) -> Iterator[FloatArray]:
    """The file from beginning to end, float32 [frames, channels] at `rate_hz`; `check` hears it as
    it stands in the file."""
    resampler = None
    if source.sample_rate_hz != rate_hz:
        resampler = soxr.ResampleStream(source.sample_rate_hz, rate_hz, channels, dtype="float32")
    with source.open() as file:
        for block in audio_blocks(file, READ_FRAMES):
            if check is not None:
                check.add(block)
            block = to_channels(block, channels)
            if resampler is not None:
                block = resampler.resample_chunk(block)
            if len(block):
                yield block.reshape(-1, channels)
    if resampler is not None:
        rest = resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)
        if len(rest):
            yield rest.reshape(-1, channels)


def examined(source: Source, channels: int) -> AudioCheck:
    """The whole file, looked at; nothing of it is kept."""
    check = AudioCheck(channels)
    with source.open() as file:
        for block in audio_blocks(file, READ_FRAMES):
            check.add(block)
    return check


def unfit(check: AudioCheck, source: Source) -> str | None:
    """Why nothing can be learnt from, or measured with, a file that `check` has heard."""
    if 0 < check.frames < LEAST_SECONDS * source.sample_rate_hz:
        unit = "sample" if check.frames == 1 else "samples"
        return f"too short ({check.frames} {unit}; {LEAST_SECONDS:g} s is the least)"
    return None if check.unusable is None else check.unusable.text


def why_broken(error: BaseException) -> str:
    """A decoder's complaint as a reason to skip a file."""
    return f"cannot be decoded ({str(error).split(': ')[-1].strip()})"


def to_channels(audio: FloatArray, channels: int) -> FloatArray:
    """[frames, any] -> contiguous [frames, channels] by the one rule of `engine.audio`."""
    with np.errstate(over="ignore", invalid="ignore"):  # the check names such a file
        return np.ascontiguousarray(match_channels(audio, channels, axis=1))


def read_range(
    source: Source, start: int, frames: int, rate_hz: int, channels: int
) -> FloatArray:
    """A stretch of a file without a cache, [channels, frames]; positions are at `rate_hz`. Fewer
    frames, or none, where the file ends, whatever its header says."""
    ratio = source.sample_rate_hz / rate_hz
    first = max(0, start - MARGIN)
    with source.open() as file:
        count = round((start - first + frames + MARGIN) * ratio)
        block = to_channels(read_part(file, round(first * ratio), count), channels)
    if source.sample_rate_hz != rate_hz and len(block):
        block = soxr.resample(block, source.sample_rate_hz, rate_hz)
    block = np.nan_to_num(block[start - first : start - first + frames])
    return np.ascontiguousarray(block.T.astype(np.float32))
