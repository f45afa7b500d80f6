"""Audio to calibrate a quantised export with, and other audio to judge it by.

    --calibrate DIR          the user's recordings
    a run directory          the folder it was trained on, if that is still there
    a preset                 synthesised techno loops, of seeds that no preset was trained on

A bounded amount is read, in stretches spread evenly over the files. What is unfit (silence,
clipping, a sample rate that leaves half of the spectrum empty) is an error that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine.errors import AudioError, ConfigError
from engine.presets import preset_names
from training.data.audio_folder import Skipped, Source, scan, split
from training.data.cache import read_range

FloatArray = NDArray[np.float32]
CALIBRATION_SECONDS, HELD_OUT_SECONDS = 40.0, 20.0
STRETCH_SECONDS = 2.0
LEAST_SECONDS = 3.0
HELD_OUT_SHARE = 1 / 3  # of the files, or of the one file
SILENCE_DBFS = -70.0
FULL_SCALE = 0.99
MOST_AT_FULL_SCALE = 0.01  # loud masters touch full scale a hundred times less often
LEAST_RATE = 0.5  # of the model's: below, half of the spectrum is empty
CALIBRATION_SEED, HELD_OUT_SEED = 2000, 3000  # presets are trained on seed 0, judged on 1000


@dataclass(frozen=True)
class Material:
    """Audio [channels, samples] at the model's rate, where it is from, and what is worth a note."""

    source: str
    calibration: FloatArray
    held_out: FloatArray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What was asked of a quantised export. `keep`: layers that stay at more bits; "auto": as
    few as reach the aims; "audio": those that write audio, in float32; "none": not even by
    default. `tell` hears what is being done."""

    dtype: str
    material: Material
    keep: tuple[str, ...] = ()
    tell: Callable[[str], None] = lambda _: None

    @property
    def auto(self) -> bool:
        return "auto" in self.keep

    @property
    def names(self) -> tuple[str, ...]:
        """The layers among `keep`. "none" stands alone: beside others it is taken for a name."""
        if self.keep == ("none",):
            return ()
        return tuple(name for name in self.keep if name not in ("auto", "audio"))


def material(name: str, settings: dict[str, Any], folder: Path | None, rate_hz: int,
             channels: int) -> Material:
    """Audio for the model called `name`: from `folder`, else as the table above says."""
    if folder is not None:
        return from_folder(folder, rate_hz, channels)
    trained_on = settings.get("data", {}).get("folder")
    if trained_on is not None:
        if not Path(trained_on).is_dir():
            raise ConfigError(f"{name} was trained on {trained_on}, which is not there any more: "
                              "name a folder of audio with --calibrate DIR")
        share = settings.get("training", {}).get("validation_fraction") or HELD_OUT_SHARE
        return from_folder(Path(trained_on), rate_hz, channels, share)
    if name in preset_names():
        return synthesised(rate_hz, channels)
    raise ConfigError(f"{name} comes without audio to calibrate with: name a folder of audio with "
                      "--calibrate DIR, such as the model should play")


def synthesised(rate_hz: int, channels: int) -> Material:
    """Techno loops that no preset has heard."""
    from training.corpus.techno import render_loop

    def loops(seed: int, seconds: float) -> FloatArray:
        parts: list[FloatArray] = []
        wanted = round(seconds * rate_hz)
        while sum(part.shape[1] for part in parts) < wanted:
            audio, _ = render_loop(seed, len(parts), rate_hz, channels)
            parts.append(audio[:, : round(STRETCH_SECONDS * rate_hz)])
        return np.concatenate(parts, axis=1)[:, :wanted]

    return Material(f"synthesised techno loops (seeds {CALIBRATION_SEED} and {HELD_OUT_SEED})",
                    loops(CALIBRATION_SEED, CALIBRATION_SECONDS),
                    loops(HELD_OUT_SEED, HELD_OUT_SECONDS))


def from_folder(folder: Path, rate_hz: int, channels: int,
                held_out_share: float = HELD_OUT_SHARE) -> Material:
    """Stretches of the folder's files, calibration and held-out ones from different files, or
    from different ends of the only one."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise AudioError(f"{folder} {what}; --calibrate wants a folder of audio")
    found = scan(folder)
    skipped = list(found.skipped)
    usable = _fast_enough(found.sources, skipped, rate_hz, folder)
    learn, hold = split([source.name for source in usable], held_out_share)
    if hold:
        parts = [[(s, 0.0, s.seconds) for s in usable if s.name in set(names)]
                 for names in (learn, hold)]
    else:
        (only,) = usable[:1]
        cut = (1 - HELD_OUT_SHARE) * only.seconds
        parts = [[(only, 0.0, cut)], [(only, cut, only.seconds)]]
    chosen = [_read(part, seconds, rate_hz, channels, skipped) for part, seconds in
              zip(parts, (CALIBRATION_SECONDS, HELD_OUT_SECONDS), strict=True)]
    for audio in chosen:
        _check(audio, folder, rate_hz, skipped)
    notes = tuple(f"left out {item.name}: {item.reason}" for item in skipped)
    resampled = {s.sample_rate_hz for s in usable if s.sample_rate_hz != rate_hz}
    if resampled:
        rates = ", ".join(f"{rate} Hz" for rate in sorted(resampled))
        notes += (f"resampled from {rates} to {rate_hz} Hz",)
    return Material(str(folder), chosen[0], chosen[1], notes)


def _fast_enough(sources: tuple[Source, ...], skipped: list[Skipped], rate_hz: int,
                 folder: Path) -> list[Source]:
    """Sources whose sample rate fills at least half of the model's spectrum."""
    usable = [s for s in sources if s.sample_rate_hz >= LEAST_RATE * rate_hz]
    slow = [s for s in sources if s.sample_rate_hz < LEAST_RATE * rate_hz]
    if not usable:
        first = slow[0]
        raise AudioError(
            f"{folder / first.name} is at {first.sample_rate_hz} Hz and the model plays at "
            f"{rate_hz} Hz: above {first.sample_rate_hz // 2} Hz there is nothing to calibrate "
            f"with; give recordings at {rate_hz} Hz, at least {round(LEAST_RATE * rate_hz)}")
    skipped += [Skipped(s.name, f"at {s.sample_rate_hz} Hz, half of the model's spectrum is empty")
                for s in slow]
    return usable


def _read(parts: list[tuple[Source, float, float]], seconds: float, rate_hz: int, channels: int,
          skipped: list[Skipped]) -> FloatArray:
    """About `seconds` of the given stretches of files, in pieces spread evenly over them."""
    pieces = [(source, start, min(STRETCH_SECONDS, end - start))
              for source, begin, end in parts
              for start in np.arange(begin, end, STRETCH_SECONDS)]
    wanted = max(1, round(seconds / STRETCH_SECONDS))
    step = max(1.0, len(pieces) / wanted)
    chosen = [pieces[int(i * step)] for i in range(min(wanted, len(pieces)))]
    audio: list[FloatArray] = [np.zeros((channels, 0), np.float32)]
    bad: set[str] = set()
    for source, start, length in chosen:
        try:
            audio.append(read_range(source, round(start * rate_hz), round(length * rate_hz),
                                    rate_hz, channels))
        except (soundfile.SoundFileError, RuntimeError, OSError):
            bad.add(source.name)
    skipped += [Skipped(name, "breaks off while it is read") for name in sorted(bad)]
    return np.concatenate(audio, axis=1)


def _check(audio: FloatArray, folder: Path, rate_hz: int, skipped: list[Skipped]) -> None:
    """Refuse what would give useless ranges."""
    seconds = audio.shape[1] / rate_hz
    if seconds < LEAST_SECONDS:
        reasons = "".join(f"; {item.name}: {item.reason}" for item in skipped[:3])
        raise AudioError(f"{folder} gives {seconds:.1f} s of audio for calibration or for the "
                         f"comparison; each wants {LEAST_SECONDS:g} s, better a minute{reasons}")
    power = float(np.mean(np.square(audio, dtype=np.float64)))
    level = 10 * np.log10(max(power, 1e-30))
    if level < SILENCE_DBFS:
        shown = "digital silence" if power == 0 else f"at {level:.0f} dBFS"
        raise AudioError(f"{folder} is silence ({shown}): ranges cannot be found with it; give "
                         "audio at the level at which the model will hear it")
    clipped = float(np.mean(np.abs(audio) >= FULL_SCALE))
    if clipped > MOST_AT_FULL_SCALE:
        raise AudioError(f"{folder} is clipped: {100 * clipped:.1f} % of its samples stand at or "
                         "beyond full scale; give recordings with headroom")
