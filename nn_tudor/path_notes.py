"""What `tudor path notes` does: recordings of notes as paths, and instruments as their means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from engine.audio import shown_name
from engine.errors import AudioError, ConfigError
from engine.players.base import load
from engine.players.path_file import LATENTS, moved_inputs
from engine.players.play_file import read_input
from engine.reports import wide_console
from engine.scores.paths import SUFFIX, LatentPath, even_places, write_path
from training.data.audio_folder import scan
from training.data.note_names import notes_of
from training.evaluation.judges.findings import Findings, Grid
from training.evaluation.paths.notes import (
    NotePath,
    by_instrument,
    figures_of,
    mean_path,
    places_of,
    plane_of,
    plot_notes,
)
from training.evaluation.paths.places import latents_of


def notes(model: str, folder: Path, out: Path, paths: Path | None, as_json: bool) -> None:
    """See `tudor path notes --help`."""
    if out.suffix.lower() != ".png" or out.is_dir():
        raise ConfigError(f"{out}: wanted a file name that ends in .png")
    console = Console(stderr=True)
    player = load(model)
    moved = moved_inputs(player.methods, player.name, len(player.description.controls))
    coder = player.description.coder
    if moved.kind != LATENTS or coder is None:
        raise ConfigError(f"{player.name} finds no latents of a sound: wanted a coder")
    sources = {source.name: source for source in scan(folder).sources}
    named = notes_of(folder, sources)
    if len(named) < 2:
        raise AudioError(f"{folder} holds {len(named)} notes with names as NSynth or Studio On "
                         "Line have them, or in a metadata.csv with file, instrument and pitch; "
                         "wanted two at least")
    found, quiet = [], Console(quiet=True)
    for name, note in track(sorted(named.items()), "encoding", console=console, transient=True,
                            disable=not console.is_terminal):
        heard = read_input(player, coder[0], sources[name].path, quiet)
        latents = latents_of(player, heard, str(sources[name].path))[: len(moved.places)]
        found.append(NotePath(name, note, places_of(latents)))
    plane = plane_of(found)
    figures = figures_of(found, plane)
    left = len(sources) - len(named)
    plot_notes(found, plane, f"{player.name}: {len(found)} notes of {folder.name}", out)
    files = [out]
    for name, group in by_instrument(found).items() if paths is not None else ():
        assert paths is not None
        file = paths / ("".join(c if c.isalnum() or c in "+_#" else "_" for c in name) + SUFFIX)
        write_path(LatentPath("notes", player.name, moved.spec.name, player.sample_rate_hz,
                              moved.spec.in_ratio, moved.labels, even_places(len(mean_path(group))),
                              mean_path(group)), file)
        files.append(file)
    if as_json:
        typer.echo(json.dumps({"files": [str(file) for file in files], "left_out": left,
                               **figures}, indent=2))
        return
    Findings(figures, [_grid(figures)], [
        f"{100 * figures['variance_on_plane']:.0f} % of the variance of places is on the plane; "
        f"of that of whole notes {figures['between_instruments'] or 0:.2f} lies between "
        "instruments", *([f"{left} files say nothing of a note and were left out"] if left else [])
    ]).show(wide_console())
    names = ", ".join(escape(shown_name(file)) for file in files)
    console.print(f"wrote {names}", highlight=False, soft_wrap=True)


def _grid(figures: dict[str, Any]) -> Grid:
    """A row for each instrument."""
    rows = []
    for name, each in figures["instruments"].items():
        first, last = each["path"][0], each["path"][-1]
        rows.append([name, str(each["notes"]), f"{each['pitches'][0]} to {each['pitches'][-1]}",
                     f"{each['velocities'][0]} to {each['velocities'][-1]}",
                     f"{first[0]:.2f}, {first[1]:.2f}", f"{last[0]:.2f}, {last[1]:.2f}"])
    return Grid("mean paths on the plane",
                ["", "notes", "pitches", "velocities", "begins at", "ends at"], rows)
