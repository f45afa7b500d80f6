"""A model on a folder of audio: how close its output comes, beside baselines that need no model.

`evaluate_folder` returns a plain dictionary, which the report, the command and tests share. Files
of any length are read, played and scored piece by piece.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.audio import channels_refused
from engine.description import Description
from engine.errors import AudioError, ConfigError
from engine.models.base import Model
from engine.models.registry import build
from engine.models.store import Stored
from engine.players.base import Player, load
from engine.players.pytorch import PyTorchPlayer
from training.data.audio_folder import Skipped, Source, nothing_usable, scan
from training.data.decode import (
    BROKEN,
    decoded,
    examined,
    unfit,
    why_broken,
)
from training.evaluation.descriptors import descriptor_mmd, points
from training.evaluation.measures import Scores, Target, plain, shaped_noise
from training.evaluation.sound import AGAIN, NOISE, SoundMeter, second_draws
from training.evaluation.standing import standing_figures
from training.evaluation.subjects import Each, Playing, Subject, answered, play

__all__ = ["as_player", "evaluate_folder", "play", "read_source", "untrained"]

FloatArray = NDArray[np.float32]
Points = NDArray[np.float64]
SEGMENT_SECONDS = 20.0  # longer files are scored piece by piece
NOISE_FRAMES = (2048, 512, 128)
UNITS = {"spectral_distance": "distance", "log_mel_db": "log-mel dB", "onset_f": "onset F",
         "level_error_db": "level dB", "loudness_error_db": "loudness dB", "si_sdr_db": "SI-SDR dB",
         "descriptor_mmd": "descriptor MMD"}


def evaluate_folder(
    model: Player | Stored | Model | str | Path,
    data_dir: Path,
    limit: int | None = None,
    baselines: bool = True,
    progress: Callable[[str], None] | None = None,
    only: Collection[str] | None = None,
) -> dict[str, Any]:
    """Scores of `model`, of its untrained self and of the baselines on a folder of audio.

    Returned: {"model", "data", "files", "seconds", "skipped": [{name, reason}], "notes",
    "results": {"model": scores, "untrained": scores, "noise_2048": ..., "silence": ...},
    "sound": figures as in `SoundMeter`, "standing": as in `standing_figures`} with scores as in
    `Scores`, means over pieces of up to 20 s, and "descriptor_mmd", of all pieces together against
    all of the data, None where these are too short. The first `limit` files are used; `only`: the
    baselines that are, by their names."""
    player = as_player(model)
    spec = player.description.main
    if spec.in_ratio != 1 or spec.in_channels != spec.out_channels:
        raise ConfigError(f"{player.name}.{spec.name} does not turn audio into audio")
    # Of a sound shorter than a window there is one frame, which is as it should be.
    warnings.filterwarnings("ignore", message=r"n_fft=\d+ is too large for input signal")
    folder = scan(Path(data_dir))
    skipped = list(folder.skipped)
    subjects = _subjects(player, baselines, only)
    scoring = _Scoring(player.sample_rate_hz, subjects, SoundMeter(player, subjects))
    used = others = 0
    for source in folder.sources:
        if limit is not None and used >= limit:
            break
        reason = why_unfit(source, spec.in_channels)
        if reason is not None:
            skipped.append(Skipped(source.name, reason))
            continue
        if progress:
            progress(source.name)
        used += 1
        others += source.channels != spec.in_channels
        scoring.hear(decoded(source, player.sample_rate_hz, spec.in_channels))
    if not used:
        raise AudioError(nothing_usable(folder.root, skipped))
    return {
        "model": player.name,
        "data": str(data_dir),
        "files": used,
        "seconds": round(scoring.seconds, 3),
        "skipped": [{"name": item.shown, "reason": item.reason} for item in skipped],
        "notes": channel_notes(others, used, spec.in_channels),
        "results": scoring.results(),
        "sound": scoring.sound.results(),
        "standing": standing_figures(player, scoring.sound.sample()),
    }


def channel_notes(others: int, used: int, channels: int) -> list[str]:
    """How files were heard that have not the model's channels."""
    if not others:
        return []
    how = ("mixed to one, as is what the model's output is compared with" if channels == 1
           else "heard alike on both sides")
    return [f"{others} of {used} files have {'more channels' if channels == 1 else 'one channel'} "
            f"and the model {'one' if channels == 1 else channels}: {how}"]


def as_player(model: Player | Stored | Model | str | Path) -> Player:
    """Whatever names or holds a model, as something that plays."""
    if isinstance(model, Player):
        return model
    if isinstance(model, Stored):
        return PyTorchPlayer(model.model, threads=torch.get_num_threads(), name=model.name)
    if isinstance(model, Model):
        return PyTorchPlayer(model, threads=torch.get_num_threads())
    return load(model, threads=torch.get_num_threads())


def untrained(description: Description) -> Model:
    """The model as it was before training, from the configuration it carries."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(description.family, dict(description.config)).eval()


def _subjects(player: Player, baselines: bool, only: Collection[str] | None) -> dict[str, Subject]:
    """Everything that is scored."""
    makers: dict[str, Callable[[], Subject]] = {
        "untrained": lambda: Playing(as_player(untrained(player.description))),
        **{f"noise_{frame}": partial(Each, _noise_subject(frame)) for frame in NOISE_FRAMES},
        "silence": lambda: Each(np.zeros_like)}
    subjects: dict[str, Subject] = {"model": Playing(player)}
    if baselines:
        subjects |= {name: make() for name, make in makers.items() if only is None or name in only}
    return subjects | second_draws(player, NOISE in subjects)


def _noise_subject(frame: int) -> Callable[[FloatArray], FloatArray]:
    return lambda audio: shaped_noise(audio, frame)


@dataclass
class _Scoring:
    """Scores of all subjects on the sounds heard so far."""

    rate_hz: int
    subjects: dict[str, Subject]
    sound: SoundMeter
    seconds: float = 0.0
    scores: dict[str, list[Scores]] = field(default_factory=dict)
    real: list[Points] = field(default_factory=list)
    made: dict[str, list[Points]] = field(default_factory=dict)

    def hear(self, blocks: Iterator[FloatArray]) -> None:
        """One sound, as blocks [samples, channels]."""
        heard = ((piece,) for piece in pieces(blocks, self.rate_hz))
        for (piece,), answers in answered(heard, self.subjects):
            self.seconds += piece.shape[1] / self.rate_hz
            target = Target(piece, self.rate_hz)
            self.real.append(points(piece, self.rate_hz))
            for name, answer in answers.items():
                if name.startswith(AGAIN):
                    continue
                self.scores.setdefault(name, []).append(target.compare(answer))
                self.made.setdefault(name, []).append(points(answer, self.rate_hz))
            self.sound.hear(piece, answers)

    def results(self) -> dict[str, dict[str, float | None]]:
        """Means by subject; None for what is no number, which JSON could not say."""
        found: dict[str, dict[str, float | None]] = {}
        for name, scores in self.scores.items():
            values = {**_mean(scores), "descriptor_mmd": descriptor_mmd(
                np.concatenate(self.real), np.concatenate(self.made[name]))}
            found[name] = {key: plain(value) for key, value in values.items()}
        return found


def why_unfit(source: Source, channels: int) -> str | None:
    """Why a file cannot be scored."""
    refused = channels_refused(source.channels, channels)
    if refused is not None:
        return refused
    try:
        return unfit(examined(source, channels), source)
    except BROKEN as error:
        return why_broken(error)


def read_source(
    source: Source, rate_hz: int, channels: int, skipped: list[Skipped],
    most_seconds: float = float("inf"),
) -> FloatArray | None:
    """The beginning of a file as [channels, samples]; what cannot be used is named in `skipped`."""
    reason = why_unfit(source, channels)
    if reason is not None:
        skipped.append(Skipped(source.name, reason))
        return None
    parts = [np.zeros((0, channels), np.float32)]
    most, count = min(most_seconds * rate_hz, 2**62), 0
    for block in decoded(source, rate_hz, channels):
        parts.append(block)
        count += len(block)
        if count >= most:
            break
    return np.ascontiguousarray(np.concatenate(parts)[: int(most)].T)


def pieces(blocks: Iterator[FloatArray], rate_hz: int) -> Iterator[FloatArray]:
    """Blocks [samples, channels] as pieces [channels, samples] of `SEGMENT_SECONDS`; a rest of
    under a second joins the last."""
    size = round(SEGMENT_SECONDS * rate_hz)
    held: list[FloatArray] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        while count >= size + rate_hz:
            whole = np.concatenate(held)
            yield np.ascontiguousarray(whole[:size].T)
            held, count = [whole[size:]], count - size
    if count:
        yield np.ascontiguousarray(np.concatenate(held).T)


def _mean(found: list[Scores]) -> dict[str, float]:
    return {
        field.name: float(np.mean([getattr(item, field.name) for item in found]))
        for field in fields(Scores)
    }


def score_cells(subject: str, scores: dict[str, float | None]) -> list[str]:
    """A row of the table, for the screen and the page alike."""
    values = (scores[key] for key in UNITS)
    return [subject.replace("_", " "), *("-" if v is None else f"{v:.3g}" for v in values)]
