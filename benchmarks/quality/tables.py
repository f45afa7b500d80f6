"""Results of trials as Markdown: means over seeds with their spread, baselines below."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean, stdev
from typing import Any

from training.evaluation.sound_table import SUBJECTS

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], float | None], int]  # title, value, digits


def _of(part: str, key: str) -> Callable[[Row], float | None]:
    """A figure that trials of earlier versions do not have."""
    return lambda row: row.get(part, {}).get(key)


# What is chosen by; the distance below is reported.
SOUND: list[Column] = [
    ("energy score", _of("sound", "energy_score"), 3),
    ("texture dB", _of("sound", "texture_db"), 2),
    ("texture error dB", _of("sound", "texture_error_db"), 2),
    ("frame-rate modulation", _of("sound", "modulation_ratio"), 2),
    ("comb", _of("sound", "comb"), 2),
    ("worst octave dB", _of("sound", "octave_error_db"), 2),
    ("partials to Hz", _of("sound", "partials_to_hz"), 0),
    ("held latents", _of("standing", "held_at_frame_rate"), 3),
    ("swept latents", _of("standing", "swept_modulation"), 3),
    ("start dBFS", _of("standing", "start_dbfs"), 0),
]
SCORES: list[Column] = [
    ("spectral distance", lambda row: row["scores"]["spectral_distance"], 3),
    ("log-mel dB", lambda row: row["scores"]["log_mel_db"], 2),
    ("onset F", lambda row: row["scores"]["onset_f"], 3),
    ("loudness dB", lambda row: row["scores"]["loudness_error_db"], 2),
    ("SI-SDR dB", lambda row: row["scores"]["si_sdr_db"], 1),
    ("descriptor MMD", lambda row: row["scores"]["descriptor_mmd"], 3),
]
LATENTS: list[Column] = [
    ("prior MMD", lambda row: row["prior"]["mmd"]["prior"], 3),
    ("untrained MMD", lambda row: row["prior"]["mmd"]["noise_untrained"], 3),
    ("shuffled MMD", lambda row: row["prior"]["mmd"]["shuffled"], 3),
    ("active latents", lambda row: row["active_latents"], 1),
    ("bits/s", lambda row: row["bits_per_second"], 0),
    ("strongest correlation", lambda row: row["strongest_correlation"], 2),
    ("sweep smoothness", lambda row: row["sweep_smoothness"], 2),
    ("border flux", lambda row: row["borders"].get("ratio"), 3),
    ("steps", lambda row: row["steps"], 0),
]


def tables(result: dict[str, Any]) -> str:
    """All tables, with what they were made from."""
    plan, rows = result["plan"], result["rows"]
    budget = " and ".join(f"{value:g} {unit}" for unit, value in
                          (("minutes", plan["minutes"]), ("steps", plan["steps"])) if value)
    macs = rows[0]["macs_per_second"] / 1e6
    head = (f"{plan['preset']}, {rows[0]['parameters']:,} parameters, {macs:.0f} MMAC/s; {budget} "
            f"a run, {plan['seeds']} seeds; mean ± standard deviation over seeds")
    parts: list[tuple[list[Column], list[tuple[str, Row]]]] = [
        (SOUND, [(SUBJECTS.get(name, name), {"sound": figures})
                 for name, figures in result.get("sound_baselines", {}).items()]),
        (SCORES, [(name.replace("_", " "), {"scores": scores})
                  for name, scores in result["baselines"].items()]),
        (LATENTS, []),
    ]
    lines = [head]
    for columns, baselines in parts:
        lines += ["", *_table(columns, rows)]
        for name, row in baselines:
            cells = [_digits(value(row), digits) for _, value, digits in columns]
            lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def _table(columns: list[Column], rows: list[Row]) -> list[str]:
    lines = ["| | " + " | ".join(title for title, _, _ in columns) + " |",
             "|---|" + "---|" * len(columns)]
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == variant]
        cells = [_spread([value(row) for row in own], digits) for _, value, digits in columns]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    return lines


def _spread(values: list[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    text = _digits(mean(known), digits)
    return f"{text} ± {_digits(stdev(known), digits)}" if len(known) > 1 else text


def _digits(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
