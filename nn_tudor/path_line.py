"""What `tudor path line` does for a model of loops."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from engine.audio import shown_name
from engine.description import Method
from engine.errors import AudioError, ConfigError
from engine.players.base import FloatArray, Player, load
from engine.players.generate_file import SEED, generator, held_settings
from engine.players.loop_file import code_at
from engine.players.play_file import check_latents, check_output, write_output
from engine.reports import wide_console
from engine.scores import loops


@dataclass(frozen=True)
class Wish:
    """What was asked for: both ends as they were typed, and how the way is played."""

    ends: tuple[str, str]
    out: Path
    bars: int
    tempo: float
    seed: int | None
    settings: tuple[str, ...]


def write_line(model: str, wish: Wish, plot: Path | None, as_json: bool) -> None:
    """Write the sound and the picture, and print the figures; see `tudor path line --help`."""
    check_output(wish.out)
    picture = wish.out.with_suffix(".png") if plot is None else plot
    if plot is not None and (plot.suffix.lower() != ".png" or plot.is_dir()):
        raise ConfigError(f"--plot {plot}: wanted a file name that ends in .png")
    loops.tempo_of(wish.tempo)
    console = Console(stderr=True)
    player = load(model)
    spec = _loop_method(player)
    check_latents(spec, wish.out)
    if wish.seed is not None:
        if SEED not in player.attributes:
            raise ConfigError(f"--seed: {player.name} has no attribute {SEED!r}")
        player.set(SEED, wish.seed)
    held = held_settings(player, spec, wish.settings)
    codes = tuple(code_at(player, spec, text, f"{name} = {text}", console)
                  for name, text in zip("AB", wish.ends, strict=True))
    sounds = _sounds(player, spec, wish, (codes[0], codes[1]), held, console)

    from training.evaluation.loop_walk import WALK, figures_of, grid_of, measured, plot_ways

    write_output(player, spec, wish.out, sounds[WALK])
    curves = measured(sounds, wish.bars, wish.tempo, player.sample_rate_hz)
    figures = figures_of(curves)
    files = [wish.out]
    if find_spec("matplotlib") is not None:
        said = " to ".join(shown_name(Path(text)) if Path(text).is_file() else text
                           for text in wish.ends)
        plot_ways(curves, f"{player.name}: {said}", picture)
        files.append(picture)
    elif plot is not None:
        raise ConfigError("--plot needs matplotlib: pip install 'nn-tudor[bench]'")
    if as_json:
        typer.echo(json.dumps(_report(wish, codes, files, figures), indent=2))
        return
    from training.evaluation.judges.findings import Findings

    Findings(figures, [grid_of(figures)]).show(wide_console(170))
    names = ", ".join(escape(shown_name(file)) for file in files)
    console.print(f"wrote {names}: {wish.bars} bars at {wish.tempo:g} BPM by {player.backend}",
                  highlight=False, soft_wrap=True)


def _loop_method(player: Player) -> Method:
    """The method that makes sound of a code."""
    spec = generator(player)
    if not loops.plays_loops(spec.input_labels) or not loops.code_places(spec.input_labels):
        raise ConfigError(f"{player.name} makes no loops from a code: {spec.name} reads "
                          f"{', '.join(spec.input_labels)}")
    if spec.out_ratio != 1:
        raise ConfigError(f"{player.name} makes latents and no sound: it has no coder inside")
    return spec


def _sounds(player: Player, spec: Method, wish: Wish, codes: tuple[FloatArray, FloatArray],
            held: dict[int, float], console: Console) -> dict[str, FloatArray]:
    """All that is played: the way itself, both loops, and the other ways."""
    from training.evaluation.loop_walk import rows_of, sounds_of

    rows = rows_of(player, spec, codes, wish.bars, wish.tempo, held)
    samples = round(wish.bars * loops.bar_seconds(wish.tempo) * player.sample_rate_hz)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("playing", total=1.0)
        sounds = sounds_of(player, spec, rows, samples, lambda name, share: bar.update(
            task, description=name, completed=share))
    if not all(np.isfinite(y).all() for y in sounds.values()):
        raise AudioError(f"{player.name} produced non-finite numbers; nothing was written")
    return sounds


def _report(wish: Wish, codes: tuple[FloatArray, ...], files: list[Path], figures: dict[str, Any]
            ) -> dict[str, Any]:
    """What --json prints."""
    return {"kind": "line", "files": [str(file) for file in files], "bars": wish.bars,
            "tempo": wish.tempo,
            "codes": [[round(float(value), 6) for value in code] for code in codes], **figures}
