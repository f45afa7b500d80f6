"""One page about a model: its scores, its latents, what they sound like."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.files import atomic_write
from engine.page import Row, image, sound, table, write_page
from training.evaluation.descriptors import LABELS, NAMES
from training.evaluation.evaluate import UNITS, score_cells

PRIOR_NAMES = {
    "prior": "draws from the prior", "shuffled": "posterior frames in random order",
    "noise_untrained": "Gaussian noise through the untrained decoder",
    "data": "one half of the data against the other",
}


def write_report(folder: Path, result: dict[str, Any], grids: Sequence[Any] = (),
                 plots: Sequence[Any] = ()) -> Path:
    """`report.html` in `folder`, where `examine` has left the sounds; with more tables and pictures
    as a judge has them."""
    found = result["latents"]
    plot_correlations(found, folder / "correlations.png")
    plot_curves([(row["name"], row) for row in found["traversals"]],
                found["curve_hz"], folder / "sweeps.png")
    parts = [
        f"<h1>{html.escape(result['model'])}</h1>",
        f"<p>{result['files']} files of {html.escape(result['data'])}, {result['seconds']:.0f} s. "
        "Lower is better but for onset F and SI-SDR.</p>",
        table(["", *UNITS.values()], [score_cells(*item) for item in result["results"].items()]),
        *_more(grids, plots, folder),
        "<h2>The latents</h2>",
        "<p>In the order of what they carry. Ranges are the 1st and 99th percentile on the corpus; "
        "correlations are Spearman's, with the descriptors of the data.</p>",
        table(["latent", "low", "high", "nats per frame", *NAMES],
              [_latent(found, index) for index in range(len(found["latents"]))]),
        image("correlations.png", "correlation of latents and descriptors"),
        *_controls(found["controls"]),
        "<h2>Sweeps</h2>",
        "<p>One latent from low to high, the others at their means. Smoothness is range over total "
        "variation: 1 for a descriptor that only rises or falls.</p>",
        *[sound(row["file"], f"{row['name']}, smoothness {_number(row)}")
          for row in found["traversals"]],
        image("sweeps.png", "descriptors along the sweeps"),
        *_path(found, folder),
        "<h2>The prior</h2>", *_prior(found["prior"]), "<h2>Block borders</h2>",
        _borders(found["borders"]),
    ]
    return write_page(folder / "report.html", f"tudor: {result['model']}", parts)


def _more(grids: Sequence[Any], plots: Sequence[Any], folder: Path) -> list[str]:
    parts = []
    for grid in grids:
        parts += [f"<h2>{html.escape(grid.title)}</h2>", table(grid.head, grid.rows)]
    for plot in plots:
        drawn, axes = figure(1, 1, *plot.size)
        plot.draw(axes[0, 0])
        save_figure(drawn, folder / plot.file)
        parts.append(image(plot.file, plot.caption))
    return parts


def _latent(found: dict[str, Any], index: int) -> Row:
    latent = found["latents"][index]
    carried = "-" if latent["nats"] is None else f"{latent['nats']:.2f}"
    if not latent["active"]:
        carried = "unused"
    elif index >= len(found["latents"]) - len(found["controls"]):
        carried = "control"
    return [found["names"][index].removeprefix("latent "), f"{latent['low']:.2f}",
            f"{latent['high']:.2f}", carried,
            *(f"{value:+.2f}" for value in found["spearman"][index])]


def _controls(rows: list[dict[str, Any]]) -> list[str]:
    """Whether encode says what is heard, and decode obeys; nothing for a model without controls."""
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:+.2f}"

    if not rows:
        return []
    shown = [[row["control"], f"{row['rank_correlation']:.2f}",
              "-" if row["mean_error"] is None else f"{row['mean_error']:.2f} {row['unit']}",
              f"±{row['asked']:g} {row['unit']}", number(row["lower"]), number(row["higher"])]
             for row in rows]
    return ["<h2>Controls</h2>",
            "<p>What encode says beside what is measured in the sound (rank correlation, mean "
            "error), and by how much decoded sound changes when the control is moved.</p>",
            table(["control", "correlation", "error", "moved by", "lower", "higher"], shown)]


def _number(row: dict[str, Any]) -> str:
    value = row["smoothness"]["mean"]
    return "-" if value is None else f"{value:.2f}"


def _path(found: dict[str, Any], folder: Path) -> list[str]:
    row = found["interpolation"]
    if row is None:
        return []
    plot_curves([("path", row)], found["curve_hz"], folder / "path.png")
    return ["<h2>From one sound to another</h2>",
            sound(row["file"], f"first file to second, smoothness {_number(row)}"),
            image("path.png", "descriptors along the path")]


def _prior(found: dict[str, Any]) -> list[str]:
    rows = [[PRIOR_NAMES[name], "-" if value is None else f"{value:.3f}"]
            for name, value in found["mmd"].items()]
    players = [sound(f"{name}.wav", PRIOR_NAMES[name]) for name in found["mmd"] if name != "data"]
    return [f"<p>{found['kind']}; frames are independent of each other.</p>",
            table(["", "descriptor MMD to the data"], rows), *players]


def _borders(found: dict[str, Any]) -> str:
    if "ratio" not in found:
        return "<p>The data is too short to look at.</p>"
    return (f"<p>Spectral flux at the borders of blocks of {found['block']} samples is "
            f"{found['ratio']:.3f} of that at the other borders of the model's own blocks "
            f"(the input's: {found['input_ratio']:.3f}); blocks ten times as long differ "
            f"by at most {found['difference']:.1e}.</p>")


def figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    """A picture and its panels [rows, columns]; sizes in inches."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt.subplots(rows, columns, figsize=(width, height), layout="constrained",
                        squeeze=False, sharex=True)


def plot_correlations(found: dict[str, Any], out: Path) -> None:
    """Latents down, descriptors across, blue to red from -1 to 1."""
    values = np.array(found["spearman"])
    drawn, axes = figure(1, 1, 6, 1 + 0.25 * len(values))
    axis = axes[0, 0]
    shown = axis.imshow(values, vmin=-1, vmax=1, cmap="RdBu_r", aspect="auto")
    axis.set_xticks(range(len(NAMES)), NAMES, rotation=45)
    axis.set_yticks(range(len(values)),
                    [name.removeprefix("latent ") for name in found["names"]])
    axis.set_ylabel("latent")
    drawn.colorbar(shown, label="Spearman")
    save_figure(drawn, out)


def plot_curves(rows: list[tuple[str, dict[str, Any]]], per_second: float, out: Path) -> None:
    """One panel per descriptor, one line per sound, over seconds."""
    drawn, axes = figure(len(NAMES), 1, 9, 1.5 * len(NAMES))
    for axis, name, label in zip(axes[:, 0], NAMES, LABELS, strict=True):
        for title, row in rows:
            values = np.array(row["curves"][name], dtype=float)
            axis.plot(np.arange(len(values)) / per_second, values, label=title, linewidth=1)
        axis.set_ylabel(label, fontsize=8)
        axis.grid(alpha=0.3)
    if rows:
        axes[0, 0].legend(fontsize=7, ncols=4)
    axes[-1, 0].set_xlabel("seconds")
    save_figure(drawn, out)


def save_figure(figure: Any, out: Path) -> None:
    """As the file `out`, whole or not at all."""
    from matplotlib import pyplot as plt

    with atomic_write(out) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)
