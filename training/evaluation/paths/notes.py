"""Notes as paths: a recorded note is a way through latents, an instrument the mean of its notes'.

    note         latents over its time, at `PLACES` places from its first frame to its last
    instrument   mean over its notes, place by place
    picture      two principal components of all places of all notes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.note_names import NamedNote
from training.evaluation.page import figure, save_figure

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]
PLACES = 16
MOST_INSTRUMENTS = 20  # with a colour and a line in the legend


@dataclass(frozen=True)
class NotePath:
    """A note and where it goes [PLACES, latents]."""

    file: str
    note: NamedNote
    places: FloatArray


def places_of(latents: FloatArray) -> FloatArray:
    """Of a note's latents [latents, frames], `PLACES` evenly spread over its time:
    [PLACES, latents]."""
    at = np.linspace(0, latents.shape[1] - 1, PLACES)
    frames = np.arange(latents.shape[1])
    return np.stack([np.interp(at, frames, row) for row in latents], axis=1).astype(np.float32)


def by_instrument(paths: Sequence[NotePath]) -> dict[str, list[NotePath]]:
    """In alphabetical order; a technique other than the ordinary one makes an instrument of its
    own."""
    found: dict[str, list[NotePath]] = {}
    for path in paths:
        technique = path.note.technique
        name = path.note.instrument + (f" {technique}" if technique not in ("", "ord") else "")
        found.setdefault(name, []).append(path)
    return dict(sorted(found.items()))


def mean_path(paths: Sequence[NotePath]) -> FloatArray:
    """[PLACES, latents]."""
    found: FloatArray = np.stack([path.places for path in paths]).mean(axis=0)
    return found


@dataclass(frozen=True)
class Plane:
    """The two directions in which places vary the most, and which share of the variance they
    have."""

    centre: Array
    rows: Array  # [2, latents]
    share: float

    def on(self, places: FloatArray) -> Array:
        """[..., latents] -> [..., 2]."""
        found: Array = (places - self.centre) @ self.rows.T
        return found


def plane_of(paths: Sequence[NotePath]) -> Plane:
    """Principal components of all places of all notes; their signs are such that the largest
    number of each is above 0."""
    cloud = np.concatenate([path.places for path in paths]).astype(np.float64)
    centre = cloud.mean(axis=0)
    _, sizes, rows = np.linalg.svd(cloud - centre, full_matrices=False)
    rows = rows[:2] * np.sign(rows[np.arange(2), np.abs(rows[:2]).argmax(axis=1)])[:, None]
    power = np.square(sizes)
    return Plane(centre, rows, float(power[:2].sum() / max(power.sum(), 1e-12)))


def figures_of(paths: Sequence[NotePath], plane: Plane) -> dict[str, Any]:
    """Plain data: of each instrument how many notes, pitches and velocities, and its mean path on
    the plane; how much of the variance of notes' mean places lies between instruments."""
    groups = by_instrument(paths)
    centres = np.stack([path.places.mean(axis=0) for path in paths]).astype(np.float64)
    spread = np.square(centres - centres.mean(axis=0)).sum()
    within = sum(np.square(own - own.mean(axis=0)).sum() for own in (
        np.stack([path.places.mean(axis=0) for path in group]).astype(np.float64)
        for group in groups.values()))
    return {
        "notes": len(paths), "variance_on_plane": round(plane.share, 4),
        "between_instruments": round(float(1 - within / spread), 4) if spread > 0 else None,
        "instruments": {name: {
            "notes": len(group), "pitches": sorted({path.note.pitch for path in group}),
            "velocities": sorted({path.note.velocity for path in group}),
            "path": [[round(float(x), 4) for x in place] for place in plane.on(mean_path(group))],
        } for name, group in groups.items()}}


def plot_notes(paths: Sequence[NotePath], plane: Plane, title: str, out: Path) -> None:
    """Mean paths of instruments, from a dot to an arrow's head; the middle of each note by pitch,
    and by velocity."""
    from matplotlib import pyplot as plt

    drawn, axes = figure(1, 3, 15.0, 5.0)
    groups, colours = by_instrument(paths), plt.get_cmap("tab20")
    for index, (name, group) in enumerate(groups.items()):
        way = plane.on(mean_path(group))
        colour = colours(index % MOST_INSTRUMENTS)
        axes[0, 0].plot(*way.T, color=colour, linewidth=1.2,
                        label=name if index < MOST_INSTRUMENTS else None)
        axes[0, 0].plot(*way[0], "o", color=colour, markersize=4)
        axes[0, 0].annotate("", way[-1], way[-2], arrowprops={"arrowstyle": "->", "color": colour})
    axes[0, 0].legend(fontsize=7)
    axes[0, 0].set_title("mean path of each instrument", fontsize=9)
    middles = np.stack([plane.on(path.places).mean(axis=0) for path in paths])
    for axis, label, values in ((axes[0, 1], "MIDI pitch", [p.note.pitch for p in paths]),
                                (axes[0, 2], "velocity", [p.note.velocity for p in paths])):
        shown = axis.scatter(*middles.T, c=values, s=14, cmap="viridis")
        drawn.colorbar(shown, ax=axis, label=label)
        axis.set_title(f"notes by {label}", fontsize=9)
    for axis in axes[0]:
        axis.set(xlabel="first component", ylabel="second component")
        axis.grid(alpha=0.3)
    drawn.suptitle(f"{title}; {100 * plane.share:.0f} % of the variance is in this plane",
                   fontsize=9)
    save_figure(drawn, out)
