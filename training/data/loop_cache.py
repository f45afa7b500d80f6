"""Latents of loops that go round: each file once through the coder, as a stream that has heard its
own end before it begins, and that goes on for some time after it has begun again.

    sound     |... end of the loop| whole loop | whole loop again ...
    latents   | left out          | z0 z1 ...                      z_n |

A frame holds the posterior's means, its log_stds, and levels of bands (`band_levels.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.audio_check import SILENT_BELOW, AudioCheck
from engine.errors import TudorError
from engine.files import atomic_write
from engine.models.coded import Coded
from training.data.audio_folder import Source
from training.data.band_levels import BANDS, band_levels
from training.data.cache import Entry
from training.data.decode import decoded, unfit
from training.data.latent_cache import LatentCache
from training.data.loop_facts import LoopFacts, Told, facts_of, no_tempo

FloatArray = NDArray[np.float32]
FACTS = "loops.json"
WARM_SECONDS = 1.0  # of its own end that a loop has heard before it begins
LEAST_SECONDS, MOST_SECONDS = 0.5, 64.0  # of what is a loop


class LoopCache(LatentCache):
    """`more_frames`: latents beyond the loop's end. `spread_db`: by how much loops are made louder
    or lower before they are encoded, each by a gain of its own: a level that says nothing of the
    loop is what a knob can be learnt from. `facts`: what is known of each usable file."""

    def __init__(self, *given: Any, model: Coded, table: dict[str, Told], more_frames: int,
                 spread_db: float, **named: Any) -> None:
        super().__init__(*given, **named)
        self.model: Coded | None = model.eval()
        self.table, self.more_frames, self.spread_db = table, more_frames, spread_db
        self.channels = 2 * model.coded + BANDS
        self.periods: dict[str, int] = {}  # samples of each loop
        self.gains_db: dict[str, float] = {}
        self.facts: dict[str, LoopFacts] = {}
        self._measured = self._read_facts()

    def fill(self, sources: Any, progress: Callable[[Source], None] | None = None) -> Any:
        skipped = super().fill(sources, progress)
        for name in self.usable():
            kept = self._measured[name]
            self.periods[name] = int(kept["samples"])
            self.gains_db[name] = float(kept["gain_db"])
            self.facts[name] = LoopFacts(kept["bars"], kept["bpm"], kept["style"],
                                         tuple(kept["knobs"]))
        return skipped

    # --- inside -----------------------------------------------------------------------------

    def _write_index(self, entries: dict[str, Entry]) -> None:
        """Facts before the index that needs them: who is stopped while files are encoded, which
        takes a while, goes on where they were last saved."""
        with atomic_write(self.folder / FACTS) as temporary:
            temporary.write_text(json.dumps({name: self._measured[name] for name in entries
                                             if name in self._measured}), "utf-8")
        super()._write_index(entries)

    def _key(self) -> dict[str, Any]:
        return {**super()._key(), "more": self.more_frames, "bands": BANDS,
                "spread_db": self.spread_db,
                "told": {name: asdict(told) for name, told in sorted(self.table.items())}}

    def _read_facts(self) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / FACTS).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _fresh(self, entry: Entry, source: Source) -> bool:
        known = bool(entry.reason) or source.name in self._measured
        return known and super()._fresh(entry, source)

    def _checked(self, source: Source, known: Entry) -> Entry:
        check, rate = AudioCheck(self.audio_channels), self.audio_rate_hz
        if source.seconds > MOST_SECONDS:
            return replace(known, reason=f"{source.seconds:.0f} s long: a loop has at most "
                                         f"{MOST_SECONDS:g}")
        blocks = list(decoded(source, rate, self.audio_channels, check))
        loop = np.concatenate(blocks).T if blocks else np.zeros((1, 0), np.float32)
        reason = unfit(check, source)
        if reason is None and loop.shape[1] < LEAST_SECONDS * rate:
            reason = f"shorter than {LEAST_SECONDS:g} s: no loop"
        if reason is None and float(np.abs(loop).max(initial=0.0)) < SILENT_BELOW:
            reason = f"silent at {rate} Hz"
        if reason is not None:
            return replace(known, reason=reason)
        gain_db = gain_of(source.name, self.spread_db)
        loop = loop * np.float32(10 ** (gain_db / 20))
        facts = facts_of(loop.mean(axis=0), rate, source.name, self.table)
        if (reason := no_tempo(facts)) is not None:
            return replace(known, reason=reason)
        entry = self._kept(known, self._round(np.ascontiguousarray(loop)), check)
        if entry.stored:
            self._measured[source.name] = {"samples": loop.shape[1], "gain_db": gain_db,
                                           **asdict(facts)}
        return entry

    @torch.no_grad()
    def _round(self, loop: FloatArray) -> FloatArray:
        """Means and log_stds [frames, 2 * latents] of a loop [channels, samples] gone round."""
        if self.model is None:
            raise TudorError("the cache was filled before; its coder is gone")
        ratio, late = self.spec.out_ratio, self.spec.lookahead_samples
        warm = -(-round(WARM_SECONDS * self.audio_rate_hz) // self.spec.ratio) * self.spec.ratio
        frames = -(-loop.shape[1] // ratio) + self.more_frames
        total = warm + -(-(frames * ratio + late) // self.spec.ratio) * self.spec.ratio
        places = (np.arange(total) - warm) % loop.shape[1]
        sound = torch.from_numpy(np.ascontiguousarray(loop[:, places]))[None]
        mean, log_std = self.model.distribution(sound)
        first = (warm + late) // ratio
        both = torch.cat((mean, log_std), dim=1)[0, :, first : first + frames].numpy()
        heard = sound[0, :, warm:].mean(dim=0).numpy()[: frames * ratio]
        levels = band_levels(heard, self.audio_rate_hz, ratio)
        return np.ascontiguousarray(np.concatenate((both, levels)).T)


def gain_of(name: str, spread_db: float) -> float:
    """In dB, of a file: the same whenever it is asked for. Three quarters are lower than it was,
    for what is already loud would clip."""
    digest = hashlib.sha256(name.encode()).digest()
    place = int.from_bytes(digest[:4], "big") / 2**32  # 0 ... 1
    return spread_db * (place - 0.75)
