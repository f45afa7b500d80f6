"""What `tudor path play` does: the sound of a path, what is heard along it, and a picture."""

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

from engine.audio import shown_name
from engine.errors import AudioError, ConfigError
from engine.files import atomic_write
from engine.players.base import load
from engine.players.generate_file import SEED, generate, held_settings
from engine.players.path_file import moved_inputs, path_for, settings_of, way_rows
from engine.players.play_file import check_latents, check_output, write_output
from engine.reports import wide_console


@dataclass(frozen=True)
class Wanted:
    """How a path is played; None: as usual."""

    seconds: float | None
    bars: float | None
    tempo: float | None
    seed: int | None
    settings: tuple[str, ...]
    plot: Path | None
    as_json: bool


def play_path(model: str, file: Path, out: Path, wanted: Wanted) -> None:
    """See `tudor path play --help`."""
    check_output(out)
    picture = out.with_suffix(".png") if wanted.plot is None else wanted.plot
    if wanted.plot is not None and (picture.suffix.lower() != ".png" or picture.is_dir()):
        raise ConfigError(f"--plot {picture}: wanted a file name that ends in .png")
    console = Console(stderr=True)
    player = load(model)
    moved = moved_inputs(player.methods, player.name, len(player.description.controls))
    path = path_for(file, moved, player.name)
    check_latents(moved.spec, out)
    held = held_settings(player, moved.spec, [*settings_of(path, player.attributes, moved),
                                              *wanted.settings])
    if SEED in player.attributes:
        player.set(SEED, path.seed if wanted.seed is None else wanted.seed)
    elif wanted.seed is not None:
        raise ConfigError(f"--seed: {player.name} has no attribute {SEED!r}")
    rows, seconds = way_rows(player, path, moved, held, wanted.seconds, wanted.bars, wanted.tempo)
    samples = max(1, round(seconds * player.sample_rate_hz))
    late = -(-moved.spec.lookahead_samples // moved.spec.in_ratio)
    whole = -(-late // moved.spec.in_frames) * moved.spec.in_frames
    y = generate(player, moved.spec, np.pad(rows, ((0, 0), (0, whole)), mode="edge"), console)
    y = y[:, moved.spec.lookahead_samples :][:, :samples]
    if not np.isfinite(y).all():
        raise AudioError(f"{player.name} produced non-finite numbers; nothing was written")
    write_output(player, moved.spec, out, y)

    from training.evaluation.judges.findings import Findings
    from training.evaluation.paths.played import curves_of, figures_of, grid_of, plot_played

    curves = curves_of(y, player.sample_rate_hz)
    figures, files = figures_of(curves), [out]
    if find_spec("matplotlib") is not None:
        plot_played(y, player.sample_rate_hz, curves, path,
                    f"{player.name}: {path.kind}, {shown_name(file.name)}", picture)
        files.append(picture)
    elif wanted.plot is not None:
        raise ConfigError("--plot needs matplotlib: pip install 'nn-tudor[bench]'")
    if wanted.as_json:
        report: dict[str, Any] = {"kind": path.kind, "files": [str(name) for name in files],
                                  "seconds": y.shape[1] / player.sample_rate_hz,
                                  "descriptors": figures}
        typer.echo(json.dumps(report, indent=2))
        return
    Findings(figures, [grid_of(figures, path.kind)]).show(wide_console())
    names = ", ".join(escape(shown_name(name)) for name in files)
    console.print(f"wrote {names}: {y.shape[1] / player.sample_rate_hz:.2f} s by {player.backend}",
                  highlight=False, soft_wrap=True)


def write_mapping(model: str, file: Path, out: Path, source: str) -> None:
    """What `tudor path map` does."""
    from firmware.path_mapping import MOST_LINES, mapping_of
    from firmware.simulate import MAPPING_SUFFIX

    if out.suffix.lower() != MAPPING_SUFFIX or out.is_dir():
        raise ConfigError(f"{out}: a mapping's file name ends in {MAPPING_SUFFIX}")
    player = load(model)
    moved = moved_inputs(player.methods, player.name, len(player.description.controls))
    made = mapping_of(path_for(file, moved, player.name), moved, player.attributes, source)
    with atomic_write(out) as temporary:
        temporary.write_text(made.text, "utf-8")
    Console(stderr=True).print(
        f"wrote {escape(shown_name(out))}: {made.lines} of {MOST_LINES} lines; no number is "
        f"farther than {made.error:.3g} from the path", highlight=False, soft_wrap=True)
