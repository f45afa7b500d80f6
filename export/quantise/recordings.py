"""Recordings to calibrate with, read from a folder: pieces spread evenly over its files, and what
is unfit is left out by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.audio import channels_refused, match_channels, read_part, resample
from engine.audio_check import AudioCheck
from engine.errors import AudioError
from training.data.audio_folder import Skipped, Source, scan, split
from training.data.decode import BROKEN

FloatArray = NDArray[np.float32]
CALIBRATION_SECONDS, HELD_OUT_SECONDS = 40.0, 20.0
STRETCH_SECONDS = 2.0
LEAST_SECONDS = 3.0
MARGIN = 64  # samples
HELD_OUT_SHARE = 1 / 3  # of the files, or of the one file
SILENCE_DBFS = -70.0
FULL_SCALE = 0.99
MOST_AT_FULL_SCALE = 0.01  # loud masters touch full scale a hundred times less often
LEAST_RATE = 0.5  # of the model's: below, half of the spectrum is empty


@dataclass(frozen=True)
class Material:
    """Audio [channels, samples] at the model's rate, where it is from, and what is worth a note.
    `conditions` that were given for methods that generate, by name, to calibrate and held out."""

    source: str
    calibration: FloatArray
    held_out: FloatArray
    notes: tuple[str, ...] = ()
    conditions: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)


def from_folder(folder: Path, rate_hz: int, channels: int,
                held_out_share: float = HELD_OUT_SHARE) -> Material:
    """Stretches of the folder's files, calibration and held-out ones from different files, or
    from different ends of the only one."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise AudioError(f"{folder} {what}; --calibrate wants a folder of audio")
    found = scan(folder)
    skipped = list(found.skipped)
    usable = _playable(_fast_enough(found.sources, skipped, rate_hz, folder), skipped, channels)
    listener = Listener(rate_hz, channels)
    while True:  # until none of the chosen files turns out unfit
        if not usable:
            raise AudioError(f"{folder} holds no usable audio ({_named(skipped)})")
        sides = _sides(usable, held_out_share)
        chosen = [_pieces(side, seconds) for side, seconds in
                  zip(sides, (CALIBRATION_SECONDS, HELD_OUT_SECONDS), strict=True)]
        unfit = listener.unfit([*chosen[0], *chosen[1]])
        if not unfit:
            break
        skipped += unfit
        usable = [s for s in usable if s.name not in {item.name for item in unfit}]
    calibration, held_out = (listener.audio(pieces) for pieces in chosen)
    for audio in (calibration, held_out):
        _check(audio, folder, rate_hz, skipped)
    notes = [f"left out {item}" for item in skipped] + listener.notes
    resampled = {s.sample_rate_hz for s in usable if s.sample_rate_hz != rate_hz}
    if resampled:
        rates = ", ".join(f"{rate} Hz" for rate in sorted(resampled))
        notes.append(f"resampled from {rates} to {rate_hz} Hz")
    return Material(str(folder), calibration, held_out, tuple(notes))


def _named(skipped: list[Skipped]) -> str:
    """The first few of what was left out, with reasons."""
    more = [f"and {len(skipped) - 3} more"] if len(skipped) > 3 else []
    return "; ".join([*map(str, skipped[:3]), *more])


@dataclass(frozen=True)
class Piece:
    """A stretch of a file, in seconds."""

    source: Source
    start: float
    length: float


def _sides(usable: list[Source], held_out_share: float) -> list[list[Piece]]:
    """What to calibrate with and what to hold out: different files, or the two ends of the only
    one. Where the wanted share leaves too little to compare with, half is held out."""
    whole = {s.name: Piece(s, 0.0, s.seconds) for s in usable}

    def long_enough(side: list[Piece]) -> bool:
        return sum(piece.length for piece in side) >= LEAST_SECONDS

    for share in (held_out_share, 0.5):
        sides = [[whole[name] for name in names] for names in split(list(whole), share)]
        if sides[1] and all(map(long_enough, sides)):
            return sides
    if len(usable) > 1:
        return [[whole[name] for name in names] for names in split(list(whole), held_out_share)]
    only = usable[0]
    seconds = whole[only.name].length
    cut = min((1 - HELD_OUT_SHARE) * seconds, max(seconds - LEAST_SECONDS, seconds / 2))
    return [[Piece(only, 0.0, cut)], [Piece(only, cut, seconds - cut)]]


def _pieces(stretches: list[Piece], seconds: float) -> list[Piece]:
    """About `seconds` of the given stretches of files, in pieces spread evenly over them."""
    pieces = [Piece(whole.source, start, min(STRETCH_SECONDS, whole.start + whole.length - start))
              for whole in stretches
              for start in np.arange(whole.start, whole.start + whole.length, STRETCH_SECONDS)]
    wanted = max(1, round(seconds / STRETCH_SECONDS))
    step = max(1.0, len(pieces) / wanted)
    return [pieces[int(i * step)] for i in range(min(wanted, len(pieces)))]


class Listener:
    """Reads pieces of files as the model will hear them, and checks what it reads."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz, self.channels = rate_hz, channels
        self.notes: list[str] = []
        self._raw: dict[Piece, FloatArray] = {}  # [frames, channels], at the file's own rate

    def unfit(self, pieces: list[Piece]) -> list[Skipped]:
        """Files that must not be calibrated with, going by the pieces that were chosen of them."""
        checks: dict[str, AudioCheck] = {}
        found: dict[str, Skipped] = {}
        for piece in pieces:
            source = piece.source
            try:
                raw = self._read(piece)
            except BROKEN:
                found[source.name] = Skipped(source.name, "breaks off while it is read")
            else:
                checks.setdefault(source.name, AudioCheck(self.channels)).add(raw)
        notes, mixed = [], 0
        for name, check in checks.items():
            if check.unusable:
                found.setdefault(name, Skipped(name, check.unusable.text))
            notes += [str(Skipped(name, finding.text)) for finding in check.findings()
                      if finding.kind == "folded"]
            mixed += check.channels > 1 and self.channels == 1
        if mixed:
            notes.append(f"{mixed} file{'' if mixed == 1 else 's'} mixed to one channel")
        self.notes = notes
        return sorted(found.values(), key=lambda item: item.name)

    def audio(self, pieces: list[Piece]) -> FloatArray:
        """The pieces one after the other, [channels, samples]."""
        return np.concatenate([self._converted(piece) for piece in pieces], axis=1)

    def _margin(self, piece: Piece) -> int:
        """Frames before a piece that are read with it, for the resampler to settle: a whole number
        of samples at both rates."""
        rate = piece.source.sample_rate_hz
        if rate == self.rate_hz:
            return 0
        unit = rate // gcd(rate, self.rate_hz)
        return min(round(piece.start * rate), -(-MARGIN * rate // (self.rate_hz * unit)) * unit)

    def _read(self, piece: Piece) -> FloatArray:
        if piece not in self._raw:
            rate, margin = piece.source.sample_rate_hz, self._margin(piece)
            with piece.source.open() as file:
                self._raw[piece] = read_part(file, round(piece.start * rate) - margin,
                                             round(piece.length * rate) + 2 * margin)
        return self._raw[piece]

    def _converted(self, piece: Piece) -> FloatArray:
        rate = piece.source.sample_rate_hz
        audio = match_channels(self._read(piece).T, self.channels)
        before = round(self._margin(piece) * self.rate_hz / rate)
        end = before + round(piece.length * self.rate_hz)
        return resample(np.ascontiguousarray(audio), rate, self.rate_hz)[:, before:end]


def _playable(sources: list[Source], skipped: list[Skipped], channels: int) -> list[Source]:
    """Sources of which something can be played."""
    usable = []
    for source in sources:
        if source.frames < 2:
            skipped.append(Skipped(source.name, "holds a single sample"))
            continue
        refused = channels_refused(source.channels, channels)
        if refused:
            skipped.append(Skipped(source.name, refused))
        else:
            usable.append(source)
    return usable


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


def _check(audio: FloatArray, folder: Path, rate_hz: int, skipped: list[Skipped]) -> None:
    """Refuse what would give useless ranges."""
    seconds = audio.shape[1] / rate_hz
    if seconds < LEAST_SECONDS:
        reasons = f" ({_named(skipped)})" if skipped else ""
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
