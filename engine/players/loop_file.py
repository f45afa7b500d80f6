"""What `tudor generate` asks a model of loops for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console

from engine.description import Method
from engine.errors import ConfigError
from engine.players.base import FloatArray, Player
from engine.players.play_file import read_input
from engine.scores import loops

EMBED = "embed"  # the method that finds the code of a sound
NUMBER_FILES = (".npy", ".txt", ".csv")  # that hold a code as it is


def asked_loop(
    player: Player, spec: Method, seconds: float | None, bars: float | None, bpm: float | None,
    code: str | None, seed: int, console: Console,
) -> tuple[FloatArray, float]:
    """Conditions [in_channels, frames], and seconds of sound. `code`: numbers, or a sound file from
    a bar line on; without one it is made up, after `seed`."""
    if seconds is not None and bars is not None:
        raise ConfigError("--seconds and --bars say two different things; give one")
    if bars is not None and not 0 < bars <= 10000:
        raise ConfigError(f"--bars must lie in 0 to 10000, got {bars:g}")
    bpm = loops.USUAL_BPM if bpm is None else bpm
    bar = loops.bar_seconds(bpm)
    bars = (loops.DEFAULT_BARS if seconds is None else seconds / bar) if bars is None else bars
    said = loop_code(player, spec, code, seed, console)
    x = loops.conditions(spec.input_labels, spec.in_ratio, player.sample_rate_hz, bars, bpm, said)
    shown = ",".join(f"{number:.2f}" for number in said)
    console.print(f"{bars:g} bars at {bpm:g} BPM, code {shown}", highlight=False, soft_wrap=True)
    return x, bars * bar


def loop_code(player: Player, spec: Method, code: str | None, seed: int, console: Console
              ) -> FloatArray:
    """[codes]: made up, read, or found in a sound."""
    if code is None:
        return loops.made_up_code(len(loops.code_places(spec.input_labels)), seed)
    return code_at(player, spec, code, f"--code {code}", console)


def code_at(player: Player, spec: Method, text: str, said: str, console: Console) -> FloatArray:
    """The code [codes] that a user means: numbers with commas between, one number as the seed of
    what is made up, a file of numbers, or a sound from a bar line on. `said`: as the user said it.
    """
    count, path = len(loops.code_places(spec.input_labels)), Path(text)
    if path.is_file():
        if path.suffix.lower() in NUMBER_FILES:
            return loops.read_code_file(path, count, said)
        return code_of(player, path, said, console)
    if count > 1 and text.strip().isdecimal():
        return loops.made_up_code(count, int(text))
    if "," not in text and path.suffix[1:].isalnum() and not path.suffix[1:].isdecimal():
        raise ConfigError(f"{said}: there is no such file")
    return loops.read_code(text, count, said)


def code_of(player: Player, sound: Path, said: str, console: Console) -> FloatArray:
    """The code of a sound that begins at a bar line [codes]: of its first window. A shorter one is
    heard again and again."""
    spec = player.methods.get(EMBED)
    if spec is None:
        raise ConfigError(f"{said}: {player.name} has no method {EMBED!r}, so it finds no code of "
                          "a sound; give numbers")
    heard = read_input(player, spec, sound, console)
    if not heard.shape[1]:
        raise ConfigError(f"{said}: holds no sound")
    # What comes out is late by the coder's delay, which is a small part of a window.
    window = np.take(heard, np.arange(spec.in_frames) % heard.shape[1], axis=1)
    found = player.process(spec.name, window)
    player.reset()
    return found[:, 0]
