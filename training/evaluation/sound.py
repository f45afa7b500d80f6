"""The honest yardstick: figures that a buzz cannot please.

Beside the distance of `losses.py`, which prefers smooth sound to noise, each subject is measured by
the energy score, texture, modulation at the model's frame rate, level of each octave, fine
structure, pitch and, of two channels, how wide they are; a player also by its clicks and by latents
that are held or swept. Beside the model stand what its figures are to be read against: the original
a millisecond late (as good as can be), noise with the right octave-band envelopes (what levels
alone give), silence.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.layers.noise import SEED
from engine.players.base import Player
from training.evaluation.measures import plain, shaped_noise
from training.evaluation.subjects import Each, Playing, Subject
from training.evaluation.texture import (
    Texture,
    comb,
    modulation,
    octave_errors,
    octave_levels,
    octaves_hz,
    spectrogram,
)
from training.evaluation.tonality import (
    PARTIAL_DB,
    Notes,
    bands,
    fine_structures,
    kept_hz,
    pitch_figures,
    window_samples,
)
from training.evaluation.width import Width
from training.objectives.energy import compare

FloatArray = NDArray[np.float32]
NOISE = "noise_128"
AGAIN = "again:"  # names of second draws, which are heard and not scored by themselves
LATE_SECONDS = 0.001
KEPT_SECONDS = 10.0  # of the data whose latents are held and swept


class SecondDraw(Playing):
    """A player with another number of its `seed`."""

    def hear(self, piece: FloatArray) -> FloatArray:
        own = self.player.get(SEED)
        self.player.set(SEED, own + 1 if own < self.player.attributes[SEED].maximum else own - 1)
        try:
            return super().hear(piece)
        finally:
            self.player.set(SEED, own)


def second_draws(player: Player, noise: bool) -> dict[str, Subject]:
    """The same subjects with other noise, by their names. A player without a seed draws nothing:
    its second draw is the first."""
    found: dict[str, Subject] = {}
    if SEED in player.attributes:
        found[AGAIN + "model"] = SecondDraw(player)
    if noise:
        found[AGAIN + NOISE] = Each(lambda audio: shaped_noise(audio, 128, seed=1))
    return found


@dataclass
class Heard:
    """What was found of one subject, a row for each piece."""

    numbers: dict[str, list[float]] = field(default_factory=dict)
    lists: dict[str, list[Any]] = field(default_factory=dict)
    cents: list[FloatArray] = field(default_factory=list)


class SoundMeter:
    """Measures the model and those of `subjects` that it is read against, piece by piece."""

    def __init__(self, player: Player, subjects: Collection[str]) -> None:
        self.player, self.rate_hz = player, player.sample_rate_hz
        coder = player.description.coder
        self.frame = coder[1].in_ratio if coder is not None else None
        self.names = ["model", *(name for name in (NOISE, "silence") if name in subjects)]
        self.heard: dict[str, Heard] = {}
        self._first: FloatArray | None = None

    def hear(self, piece: FloatArray, answers: dict[str, FloatArray]) -> None:
        """A piece of the original and what each subject made of it, second draws among them."""
        if self._first is None:
            self._first = piece[:, : round(KEPT_SECONDS * self.rate_hz)]
        target = _Piece(piece, self.rate_hz, self.frame)
        late = round(LATE_SECONDS * self.rate_hz)
        shifted = np.pad(piece, ((0, 0), (late, 0)))[:, : piece.shape[1]]
        named = [(name, answers[name], answers.get(AGAIN + name)) for name in self.names]
        for name, sound, again in (*named, ("shifted", shifted, None), ("original", piece, None)):
            target.measure(self.heard.setdefault(name, Heard()), sound, again)

    def sample(self) -> FloatArray:
        """The beginning of the first sound."""
        assert self._first is not None, "nothing was heard"
        return self._first

    def results(self) -> dict[str, Any]:
        """Plain data: figures by subject, in "bands_hz" and "octaves_hz" what lists are about."""
        subjects = {name: self._figures(heard) for name, heard in self.heard.items()}
        own = subjects.get("original", {})
        for figures in subjects.values():
            windows, real = figures.get("texture_windows_db"), own.get("texture_windows_db")
            figures["texture_error_db"] = _mean_difference(windows, real)
            depth, natural = figures.get("modulation"), own.get("modulation")
            figures["modulation_ratio"] = depth / natural if depth and natural else None
        return {"bands_hz": bands(self.rate_hz), "octaves_hz": octaves_hz(self.rate_hz),
                "subjects": subjects}

    def _figures(self, heard: Heard) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a mean of nothing
            found: dict[str, Any] = {name: float(np.nanmean(values))
                                     for name, values in heard.numbers.items()}
            lists = {name: np.nanmean(np.array(rows, float), axis=0)
                     for name, rows in heard.lists.items()}
        octaves = lists["octave_db"][np.isfinite(lists["octave_db"])]
        found["octave_error_db"] = float(np.abs(octaves).max()) if len(octaves) else None
        found["partials_to_hz"] = kept_hz(list(lists["partials"]), self.rate_hz)
        found |= pitch_figures(np.concatenate(heard.cents))
        told = {name: plain(value) for name, value in found.items()}
        return {**told, **{name: [plain(v) for v in row] for name, row in lists.items()}}


class _Piece:
    """A piece of the original, with what is worth computing once."""

    def __init__(self, audio: FloatArray, rate_hz: int, frame: int | None) -> None:
        self.audio, self.rate_hz, self.frame = audio, rate_hz, frame
        self.texture = Texture(audio, rate_hz)
        self.window = window_samples(rate_hz)
        self.levels = spectrogram(audio, self.window)
        self.octaves = octave_levels(self.levels, rate_hz)
        self.notes = Notes(audio, rate_hz)
        self.width = Width(audio, rate_hz, self.window) if len(audio) == 2 else None

    def measure(self, into: Heard, sound: FloatArray, again: FloatArray | None) -> None:
        """All figures of a sound of the same shape; `again`: a second draw of it."""
        own = sound is self.audio
        levels = self.levels if own else spectrogram(sound, self.window)
        windows = self.texture.own if own else self.texture.of(sound)
        put = _into(into.numbers)
        put("energy_score", _energy(self.audio, sound, again))
        put("texture_db", windows[1])
        if self.frame is not None:
            put("modulation", modulation(sound, self.rate_hz, self.frame))
            put("comb", comb(sound, self.rate_hz, self.frame))
        row = _into(into.lists)
        row("texture_windows_db", windows)
        row("octave_db", octave_errors(octave_levels(levels, self.rate_hz), self.octaves))
        fine, partials = fine_structures(levels, self.levels, self.rate_hz, 0.0, PARTIAL_DB)
        row("fine", fine)
        row("partials", partials)
        if self.width is not None:
            self.width.measure(sound, put, row)
        into.cents.append(self.notes.errors(sound))


def _into(rows: dict[str, list[Any]]) -> Callable[[str, Any], None]:
    return lambda name, value: rows.setdefault(name, []).append(value)


def _energy(audio: FloatArray, sound: FloatArray, again: FloatArray | None) -> float:
    draws = (sound,) if again is None else (sound, again)
    with torch.no_grad():
        return float(compare(tuple(map(torch.from_numpy, draws)), torch.from_numpy(audio)).score)


def _mean_difference(found: list[float | None] | None, real: list[float | None] | None) -> Any:
    """Mean distance over what both have."""
    pairs = [abs(a - b) for a, b in zip(found or (), real or (), strict=False)
             if a is not None and b is not None]
    return float(np.mean(pairs)) if pairs else None
