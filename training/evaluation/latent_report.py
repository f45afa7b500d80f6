"""What the latents of a model do: correlations with descriptors, sweeps, paths, the prior, and
whether blocks meet without clicks. Sounds are written beside the figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import write_audio
from engine.description import Latent
from engine.errors import AudioError, TudorError
from engine.players.base import Player
from training.data.audio_folder import Skipped, scan
from training.evaluation.borders import block_of, clicks
from training.evaluation.control_report import control_figures
from training.evaluation.descriptors import NAMES, Curves, curves, descriptor_mmd, points, spearman
from training.evaluation.evaluate import as_player, read_source, untrained
from training.evaluation.latent_play import (
    Space,
    coder_of,
    decode,
    encode,
    interpolation,
    prior_draws,
    shuffled,
    space_of,
    traversal,
)
from training.evaluation.latent_play import smoothness as smoothness_of

FloatArray = NDArray[np.float32]
SWEPT = 8  # latents that are swept, those that carry most
SWEEP_SECONDS = 4.0
PRIOR_SECONDS = 20.0
HOP_SECONDS = 0.016  # about, of descriptor curves: whole latent frames
LONGEST_SECONDS = 240.0  # of the data that is looked at


def regulariser_of(model: str | Path) -> dict[str, Any] | None:
    """The table that trained a run or preset; None for an exported file, which has none."""
    from engine.models.store import read_settings
    from training.run.config import config_path, upgraded

    try:
        training = upgraded(read_settings(config_path(str(model))).get("training", {}))
    except TudorError:
        return None
    return dict(training.get("regulariser", {"kind": "kl"}))


def examine(
    player: Player, data_dir: Path, out: Path, limit: int | None = None,
    regulariser: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Figures of the latents of `player` over a folder of audio; sounds go to `out`. All plain
    data but for the curves, which are lists of numbers per descriptor."""
    coder_of(player)
    out.mkdir(parents=True, exist_ok=True)
    sounds = _sounds(player, data_dir, limit)
    encoded = [encode(player, audio) for audio in sounds]
    space = space_of(player, np.concatenate(encoded, axis=1), regulariser)
    hop, block = _hop(player), block_of(player)
    return {
        "latents": [_plain_latent(latent) for latent in space.latents],
        "names": _names(player),
        "controls": control_figures(player, sounds, encoded),
        "descriptors": list(NAMES),
        "spearman": _correlations(player, sounds, encoded, hop).tolist(),
        "curve_hz": player.sample_rate_hz / hop,
        "traversals": _traversals(player, space, out, hop),
        "interpolation": _interpolation(player, encoded, out, hop),
        "prior": _prior(player, space, sounds, encoded, out),
        "borders": {"block": block, **_mean([clicks(player, audio) for audio in sounds
                                             if audio.shape[1] > 16 * block])},
    }


def _names(player: Player) -> list[str]:
    """What the channels between encode and decode are called."""
    return [label.removesuffix(" (unused)") for label in coder_of(player)[1].input_labels]


def _sounds(player: Player, data_dir: Path, limit: int | None) -> list[FloatArray]:
    """Files of the folder as [channels, samples], up to `LONGEST_SECONDS` of them."""
    rate, channels = player.sample_rate_hz, coder_of(player)[0].in_channels
    found: list[FloatArray] = []
    skipped: list[Skipped] = []
    left = LONGEST_SECONDS * rate
    for source in scan(Path(data_dir)).sources:
        if left <= 0 or (limit is not None and len(found) >= limit):
            break
        audio = read_source(source, rate, channels, skipped, left / rate)
        if audio is not None and audio.shape[1] >= rate // 2:
            found.append(audio[:, : int(left)])
            left -= found[-1].shape[1]
    if not found:
        raise AudioError(f"{data_dir} holds no usable audio of half a second or more")
    return found


def _hop(player: Player) -> int:
    """Hop of descriptor curves in samples: whole latent frames, about `HOP_SECONDS`."""
    ratio = coder_of(player)[0].out_ratio
    return max(1, round(HOP_SECONDS * player.sample_rate_hz / ratio)) * ratio


def _correlations(
    player: Player, sounds: list[FloatArray], encoded: list[FloatArray], hop: int
) -> NDArray[np.float64]:
    """Spearman's correlation of each latent (mean over a hop) and descriptor: [latents, 7]."""
    per_hop = hop // coder_of(player)[0].out_ratio
    late = round(coder_of(player)[0].lookahead_samples / hop)
    latents, described = [], []
    for audio, z in zip(sounds, encoded, strict=True):
        found = curves(audio, player.sample_rate_hz, hop)
        count = z.shape[1] // per_hop
        means = z[:, : count * per_hop].reshape(len(z), count, per_hop).mean(axis=2)[:, late:]
        length = min(means.shape[1], found.shape[1])
        latents.append(means[:, :length])
        described.append(found[:, :length])
    return spearman(np.concatenate(latents, axis=1).astype(np.float64),
                    np.concatenate(described, axis=1))


def _traversals(player: Player, space: Space, out: Path, hop: int) -> list[dict[str, Any]]:
    frames = round(SWEEP_SECONDS * player.sample_rate_hz / coder_of(player)[1].in_ratio)
    rows, names = [], _names(player)
    own = len(space.latents) - space.controls
    for index in [*[i for i in space.active if i < own][:SWEPT], *range(own, len(space.latents))]:
        audio = decode(player, traversal(space, index, frames))
        name = f"sweep_{index + 1:02d}.wav"
        rows.append({"latent": index + 1, "name": names[index], "file": name,
                     **_heard(player, audio, out / name, hop)})
    return rows


def _interpolation(
    player: Player, encoded: list[FloatArray], out: Path, hop: int
) -> dict[str, Any] | None:
    """From the first sound to the second; None for a single sound."""
    if len(encoded) < 2:
        return None
    audio = decode(player, interpolation(encoded[0], encoded[1]))
    return {"file": "path.wav", **_heard(player, audio, out / "path.wav", hop)}


def _heard(player: Player, audio: FloatArray, path: Path, hop: int) -> dict[str, Any]:
    """Write a sound; its descriptor curves and how smooth they are."""
    write_audio(path, audio, player.sample_rate_hz)
    found = curves(audio, player.sample_rate_hz, hop)
    return {"curves": _plain_curves(found), "smoothness": _smoothness(player, found, hop)}


def _smoothness(player: Player, found: Curves, hop: int) -> dict[str, float | None]:
    rate = player.sample_rate_hz / hop
    values = {name: smoothness_of(row, rate) for name, row in zip(NAMES, found, strict=True)}
    each = {name: (round(value, 4) if np.isfinite(value) else None)
            for name, value in values.items()}
    seen = [value for value in each.values() if value is not None]
    return {"mean": round(float(np.mean(seen)), 4) if seen else None, **each}


def _plain_curves(found: Curves) -> dict[str, list[float | None]]:
    return {name: [round(float(v), 3) if np.isfinite(v) else None for v in row]
            for name, row in zip(NAMES, found, strict=True)}


def _prior(
    player: Player, space: Space, sounds: list[FloatArray], encoded: list[FloatArray], out: Path
) -> dict[str, Any]:
    """Descriptor MMD to the data of: draws from the prior, the same through the untrained decoder,
    and posterior frames in random order, which shows how far independent frames can get."""
    rate = player.sample_rate_hz
    frames = round(PRIOR_SECONDS * rate / coder_of(player)[1].in_ratio)
    real = np.concatenate([points(audio, rate) for audio in sounds])
    draws, said = prior_draws(space, frames)
    noise = np.random.default_rng(1).standard_normal(draws.shape).astype(np.float32)
    fresh = as_player(untrained(player.description))
    made: dict[str, Callable[[], FloatArray]] = {
        "prior": lambda: decode(player, draws),
        "noise_untrained": lambda: decode(fresh, noise),
        "shuffled": lambda: decode(player, shuffled(np.concatenate(encoded, axis=1), frames)),
    }
    found: dict[str, Any] = {"kind": said, "mmd": {}}
    for name, make in made.items():
        audio = make()
        write_audio(out / f"{name}.wav", audio, rate)
        found["mmd"][name] = _rounded(descriptor_mmd(real, points(audio, rate)))
    half = np.random.default_rng(2).permutation(len(real))
    found["mmd"]["data"] = _rounded(descriptor_mmd(real[half[::2]], real[half[1::2]]))
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _plain_latent(latent: Latent) -> dict[str, Any]:
    """None for the nats of a file without measurements, since JSON knows no NaN."""
    return {**vars(latent), "nats": latent.nats if np.isfinite(latent.nats) else None}


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    if not rows:
        return {}
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
