"""Latents beside the run: every recording goes through a coder once, as one stream.

    RUN_DIR/cache/index.json     as of a cache of sound, and which coder made what is there
    RUN_DIR/cache/<hash>.f32     frames x latents, float32

    sound     |x0 x1 ...                      x_end| 0 0 0     until the last of it has come out
    latents   |late| z0  z1 ...              z_end |           what is early is left out
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio_check import SILENT_BELOW, AudioCheck
from engine.description import Method
from engine.errors import ConfigError, TudorError
from engine.files import atomic_write
from engine.players.base import Player
from training.data.audio_folder import Source
from training.data.cache import INDEX, Cache, Entry
from training.data.decode import decoded, unfit
from training.data.sounds import Stretches

FloatArray = NDArray[np.float32]
LATENT_VERSION = 1


class LatentCache(Cache):
    """Latents of a set of sources. `rate_hz` is that of their frames, `channels` their number."""

    suffix = ".f32"
    frame_bytes = 4

    def __init__(self, folder: Path, coder: Player, spec: Method, limit_gb: float) -> None:
        """By the method `spec` of `coder`."""
        rate = coder.sample_rate_hz / spec.out_ratio
        super().__init__(folder, rate, spec.out_channels, limit_bytes=limit_gb * 1e9)
        self.coder: Player | None = coder
        self.spec, self.audio_rate_hz = spec, coder.sample_rate_hz
        self.audio_channels, self.limit_gb = spec.in_channels, limit_gb
        self.fingerprint = fingerprint(coder)

    def check(self, sources: Iterable[Source], name: str) -> None:
        """An error if what is there is another coder's, or if what is to come is too much."""
        try:
            before = json.loads((self.folder / INDEX).read_text("utf-8"))["coder"]
        except (OSError, ValueError, KeyError, TypeError):
            before = self.fingerprint  # nothing is there, or what is not believed
        if before != self.fingerprint:
            raise ConfigError(f"training.coder: {name} is not the model that made the latents in "
                              f"{self.folder}; choose another --out, or delete that folder to "
                              "encode anew")
        seconds = sum(source.seconds for source in sources)
        needed = seconds * self.rate_hz * self.channels * self.frame_bytes
        if needed > self.limit_bytes:
            raise ConfigError(f"the latents would take {needed / 1e9:.2g} GB, training.cache_gb is "
                              f"{self.limit_gb:g}")

    def read(self, name: str, start: int, frames: int) -> FloatArray:
        entry = self.entries[name]
        frames = max(0, min(frames, entry.frames - start))
        try:
            raw = np.fromfile(self._file(name), np.float32, frames * self.channels,
                              offset=start * self.channels * self.frame_bytes)
        except OSError as error:
            raise TudorError(f"{self._file(name)}: {error.strerror}; delete {self.folder} and "
                             "start again to rebuild the cache") from None
        return raw.reshape(-1, self.channels).T

    # --- inside -----------------------------------------------------------------------------

    def _key(self) -> dict[str, Any]:
        return {**super()._key(), "latents": LATENT_VERSION, "coder": self.fingerprint}

    def _checked(self, source: Source, known: Entry) -> Entry:
        check, stretches = AudioCheck(self.audio_channels), Stretches(self.audio_rate_hz)
        latents, peak = self._encoded(source, check, stretches)
        reason = unfit(check, source)
        if reason is None and peak < SILENT_BELOW:
            reason = f"silent at {self.audio_rate_hz} Hz"
        if reason is not None:
            return replace(known, reason=reason)
        ratio, frames = self.spec.out_ratio, len(latents)
        sounds = tuple((a // ratio, min(-(-b // ratio), frames)) for a, b in stretches.found())
        return self._kept(known, latents, check, sounds)

    def _kept(self, known: Entry, latents: FloatArray, check: AudioCheck,
              sounds: tuple[tuple[int, int], ...] = ()) -> Entry:
        """Latents [frames, channels] of a file that is fit, written if they are fit too. `sounds`:
        where they are those of sound; without, everywhere."""
        reason = None
        if not np.isfinite(latents).all():
            reason = "the coder makes numbers of it that are not finite"
        elif not self._fits(len(latents)):
            reason = f"the cache is full (training.cache_gb is {self.limit_gb:g})"
        if reason is not None:
            return replace(known, reason=reason)
        with atomic_write(self._file(known.name)) as temporary:
            latents.tofile(temporary)
        return replace(known, frames=len(latents), peak=1.0, stored=True, channels=check.channels,
                       sounds=sounds or ((0, len(latents)),),
                       notes=tuple(finding.text for finding in check.findings()))

    def _encoded(self, source: Source, check: AudioCheck, stretches: Stretches
                 ) -> tuple[FloatArray, float]:
        """Latents [frames, channels] of a file from fresh state, and the loudest of its sound."""
        coder, spec, peak = self.coder, self.spec, 0.0
        assert coder is not None
        coder.reset()
        parts: list[FloatArray] = []
        held = np.zeros((0, self.audio_channels), np.float32)

        def play(block: FloatArray) -> FloatArray:
            """What makes whole blocks of the coder's; the rest comes back."""
            whole = len(block) // spec.in_frames * spec.in_frames
            if whole:
                parts.append(coder.process(spec.name, np.ascontiguousarray(block[:whole].T)).T)
            return block[whole:]

        for block in decoded(source, self.audio_rate_hz, self.audio_channels, check):
            stretches.add(block)
            peak = max(peak, float(np.abs(block).max()))
            held = play(np.concatenate((held, block)))
        early = spec.lookahead_samples // spec.out_ratio
        count = -(-stretches.frames // spec.out_ratio)
        silence = spec.lookahead_samples + spec.ratio + spec.in_frames
        play(np.concatenate((held, np.zeros((silence, self.audio_channels), np.float32))))
        return np.ascontiguousarray(np.concatenate(parts)[early : early + count]), peak


def fingerprint(coder: Player) -> str:
    """Of what a coder makes of sound: its shape, and the file that holds its weights."""
    described = coder.description
    digest = hashlib.sha256(json.dumps(
        [described.family, described.sample_rate_hz, described.config,
         {name: asdict(method) for name, method in described.methods.items()}],
        sort_keys=True, default=str).encode())
    if coder.path is not None:
        digest.update(coder.path.read_bytes())
    return digest.hexdigest()
