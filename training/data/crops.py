"""Random crops. Batch n of a run is a function of (seed, n) alone, so a resumed run goes on with
exactly the batches that it would have seen.

    crop     |hit......|snare.....|hi|hit....|      sounds shorter than a crop, one after another

A crop is sound from end to end. Filled up with zeros, or with a mask in its place, a folder of
one-shots would teach and measure silence, or every loss would need to know of it; music puts sounds
one after another too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from training.data.base import Shard
from training.data.cache import Cache
from training.data.sounds import Sound
from training.settings import NotNegative, Positive, Settings

FloatArray = NDArray[np.float32]
# Stretches one after another, as they are learnt from.
Join = Callable[[Cache, Sequence[Sound]], FloatArray]
ATTEMPTS = 4  # a crop that happens to be silent is drawn again, so often at most
QUIET = 1e-4
FADE_SECONDS = 0.005  # at a joint
LOW_HZ, HIGH_HZ = (40.0, 1500.0), (600.0, 8000.0)  # where filtered crops are cut, drawn in octaves


class CropSettings(Settings):
    """Keys of `[training]` of what is trained on crops."""

    free: ClassVar[frozenset[str]] = frozenset({"cache_gb"})

    crop_seconds: Positive = 1.0
    gain_db: NotNegative = 6.0  # each crop is made louder or softer by up to this much
    polarity: bool = True  # half of the crops are turned upside down
    filtered: Annotated[float, Field(ge=0, le=1)] = 0.0  # so many crops lose their bass or treble
    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    cache_gb: NotNegative = 20.0  # the cache beside the run is not made larger than this


def crop_samples(config: Any, rate_hz: int, ratio: int) -> int:
    """Crop length in samples: whole blocks of the model's ratio."""
    return max(1, round(config.crop_seconds * rate_hz / ratio)) * ratio


class CropBatches:
    """Whole batch n of a run, or a process's part of it: float32 [batch, channels, samples]."""

    def __init__(
        self, cache: Cache, sounds: Sequence[Sound], config: Any, samples: int
    ) -> None:
        self.cache, self.sounds, self.config, self.samples = cache, sounds, config, samples
        self.join: Join = joined
        # A file is drawn in proportion to the sound it holds; a short one counts as one crop.
        total = Counter[str]()
        for sound in sounds:
            total[sound.name] += len(sound)
        self.edges = np.cumsum([
            len(sound) * max(1.0, samples / total[sound.name]) for sound in sounds])

    def __getitem__(self, index: int) -> Tensor:
        return self.batch(index, Shard())

    def batch(self, number: int, shard: Shard) -> Tensor:
        """What `shard` makes of batch `number`."""
        batch = [self.crop(number, place) for place in shard.places(self.config.batch_size)]
        return torch.from_numpy(np.stack(batch))

    def crop(self, number: int, place: int) -> FloatArray:
        """Crop `place` of whole batch `number`: with random numbers of its own, so that it is the
        same whichever process makes it."""
        return self._crop(np.random.default_rng((self.config.seed, number, place)))

    def _crop(self, rng: np.random.Generator) -> FloatArray:
        for _ in range(ATTEMPTS):
            audio = self._sound(rng)
            if np.abs(audio).max(initial=0.0) > QUIET:
                break
        if self.config.filtered and rng.random() < self.config.filtered:
            audio = through_filter(audio, self.cache.rate_hz, rng)
        level = 10 ** (rng.uniform(-self.config.gain_db, self.config.gain_db) / 20)
        flip = -1.0 if self.config.polarity and rng.random() < 0.5 else 1.0
        peak = float(np.abs(audio).max(initial=0.0))
        level = min(level, max(1.0, 1 / max(peak, 1e-9)))  # gain alone never clips
        return audio * np.float32(level * flip)

    def _sound(self, rng: np.random.Generator) -> FloatArray:
        """`samples` of sound: a stretch of one, or short ones in turn."""
        parts: list[Sound] = []
        missing = self.samples
        while missing > 0:
            which = int(np.searchsorted(self.edges, rng.random() * self.edges[-1], side="right"))
            sound = self.sounds[min(which, len(self.sounds) - 1)]
            start = sound.start + int(rng.integers(max(0, len(sound) - missing) + 1))
            parts.append(Sound(sound.name, start, min(sound.end, start + missing)))
            missing -= len(parts[-1])
        return self.join(self.cache, parts)


def joined(cache: Cache, parts: Sequence[Sound]) -> FloatArray:
    """Stretches one after another, [channels, frames]. Where one ends within the crop, or the next
    does not begin with its sound, a short fade keeps the joint from clicking; a sound's own
    beginning is left sharp, and so are the crop's ends, which any cut has."""
    audio = [cache.read(part.name, part.start, len(part)) for part in parts]
    if len(audio) == 1:
        return audio[0]
    fade = max(1, round(FADE_SECONDS * cache.rate_hz))
    own = {(name, start) for name in {part.name for part in parts}
           for start, _ in cache.entries[name].sounds}
    for index, (part, sound) in enumerate(zip(parts, audio, strict=True)):
        slope = np.linspace(0, 1, min(fade, sound.shape[1]), endpoint=False, dtype=np.float32)
        if index > 0 and (part.name, part.start) not in own:
            sound[:, : len(slope)] *= slope
        if index < len(parts) - 1:
            sound[:, sound.shape[1] - len(slope) :] *= slope[::-1]
    return np.concatenate(audio, axis=1)


def through_filter(audio: FloatArray, rate_hz: float, rng: np.random.Generator) -> FloatArray:
    """The crop without its bass, without its treble, or without both: Butterworth filters of 12 or
    24 dB an octave. A corpus of one style has sound in all bands at all times; others do not, and a
    model that never heard an empty band fills it with noise."""
    from scipy.signal import butter, sosfilt

    kind = rng.integers(3)
    order = int(rng.choice((2, 4)))
    low_hz = 2 ** rng.uniform(*np.log2(LOW_HZ))
    high_hz = min(2 ** rng.uniform(*np.log2(HIGH_HZ)), 0.45 * rate_hz)
    if kind != 1:
        audio = sosfilt(butter(order, low_hz, "high", fs=rate_hz, output="sos"), audio)
    if kind != 0:
        audio = sosfilt(butter(order, high_hz, "low", fs=rate_hz, output="sos"), audio)
    return np.asarray(audio, dtype=np.float32)


def validation_crops(
    cache: Cache, sounds: Sequence[Sound], samples: int, limit: int, unit: int = 1, least: int = 1,
    join: Join = joined,
) -> Tensor | None:
    """The same crops every time, spread evenly over `sounds` laid end to end: [crops, channels,
    samples]. Shorter ones, whole multiples of `unit`, where there is not so much sound; it repeats
    only where there is less than `least`."""
    total = sum(len(sound) for sound in sounds)
    if not total:
        return None
    samples = max(min(samples, total // unit * unit), -(-least // unit) * unit)
    count = min(limit, -(-total // samples))
    step = (total - samples) / (count - 1) if count > 1 else 0.0
    crops = [join(cache, _stretch(sounds, round(index * step), samples))
             for index in range(count)]
    return torch.from_numpy(np.stack(crops))


def _stretch(sounds: Sequence[Sound], start: int, samples: int) -> list[Sound]:
    """`samples` from place `start` of `sounds` laid end to end, from the first again at the end."""
    parts: list[Sound] = []
    for sound in cycle(sounds):
        if start >= len(sound):
            start -= len(sound)
            continue
        begin = sound.start + start
        parts.append(Sound(sound.name, begin, min(sound.end, begin + samples)))
        samples -= len(parts[-1])
        start = 0
        if samples <= 0:
            return parts
    return parts
