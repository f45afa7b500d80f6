"""What `tudor generate` does: sound from a model that needs none."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from engine.audio import shown_name
from engine.description import GENERATE, Method
from engine.errors import AudioError, ConfigError, nearest
from engine.players.base import FloatArray, Player, load
from engine.players.loop_file import asked_loop
from engine.players.path_file import (
    LATENTS,
    Moved,
    moved_inputs,
    path_for,
    settings_of,
    strokes_in_turn,
    way_rows,
)
from engine.players.play_file import (
    apply_setting,
    check_latents,
    check_output,
    read_input,
    write_output,
)
from engine.players.prime import block_frames, followed, primed, read_prime
from engine.scores import loops, strokes
from engine.scores.choose import DEFAULT_SCORE, played_seconds, score_notes
from engine.scores.conditions import FREE, GATE, PITCH, kind_of, voices_of
from engine.scores.conditions import conditions as notes_as_conditions
from engine.scores.held_notes import holds_notes, note_rows
from engine.scores.paths import LatentPath

SEED = "seed"
DEFAULT_SECONDS = 10.0


def generate_file(
    model: str, out: Path, seconds: float | None, seed: int | None, settings: list[str],
    conditions: Path | None, method: str | None, score: str | None = None,
    tempo: float | None = None, prime: Path | None = None, keep_prime: bool = False,
    follow: Path | None = None, bars: float | None = None, code: str | None = None,
    path: Path | None = None,
) -> None:
    """Generate `seconds` of sound into `out`; see `tudor generate --help`."""
    if keep_prime and prime is None:
        raise ConfigError("--keep-prime: there is no --prime to keep")
    for option, value in (("--seconds", seconds), ("--conditions", conditions), ("--score", score),
                          ("--tempo", tempo), ("--prime", prime), ("--path", path)):
        if follow is not None and value is not None:
            raise ConfigError(f"--follow takes everything from its sound: leave out {option}")
    for option, given in (("--conditions", conditions), ("--score", score), ("--code", code),
                          ("--method", method)):
        if path is not None and given is not None:
            raise ConfigError(f"--path and {option} say two different things; give one")
    console = Console(stderr=True)
    check_output(out)
    player = load(model)
    spec = generator(player, method)
    check_latents(spec, out)
    if seed is not None:
        if SEED not in player.attributes:
            raise ConfigError(f"--seed: {player.name} has no attribute {SEED!r}, it always draws "
                              "the same")
        player.set(SEED, seed)
    way = None if path is None else _way(player, path)
    if way is not None:
        spec = way[1].spec
        settings = [*settings_of(way[0], player.attributes, way[1]), *settings]
    held = held_settings(player, spec, settings)
    if follow is not None:
        sound = read_prime(player, spec, follow, console)
        started = time.perf_counter()
        y = followed(player, spec, sound, held)
        _written(player, spec, out, y, time.perf_counter() - started, console)
        return
    played, said = None, None
    if way is not None:
        said, seconds = way_rows(player, *way, held, seconds, bars, tempo)
    elif loops.plays_loops(spec.input_labels) and conditions is None:
        if score is not None:
            raise ConfigError(f"--score: {player.name} plays no notes but loops; give --bars, "
                              "--tempo and --code")
        said, seconds = asked_loop(player, spec, seconds, bars, tempo, code, seed or 0, console)
    elif bars is not None or code is not None:
        option = "--bars" if bars is not None else "--code"
        raise ConfigError(f"{option}: {player.name} makes no loops, {spec.name} reads "
                          f"{', '.join(spec.input_labels)}" if conditions is None else
                          f"{option} and --conditions say two different things; give one")
    elif _plays_notes(player, spec, held, conditions, score, tempo):
        score = DEFAULT_SCORE if score is None else score
        played = score_notes(score, seed or 0, seconds, tempo)
        seconds = played_seconds(score, played) if seconds is None else seconds
        console.print(f"score {escape(score)}: {len(played)} notes", highlight=False,
                      soft_wrap=True)
    seconds = DEFAULT_SECONDS if seconds is None else seconds
    frames = max(1, ceil(seconds * player.sample_rate_hz / spec.ratio)) * spec.in_frames
    x = np.zeros((spec.in_channels, frames), np.float32)
    if conditions is not None:
        x = _fill(read_input(player, spec, conditions, console), frames)
    elif played is not None:
        whole = frames * spec.in_ratio / player.sample_rate_hz
        notes = (note_rows(spec.input_labels, played, spec.in_ratio, player.sample_rate_hz, whole)
                 if holds_notes(player.description) else
                 notes_as_conditions(played, spec.in_ratio, player.sample_rate_hz,
                                     voices_of(spec.input_labels), whole))
        x[: len(notes)] = _fill(notes, frames)
    elif said is not None:
        x = _fill(said, frames)
    elif strokes.plays_strokes(spec.input_labels):
        x[:] = strokes_in_turn(player, spec, held, frames)
    for channel, value in held.items():
        x[channel] = value
    before = np.zeros((spec.out_channels, 0), np.float32)
    if prime is not None:
        before = primed(player, spec, read_prime(player, spec, prime, console), held)
        console.print(f"after {before.shape[1] / player.sample_rate_hz:.2f} s of "
                      f"{escape(shown_name(prime))}", highlight=False, soft_wrap=True)
    started = time.perf_counter()
    y = generate(player, spec, x, console)
    took = time.perf_counter() - started
    y = y[:, : max(1, round(seconds * player.sample_rate_hz / spec.out_ratio))]
    _written(player, spec, out, y, took, console, before if keep_prime else None)


def _written(player: Player, spec: Method, out: Path, y: FloatArray, took: float, console: Console,
             before: FloatArray | None = None) -> None:
    """Write `y`, which took so many seconds, and say so; `before`: sound that comes first."""
    seconds = y.shape[1] * spec.out_ratio / player.sample_rate_hz
    y = y if before is None else np.concatenate((before, y), axis=1)
    if not np.isfinite(y).all():
        raise AudioError(f"{player.name} produced non-finite numbers; nothing was written")
    write_output(player, spec, out, y)
    console.print(
        f"{escape(shown_name(out))}: {y.shape[0]} channels, {y.shape[1]} samples by "
        f"{player.backend}; real-time factor {took / seconds:.3f} (lower is better)",
        highlight=False, soft_wrap=True)


def _way(player: Player, path: Path) -> tuple[LatentPath, Moved]:
    """The path of --path, and what it moves."""
    moved = moved_inputs(player.methods, player.name, len(player.description.controls))
    if moved.kind == LATENTS:
        raise ConfigError(f"--path: {player.name} generates nothing by itself; `tudor path play` "
                          "decodes a path of its latents")
    return path_for(path, moved, player.name), moved


def _plays_notes(player: Player, spec: Method, held: dict[int, float], conditions: Path | None,
                 score: str | None, tempo: float | None) -> bool:
    """Whether conditions are made of notes: if asked for, or where nobody says any."""
    labels = spec.input_labels
    voices = voices_of(labels) or holds_notes(player.description)
    if score is not None or tempo is not None:
        option = "--score" if score is not None else "--tempo"
        if not voices:
            raise ConfigError(f"{option}: {player.name} does not play notes, {spec.name} reads "
                              f"{', '.join(labels)}")
        if conditions is not None:
            raise ConfigError(f"{option} and --conditions say two different things; give one")
    said = {labels[channel] for channel in held if kind_of(labels[channel]) in (PITCH, GATE, FREE)}
    if score is not None and said:
        raise ConfigError(f"--score and --set {min(said)} say two different things; give one")
    return bool(voices) and conditions is None and not said


def generator(player: Player, method: str | None = None) -> Method:
    """The method to generate with: the one named, or the first of that role."""
    if method is not None:
        return player.description.method(method)
    for spec in player.methods.values():
        if spec.role == GENERATE:
            return spec
    raise ConfigError(f"{player.name} generates nothing, it has {', '.join(player.methods)}: play "
                      "a sound through it with `tudor run`")


def generate(
    player: Player, spec: Method, x: FloatArray, console: Console | None = None
) -> FloatArray:
    """`x` [in_channels, frames], whole smallest blocks, through the method in short blocks."""
    block = block_frames(player, spec)
    starts = range(0, x.shape[1], block)
    if console is not None:
        starts = track(starts, "generating", console=console, transient=True,  # type: ignore[assignment]
                       disable=not console.is_terminal)
    return np.concatenate([player.process(spec.name, x[:, at : at + block]) for at in starts],
                          axis=1)


def held_settings(player: Player, spec: Method, settings: Sequence[str]) -> dict[int, float]:
    """Attributes are set; conditions, by their labels, are returned as channel -> value."""
    held = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        name = name.strip()
        if name in spec.input_labels and name not in player.attributes:
            try:
                held[spec.input_labels.index(name)] = float(text)
            except ValueError:
                raise ConfigError(f"--set {setting}: {text!r} is not a number") from None
        elif name in player.attributes or "=" not in setting:
            apply_setting(player, setting)
        else:
            known = [*player.attributes, *spec.input_labels]
            raise ConfigError(f"--set {setting}: {player.name} has no attribute or condition "
                              f"{name!r}{nearest(name, known)}; it has {', '.join(known)}")
    return held


def _fill(x: FloatArray, frames: int) -> FloatArray:
    """Conditions of so many frames: cut, or their last frame held."""
    if x.shape[1] >= frames:
        return x[:, :frames].copy()
    return np.pad(x, ((0, 0), (0, frames - x.shape[1])), mode="edge")
