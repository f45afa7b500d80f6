"""A model on a folder of audio: how close its output comes, beside baselines that need no model.

`evaluate_folder` returns a plain dictionary, which the report, the command and tests share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from engine.description import Description
from engine.errors import AudioError, ConfigError
from engine.models.base import Model
from engine.models.registry import build
from engine.models.store import Stored
from engine.players.base import Player, load
from engine.players.play_file import stream
from engine.players.pytorch import PyTorchPlayer
from training.data.audio_folder import Skipped, Source, scan
from training.data.cache import SILENCE, decode
from training.evaluation.descriptors import descriptor_mmd, points
from training.evaluation.measures import Scores, Target, shaped_noise

FloatArray = NDArray[np.float32]
Points = NDArray[np.float64]
BLOCK_SECONDS = 2.0
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
) -> dict[str, Any]:
    """Scores of `model`, of its untrained self and of the baselines on a folder of audio.

    Returned: {"model", "data", "files", "seconds", "skipped": [{name, reason}],
    "results": {"model": scores, "untrained": scores, "noise_2048": ..., "silence": ...}} with
    scores as in `Scores`, means over pieces of up to 20 s, and "descriptor_mmd", of all pieces
    together against all of the data, None where these are too short. The first `limit`
    files are used."""
    player = as_player(model)
    spec = player.description.main
    if spec.in_ratio != 1 or spec.in_channels != spec.out_channels:
        raise ConfigError(f"{player.name}.{spec.name} does not turn audio into audio")
    folder = scan(Path(data_dir))
    skipped = list(folder.skipped)
    subjects = _subjects(player, baselines)
    scores: dict[str, list[Scores]] = {name: [] for name in subjects}
    real: list[Points] = []
    made: dict[str, list[Points]] = {name: [] for name in subjects}
    used, seconds = 0, 0.0
    for source in folder.sources:
        if limit is not None and used >= limit:
            break
        audio = read_source(source, player.sample_rate_hz, spec.in_channels, skipped)
        if audio is None:
            continue
        if progress:
            progress(source.name)
        used, seconds = used + 1, seconds + audio.shape[1] / player.sample_rate_hz
        outputs = {name: subject(audio) for name, subject in subjects.items()}
        for piece in _pieces(audio.shape[1], player.sample_rate_hz):
            target = Target(audio[:, piece], player.sample_rate_hz)
            real.append(points(audio[:, piece], player.sample_rate_hz))
            for name, output in outputs.items():
                part = np.ascontiguousarray(output[:, piece])
                scores[name].append(target.compare(part))
                made[name].append(points(part, player.sample_rate_hz))
    if not used:
        reasons = "; ".join(str(item) for item in skipped[:3])
        raise AudioError(f"{data_dir} holds no usable audio ({reasons})")
    return {
        "model": player.name,
        "data": str(data_dir),
        "files": used,
        "seconds": round(seconds, 3),
        "skipped": [{"name": item.shown, "reason": item.reason} for item in skipped],
        "results": {
            name: {**_mean(found), "descriptor_mmd": descriptor_mmd(
                np.concatenate(real), np.concatenate(made[name]))}
            for name, found in scores.items()
        },
    }


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


def play(player: Player, audio: FloatArray) -> FloatArray:
    """`forward` over a whole sound from fresh state, its delay taken out: the same shape."""
    unit = player.description.main.ratio
    block = max(1, round(BLOCK_SECONDS * player.sample_rate_hz / unit)) * unit
    player.reset()
    return stream(player, player.description.main.name, audio, block, align=True)[0]


def _subjects(player: Player, baselines: bool) -> dict[str, Callable[[FloatArray], FloatArray]]:
    """Everything that is scored, as functions from input to output."""
    subjects: dict[str, Callable[[FloatArray], FloatArray]] = {
        "model": lambda audio: play(player, audio)
    }
    if baselines:
        fresh = as_player(untrained(player.description))
        subjects["untrained"] = lambda audio: play(fresh, audio)
        for frame in NOISE_FRAMES:
            subjects[f"noise_{frame}"] = _noise_subject(frame)
        subjects["silence"] = np.zeros_like
    return subjects


def _noise_subject(frame: int) -> Callable[[FloatArray], FloatArray]:
    return lambda audio: shaped_noise(audio, frame)


def read_source(
    source: Source, rate_hz: int, channels: int, skipped: list[Skipped]
) -> FloatArray | None:
    """A file as [channels, samples]; what cannot be scored is named in `skipped`."""
    try:
        audio = np.ascontiguousarray(decode(source, rate_hz, channels).T)
    except (RuntimeError, OSError) as error:
        skipped.append(Skipped(source.name, f"cannot be decoded ({error})"))
        return None
    if not np.isfinite(audio).all():
        skipped.append(Skipped(source.name, "holds non-finite samples"))
        return None
    if float(np.abs(audio).max(initial=0.0)) < SILENCE:
        skipped.append(Skipped(source.name, "silent"))
        return None
    return audio


def _pieces(samples: int, rate_hz: int) -> Iterable[slice]:
    """Cuts of up to `SEGMENT_SECONDS`; a rest of under a second joins the last."""
    size = round(SEGMENT_SECONDS * rate_hz)
    count = max(1, (samples - rate_hz) // size + 1) if samples > size else 1
    edges = [index * size for index in range(count)] + [samples]
    return [slice(a, b) for a, b in pairwise(edges)]


def _mean(found: list[Scores]) -> dict[str, float]:
    return {
        field.name: float(np.mean([getattr(item, field.name) for item in found]))
        for field in fields(Scores)
    }


def score_cells(subject: str, scores: dict[str, float | None]) -> list[str]:
    """A row of the table, for the screen and the page alike."""
    values = (scores[key] for key in UNITS)
    return [subject.replace("_", " "), *("-" if v is None else f"{v:.3g}" for v in values)]


def table(result: dict[str, Any]) -> Table:
    """The result for the screen."""
    shown = Table(
        title=f"{escape(result['model'])} on {result['files']} files, {result['seconds']:.0f} s",
        caption="lower is better, for onset F and SI-SDR higher",
    )
    shown.add_column("")
    for name in UNITS.values():
        shown.add_column(name, justify="right")
    for subject, scores in result["results"].items():
        style = "bold" if subject == "model" else ""
        shown.add_row(*score_cells(subject, scores), style=style)
    for item in result["skipped"]:
        shown.caption = f"{shown.caption}\nskipped {escape(item['name'])}: {item['reason']}"
    return shown
