"""Results of trials as Markdown: means over seeds with their spread, baselines below."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean, stdev
from typing import Any

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], float | None], int]  # title, value, digits

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
    """Both tables, with what they were made from."""
    plan, rows = result["plan"], result["rows"]
    budget = " and ".join(f"{value:g} {unit}" for unit, value in
                          (("minutes", plan["minutes"]), ("steps", plan["steps"])) if value)
    macs = rows[0]["macs_per_second"] / 1e6
    head = (f"{plan['preset']}, {rows[0]['parameters']:,} parameters, {macs:.0f} MMAC/s; {budget} "
            f"a run, {plan['seeds']} seeds; mean ± standard deviation over seeds")
    lines = _table(SCORES, rows)
    lines += [
        "| " + " | ".join([name.replace("_", " "), *(_digits(column[1]({"scores": scores}),
                                                             column[2]) for column in SCORES)])
        + " |" for name, scores in result["baselines"].items()
    ]
    return "\n".join([head, "", *lines, "", *_table(LATENTS, rows)])


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
