"""Judge "reconstruction": how near the output comes to the input, and what the latents do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.players.base import Player
from training.evaluation import sound_table
from training.evaluation.evaluate import UNITS, evaluate_folder, score_cells
from training.evaluation.judges.case import Case
from training.evaluation.judges.findings import Column, Findings, Grid, Plot, bars

HIGHER = ("onset_f", "si_sdr_db")
COLUMNS = tuple(Column(key, title, "higher" if key in HIGHER else "lower")
                for key, title in UNITS.items())


def judge(case: Case) -> Findings:
    """Scores beside baselines that need no model; with a page also what each latent does."""
    found = findings(evaluate_folder(case.player, case.folder, case.limit, case.baselines,
                                     case.progress))
    if case.out is not None and case.description.coder is not None:
        found.result["latents"] = _latents(case, case.player, case.out)
        found.page = lambda folder: _page(folder, found)
    return found


def findings(result: dict[str, Any]) -> Findings:
    """What `evaluate_folder` returned, as a judge tells it."""
    title = f"{result['model']} on {result['files']} files, {result['seconds']:.0f} s"
    grid = Grid(title, ["", *(column.heading for column in COLUMNS)],
                [score_cells(*item) for item in result["results"].items()])
    distance = COLUMNS[0]
    return Findings({"judge": "reconstruction", **result}, [grid, *sound_table.grids(result)],
                    [sound_table.NOTE, *result.get("notes", ())], plots=[
        Plot("scores.png", distance.title, bars(result["results"], distance, {})),
        *sound_table.plots(result)])


def _latents(case: Case, player: Player, out: Path) -> dict[str, Any]:
    from training.evaluation.latent_report import examine, regulariser_of

    case.progress("the latents")
    regulariser = None if case.named is None else regulariser_of(case.named)
    return examine(player, case.folder, out, case.limit, regulariser)


def _page(folder: Path, found: Findings) -> Path:
    from training.evaluation.page import write_report

    result = found.result  # its scores stand on that page already
    return write_report(folder, result, sound_table.grids(result), sound_table.plots(result))
