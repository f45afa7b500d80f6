"""What of a model a path moves, and rows of inputs along one.

    loops     the code                        a bar's sound follows it chunk by chunk
    strokes   z                               each stroke has what it is at its gate
    latents   of a coder that decodes them    held still they are a sound that stays
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from engine.description import GENERATE, Method, coder_methods
from engine.errors import ConfigError
from engine.players.base import FloatArray, Player
from engine.scores import loops, strokes
from engine.scores.held_notes import holds_notes
from engine.scores.paths import LatentPath, read_path

LOOPS, STROKES, LATENTS = "loops", "strokes", "latents"
DEFAULT_SECONDS, MOST_BARS = 10.0, 10000


@dataclass(frozen=True)
class Moved:
    """Inputs `places` of the method `spec`, and which of the three they are."""

    kind: str
    spec: Method
    places: range

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the inputs that are moved."""
        return self.spec.input_labels[self.places.start : self.places.stop]


def moved_inputs(methods: Mapping[str, Method], name: str, controls: int) -> Moved:
    """What a path moves of a model with these methods; `controls`: how many of a coder's last
    latents are controls, which stay."""
    made = [spec for spec in methods.values() if spec.role == GENERATE]
    for spec in made:
        code = loops.code_places(spec.input_labels)
        if loops.plays_loops(spec.input_labels) and code and spec.out_ratio == 1:
            return Moved(LOOPS, spec, code)
    for spec in made:
        z = [i for i, label in enumerate(spec.input_labels) if label.startswith(f"{strokes.Z} ")]
        if strokes.plays_strokes(spec.input_labels) and z and spec.out_ratio == 1:
            return Moved(STROKES, spec, range(z[0], z[-1] + 1))
    coder = coder_methods(methods)
    if not made and coder is not None:
        spec = coder[1]
        return Moved(LATENTS, spec, range(spec.in_channels - controls))
    if any(loops.plays_loops(spec.input_labels) for spec in made):
        raise ConfigError(f"{name} makes latents and no sound: it has no coder inside")
    raise ConfigError(f"{name} has nothing that a path could move: wanted a code of loops, a z of "
                      "strokes or a coder's latents")


def path_for(file: Path, moved: Moved, name: str) -> LatentPath:
    """A path from a file, which must be one of such inputs."""
    path = read_path(file)
    # What a latent was found to follow is said behind its name, and is no part of it.
    own, asked = ([label.split(" (")[0] for label in labels]
                  for labels in (moved.labels, path.labels))
    if own != asked:
        raise ConfigError(f"{file} moves {_said(path.labels)}, {name} takes {_said(moved.labels)}")
    return path


def _said(labels: tuple[str, ...]) -> str:
    return f"{len(labels)} ({labels[0]}{' ... ' + labels[-1] if len(labels) > 1 else ''})"


def along(path: LatentPath, moved: Moved, rows: FloatArray) -> FloatArray:
    """`rows` [in_channels, rows] with what is moved going along the path from the first to the
    last."""
    found = rows.copy()
    way = np.linspace(0.0, 1.0, rows.shape[1])
    found[moved.places.start : moved.places.stop] = path.at(way).T
    return found


def way_rows(player: Player, path: LatentPath, moved: Moved, held: Mapping[int, float],
             seconds: float | None, bars: float | None, bpm: float | None
             ) -> tuple[FloatArray, float]:
    """Inputs [in_channels, rows] of a sound that goes along the whole path, whole smallest blocks,
    and how many seconds it lasts. `held`: inputs that stand at a value."""
    spec, rate = moved.spec, player.sample_rate_hz
    if moved.kind != LOOPS and (bars is not None or bpm is not None):
        raise ConfigError(f"--bars and --tempo are of loops, which {player.name} does not make; "
                          "give --seconds")
    if seconds is not None and bars is not None:
        raise ConfigError("--seconds and --bars say two different things; give one")
    if bars is not None and not 0 < bars <= MOST_BARS:
        raise ConfigError(f"--bars must lie in 0 to {MOST_BARS}, got {bars:g}")
    bar = loops.bar_seconds(loops.USUAL_BPM if bpm is None else bpm)
    if moved.kind == LOOPS:
        bars = (loops.DEFAULT_BARS if seconds is None else seconds / bar) if bars is None else bars
        x = loops.conditions(spec.input_labels, spec.in_ratio, rate, bars,
                             loops.USUAL_BPM if bpm is None else bpm, path.knots[0])
        seconds = bars * bar
    else:
        seconds = DEFAULT_SECONDS if seconds is None else seconds
        count = max(1, ceil(seconds * rate / spec.in_ratio))
        x = np.zeros((spec.in_channels, count), np.float32)
        if moved.kind == STROKES:
            x = strokes_in_turn(player, spec, held, count)
        for i, latent in enumerate(player.description.latents[: spec.in_channels]
                                   if moved.kind == LATENTS else ()):
            x[i] = latent.mean  # of controls behind the latents
    x = along(path, moved, x)
    for channel, value in held.items():
        x[channel] = value
    return np.pad(x, ((0, 0), (0, -x.shape[1] % spec.in_frames)), mode="edge"), seconds


def strokes_in_turn(player: Player, spec: Method, held: Mapping[int, float], frames: int
                    ) -> FloatArray:
    """One stroke after another, of all classes in turn unless some are held."""
    labels = spec.input_labels
    classes = [str(name) for name in player.description.config.get("classes", ())]
    if any(labels[channel] in classes for channel in held):
        classes = []
    every = max(1, round(strokes.EVERY_S * player.sample_rate_hz / spec.in_ratio))
    held_rows = max(1, 3 * every // 4) if holds_notes(player.description) else strokes.GATE_ROWS
    return strokes.in_turn(labels, classes, frames, every, held_rows)


def settings_of(path: LatentPath, known: Mapping[str, object], moved: Moved) -> list[str]:
    """What the path says was held, as a user would set it: of what the model has."""
    names = {*known, *moved.spec.input_labels}
    return [f"{name}={value!r}" for name, value in path.held.items() if name in names]
