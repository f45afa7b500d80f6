"""Shapes of a preset tried against each other at about equal modelled cost.

    python -m benchmarks.trials VARIANTS.toml --data loops --held-out held_out --out trials

Each variant is trained for the same number of steps with the same seed and scored on the same
held-out files; finished ones are kept, so that a stopped series goes on. The table is Markdown.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from engine.errors import ConfigError
from engine.files import atomic_write
from engine.friendly import friendly


def trials(
    variants: Annotated[Path, typer.Argument(help="TOML: base, target, dtype, [variants]")],
    data: Annotated[Path, typer.Option(help="folder of audio to train on")],
    held_out: Annotated[Path, typer.Option(help="folder of audio to score on")],
    out: Annotated[Path, typer.Option(help="where runs and results go")],
    steps: Annotated[int, typer.Option(min=1, help="training steps of each variant")] = 800,
    limit: Annotated[int, typer.Option(min=1, help="held-out files to score on")] = 16,
) -> None:
    """Try the shapes in VARIANTS and print a table.

    Example: python -m benchmarks.trials daisy.toml --data loops --held-out held --out trials
    """
    settings = tomllib.loads(variants.read_text("utf-8"))
    unknown = set(settings) - {"base", "target", "dtype", "variants"}
    if unknown or "variants" not in settings:
        raise ConfigError(f"{variants}: wanted base, target, dtype and [variants.NAME] tables, "
                          f"got {sorted(settings)}")
    rows = []
    for name, shape in settings["variants"].items():
        found = out / name / "trial.json"
        if found.exists():
            rows.append(json.loads(found.read_text("utf-8")))
        else:
            rows.append(_trial(name, shape, settings, (data, held_out, out), (steps, limit)))
            with atomic_write(found) as temporary:
                temporary.write_text(json.dumps(rows[-1], indent=2), "utf-8")
        typer.echo(table(rows[-1:], header=len(rows) == 1))


def _trial(
    name: str, shape: dict[str, Any], settings: dict[str, Any], folders: tuple[Path, Path, Path],
    sizes: tuple[int, int],
) -> dict[str, Any]:
    from engine.boards.fit import fit
    from engine.boards.work import task_of_model
    from engine.models.registry import build
    from training.evaluation.evaluate import evaluate_folder
    from training.run.config import resolve
    from training.run.loop import train

    data, held_out, out = folders
    assignments = [f"model.{key}={json.dumps(value)}" for key, value in shape.items()]
    run = resolve(settings["base"], data, assignments, steps=sizes[0])
    model = build(run.family, run.model)
    cost = fit(task_of_model(model, name), settings["target"], settings.get("dtype", "float32"))
    outcome = train(run, out / name)
    found = evaluate_folder(out / name, held_out, sizes[1], baselines=False)
    subjects = found["sound"]["subjects"]
    return {
        "name": name, "shape": shape, "parameters": model.parameter_count,
        "macs_per_second": cost.macs_per_second, "latency_ms": cost.latency_ms,
        "worst_callback": [cost.worst_callback.low, cost.worst_callback.high],
        "steps": sizes[0], "minutes": outcome.seconds / 60, **found["results"]["model"],
        "sound": {"model": subjects["model"], "original": subjects["original"]},
        "standing": found["standing"],
    }


def table(rows: list[dict[str, Any]], header: bool = True) -> str:
    """Rows of results as Markdown."""
    lines = [
        "| shape | weights | MMAC/s | busiest callback, modelled | latency on the board, ms | "
        "energy score | texture dB | modulation | worst octave dB | held latents | "
        "log-mel dB | onset F | distance |",
        "|---" * 13 + "|",
    ] if header else []
    for row in rows:
        low, high = (100 * share for share in row["worst_callback"])
        cells = [
            row["name"], f"{row['parameters'] / 1e3:.0f} k", f"{row['macs_per_second'] / 1e6:.0f}",
            f"{low:.0f}-{high:.0f} %", f"{row['latency_ms']:.1f}",
            *_sound(row),
            f"{row['log_mel_db']:.2f}", f"{row['onset_f']:.2f}", f"{row['spectral_distance']:.3f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _sound(row: dict[str, Any]) -> list[str]:
    """What is chosen by; trials of earlier versions know only the distance."""
    sound = row.get("sound", {})
    own, real = sound.get("model", {}), sound.get("original", {})

    def cell(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    texture = f"{cell(own.get('texture_db'), 2)} of {cell(real.get('texture_db'), 2)}"
    return [cell(own.get("energy_score"), 3), texture if own else "-",
            cell(own.get("modulation_ratio"), 2), cell(own.get("octave_error_db"), 2),
            cell(row.get("standing", {}).get("held_at_frame_rate"), 3)]


if __name__ == "__main__":
    with friendly():
        typer.run(trials)
