"""What is judged: a model, what is known of its training, and the folder it is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.description import GENERATE, Description
from engine.errors import AudioError, ConfigError
from engine.models.base import Model
from engine.models.registry import FAMILIES
from engine.models.store import Stored, load_model, read_settings
from engine.players.base import Player, load
from engine.players.generate_file import held_settings
from engine.players.play_file import apply_setting
from engine.players.pytorch import PyTorchPlayer
from engine.resolve import FILE, PRESET, RUN, resolve
from training.data.audio_folder import Folder, Skipped, Source, nothing_usable
from training.data.decode import decoded
from training.data.held_out import read_held_out
from training.data.pairs import PARTS
from training.evaluation.evaluate import as_player, untrained, why_unfit
from training.evaluation.judges.generating import Ask, generated
from training.run.config import upgraded

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """A sound file, or a stretch of it."""

    source: Source
    start_seconds: float = 0.0
    end_seconds: float = inf

    def blocks(self, rate_hz: int, channels: int) -> Iterator[FloatArray]:
        """Float32 [samples, channels] at `rate_hz`, read as it goes."""
        start = round(self.start_seconds * rate_hz)
        left = inf if self.end_seconds == inf else round(self.end_seconds * rate_hz) - start
        for block in decoded(self.source, rate_hz, channels):
            kept = block[start:]
            start = max(0, start - len(block))
            if len(kept) >= left:
                yield kept[: int(left)]
                return
            left -= len(kept)
            if len(kept):
                yield kept

    def audio(self, rate_hz: int, channels: int, most_seconds: float = inf) -> FloatArray:
        """Its beginning as [channels, samples]."""
        end = min(self.end_seconds, self.start_seconds + most_seconds)
        parts = list(Part(self.source, self.start_seconds, end).blocks(rate_hz, channels))
        return np.ascontiguousarray(np.concatenate([np.zeros((0, channels), "f4"), *parts]).T)


@dataclass
class Case:
    """A model and the data to judge it with. `kind` names a row of `training/data/registry.py`."""

    player: Player
    folder: Path
    kind: str
    settings: dict[str, Any] | None  # of a run or preset
    named: str | Path | None = None  # as a user names it
    run: Path | None = None  # a run directory
    learnt: Path | None = None  # what it learnt from, where it does not tell
    limit: int | None = None  # files of the folder
    seconds: float = 5.0  # of each sound that is generated
    seeds: int = 8  # sounds that are generated, of each class where there are classes
    long_seconds: float = 0.0  # of one more sound, to see whether it goes on
    assignments: Sequence[str] = ()  # NAME=VALUE: attributes, or conditions of what generates
    baselines: bool = True
    out: Path | None = None  # where a report will stand: sounds are written there
    progress: Callable[[str], None] = lambda _: None
    skipped: list[Skipped] = field(default_factory=list)
    given: Stored | Model | None = None

    @property
    def description(self) -> Description:
        return self.player.description

    @property
    def role(self) -> str:
        """Of the main method; "" for a model without methods."""
        return self.description.main.role if self.description.methods else ""

    @cached_property
    def model(self) -> Model | None:
        """The model itself; None for an exported file."""
        if isinstance(self.given, Stored):
            return self.given.model
        if self.given is not None:
            return self.given
        if isinstance(self.player, PyTorchPlayer):
            return self.player.model
        return load_model(self.named).model if self.settings and self.named else None

    def untrained(self) -> Model | None:
        """The model as it was before training; None where its family is not known here."""
        known = self.description.family in FAMILIES
        return untrained(self.description) if known else None

    def untrained_streams(self, count: int) -> Player | None:
        """A player of `count` streams of the model as it was before training."""
        fresh = self.untrained()
        return None if fresh is None else PyTorchPlayer(fresh, count, torch.get_num_threads())

    def set_up(self, player: Player) -> dict[int, float]:
        """Make the assignments; those that are conditions are returned, by channel."""
        spec = player.description.main
        if spec.role == GENERATE:
            return held_settings(player, spec, self.assignments)
        for text in self.assignments:
            apply_setting(player, text)
        return {}

    def streams(self, count: int) -> Player:
        """A player of `count` streams at once; one stream if the model was given as a player."""
        threads = torch.get_num_threads()
        if isinstance(self.player, PyTorchPlayer):
            return PyTorchPlayer(self.player.model, count, threads, name=self.player.name)
        return load(self.named, count, threads) if self.named else self.player

    def generated(
        self, player: Player, seconds: float, count: int, ask: Ask | None = None
    ) -> list[FloatArray]:
        """`count` sounds of `player`, with what is assigned; `ask` may say more."""
        held = self.set_up(player)

        def whole(player: Player, x: FloatArray, number: int) -> None:
            for channel, value in held.items():
                x[channel] = value
            if ask is not None:
                ask(player, x, number)

        return generated(player, seconds, count, whole)

    @property
    def is_own_folder(self) -> bool:
        """Whether the folder is the one that the run learnt from."""
        own = (self.settings or {}).get("data", {}).get("folder")
        return self.run is not None and own is not None and (
            Path(own).resolve() == self.folder.resolve())

    def held_out(self, found: Folder, channels: int) -> list[Part]:
        """What of `found` the model has not learnt from: all files, or of the run's own folder
        those that it held out. What cannot be used is named in `skipped`."""
        self.skipped += found.skipped
        parts = [Part(source) for source in found.sources]
        if self.is_own_folder:
            assert self.run is not None
            held = {row.name: row.start_seconds for row in read_held_out(self.run)}
            parts = [Part(s, held[s.name]) for s in found.sources if s.name in held]
            if not parts:
                raise AudioError(f"{self.folder} is what {self.player.name} learnt from, and "
                                 "nothing of it was held out; give --data another folder")
        kept: list[Part] = []
        for part in parts:
            if self.limit is not None and len(kept) >= self.limit:
                break
            reason = why_unfit(part.source, channels)
            if reason is None:
                kept.append(part)
            else:
                self.skipped.append(Skipped(part.source.name, reason))
        if not kept:
            raise AudioError(nothing_usable(found.root, self.skipped))
        return kept

    def notes(self) -> list[str]:
        """What is to be known of the data."""
        if self.is_own_folder:
            return [f"{self.folder} is what the model learnt from: only what was held out is used"]
        return []

    def facts(self, judge: str, files: int, seconds: float) -> dict[str, Any]:
        """The beginning of every judge's result."""
        return {"judge": judge, "model": self.player.name, "data": str(self.folder),
                "files": files, "seconds": round(seconds, 3),
                "skipped": [{"name": item.shown, "reason": item.reason} for item in self.skipped]}


def open_case(
    model: Player | Stored | Model | str | Path, folder: Path, **options: Any
) -> Case:
    """Whatever names or holds a model, and a folder of data. `options`: fields of `Case`."""
    named: str | Path | None = None
    run: Path | None = None
    settings: dict[str, Any] | None = None
    given = model if isinstance(model, Stored | Model) else None
    if isinstance(model, str | Path):
        named = model
        meant = resolve(model, (RUN, FILE, PRESET))
        if meant.kind == RUN:
            run, given = meant.path, load_model(model)
            settings = given.settings
        elif meant.kind == PRESET:
            settings = read_settings(meant.settings)
    elif isinstance(model, Stored):
        settings = model.settings
    player = as_player(given if given is not None else model)
    kind = _kind(settings, player.description, Path(folder))
    case = Case(player, Path(folder), kind, settings, named, run, given=given, **options)
    if case.description.methods:
        case.set_up(player)  # before anything is judged: names may be wrong
    elif case.assignments:
        raise ConfigError(f"--set {case.assignments[0]}: {player.name} has nothing to set")
    return case


def _kind(settings: dict[str, Any] | None, description: Description, folder: Path) -> str:
    """What the model learns from: its run says it, else its family, else how the folder lies."""
    if settings is not None:
        return str(upgraded(settings.get("training", {}), description.family)["data"])
    row = FAMILIES.get(description.family)
    if row is not None and row.data != "crops":
        return row.data
    return "pairs" if all((folder / part).is_dir() for part in PARTS) else "crops"
