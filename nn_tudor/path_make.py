"""What `tudor path KIND` does: a path of some shape, as a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from engine.audio import shown_name
from engine.errors import ConfigError
from engine.players.base import FloatArray, load
from engine.players.generate_file import held_settings
from engine.players.path_file import LATENTS, LOOPS, STROKES, moved_inputs
from engine.reports import wide_console
from engine.resolve import FILE, PRESET, RUN, resolve
from engine.scores import loops
from engine.scores.paths import (
    LatentPath,
    check_path_name,
    even_places,
    write_path,
)
from training.evaluation.paths import geodesic, shapes
from training.evaluation.paths.figures import goals_grid, pair_figures, pairs_grid, summary
from training.evaluation.paths.hearing import Hearing
from training.evaluation.paths.places import place_at
from training.evaluation.paths.prior import prior_of

STILL = "temperature"  # what is added to z at every stroke: nothing, so that a path is what it says


@dataclass(frozen=True)
class Asked:
    """What all kinds are asked for. `bars` and `tempo`: of a loop as geodesics hear it."""

    model: str
    out: Path | None
    points: int = 33
    seed: int = 0
    settings: tuple[str, ...] = ()
    bars: float = 1.0
    tempo: float = loops.USUAL_BPM
    as_json: bool = False


class Subject:
    """A model, what of it a path moves, and what is held meanwhile."""

    def __init__(self, asked: Asked) -> None:
        if asked.out is not None:
            check_path_name(asked.out)
        loops.tempo_of(asked.tempo)
        self.asked, self.console = asked, Console(stderr=True)
        self.player = load(asked.model)
        self.moved = moved_inputs(self.player.methods, self.player.name,
                                  len(self.player.description.controls))
        self.prior = prior_of(self.moved, self.player.description.latents)
        self.held = self._held()

    def _held(self) -> dict[str, float]:
        """What is set, by name: attributes of one number, and inputs that no path moves."""
        player, labels = self.player, self.moved.spec.input_labels
        inputs = held_settings(player, self.moved.spec, self.asked.settings)
        for channel in inputs:
            if channel in self.moved.places:
                raise ConfigError(f"--set {labels[channel]}: that is what the path moves")
        found = {labels[channel]: value for channel, value in inputs.items()}
        for setting in self.asked.settings:
            name = setting.partition("=")[0].strip()
            if name in player.attributes and name not in found:
                if player.attributes[name].size > 1:
                    raise ConfigError(f"--set {name}: a path holds attributes of one number")
                found[name] = float(player.get(name)[0])
        if self.moved.kind == STROKES and STILL in player.attributes:
            found.setdefault(STILL, 0.0)
        return found

    def places(self, texts: Sequence[str]) -> list[FloatArray]:
        """What the words mean: [numbers] each."""
        return [place_at(self.player, self.moved, self.prior, text, self.console)
                for text in texts]

    @cached_property
    def hearing(self) -> Hearing:
        """What is heard of places, with gradients: of a run or a preset, whose weights are there.
        """
        from engine.models.store import load_model

        meant = resolve(self.asked.model, (RUN, PRESET, FILE))
        if meant.kind == FILE:
            raise ConfigError(f"{self.asked.model}: an exported file has no gradients to follow; "
                              "give the run directory or the preset that it was made of")
        stored = load_model(self.asked.model)
        return Hearing(stored.model, stored.name, self.held, self.asked.seed, self.asked.bars,
                       self.asked.tempo)

    def path(self, kind: str, knots: FloatArray, places: NDArray[np.float64] | None = None
             ) -> LatentPath:
        """A path of `knots` [knots, numbers], at even places unless told."""
        spec = self.moved.spec
        return LatentPath(kind, self.player.name, spec.name, self.player.sample_rate_hz,
                          spec.in_ratio, self.moved.labels,
                          even_places(len(knots)) if places is None else places,
                          np.clip(knots, -64, 64).astype(np.float32), self.asked.seed, self.held)

    def save(self, path: LatentPath, more: dict[str, Any] | None = None) -> None:
        """Write it, and say so."""
        assert self.asked.out is not None
        write_path(path, self.asked.out)
        if self.asked.as_json:
            typer.echo(json.dumps({"kind": path.kind, "file": str(self.asked.out),
                                   "model": path.model, "knots": len(path.knots),
                                   "numbers": len(path.labels), "held": dict(path.held),
                                   **(more or {})}, indent=2))
            return
        name = escape(shown_name(self.asked.out))
        self.console.print(f"wrote {name}: {path.kind}, {len(path.knots)} knots of "
                           f"{len(path.labels)} numbers of {escape(path.model)}", highlight=False,
                           soft_wrap=True)


# --- the kinds ----------------------------------------------------------------------------------


def make_traversal(asked: Asked, at: str, number: int, ends: tuple[float, float] | None) -> None:
    """One number from end to end."""
    subject = Subject(asked)
    (place,) = subject.places([at])
    if not 1 <= number <= subject.prior.count:
        raise ConfigError(f"--number {number}: {subject.player.name} has 1 to "
                          f"{subject.prior.count}: {', '.join(subject.moved.labels)}")
    ends = _ends(subject, number - 1) if ends is None else ends
    knots = shapes.traversal(subject.prior, place, number - 1, ends, asked.points)
    subject.save(subject.path("traversal", knots))


def _ends(subject: Subject, index: int) -> tuple[float, float]:
    """Where a number ends: what was measured of a latent; -0.95 and 0.95 of a code; else two
    standard deviations from the mean."""
    measured = subject.player.description.latents
    if subject.moved.kind == LATENTS and measured:
        return measured[index].low, measured[index].high
    if subject.moved.kind == LOOPS:
        return -loops.LARGEST_CODE, loops.LARGEST_CODE
    mean, std = (float(values[index]) for values in (subject.prior.mean, subject.prior.std))
    return mean - shapes.END * std, mean + shapes.END * std


def make_line(asked: Asked, places: Sequence[str], kind: str) -> None:
    """Straight (`line`) or on shells (`sphere`) from place to place."""
    subject = Subject(asked)
    found = subject.places(_several(places))
    knots = (shapes.line(found, 2) if kind == "line"
             else shapes.sphere(subject.prior, found, asked.points))
    subject.save(subject.path(kind, knots))


def make_walk(asked: Asked, at: str, step: float) -> None:
    """An Ornstein-Uhlenbeck walk."""
    subject = Subject(asked)
    (start,) = subject.places([at])
    subject.save(subject.path("walk", shapes.walk(subject.prior, start, asked.points, step,
                                                  asked.seed)))


def make_round(asked: Asked, at: str, kind: str, shape: shapes.Round, plane: str) -> None:
    """A circle or a spiral about a place."""
    subject = Subject(asked)
    if plane not in shapes.PLANES:
        raise ConfigError(f"--plane wants {', '.join(shapes.PLANES)}, not {plane!r}")
    (centre,) = subject.places([at])
    if plane == "random":
        rng = np.random.default_rng(asked.seed)
        rows = shapes.random_plane(subject.prior, subject.player.name, rng)
    else:
        rows = shapes.plane_of(subject.hearing, plane, centre, asked.seed)  # type: ignore[arg-type]
    make = shapes.circle if kind == "circle" else shapes.spiral
    knots = make(subject.prior, centre, rows, shape, asked.points)
    subject.save(subject.path(kind, knots))


def make_geodesic(asked: Asked, places: Sequence[str], search: geodesic.Search, even_line: bool
                  ) -> None:
    """The way that changes what is heard the least; `even_line`: the arc-length line instead."""
    subject = Subject(asked)
    found = subject.places(_several(places))
    hearing, parts, pairs = subject.hearing, [], []
    for a, b in pairwise(found):
        ways = _watched(subject.console, search, lambda tell, a=a, b=b: geodesic.find(  # type: ignore[misc]
            hearing, a, b, search, tell))
        parts.append(ways.even_line.z if even_line else ways.geodesic.z)
        pairs.append(pair_figures(hearing, ways))
    path = subject.path("arc-length line" if even_line else "geodesic", shapes.joined(parts))
    if not asked.as_json:
        wide_console(150).print(_shown(pairs))
    subject.save(path, {"pairs": pairs})


def search_of(points: int, sines: int, steps: int, optimiser: str) -> geodesic.Search:
    """As a user said it."""
    if optimiser not in ("adam", "lbfgs"):
        raise ConfigError(f"--optimiser wants adam or lbfgs, not {optimiser!r}")
    return geodesic.Search(points, sines, steps, optimiser)  # type: ignore[arg-type]


def _several(places: Sequence[str]) -> Sequence[str]:
    if len(places) < 2:
        raise ConfigError("two places at least, to go from the one to the other")
    return places


def _watched(console: Console, search: geodesic.Search,
             work: Callable[[Callable[[int], None]], geodesic.Found]) -> geodesic.Found:
    """`work` with a bar that shows its steps."""
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("geodesic", total=search.steps)
        return work(lambda step: bar.update(task, completed=step))


def _shown(pairs: Sequence[dict[str, Any]]) -> str:
    """A line for each piece: what was gained, and what no path can go below."""
    return "\n".join(
        f"energy over the straight line's: arc-length line {pair['energy']['even_line']:.2f}, "
        f"geodesic {pair['energy']['geodesic']:.2f}, chord (no path is below) {pair['chord']:.2f}; "
        f"speed varies by {pair['speed_variation']['line']:.2f}, "
        f"{pair['speed_variation']['even_line']:.2f}, {pair['speed_variation']['geodesic']:.2f}"
        for pair in pairs)


# --- the table ----------------------------------------------------------------------------------


def compare(asked: Asked, count: int, search: geodesic.Search) -> None:
    """Geodesics between pairs of places that are drawn from the prior, against the lines."""
    from training.evaluation.judges.findings import Findings

    subject = Subject(asked)
    hearing, pairs = subject.hearing, []
    for pair in range(count):
        first = asked.seed + 2 * pair
        a, b = subject.prior.draw(first), subject.prior.draw(first + 1)
        ways = _watched(subject.console, search, lambda tell, a=a, b=b: geodesic.find(  # type: ignore[misc]
            hearing, a, b, search, tell))
        pairs.append(pair_figures(hearing, ways))
    found = summary(pairs)
    if asked.as_json:
        typer.echo(json.dumps({"model": subject.player.name, "held": subject.held, **found,
                               "pairs": pairs}, indent=2))
        return
    shares = ", ".join(f"{name} {share:.2f}" for name, share in found["smooth_shares"].items()
                       if share is not None)
    findings = Findings(found, [pairs_grid(pairs), goals_grid(found, len(pairs))], [
        f"medians: arc-length line {found['even_line_energy']:.2f}, chord {found['chord']:.2f}; "
        f"speed along the line varies by {found['line_speed_variation']:.2f}",
        f"no rougher than along the line, by descriptor: {shares}",
        f"{found['kept_line']} of {len(pairs)}: nothing below the arc-length line was found"])
    findings.show(wide_console(170))
