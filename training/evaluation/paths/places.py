"""Places that a user means: the ends of a path, a circle's centre."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console

from engine.errors import AudioError, ConfigError
from engine.players.base import FloatArray, Player
from engine.players.loop_file import NUMBER_FILES, code_at
from engine.players.path_file import LATENTS, LOOPS, Moved
from engine.players.play_file import read_input, stream
from engine.scores import loops
from training.evaluation.paths.prior import Prior

MEAN = "mean"
LARGEST = 8.0  # that a model is told: where its guard clamps
WHAT = {LOOPS: "code", LATENTS: "latents"}


def place_at(player: Player, moved: Moved, prior: Prior, text: str, console: Console
             ) -> FloatArray:
    """The numbers [numbers] that `text` means: numbers with commas between, a file of them, a whole
    number as the seed of what is drawn from the prior, `mean`, or a sound: its mean latents, or the
    code of a loop."""
    if text.strip() == MEAN:
        return prior.mean.astype(np.float32)
    if moved.kind == LOOPS:
        return code_at(player, moved.spec, text, text, console)
    count, path, what = prior.count, Path(text), WHAT.get(moved.kind, "z")
    if path.is_file():
        if path.suffix.lower() in NUMBER_FILES:
            return loops.read_code_file(path, count, text, LARGEST, what)
        return _mean_latents(player, moved, path, console)
    if count > 1 and text.strip().isdecimal():
        return prior.draw(int(text))
    if "," not in text and path.suffix[1:].isalnum() and not path.suffix[1:].isdecimal():
        raise ConfigError(f"{text}: there is no such file")
    return loops.read_code(text, count, text, LARGEST, what)


def _mean_latents(player: Player, moved: Moved, sound: Path, console: Console) -> FloatArray:
    """Of a recording [latents], mean over its time."""
    coder = player.description.coder
    if moved.kind != LATENTS or coder is None:
        raise ConfigError(f"{sound}: {player.name} finds no z of a sound; give numbers or seeds")
    latents = latents_of(player, read_input(player, coder[0], sound, console), str(sound))
    found: FloatArray = latents[: len(moved.places)].mean(axis=1)
    return found


def latents_of(player: Player, heard: FloatArray, said: str) -> FloatArray:
    """Of sound [channels, samples], without the frames before its first sample is heard:
    [latents, frames]."""
    coder = player.description.coder
    assert coder is not None
    spec = coder[0]
    if not heard.shape[1]:
        raise AudioError(f"{said} holds no sound")
    late = -(-spec.lookahead_samples // spec.ratio) * spec.ratio
    player.reset()
    found, _ = stream(player, spec.name, np.pad(heard, ((0, 0), (0, late))), spec.ratio * 256,
                      align=False)
    player.reset()
    return found[:, late // spec.out_ratio :]
