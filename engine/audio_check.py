"""Is a sound fit to be played, trained on, or measured with? One check for every door.

Blocks are added as they are decoded, before channels are mixed or rates changed, so that a file
of any length costs one block of memory:

    check = AudioCheck(channels_wanted=1)
    for block in ...: check.add(block)          # float32 [frames, channels]
    for finding in check.findings(): ...        # unusable, or worth a note
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BLOCK_FRAMES = 1 << 18
# 16-bit dither reaches -84 dBFS: a sound that never rises above this holds nothing else.
SILENT_BELOW = 1e-4
CLAMP = 8.0  # the magnitude that every model's input is held to
AT_INTEGER_SCALE = 0.01  # share of samples beyond `CLAMP` that is no accident
CLIPPED_AT = 0.999
MOST_CLIPPED = 0.01  # loud masters touch full scale a hundred times less often
# Unrelated channels, or a sound in one of them, lose 3 dB where two are mixed, 8 where six are:
# what is lost beyond that stood in opposite phase.
MOST_FOLD_LOSS_DB = 3.0
CANCELLED_DB = 40.0


@dataclass(frozen=True)
class Finding:
    """Something about a sound. `unusable`: nothing can be learnt or measured with it; playing it
    is still allowed, with a note."""

    kind: str  # empty, not-finite, beyond-scale, short, silent, cancels, folded, clipped
    text: str
    unusable: bool

    @property
    def phrase(self) -> str:
        """What to put behind a file's name: "x.wav is silent", "x.wav: mixing its ..."."""
        if self.kind == "silent":
            return f" is {self.text}"
        return f"{' ' if self.text.startswith(('holds ', 'is ')) else ': '}{self.text}"


def _samples(count: int) -> str:
    return f"{count} sample{'' if count == 1 else 's'}"


class AudioCheck:
    """Gathers what is to be known of one sound, block by block."""

    def __init__(self, channels_wanted: int | None = None) -> None:
        """`channels_wanted`: how many the sound will be mixed to; None where it is not mixed."""
        self.channels_wanted = channels_wanted
        self.frames = self.channels = 0
        self.peak = 0.0  # of finite samples
        self._not_finite = self._beyond = self._clipped = 0
        self._low: NDArray[np.float32] | None = None
        self._high: NDArray[np.float32] | None = None
        self._power = self._folded = 0.0

    def add(self, block: NDArray[np.float32]) -> None:
        """The next block, float32 [frames, channels]."""
        if not block.size:
            self.channels = self.channels or block.shape[1]
            return
        finite = np.isfinite(block)
        if not finite.all():
            self._not_finite += int(block.size - np.count_nonzero(finite))
            block = np.where(finite, block, np.float32(0))
        self.frames += len(block)
        self.channels = block.shape[1]
        size = np.abs(block)
        self.peak = max(self.peak, float(size.max()))
        self._beyond += int(np.count_nonzero(size > CLAMP))
        self._clipped += int(np.count_nonzero(size >= CLIPPED_AT))
        low, high = block.min(axis=0), block.max(axis=0)
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)
        if self._folds:
            held = np.clip(block, -CLAMP, CLAMP).astype(np.float64)
            self._power += float(np.square(held).mean(axis=1).sum())
            self._folded += float(np.square(held.mean(axis=1)).sum())

    @property
    def fold_loss_db(self) -> float:
        """How much softer mixing the channels to one makes the sound; 0 where nothing is mixed."""
        if not self._folds or self._power <= 0:
            return 0.0
        return -10 * float(np.log10(max(self._folded / self._power, 1e-12)))

    def findings(self) -> list[Finding]:
        """Everything worth saying, what makes the sound unusable first."""
        if not self.frames:
            return [Finding("empty", "holds no samples", True)]
        found: list[Finding] = []
        samples = self.frames * self.channels
        if self._not_finite:
            found.append(Finding(
                "not-finite", f"holds {_samples(self._not_finite)} that "
                f"{'is no number' if self._not_finite == 1 else 'are no numbers'}", True))
        scale = next((2**bits for bits in (15, 23, 31) if self.peak <= 2**bits), None)
        if scale and self._beyond > AT_INTEGER_SCALE * samples:
            found.append(Finding(
                "beyond-scale", f"is at integer scale (peak {self.peak:.5g}, full scale is 1); "
                f"divide it by {scale}", True))
        elif self._beyond:
            found.append(Finding(
                "beyond-scale", f"holds {_samples(self._beyond)} far beyond full scale (peak "
                f"{self.peak:.3g}, full scale is 1); repair them", True))
        if self.frames == 1 and not found:
            found.append(Finding("short", "holds a single sample", True))
        elif self._silent and not found:
            text = "silent" if self.peak == 0 else (
                f"silent (nothing above {20 * np.log10(SILENT_BELOW):.0f} dBFS)")
            if self.peak >= SILENT_BELOW:
                text = f"silent (a constant offset of {self.peak:.3g})"
            found.append(Finding("silent", text, True))
        elif self.fold_loss_db > CANCELLED_DB:
            found.append(Finding(
                "cancels", f"its {self.channels} channels cancel out when they are mixed to one "
                "(opposite phase); turn one upside down or play one alone", True))
        elif self.fold_loss_db > MOST_FOLD_LOSS_DB + 10 * np.log10(self.channels):
            found.append(Finding(
                "folded", f"mixing its {self.channels} channels to one loses "
                f"{self.fold_loss_db:.0f} dB (parts are in opposite phase)", False))
        if not self._beyond and self._clipped > MOST_CLIPPED * samples:
            found.append(Finding(
                "clipped", f"{100 * self._clipped / samples:.1f} % of its samples stand at or "
                "beyond full scale", False))
        return found

    @property
    def unusable(self) -> Finding | None:
        """Why nothing can be learnt or measured with this sound, None if it can."""
        return next((finding for finding in self.findings() if finding.unusable), None)

    @property
    def _folds(self) -> bool:
        return self.channels_wanted == 1 and self.channels > 1

    @property
    def _silent(self) -> bool:
        if self._low is None or self._high is None:
            return True
        return bool((self._high - self._low).max() < 2 * SILENT_BELOW)


def heard(audio: FloatArray, name: str, channels: int, apart: str = ""
          ) -> tuple[FloatArray, list[str]]:
    """`audio` [channels, samples] for a door that plays whatever it is given, and notes on what is
    odd about it: samples that are no numbers become silence, those at other scales are held to
    `CLAMP`, as every model does; else one of them would ring through a resampler.

    `channels`: how many it is going to be mixed to, by the caller; `apart`: what would keep them
    apart."""
    check = AudioCheck(channels)
    for at in range(0, audio.shape[1], BLOCK_FRAMES):
        check.add(audio[:, at : at + BLOCK_FRAMES].T)
    kinds, notes = set(), []
    ends = {"not-finite": ": silence instead", "beyond-scale": f"; held to ±{CLAMP:g} here",
            "folded": f"; {apart}" if apart else "", "cancels": f"; {apart}" if apart else ""}
    for finding in check.findings():
        if finding.kind != "clipped":  # no harm is done by playing it
            kinds.add(finding.kind)
            notes.append(f"{name}{finding.phrase}{ends.get(finding.kind, '')}")
    if len(audio) > 1 and channels == 1 and not kinds & {"folded", "cancels"}:
        notes.append(f"{name}: {len(audio)} channels mixed to one{f' ({apart})' if apart else ''}")
    if kinds & {"not-finite", "beyond-scale"}:
        audio = np.clip(np.where(np.isfinite(audio), audio, np.float32(0)), -CLAMP, CLAMP)
    return audio, notes
