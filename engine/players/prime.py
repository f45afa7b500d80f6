"""What a model has played before it goes on by itself: a sound of the user's.

    prime     | heard: pitch, gate, loudness |          read back in place of what would be drawn
    model     |  puts out the prime          | draws ... from the score, from conditions

Or a sound that it follows: each sample is drawn as if all before it had been that sound, and then
forgotten. What the model is asked meanwhile is what is heard in the sound, so that it knows which
conditions made it sound like that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from engine.description import Method
from engine.errors import AudioError, ConfigError
from engine.hearing.heard import heard_conditions
from engine.players.base import FloatArray, Player
from engine.players.play_file import read_sound

BLOCK_SECONDS = 0.25


def block_frames(player: Player, spec: Method) -> int:
    """Input frames that are played at a time, whole smallest blocks."""
    return max(1, int(BLOCK_SECONDS * player.sample_rate_hz / spec.ratio)) * spec.in_frames


def read_prime(player: Player, spec: Method, source: Path, console: Console) -> FloatArray:
    """A user's sound as the method puts sound out [out_channels, samples], whole smallest blocks of
    it: what is too much is cut from its beginning, what is short begins with silence."""
    if spec.out_ratio != 1:
        raise ConfigError(f"{source}: {player.name}.{spec.name} generates latents, "
                          "which no sound tells")
    sound = read_sound(player, spec.out_channels, source, console)
    if not np.isfinite(sound).all():
        raise AudioError(f"{source} holds numbers that are not finite")
    spare = sound.shape[1] % spec.ratio
    if sound.shape[1] < spec.ratio:
        return np.pad(sound, ((0, 0), (spec.ratio - sound.shape[1], 0)))
    return sound[:, spare:]


def primed(player: Player, spec: Method, sound: FloatArray, held: dict[int, float]) -> FloatArray:
    """Play `sound` [out_channels, samples] into the method's state, with what is heard in it as
    conditions, but those that are `held`. Returns it as the model can draw it."""
    return _through(player, spec, sound, held, player.force)


def followed(player: Player, spec: Method, sound: FloatArray, held: dict[int, float]
             ) -> FloatArray:
    """The same, but what is returned is what the model draws for each sample, its past being that
    of `sound`."""
    return _through(player, spec, sound, held, player.follow)


def _through(player: Player, spec: Method, sound: FloatArray, held: dict[int, float],
             play: Callable[[str, FloatArray, FloatArray], FloatArray]) -> FloatArray:
    x = heard_conditions(sound.mean(axis=0), player.sample_rate_hz, spec.in_ratio,
                         spec.input_labels)
    for channel, value in held.items():
        x[channel] = value
    block = block_frames(player, spec)
    return np.concatenate([
        play(spec.name, x[:, at : at + block],
             sound[:, at * spec.in_ratio : (at + block) * spec.in_ratio])
        for at in range(0, x.shape[1], block)], axis=1)
